//! A bpftrace script beside lockprof: how a guest runs it, and what it has counted.

use anyhow::{Context as _, Result};
use lab::vm::protocol::Step;
use lab::vm::{StepOutcome, VmOutcome};

/// What the script prints when it has been attached for a while.
const READY: &str = "attached";

/// The step that runs a script until it is ended; the next one begins when it has been attached for a while.
pub fn watching(script: &str) -> Step {
    let script =
        format!("{script}\ninterval:s:2 /!@said/ {{ @said = 1; printf(\"{READY}\\n\"); }}");
    Step::new(["bpftrace", "-B", "line", "-e", &script]).background(Some(READY))
}

/// A map of the script's, as bpftrace prints it at its end; no other step does so.
pub fn counted(outcome: &VmOutcome, map: &str) -> Result<u64> {
    let said: String = outcome.steps.iter().map(StepOutcome::text).collect();
    let mut lines = said.lines();
    let start = format!("@{map}: ");
    let count = lines.find_map(|line| line.strip_prefix(&start));
    count
        .with_context(|| format!("bpftrace has not counted @{map}: {said}"))?
        .trim()
        .parse()
        .context("bpftrace's count is no number")
}
