//! One moment by the clocks that tools of Linux stamp their events with.

use serde::{Deserialize, Serialize};

/// When the probes were attached. All other times of a recording count from that moment, so that this lays them
/// beside the events of another tool.
///
/// The clocks are read one after the other, some tens of nanoseconds apart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Anchor {
    /// CLOCK_MONOTONIC: that of `bpf_ktime_get_ns`, `perf record -k mono` and ftrace's `mono`.
    pub monotonic_ns: u64,
    /// CLOCK_BOOTTIME, which goes on while the machine sleeps: Perfetto's, and ftrace's `boot`.
    pub boottime_ns: u64,
    /// CLOCK_REALTIME, in nanoseconds since 1970.
    pub realtime_ns: u64,
}
