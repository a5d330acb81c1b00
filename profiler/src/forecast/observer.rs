//! What the profiler itself would leave of a machine's task lives.

use serde::Serialize;

use super::{
    demand::{End, LifeDemands},
    measured::TARGET_LOCK,
    network::throughput,
    rates::{MOST_CPUS, rates},
};

/// The numbers of CPUs for which it is said.
const CPUS: [u32; 3] = [8, 24, 64];

/// What it is, in one sentence.
pub const OBSERVER: &str = "Task lives with the probes of holds attached over those without, by the model. \
     Each hold is as long there as it was reported, with the null hold in it, and the rest of what was \
     added to a life lies outside of the holds.";

/// One number of CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ObserverPoint {
    /// CPUs.
    pub cpus: u32,
    /// The share of its task lives that is left.
    pub left: f64,
}

/// What is left on machines of some sizes; nothing where no life with the profiler was measured.
pub(super) fn observer(life: &LifeDemands) -> Vec<ObserverPoint> {
    let Some(profiled) = life.profiled else {
        return Vec::new();
    };
    let demands: Vec<f64> = life
        .locks
        .iter()
        .map(|lock| {
            let end = if lock.name == TARGET_LOCK {
                End::High
            } else {
                End::Point
            };
            lock.demand.at(end)
        })
        .collect();
    let delay = (profiled - demands.iter().sum::<f64>()).max(0.0);
    let with = throughput(delay, &demands, MOST_CPUS);
    let without = rates(life, End::Point);
    let left = |cpus: u32| {
        let index = cpus as usize - 1;
        with[index] / without[index]
    };
    CPUS.into_iter()
        .map(|cpus| ObserverPoint {
            cpus,
            left: left(cpus),
        })
        .collect()
}
