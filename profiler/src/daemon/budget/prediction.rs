//! What measuring is expected to cost, from what an event costs and how often it happens.

use std::collections::BTreeMap;

use super::{Costs, Rates, Waits};
use crate::recording::schema::WindowKind;

/// What one kind of window is expected to cost while its probes are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    /// The share of the time for which the lock is longer held: what is lost where the lock limits the machine.
    pub lock: f64,
    /// The share of the machine's CPU time that the programs take outside of the lock's holds.
    pub elsewhere: f64,
}

impl Expected {
    /// The effect: as if the lock limited the machine, which nobody knows beforehand.
    #[must_use]
    pub fn effect(self) -> f64 {
        self.lock + self.elsewhere
    }
}

/// What is expected of each kind of window, and of the daemon whatever is attached.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// By kind: those that this kernel allows.
    pub of: BTreeMap<WindowKind, Expected>,
    /// The daemon's own share of the machine's CPU time.
    pub daemon: f64,
    /// Waits a second were not known: one for each hold was assumed.
    pub waits_assumed: bool,
}

/// Predicts, from the cost of an event in each kind of window.
#[must_use]
pub fn predict(costs: &[(WindowKind, Costs)], rates: &Rates) -> Predicted {
    let cpus = f64::from(rates.cpus.max(1));
    let waits = rates.waits.unwrap_or(Waits {
        all: rates.holds,
        of_lock: rates.holds,
    });
    let contended = waits.of_lock.min(rates.holds);
    let expected = |costs: &Costs| {
        let in_holds_ns =
            costs.in_hold_ns * (rates.holds - contended) + costs.in_contended_hold_ns * contended;
        let elsewhere_ns = costs.around_hold_ns * rates.holds
            + costs.passing_ns * rates.passing
            + costs.switch_ns * rates.switches
            + costs.call_ns * rates.calls
            + costs.wait_ns * waits.all;
        Expected {
            // The lock is one, however many CPUs there are.
            lock: in_holds_ns / 1e9,
            elsewhere: elsewhere_ns / 1e9 / cpus,
        }
    };
    Predicted {
        of: costs
            .iter()
            .map(|(kind, costs)| (*kind, expected(costs)))
            .collect(),
        daemon: rates.own_cpu / cpus,
        waits_assumed: rates.waits.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs {
        in_hold_ns: 100.0,
        in_contended_hold_ns: 300.0,
        around_hold_ns: 400.0,
        passing_ns: 50.0,
        switch_ns: 20.0,
        call_ns: 10.0,
        wait_ns: 1000.0,
    };

    #[test]
    fn the_lock_is_one_and_cpus_are_many() {
        for (cpus, holds, waits, lock, elsewhere) in [
            // No wait.
            (1, 1e5, Some((0.0, 0.0)), 0.01, 0.04),
            (4, 1e5, Some((0.0, 0.0)), 0.01, 0.01),
            // Half of the holds were waited for; waits for other locks cost their CPU alone.
            (1, 1e5, Some((5e4, 5e4)), 0.02, 0.09),
            (1, 1e5, Some((1e5, 0.0)), 0.01, 0.14),
            // More waits than holds: some are readers'.
            (1, 1e5, Some((2e5, 2e5)), 0.03, 0.24),
            // Not known: each hold is waited for.
            (1, 1e5, None, 0.03, 0.14),
            (2, 0.0, None, 0.0, 0.0),
        ] {
            let rates = Rates {
                cpus,
                holds,
                passing: 0.0,
                switches: 0.0,
                calls: 0.0,
                waits: waits.map(|(all, of_lock)| Waits { all, of_lock }),
                own_cpu: 0.002,
            };
            let predicted = predict(&[(WindowKind::Holds, COSTS)], &rates);
            let expected = predicted.of[&WindowKind::Holds];
            assert!(
                (expected.lock - lock).abs() < 1e-9,
                "{rates:?}: {expected:?}"
            );
            assert!(
                (expected.elsewhere - elsewhere).abs() < 1e-9,
                "{rates:?}: {expected:?}"
            );
            assert!((predicted.daemon - 0.002 / f64::from(cpus)).abs() < 1e-12);
            assert_eq!(predicted.waits_assumed, waits.is_none());
        }
    }
}
