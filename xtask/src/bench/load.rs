//! The load part: throughput by the wall clock, on several CPUs, with and without observers that take
//! turns within one boot.

use anyhow::{Context, Result};
use lab::kernel;
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;

use super::bpftrace::{self, Form};
use super::laboratory::Laboratory;
use super::loads;
use super::observer::Observer;
use super::peers::Peers;
use super::results::{LoadCosts, Throughput};
use super::statistics::{mean, ratio_interval};
use crate::guest::round::{self, Lab};

/// The kernel of this part.
pub const KERNEL: &str = "debian:6.12";
/// Virtual CPUs, and as many tasks: no more than are real where the bench is made.
pub const CPUS: u32 = 2;
/// The loads: the lock alone, and tasks' lives.
const LOADS: [&str; 2] = ["nullhold", "threadspawn"];
/// Seconds of each measurement, and of the load before it.
const SECONDS: &str = "2";
const WARM_UP: &str = "0.7";
/// After an observer has come or gone.
const SETTLE_MS: u64 = 300;
/// lockprof's own default.
const INTERVAL_S: u32 = 1;

/// One boot's work: in each round every observer has its turn, between two turns without any; each round
/// begins with another observer.
#[derive(Debug, Default)]
struct Rounds {
    steps: Vec<Step>,
    /// By round and observer.
    turns: Vec<Vec<Turn>>,
}

/// The places in the steps of each load: without an observer, with it, and without it again. What the machine
/// itself does changes over a round, so that a turn is held against its neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Turn {
    before: Vec<usize>,
    with: Vec<usize>,
    after: Vec<usize>,
}

impl Rounds {
    fn new(observers: &[Observer], cpus: u32, rounds: usize) -> Self {
        let mut script = Self::default();
        for round in 0..rounds {
            let mut turns = vec![Turn::default(); observers.len()];
            let mut before = script.loads(cpus);
            for turn in 0..observers.len() {
                let index = (turn + round) % observers.len();
                let started = script.push(observers[index].clone().in_round(round).step());
                let with = script.loads(cpus);
                script.push(Step::ending(started, libc::SIGINT));
                let after = script.loads(cpus);
                turns[index] = Turn {
                    before,
                    with,
                    after: after.clone(),
                };
                before = after;
            }
            script.turns.push(turns);
        }
        script
    }

    fn loads(&mut self, cpus: u32) -> Vec<usize> {
        let loads = LOADS.map(|load| {
            let step = loads::step(load, cpus, WARM_UP, &["--duration", SECONDS]);
            self.push(step.delay(SETTLE_MS))
        });
        loads.to_vec()
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
    let lab = Lab::new(&kernel, &laboratory.binaries);
    let forms = [("holds", "wait"), ("holds", "fentry"), ("spans", "fentry")];
    let mut observers = forms
        .map(|(detail, attach)| Observer::lockprof(detail, attach, INTERVAL_S))
        .to_vec();
    if let Some(peers) = peers {
        // By fentry, as lockprof, where that works.
        for form in [Form::Kfunc, Form::Kprobe] {
            match peers.can_trace(laboratory, &lab, form)? {
                Ok(()) => {
                    observers.push(bpftrace::observer(form));
                    break;
                }
                Err(why) => eprintln!("bench: without {}: {why}", form.name()),
            }
        }
    }
    let script = Rounds::new(&observers, cpus, rounds);
    let mut request = laboratory.request(&lab, script.steps.clone());
    request.cpus = cpus;
    if let Some(peers) = peers {
        peers.add_to(&mut request)?;
    }
    let outcome = round::succeed(&request).context("a boot of the load part failed")?;
    let seconds = outcome.wall.as_secs_f64();
    eprintln!("bench: {KERNEL}, {cpus} CPUs: {rounds} rounds took {seconds:.0} s");
    LOADS
        .iter()
        .enumerate()
        .map(|(load, name)| {
            let (bare, ratios) = rates(&outcome, &script, load)?;
            Ok(LoadCosts {
                kernel: KERNEL.to_owned(),
                release: outcome.release.clone(),
                cpus,
                load: (*name).to_owned(),
                rounds,
                bare_per_second: bare,
                observers: throughputs(&observers, ratios),
            })
        })
        .collect()
}

/// Of one load, the bare rate, and by observer what was left of it in each round.
fn rates(outcome: &VmOutcome, script: &Rounds, load: usize) -> Result<(f64, Vec<Vec<f64>>)> {
    let rate = |places: &[usize]| {
        let step = outcome.steps.get(places[load]);
        let step = step.context("a step has no outcome")?;
        let rate = loads::ground_truth(step)?.per_second;
        rate.context("a load was stopped before it was measured")
    };
    let observers = script.turns.first().map_or(0, Vec::len);
    let (mut bare, mut ratios) = (Vec::new(), vec![Vec::new(); observers]);
    for turns in &script.turns {
        for (turn, ratios) in turns.iter().zip(&mut ratios) {
            let [before, with, after] = [&turn.before, &turn.with, &turn.after].map(|at| rate(at));
            let around = [before?, after?];
            ratios.push(with? / (around[0] * around[1]).sqrt());
            bare.extend(around);
        }
    }
    Ok((mean(bare.into_iter()), ratios))
}

/// What is left of the bare rate with each observer, from the rounds' ratios.
fn throughputs(observers: &[Observer], ratios: Vec<Vec<f64>>) -> Vec<Throughput> {
    let each = observers.iter().zip(ratios).map(|(observer, ratios)| {
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
    fn every_observer_has_its_turn_between_two_without_any() {
        let observers = ["holds", "spans"].map(|detail| Observer::lockprof(detail, "fentry", 1));
        let script = Rounds::new(&observers, 2, 3);
        let ended = script
            .steps
            .iter()
            .filter(|step| step.await_step.is_some())
            .count();
        assert_eq!(ended, 2 * 3);
        for (round, turns) in script.turns.iter().enumerate() {
            let first = (0..2).min_by_key(|observer| turns[*observer].with[0]);
            assert_eq!(first, Some(round % 2));
            for turn in turns {
                // The load, its observer's end, the load again; before it the observer's beginning.
                let [before, with, after] = [&turn.before, &turn.with, &turn.after];
                assert_eq!((before[1] + 2, with[1] + 2), (with[0], after[0]));
                assert!(script.steps[with[0] - 1].background);
                for places in [before, with, after] {
                    let loads = places.iter().map(|at| script.steps[*at].argv[2].as_str());
                    assert_eq!(loads.collect::<Vec<_>>(), LOADS);
                }
            }
            let shared = turns
                .iter()
                .any(|turn| turns.iter().any(|next| next.before == turn.after));
            assert!(
                shared,
                "a turn without an observer belongs to both of its neighbours"
            );
        }
    }
}
