//! The bundled loads as steps of a guest, and what they say that they did.

use anyhow::{Result, anyhow, bail};
use lab::vm::StepOutcome;
use lab::vm::protocol::Step;
use workloads::{GroundTruth, WorkloadLine, parse_line};

/// How often one task's life takes the lock for writing: fork, exit and reap.
pub const HOLDS_OF_A_LIFE: u32 = 3;
/// Holds in a measurement that are not its load's: the load's main process, init, the kernel's threads.
const OTHER_HOLDS: u64 = 60;

/// A load with so many tasks, so many seconds of warm-up, and what else its command line says.
pub fn step(workload: &str, tasks: u32, warm_up: &str, more: &[&str]) -> Step {
    let tasks = tasks.to_string();
    let argv = [
        "lockprof",
        "workload",
        workload,
        "--tasks",
        &tasks,
        "--warm-up",
        warm_up,
    ];
    Step::new(argv.iter().chain(more).copied())
}

/// What a load that has ended did.
pub fn ground_truth(step: &StepOutcome) -> Result<GroundTruth> {
    ground_truth_of(&step.text())
}

/// The same by what it has printed.
pub fn ground_truth_of(text: &str) -> Result<GroundTruth> {
    let mut truths = text.lines().filter_map(|line| match parse_line(line) {
        WorkloadLine::GroundTruth(truth) => Some(truth),
        _ => None,
    });
    truths
        .next_back()
        .ok_or_else(|| anyhow!("a load has ended without its ground truth: {text}"))
}

/// Fails unless this many holds are those of this load, and few others: what was counted is the lock and the
/// load that it was meant to be.
pub fn check_holds(truth: &GroundTruth, counted: u64) -> Result<()> {
    let lives = u64::from(HOLDS_OF_A_LIFE) * truth.tasks_created;
    let expected = match &truth.lock {
        // One of the two is 0 of the loads that are measured here.
        Some(taken) => taken.exclusive + taken.shared,
        None => truth.null_holds + truth.setsid_calls + lives,
    };
    if counted < expected || counted > expected + OTHER_HOLDS {
        bail!("the load held the lock {expected} times, and {counted} holds were counted");
    }
    Ok(())
}
