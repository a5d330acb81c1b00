//! Throughput of one task on one CPU, by the clock that counts instructions: a second of lives at a
//! time, so that where each gets its memory from evens out.

use anyhow::{Context, Result};

use super::laboratory::Laboratory;
use super::loads;
use super::observer::Observer;
use super::results::OneTask;
use super::script::Script;
use super::statistics::mean;
use crate::guest::{self, Lab};
use crate::kernel;
use crate::vm::{Clock, VmOutcome};

/// Boots, each of which gives a share.
const BOOTS: usize = 2;
/// Seconds between two readings of the counters, as a user has them.
const INTERVAL_S: u32 = 1;

/// Measures threadspawn -t 1 without, with, with and without lockprof, after a warm-up, in each boot.
pub fn run(laboratory: &Laboratory, kernel: &str) -> Result<OneTask> {
    let image = kernel::resolve(kernel)?;
    let lab = Lab {
        kernel: &image,
        binaries: &laboratory.binaries,
    };
    let observer = Observer::lockprof("holds", "fentry", INTERVAL_S);
    let load = loads::step("threadspawn", 1, "0.3", &["--duration", "1"]);
    let script = Script::new(std::slice::from_ref(&observer), &[load]);
    let mut throughput = OneTask {
        observer: observer.name,
        ..OneTask::default()
    };
    for boot in 1..=BOOTS {
        let mut request = laboratory.request(&lab, script.steps.clone());
        request.cpus = 1;
        request.clock = Clock::Instructions;
        let outcome = guest::succeed(&request).context("a boot for the throughput failed")?;
        let places = &script.places[0][0];
        let bare = per_second(&outcome, &[places.before, places.after])?;
        let with = per_second(&outcome, &places.with)?;
        throughput.bare_per_second.push(bare);
        throughput.shares.push(with / bare);
        let seconds = outcome.wall.as_secs_f64();
        eprintln!("bench: {kernel}, throughput: boot {boot} of {BOOTS} took {seconds:.0} s");
    }
    Ok(throughput)
}

/// The mean over these steps.
fn per_second(outcome: &VmOutcome, places: &[usize]) -> Result<f64> {
    let rates = places.iter().map(|place| {
        let step = outcome.steps.get(*place).context("a step has no outcome")?;
        Ok(loads::ground_truth(step)?.per_second)
    });
    let rates = rates.collect::<Result<Vec<_>>>()?;
    Ok(mean(rates.into_iter()))
}
