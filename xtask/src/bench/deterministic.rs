//! The deterministic part: instructions of a guest with one CPU, whose clock counts them.

use anyhow::{Context, Result, anyhow};
use workloads::{GroundTruth, WorkloadLine, parse_line};

use super::observer::{self, Observer};
use crate::cargo::StaticBinaries;
use crate::guest;
use crate::kernel;
use crate::vm::initramfs::GuestFile;
use crate::vm::protocol::{GuestScript, Step};
use crate::vm::{Clock, StepOutcome, VmRequest};

/// Lock-unlock pairs in one measurement. A timer's interrupt comes every four million instructions,
/// with or without an observer.
const PAIRS: u32 = 10_000;
/// Seconds of the load before each measurement.
const WARM_UP: &str = "0.002";

fn load(workload: &str, iterations: u32) -> Step {
    Step::new([
        "lockprof",
        "workload",
        workload,
        "--tasks",
        "1",
        "--warm-up",
        WARM_UP,
        "--iterations",
        &iterations.to_string(),
    ])
}

/// Instructions of one iteration.
fn instructions(step: &StepOutcome) -> Result<f64> {
    let truth = ground_truth(step)?;
    Ok(truth.duration_s * 1e9 / truth.iterations as f64)
}

fn ground_truth(step: &StepOutcome) -> Result<GroundTruth> {
    let text = step.text();
    let truths = text.lines().filter_map(|line| match parse_line(line) {
        WorkloadLine::GroundTruth(truth) => Some(truth),
        _ => None,
    });
    truths
        .last()
        .ok_or_else(|| anyhow!("a load has ended without its ground truth: {text}"))
}

/// Prototype.
pub fn run(kernel: &str, binaries: &StaticBinaries) -> Result<()> {
    let kernel = kernel::resolve(kernel)?;
    let mut observers = observer::floors();
    for detail in ["holds", "spans"] {
        for attach in ["fentry", "kprobe"] {
            observers.push(Observer::lockprof(detail, attach));
        }
    }
    let pair = || load("nullhold", PAIRS);
    let mut steps = vec![pair().delay(5000), pair().delay(1000)];
    for observer in &observers {
        let at = steps.len();
        steps.push(observer.step());
        steps.extend([pair(), pair()]);
        steps.push(Step::ending(at, libc::SIGINT).delay(1000));
        steps.push(pair());
    }
    let mut request = VmRequest::new(kernel.image, binaries, GuestScript { steps });
    request.cpus = 1;
    request.clock = Clock::Instructions;
    request.files.push(GuestFile {
        guest: "/bin/lockprof-empty-probes".to_owned(),
        host: binaries.lockprof.with_file_name("lockprof-empty-probes"),
    });
    let outcome = guest::succeed(&request).context("the deterministic part")?;
    println!(
        "wall {:.1} boot {:.1}",
        outcome.wall.as_secs_f64(),
        outcome.boot.as_secs_f64()
    );
    println!("warm-up {:.1}", instructions(&outcome.steps[0])?);
    for (index, observer) in observers.iter().enumerate() {
        let at = 1 + index * 5;
        let n = |i: usize| instructions(&outcome.steps[at + i]);
        let (a, b, c, d) = (n(0)?, n(2)?, n(3)?, n(5)?);
        println!(
            "{:<32} {a:8.1} {b:8.1} {c:8.1} {d:8.1}  added {:8.1}",
            observer.name,
            (b + c) / 2.0 - (a + d) / 2.0
        );
    }
    Ok(())
}
