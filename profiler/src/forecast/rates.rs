//! Rounds of a kernel against CPUs.

use super::{
    demand::{End, RoundDemands},
    network::throughput,
};

/// The most CPUs of a forecast.
pub const MOST_CPUS: u32 = 512;

/// Rounds per instruction with 1 to [`MOST_CPUS`] CPUs.
pub(super) fn rates(kernel: &RoundDemands, end: End) -> Vec<f64> {
    let demands: Vec<f64> = kernel
        .locks
        .iter()
        .map(|lock| lock.demand.at(end))
        .collect();
    // Only rounding can make this negative: the demands were checked.
    let delay = (kernel.round - demands.iter().sum::<f64>()).max(0.0);
    throughput(delay, &demands, MOST_CPUS)
}
