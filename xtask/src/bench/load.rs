//! The load part: throughput by the wall clock, on several CPUs, with and without observers that take
//! turns within one boot.

use anyhow::{Context, Result};

use super::bpftrace::{self, Form};
use super::laboratory::Laboratory;
use super::loads;
use super::observer::Observer;
use super::peers::Peers;
use super::results::{LoadCosts, Throughput};
use super::statistics::{mean, ratio_interval};
use crate::guest::{self, Lab};
use crate::kernel;
use crate::vm::VmOutcome;
use crate::vm::protocol::Step;

/// The kernel of this part.
pub const KERNEL: &str = "debian:6.12";
/// Virtual CPUs, and as many tasks.
pub const CPUS: [u32; 2] = [2, 4];
/// The loads.
const LOADS: [&str; 2] = ["threadspawn", "forkexit"];
/// Seconds of each measurement, and of the load before it.
const SECONDS: &str = "2.5";
const WARM_UP: &str = "1";
/// After an observer has come or gone.
const SETTLE_MS: u64 = 500;
/// lockprof's own default.
const INTERVAL_S: u32 = 1;

/// One boot's work: in each round every observer, and none of them, has its turn; each round begins
/// with another one.
#[derive(Debug, Default)]
struct Rounds {
    steps: Vec<Step>,
    /// By round, observer (the first is none) and load: the place in the steps.
    places: Vec<Vec<Vec<usize>>>,
}

impl Rounds {
    fn new(observers: &[Observer], cpus: u32, rounds: usize) -> Self {
        let mut script = Self::default();
        let turns = observers.len() + 1;
        for round in 0..rounds {
            let mut places = vec![Vec::new(); turns];
            for turn in 0..turns {
                let turn = (turn + round) % turns;
                let observer = turn.checked_sub(1).map(|index| &observers[index]);
                let started =
                    observer.map(|observer| script.push(observer.clone().in_round(round).step()));
                for load in LOADS {
                    let step = loads::step(load, cpus, WARM_UP, &["--duration", SECONDS]);
                    places[turn].push(script.push(step.delay(SETTLE_MS)));
                }
                if let Some(started) = started {
                    script.push(Step::ending(started, libc::SIGINT));
                }
            }
            script.places.push(places);
        }
        script
    }

    fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }
}

/// Measures with so many CPUs and rounds.
pub fn run(
    laboratory: &Laboratory,
    peers: Option<&Peers>,
    cpus: u32,
    rounds: usize,
) -> Result<Vec<LoadCosts>> {
    let kernel = kernel::resolve(KERNEL)?;
    let lab = Lab {
        kernel: &kernel,
        binaries: &laboratory.binaries,
    };
    let mut observers = ["holds", "spans"]
        .map(|detail| Observer::lockprof(detail, "fentry", INTERVAL_S))
        .to_vec();
    if let Some(peers) = peers {
        let kfunc = peers.can_trace(laboratory, &lab, Form::Kfunc)?;
        let form = if kfunc.is_ok() {
            Form::Kfunc
        } else {
            Form::Kprobe
        };
        observers.push(bpftrace::observer(form));
    }
    let script = Rounds::new(&observers, cpus, rounds);
    let mut request = laboratory.request(&lab, script.steps.clone());
    request.cpus = cpus;
    if let Some(peers) = peers {
        peers.add_to(&mut request)?;
    }
    let outcome = guest::succeed(&request).context("a boot of the load part failed")?;
    let seconds = outcome.wall.as_secs_f64();
    eprintln!("bench: {KERNEL}, {cpus} CPUs: {rounds} rounds took {seconds:.0} s");
    LOADS
        .iter()
        .enumerate()
        .map(|(load, name)| {
            let rates = rates(&outcome, &script, load)?;
            Ok(LoadCosts {
                kernel: KERNEL.to_owned(),
                release: outcome.release.clone(),
                cpus,
                load: (*name).to_owned(),
                rounds,
                bare_per_second: mean(rates.iter().map(|round| round[0])),
                observers: throughputs(&observers, &rates),
            })
        })
        .collect()
}

/// Iterations a second of one load: by round and turn.
fn rates(outcome: &VmOutcome, script: &Rounds, load: usize) -> Result<Vec<Vec<f64>>> {
    let rounds = script.places.iter().map(|turns| {
        let turns = turns.iter().map(|places| {
            let step = outcome
                .steps
                .get(places[load])
                .context("a step has no outcome")?;
            Ok(loads::ground_truth(step)?.per_second)
        });
        turns.collect::<Result<Vec<_>>>()
    });
    rounds.collect()
}

/// What is left of the bare rate with each observer, from the ratios within the rounds.
fn throughputs(observers: &[Observer], rates: &[Vec<f64>]) -> Vec<Throughput> {
    let each = observers.iter().enumerate().map(|(index, observer)| {
        let ratios = rates.iter().map(|round| round[index + 1] / round[0]);
        let ratios = ratios.collect::<Vec<_>>();
        let interval = ratio_interval(&ratios);
        Throughput {
            ratios,
            name: observer.name.clone(),
            what: observer.what.clone(),
            share: interval.middle,
            low: interval.low,
            high: interval.high,
        }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_every_turn_and_begins_with_another() {
        let observers = ["holds", "spans"].map(|detail| Observer::lockprof(detail, "fentry", 1));
        let script = Rounds::new(&observers, 2, 3);
        let first = script.places.iter().map(|turns| {
            let starts = turns.iter().map(|places| places[0]).collect::<Vec<_>>();
            (0..starts.len()).min_by_key(|turn| starts[*turn])
        });
        assert_eq!(first.collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
        let ended = script
            .steps
            .iter()
            .filter(|step| step.await_step.is_some())
            .count();
        assert_eq!(ended, 2 * 3);
        for turns in &script.places {
            for (turn, places) in turns.iter().enumerate() {
                let before = &script.steps[places[0] - usize::from(places[0] > 0)];
                assert_eq!(before.background, turn > 0);
                assert_eq!(script.steps[places[1]].argv[2], LOADS[1]);
            }
        }
    }
}
