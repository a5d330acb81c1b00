//! What CI compares: the deterministic part's numbers with those of the committed file.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use lab::vm::Clock;

use super::deterministic::{self, Extent, KERNELS};
use super::laboratory::Laboratory;
use super::reference;
use super::results::{FILE, KernelCosts, Results};
use crate::checkout;
use crate::toolchain::Environment;
use crate::workers;

/// By how much a number may grow, as a share.
const MAY_GROW: f64 = 0.05;
/// What the holds of a life differ by from boot to boot, in instructions: they are about 1,600 without any
/// observer, and what one adds is a difference of two such sums.
const LIVES_DIFFER_BY: f64 = 128.0;
/// The number to which that applies.
const LIFE_IN_HOLDS: &str = "a life, in its holds";
/// Boots of each kernel: what does not repeat is found when the file is made.
const BOOTS: usize = 1;

/// Measures lockprof again, and fails where a number has grown.
pub fn run(environment: &Environment) -> Result<()> {
    let committed = Results::read(&checkout::root()?)?;
    if committed.deterministic.is_empty() {
        bail!("there is no {FILE} to compare with: `cargo xtask bench` makes it");
    }
    let committed = committed.deterministic.into_iter().map(|part| part.found);
    let laboratory = Laboratory::build(environment)?;
    let now = workers::each(&KERNELS, Clock::Instructions.side_by_side(), |kernel| {
        deterministic::run(&laboratory, kernel, Extent::Check, BOOTS)
    })?;
    let now = now.into_iter().collect::<Result<Vec<_>>>()?;
    for kernel in now.iter().filter(|kernel| !kernel.lengths.is_empty()) {
        reference::check(&kernel.lengths).with_context(|| kernel.kernel.clone())?;
    }
    let (lines, grown) = compare(&committed.collect::<Vec<_>>(), &now);
    for line in lines {
        println!("    {line}");
    }
    if !grown.is_empty() {
        bail!(
            "lockprof costs more than {FILE} says; where that is meant, `cargo xtask bench` writes \
             it anew:\n{}",
            grown.join("\n")
        );
    }
    Ok(())
}

/// All numbers of lockprof, by name.
fn numbers(costs: &[KernelCosts]) -> BTreeMap<String, f64> {
    let mut numbers = BTreeMap::new();
    for kernel in costs {
        for observer in &kernel.contended {
            if !observer.name.starts_with("lockprof-") {
                continue;
            }
            for (what, number) in [
                ("in an uncontended hold", observer.uncontended.whole()),
                ("in a contended hold", observer.in_hold.whole()),
                (
                    "from contention_begin to the queue",
                    observer.to_the_queue.whole(),
                ),
            ] {
                let name = contended_name(kernel, &observer.name);
                numbers.insert(format!("{name}{what}"), number);
            }
        }
        for observer in &kernel.observers {
            if !observer.name.starts_with("lockprof-") {
                continue;
            }
            let life = observer.life.as_ref();
            for (what, number) in [
                ("a pair", Some(observer.pair.added)),
                ("a pair, in the hold", observer.pair.added_in_hold),
                ("null hold as reported", observer.reported_null_hold),
                (LIFE_IN_HOLDS, life.and_then(|life| life.added_in_hold)),
            ] {
                let name = format!("{}, {}: {what}", kernel.kernel, observer.name);
                numbers.extend(number.map(|number| (name, number)));
            }
        }
    }
    numbers
}

/// What the names of an observer's numbers begin with, where the lock is contended.
fn contended_name(kernel: &KernelCosts, observer: &str) -> String {
    format!("{}, {observer}, two CPUs: ", kernel.kernel)
}

/// A line for each number that both have, and a line for each that has grown too much or that one of them lacks.
fn compare(committed: &[KernelCosts], now: &[KernelCosts]) -> (Vec<String>, Vec<String>) {
    let before = numbers(committed);
    let (mut lines, mut grown) = (Vec::new(), Vec::new());
    let measured = numbers(now);
    for (name, now) in &measured {
        let Some(before) = before.get(name) else {
            grown.push(format!(
                "{name}: {now:.0} instructions, and none are committed"
            ));
            continue;
        };
        let line = format!("{name}: {now:.0} instructions, committed {before:.0}");
        let noise = if name.ends_with(LIFE_IN_HOLDS) {
            LIVES_DIFFER_BY
        } else {
            0.0
        };
        if *now > before + noise.max(before * MAY_GROW) {
            grown.push(line.clone());
        }
        let outdated = *now < before * (1.0 - MAY_GROW);
        let hint = if outdated {
            "; `cargo xtask bench` writes the smaller one down"
        } else {
            ""
        };
        lines.push(format!("{line}{hint}"));
    }
    // A number that could be measured once and cannot be now has not become better.
    for observer in now.iter().flat_map(|kernel| {
        let names = kernel.observers.iter().map(|observer| &observer.name);
        let names = names.map(|name| format!("{}, {name}: ", kernel.kernel));
        let contended = kernel.contended.iter();
        names.chain(contended.map(|observer| contended_name(kernel, &observer.name)))
    }) {
        let missing = before
            .keys()
            .filter(|name| name.starts_with(&observer) && !measured.contains_key(*name));
        grown.extend(missing.map(|name| format!("{name} is committed, and was not measured now")));
    }
    for kernel in now.iter().filter(|kernel| kernel.observers.is_empty()) {
        grown.push(format!("{}: nothing was measured", kernel.kernel));
    }
    if lines.is_empty() {
        grown.push(format!("{FILE} has no number that was measured here"));
    }
    (lines, grown)
}

#[cfg(test)]
mod tests {
    use super::super::results::{Added, ContendedCosts, Cost, ObserverCosts};
    use super::*;

    fn costs(name: &str, added: f64, held: Option<f64>) -> Vec<KernelCosts> {
        vec![KernelCosts {
            kernel: "debian:6.12".to_owned(),
            observers: vec![ObserverCosts {
                name: name.to_owned(),
                pair: Cost {
                    added,
                    added_in_hold: held,
                    ..Cost::default()
                },
                ..ObserverCosts::default()
            }],
            ..KernelCosts::default()
        }]
    }

    #[test]
    fn what_grows_by_more_than_a_twentieth_is_named() {
        let before = costs("lockprof-holds-fentry", 400.0, Some(200.0));
        let now = costs("lockprof-holds-fentry", 419.0, Some(211.0));
        let (lines, grown) = compare(&before, &now);
        assert_eq!(lines.len(), 2);
        assert_eq!(grown.len(), 1);
        assert!(
            grown[0].contains("in the hold: 211 instructions, committed 200"),
            "{grown:?}"
        );
    }

    #[test]
    fn the_holds_of_a_life_may_differ_by_their_noise() {
        let costs = |added_in_hold| {
            let mut costs = costs("lockprof-holds-fentry", 400.0, Some(200.0));
            costs[0].observers[0].life = Some(Cost {
                added_in_hold: Some(added_in_hold),
                ..Cost::default()
            });
            costs
        };
        assert!(compare(&costs(125.0), &costs(136.0)).1.is_empty());
        assert_eq!(compare(&costs(125.0), &costs(254.0)).1.len(), 1);
        assert!(compare(&costs(4000.0), &costs(4190.0)).1.is_empty());
    }

    #[test]
    fn what_was_measured_once_must_be_measured_again() {
        let before = costs("lockprof-holds-fentry", 400.0, Some(200.0));
        let now = costs("lockprof-holds-fentry", 400.0, None);
        let (_, grown) = compare(&before, &now);
        assert_eq!(grown.len(), 1);
        assert!(grown[0].contains("in the hold is committed"), "{grown:?}");
        let mut nothing = costs("lockprof-holds-fentry", 400.0, None);
        nothing[0].observers.clear();
        assert_eq!(compare(&before, &nothing).1.len(), 2);
    }

    #[test]
    fn a_contended_hold_is_compared_as_well() {
        let costs = |in_hold, to_the_queue| {
            let mut costs = costs("lockprof-holds-fentry", 400.0, Some(200.0));
            let of = |added| Added {
                bare: 20.0,
                added,
                differs_by: 0.0,
            };
            costs[0].contended = vec![ContendedCosts {
                name: "lockprof-holds-wait".to_owned(),
                in_hold: of(in_hold),
                to_the_queue: of(to_the_queue),
                ..ContendedCosts::default()
            }];
            costs
        };
        let (lines, grown) = compare(&costs(980.0, 200.0), &costs(1020.0, 230.0));
        assert_eq!((lines.len(), grown.len()), (5, 1), "{lines:?}");
        assert!(
            grown[0].contains("wait, two CPUs: from contention_begin to the queue: 250"),
            "{grown:?}"
        );
        let mut none = costs(980.0, 200.0);
        none[0].contended.clear();
        assert_eq!(compare(&none, &costs(980.0, 200.0)).1.len(), 3);
    }

    #[test]
    fn what_nobody_has_committed_is_no_success() {
        let before = costs("lockprof-holds-fentry", 400.0, None);
        let now = costs("lockprof-holds-fentry", 300.0, Some(900.0));
        let (_, grown) = compare(&before, &now);
        assert!(grown[0].ends_with("and none are committed"), "{grown:?}");
        let floor = costs("empty-fexit-fentry", 10.0, None);
        assert_eq!(compare(&floor, &floor).1.len(), 1, "nothing was compared");
    }
}
