//! The bundled loads as steps of a guest, and what they say that they did.

use anyhow::{Result, anyhow};
use workloads::{GroundTruth, WorkloadLine, parse_line};

use crate::vm::StepOutcome;
use crate::vm::protocol::Step;

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
    let text = step.text();
    let mut truths = text.lines().filter_map(|line| match parse_line(line) {
        WorkloadLine::GroundTruth(truth) => Some(truth),
        _ => None,
    });
    truths
        .next_back()
        .ok_or_else(|| anyhow!("a load has ended without its ground truth: {text}"))
}
