//! Task lives of a kernel against CPUs.

use super::{
    demand::{End, LifeDemands},
    network::throughput,
};

/// The most CPUs of a forecast.
pub const MOST_CPUS: u32 = 512;

/// Lives per instruction with 1 to [`MOST_CPUS`] CPUs.
pub(super) fn rates(kernel: &LifeDemands, end: End) -> Vec<f64> {
    let demands: Vec<f64> = kernel
        .locks
        .iter()
        .map(|lock| lock.demand.at(end))
        .collect();
    // Only rounding can make this negative: the demands were checked.
    let delay = (kernel.life - demands.iter().sum::<f64>()).max(0.0);
    throughput(delay, &demands, MOST_CPUS)
}
