//! What it costs a switch of the machine that holders of a lock are watched: by perf's own load, two tasks that send each
//! other a byte, on one CPU whose clock counts instructions.

use anyhow::{Context, Result};
use lab::vm::Clock;
use lab::vm::protocol::Step;

use super::kind::Kind;
use super::observers;
use super::results::Switches;
use crate::bench::cost::Measurement;
use crate::bench::laboratory::Laboratory;
use crate::bench::peers::Peers;
use crate::bench::perf::PERF;
use crate::bench::results::Cost;
use crate::bench::script::{Script, Settle};
use crate::guest::round::{self, Lab};

/// Bytes that are sent and sent back, each with two switches.
const LOOPS: u32 = 20_000;

/// One boot with lockprof, and with lockprof that watches holders.
pub fn run(
    laboratory: &Laboratory,
    lab: &Lab<'_>,
    peers: &Peers,
    kind: &Kind,
) -> Result<Vec<Switches>> {
    let observers = [
        observers::lockprof(kind),
        observers::lockprof(kind).with_off_cpu(),
    ];
    let load = Step::new([PERF, "bench", "sched", "pipe", "-l", &LOOPS.to_string()]);
    let script = Script::new(&observers, &[load], Settle::INSTRUCTIONS);
    let mut request = laboratory.request(lab, script.steps.clone());
    peers.add_to(&mut request)?;
    request.cpus = 1;
    request.clock = Clock::Instructions;
    let outcome = round::succeed(&request).context("a boot about switches failed")?;
    let one = |place: usize| {
        let step = outcome.steps.get(place).context("a step has no outcome")?;
        Ok(Measurement {
            clock: a_switch(&step.text())?,
            counted: None,
        })
    };
    let found = observers
        .iter()
        .zip(&script.places)
        .map(|(observer, places)| {
            let cost = Cost::between(&places[0], one)?;
            Ok(Switches {
                what: observer.what.clone(),
                bare: cost.bare,
                added: cost.added,
            })
        });
    found.collect()
}

/// Instructions of a switch and what a task does until the next, by what perf says: `Total time: SECONDS [sec]`.
fn a_switch(said: &str) -> Result<f64> {
    let line = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Total time:"));
    let seconds = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    let seconds = seconds.with_context(|| format!("perf does not say how long it took: {said}"))?;
    Ok(seconds * 1e9 / f64::from(2 * LOOPS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perf_says_is_read() {
        let said = "# Running 'sched/pipe' benchmark:\n\n     Total time: 0.400 [sec]\n\n      20.0 usecs/op\n";
        assert_eq!(a_switch(said).unwrap(), 10_000.0);
        assert!(a_switch("").is_err());
    }
}
