//! Waits, added up.

use super::super::Durations;
use crate::recording::schema::WaiterInterval;

/// Waits without a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many.
    pub count: u64,
    /// Those of them that have a length.
    pub measured: u64,
    /// The time of these.
    pub waited_ns: u64,
    /// The longest since the probes were attached.
    pub longest_ns: u64,
}

impl Waits {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.measured = self.measured.saturating_add(other.measured);
        self.waited_ns = self.waited_ns.saturating_add(other.waited_ns);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }

    pub(super) fn add_waiter(&mut self, waiter: &WaiterInterval) {
        self.add(&Self {
            count: waiter
                .waits
                .saturating_add(waiter.sampled.unwrap_or(0).into()),
            measured: waiter.waits,
            waited_ns: waiter.waited_ns,
            longest_ns: waiter.longest_ns,
        });
    }

    pub(super) fn add_durations(&mut self, waits: &Durations) {
        self.add(&Self {
            count: waits.count(),
            measured: waits.measured(),
            waited_ns: waits.total_ns,
            longest_ns: waits.max_at_least_ns().unwrap_or(0),
        });
    }

    /// Their mean, where any has a length.
    #[must_use]
    pub fn mean_ns(&self) -> Option<f64> {
        (self.measured > 0).then(|| self.waited_ns as f64 / self.measured as f64)
    }
}
