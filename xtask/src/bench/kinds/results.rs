//! What following a lock of a kind costs, as the machine-readable file has it.

use serde::{Deserialize, Serialize};

use crate::bench::numbers::{ContendedCosts, Cost, NotMeasured};

/// What was found on one kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelKinds {
    /// As a user names it.
    pub kernel: String,
    /// What it calls itself.
    pub release: String,
    /// Boots, whose means these are.
    pub boots: usize,
    /// Each kind.
    pub kinds: Vec<OfKind>,
    /// What it costs a switch that holders are watched.
    #[serde(default)]
    pub switches: Vec<Switches>,
    /// What is left of the throughput of two tasks.
    #[serde(default)]
    pub two_tasks: Vec<Left>,
    /// What could not be measured, and why.
    pub not_measured: NotMeasured,
}

/// What was found about one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OfKind {
    /// Its name.
    pub kind: String,
    /// The lock that is followed.
    pub lock: String,
    /// The load that takes it once an iteration.
    pub load: String,
    /// How many other locks of this kind an iteration of that takes.
    pub others: u32,
    /// The load that takes only other locks of the kind.
    pub load_of_others: String,
    /// How many an iteration of that takes.
    pub others_of_others: u32,
    /// Each observer, where nobody contends.
    pub observers: Vec<KindObserver>,
    /// Each observer, where two tasks contend.
    pub contended: Vec<ContendedCosts>,
}

/// What is left of a load's throughput with an observer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// The load.
    pub load: String,
    /// The lock that its tasks take.
    pub lock: String,
    /// What is attached.
    pub what: String,
    /// Iterations in 10^9 instructions without it, the mean over all turns.
    pub bare_per_second: f64,
    /// What is left of them with it, turn by turn.
    pub shares: Vec<f64>,
}

/// What an observer costs a switch of the machine, in instructions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Switches {
    /// What it is.
    pub what: String,
    /// A switch, and what the task does until the next, without it.
    pub bare: f64,
    /// What comes on top.
    pub added: f64,
}

/// What one observer costs, in instructions of an iteration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KindObserver {
    /// Its name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Of the load that takes the lock.
    pub followed: Cost,
    /// Of the load that takes others.
    pub others: Cost,
}

impl OfKind {
    /// What an observer adds to a pair of another lock of the kind.
    pub fn other_pair(&self, observer: &KindObserver) -> f64 {
        observer.others.added_by_clock / f64::from(self.others_of_others.max(1))
    }

    /// What it adds to a pair of the lock that is followed: an iteration's less what the others in it take.
    pub fn pair(&self, observer: &KindObserver) -> f64 {
        observer.followed.added - f64::from(self.others) * self.other_pair(observer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_an_iteration_without_the_others_in_it() {
        let of = OfKind {
            others: 1,
            others_of_others: 2,
            ..OfKind::default()
        };
        let observer = KindObserver {
            followed: Cost {
                added: 1000.0,
                added_by_clock: 9999.0,
                ..Cost::default()
            },
            others: Cost {
                added: 0.0,
                added_by_clock: 500.0,
                ..Cost::default()
            },
            ..KindObserver::default()
        };
        assert_eq!(of.other_pair(&observer), 250.0);
        assert_eq!(of.pair(&observer), 750.0);
    }
}
