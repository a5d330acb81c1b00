//! What lockprof aims at, and whether it gets there.

mod daemon;
mod goal;
mod kinds;
mod lock;
mod locks;
mod seen;

use super::results::Results;

pub use goal::{Goal, KERNEL, NOT_MEASURED};

/// All goals.
pub fn goals(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    for part in &results.deterministic {
        goals.extend(lock::of_kernel(&part.found));
    }
    let mut kernels = results.deterministic.iter().map(|part| &part.found);
    goals.extend(lock::others(kernels.find(|costs| costs.kernel == KERNEL)));
    goals.extend(seen::goals(results.waits.as_ref().map(|part| &part.found)));
    let kernels = results.kinds.iter().map(|part| &part.found);
    goals.extend(kinds::goals(&kernels.collect::<Vec<_>>()));
    let kernels = results.locks_in_guest.iter().map(|part| &part.found);
    goals.extend(locks::goals(&kernels.collect::<Vec<_>>()));
    goals.extend(daemon::goals(
        results.daemon.as_ref().map(|part| &part.found),
    ));
    goals
}
