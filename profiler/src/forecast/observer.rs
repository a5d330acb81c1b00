//! What the profiler itself would leave of a machine's rounds.

use serde::Serialize;

use super::{
    Subject,
    demand::{End, RoundDemands},
    network::throughput,
    rates::{MOST_CPUS, rates},
};

/// The numbers of CPUs for which it is said.
const CPUS: [u32; 3] = [8, 24, 64];

/// One number of CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ObserverPoint {
    /// CPUs.
    pub cpus: u32,
    /// The share of its rounds that is left.
    pub left: f64,
}

/// What is left on machines of some sizes, by the holds of the lock that was followed; nothing where no round with the
/// profiler was measured, or no null hold.
pub(super) fn observer(round: &RoundDemands, subject: &Subject) -> Vec<ObserverPoint> {
    // Without a null hold nobody knows how much the lock feels of it.
    let Some(profiled) = round.profiled.filter(|_| subject.null_hold_known) else {
        return Vec::new();
    };
    let demands: Vec<f64> = round
        .locks
        .iter()
        .map(|lock| {
            let end = if lock.name == subject.lock {
                End::High
            } else {
                End::Point
            };
            lock.demand.at(end)
        })
        .collect();
    let delay = (profiled - demands.iter().sum::<f64>()).max(0.0);
    let with = throughput(delay, &demands, MOST_CPUS);
    let without = rates(round, End::Point);
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
