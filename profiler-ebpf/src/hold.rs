//! The hold in progress on a CPU, and the ring of the holds that have ended.
//!
//! A write hold of an irq-disabling lock runs on one CPU with interrupts off, from its acquisition to
//! its release, so one slot a CPU holds its state. Only clocks are read inside: who it was is found
//! before the lock is asked for, and the hold is booked after it was given back.

use core::mem::{offset_of, size_of};

/// In [`HoldSlot::start_ns`]: an interrupt is being served, and no stretch is in progress. So large
/// that every clock less this is negative.
pub const INTERRUPTED: u64 = 1 << 62;
/// Holds that the ring keeps; a power of two.
pub const RING_HOLDS: usize = 4096;
/// Holds behind which a wait is looked for: more writers than this in one queue are not blamed.
pub const MAX_BEHIND: u64 = 128;

/// The hold in progress on this CPU, from the request to the booking.
///
/// Interrupts are on before the lock is taken and after it was given back, and off in between: so the
/// hold lies in one stretch between two interrupts, and no other stretch is as long as that one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HoldSlot {
    /// When the stretch in progress began (CLOCK_MONOTONIC, ns), or [`INTERRUPTED`]; 0 where nobody
    /// has asked for the lock.
    pub start_ns: u64,
    /// When the lock was about to be given back, where that is probed; else 0.
    pub end_ns: u64,
    /// The longest stretch that an interrupt has ended.
    pub stretch_ns: u64,
    /// When it ended.
    pub stretch_end_ns: u64,
    /// When the wait before it began; 0 where there was none. Only where the acquisition is probed;
    /// else it stays in the [`WaitMark`].
    pub wait_began_ns: u64,
    /// When that wait ended.
    pub wait_ended_ns: u64,
    /// The task, by the address of its task_struct.
    pub task: u64,
    /// How often it has been switched out (nvcsw + nivcsw) when it asked; 0 where that is not known.
    pub switches: u64,
    /// The cgroup's id; like the next three only where another task may book the hold.
    pub cgroup: u64,
    /// The thread, plus 2^32 times the process; 0 where it is not kept.
    pub pid_tgid: u64,
    /// The thread's name.
    pub comm: [u8; 16],
    /// Its site, by index.
    pub site: u32,
    /// 1 while the lock is known to be held: from a probe of its acquisition to its release.
    pub held: u32,
    /// 1 once this CPU has seen a hold, or a release without one: the first of those belongs to a hold
    /// that began before the programs were attached, and is no loss.
    pub seen: u32,
    /// 1 where the wait has been moved into this slot.
    pub claimed: u32,
}

/// A wait of a writer for the target lock, until the hold that follows it is booked.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WaitMark {
    /// When it began (CLOCK_MONOTONIC, ns); 0 where there is none.
    pub began_ns: u64,
    /// When it ended; 0 while it lasts.
    pub ended_ns: u64,
    /// The task, by the address of its task_struct.
    pub task: u64,
}

/// A hold that has ended, in the ring over which waits are laid.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EndedHold {
    /// Its number since the programs were loaded, plus 1; 0 while it is being written.
    pub sequence: u64,
    /// When it began (CLOCK_MONOTONIC, ns).
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Its site, by index.
    pub site: u64,
}

/// The holds of all CPUs that ended last.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HoldRing {
    /// How many there have been.
    pub count: u64,
    /// The end of the latest wait that was laid over the ring.
    pub laid_until_ns: u64,
    /// By number, modulo their number.
    pub holds: [EndedHold; RING_HOLDS],
}

impl HoldRing {
    /// No hold.
    pub const EMPTY: Self = Self {
        count: 0,
        laid_until_ns: 0,
        holds: [EndedHold {
            sequence: 0,
            start_ns: 0,
            end_ns: 0,
            site: 0,
        }; RING_HOLDS],
    };
}

/// The length of a hold and its end, from its last stretch and the longest one before: the hold is in
/// the longest. `None` where the clock went backwards.
#[inline(always)]
#[must_use]
pub const fn length_of(slot: &HoldSlot, released_ns: u64) -> Option<(u64, u64)> {
    let last_ns = released_ns.wrapping_sub(slot.start_ns);
    let last_is_negative = last_ns >> 63 != 0;
    if slot.stretch_ns != 0 && (last_is_negative || last_ns < slot.stretch_ns) {
        Some((slot.stretch_ns, slot.stretch_end_ns))
    } else if last_is_negative {
        None
    } else {
        Some((last_ns, released_ns))
    }
}

/// For how long a wait stood behind a hold.
#[inline(always)]
#[must_use]
pub const fn overlap_ns(began_ns: u64, ended_ns: u64, hold: &EndedHold) -> u64 {
    let from_ns = if hold.start_ns > began_ns {
        hold.start_ns
    } else {
        began_ns
    };
    let until_ns = if hold.end_ns < ended_ns {
        hold.end_ns
    } else {
        ended_ns
    };
    if until_ns > from_ns {
        until_ns - from_ns
    } else {
        0
    }
}

const _: () = {
    assert!(RING_HOLDS.is_power_of_two() && MAX_BEHIND < RING_HOLDS as u64);
    assert!(offset_of!(HoldSlot, comm) == 80);
    assert!(size_of::<HoldSlot>() == 112);
    assert!(size_of::<WaitMark>() == 24);
    assert!(size_of::<EndedHold>() == 32);
    assert!(size_of::<HoldRing>() == 16 + 32 * RING_HOLDS);
};

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(start_ns: u64, stretch: (u64, u64)) -> HoldSlot {
        HoldSlot {
            start_ns,
            stretch_ns: stretch.0,
            stretch_end_ns: stretch.1,
            end_ns: 0,
            wait_began_ns: 0,
            wait_ended_ns: 0,
            task: 0,
            switches: 0,
            cgroup: 0,
            pid_tgid: 0,
            comm: [0; 16],
            site: 0,
            held: 0,
            seen: 0,
            claimed: 0,
        }
    }

    #[test]
    fn a_hold_is_in_the_longest_stretch() {
        // Undisturbed.
        assert_eq!(length_of(&slot(100, (0, 0)), 150), Some((50, 150)));
        // An interrupt right after the release, and one right before the acquisition.
        assert_eq!(length_of(&slot(900, (50, 150)), 905), Some((50, 150)));
        assert_eq!(length_of(&slot(900, (5, 105)), 950), Some((50, 950)));
        // The end of an interrupt was missed.
        assert_eq!(
            length_of(&slot(INTERRUPTED, (50, 150)), 905),
            Some((50, 150))
        );
        assert_eq!(length_of(&slot(900, (0, 0)), 899), None);
    }

    #[test]
    fn a_wait_stands_behind_the_common_part() {
        let hold = |start_ns, end_ns| EndedHold {
            sequence: 1,
            start_ns,
            end_ns,
            site: 0,
        };
        for (began, ended, start, end, expected) in [
            (10, 20, 0, 10, 0),
            (10, 20, 0, 15, 5),
            (10, 20, 12, 15, 3),
            (10, 20, 0, 30, 10),
            (10, 20, 18, 30, 2),
            (10, 20, 20, 30, 0),
        ] {
            assert_eq!(overlap_ns(began, ended, &hold(start, end)), expected);
        }
    }
}
