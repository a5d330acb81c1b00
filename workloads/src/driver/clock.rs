//! The time as it is kept in shared memory, where std's `Instant` has no form.

use std::time::Duration;

/// Nanoseconds of CLOCK_MONOTONIC, which all processes share.
pub(crate) fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for a write of its type for the time of the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    // The monotonic clock is never negative.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A duration in nanoseconds; those of more than 584 years count as that.
pub(crate) fn to_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time until a deadline, in the form that system calls take; none left is 0.
pub(crate) fn until(deadline_ns: u64) -> libc::timespec {
    let left = Duration::from_nanos(deadline_ns.saturating_sub(now_ns()));
    libc::timespec {
        // u64::MAX ns is 1.8e10 s, so neither of the two can overflow.
        tv_sec: left.as_secs().cast_signed(),
        tv_nsec: i64::from(left.subsec_nanos()),
    }
}
