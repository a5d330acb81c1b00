//! Throughput of one task on one CPU, by the clock that counts instructions: a second of lives at a
//! time, so that where each gets its memory from evens out, and often enough that it shows how much of it
//! does not.

use anyhow::{Context, Result};
use lab::kernel;
use lab::vm::{Clock, VmOutcome};

use super::laboratory::Laboratory;
use super::loads;
use super::observer::Observer;
use super::results::OneTask;
use super::script::{Script, Settle};
use super::statistics::{mean, ratio_interval};
use crate::guest::round::{self, Lab};
use crate::workers;

/// Boots, each of which is a sample.
const BOOTS: usize = 6;
/// Turns of the observer in each boot, each between two seconds without it.
const TURNS: usize = 4;
/// Seconds between two readings of the counters, as a user has them.
const INTERVAL_S: u32 = 1;

/// Measures threadspawn -t 1 without and with lockprof in turn, after a warm-up, in each boot.
pub fn run(laboratory: &Laboratory, kernel: &str) -> Result<OneTask> {
    let image = kernel::resolve(kernel)?;
    let lab = Lab::new(&image, &laboratory.binaries);
    let observer = Observer::lockprof("holds", "fentry", INTERVAL_S);
    let turns: Vec<Observer> = (1..=TURNS)
        .map(|turn| observer.clone().in_round(turn))
        .collect();
    let load = loads::step("threadspawn", 1, "0.3", &["--duration", "1"]);
    let script = Script::new(&turns, &[load], Settle::INSTRUCTIONS);
    let numbers: Vec<usize> = (1..=BOOTS).collect();
    let outcomes = workers::each(&numbers, Clock::Instructions.side_by_side(), |boot| {
        let mut request = laboratory.request(&lab, script.steps.clone());
        request.cpus = 1;
        request.clock = Clock::Instructions;
        // Boots are samples: they are to differ in what this clock would repeat.
        request.script.seed = *boot as u64;
        let outcome = round::succeed(&request).context("a boot for the throughput failed")?;
        let found = of_boot(&outcome, &script)?;
        let (share, seconds) = (found.1 * 100.0, outcome.wall.as_secs_f64());
        eprintln!(
            "bench: {kernel}, throughput: boot {boot} of {BOOTS} took {seconds:.0} s, and {share:.2} % \
             were left"
        );
        Ok::<_, anyhow::Error>(found)
    })?;
    let boots = outcomes.into_iter().collect::<Result<Vec<_>>>()?;
    let (bare_per_second, shares) = boots.into_iter().unzip();
    Ok(OneTask {
        observer: observer.what,
        turns: TURNS,
        bare_per_second,
        shares,
    })
}

/// One boot's mean of the bare rates, and what is left of them with the observer.
fn of_boot(outcome: &VmOutcome, script: &Script) -> Result<(f64, f64)> {
    let (mut bare, mut ratios) = (Vec::new(), Vec::new());
    for places in &script.places {
        let around = per_second(outcome, &[places[0].before, places[0].after])?;
        ratios.push(per_second(outcome, &places[0].with)? / around);
        bare.push(around);
    }
    Ok((mean(bare.into_iter()), ratio_interval(&ratios).middle))
}

/// The mean over these steps.
fn per_second(outcome: &VmOutcome, places: &[usize]) -> Result<f64> {
    let rates = places.iter().map(|place| {
        let step = outcome.steps.get(*place).context("a step has no outcome")?;
        let rate = loads::ground_truth(step)?.per_second;
        rate.context("a load was stopped before it was measured")
    });
    let rates = rates.collect::<Result<Vec<_>>>()?;
    Ok(mean(rates.into_iter()))
}
