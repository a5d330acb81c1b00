//! The hold in progress on a CPU or of a task, and the ring of the holds that have ended.
//!
//! A write hold of an irq-disabling lock runs on one CPU with interrupts off, from its acquisition to
//! its release, so one slot a CPU holds its state. Only clocks are read inside: who it was is found
//! before the lock is asked for, and the hold is booked after it was given back.

use core::mem::{offset_of, size_of};

/// Frames of the stack among which that of the unlock function is searched: those of an interrupt, and one
/// or two of the task.
pub const INTERRUPTED_FRAMES: usize = 24;
/// Holds that the ring keeps; a power of two.
pub const RING_HOLDS: usize = 4096;
/// Holds behind which a wait is looked for: more writers than this in one queue are not blamed.
pub const MAX_BEHIND: u64 = 128;

/// The hold in progress on this CPU, from the request to the booking.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HoldSlot {
    /// When it began (CLOCK_MONOTONIC, ns): when the lock was asked for, when a wait for it ended, or when it
    /// was taken; 0 where nobody has asked for the lock.
    pub start_ns: u64,
    /// When it ended, where a program at the release or an interrupt right after it tells; else 0.
    pub end_ns: u64,
    /// When the wait before it began; 0 where there was none. Only where the acquisition is probed;
    /// else it stays in the [`WaitMark`].
    pub wait_began_ns: u64,
    /// When that wait ended.
    pub wait_ended_ns: u64,
    /// The task, by the address of its task_struct.
    pub task: u64,
    /// How often it has been switched out (nvcsw + nivcsw) when it asked; 0 where that is not known.
    pub switches: u64,
    /// The cgroup's id; like the next two only where another task books the hold.
    pub cgroup: u64,
    /// The thread, plus 2^32 times the process; 0 where it is not kept.
    pub pid_tgid: u64,
    /// The thread's name.
    pub comm: [u8; 16],
    /// Its site, by number.
    pub site: u32,
    /// 1 while the lock is known to be held: from a probe of its acquisition to its release.
    pub held: u32,
    /// The number, plus 1, of the window in which this CPU has seen a hold, or a release without one: the
    /// first of those belongs to a hold that began before the programs were attached, and is no loss.
    pub seen: u32,
    /// 1 where the wait has been moved into this slot.
    pub claimed: u32,
    /// 1 where an interrupt came between a clock and the lock.
    pub interrupted: u32,
    /// The number of the window in which the lock was asked for.
    pub window: u32,
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
    /// The number of the window in which it began.
    pub window: u32,
    /// The same while it lasts; else 0, which no window has.
    pub lasts_in: u32,
}

/// How the holds of the target lock are kept.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// By CPU: who holds it has interrupts off.
    ByCpu = 0,
    /// By task, of a mutex.
    Mutex = 1,
    /// By task, of a reader-writer semaphore.
    Rwsem = 2,
    /// By task, and in interrupts by CPU, of a reader-writer lock that spins.
    Rwlock = 3,
    /// By task, of a reader-writer semaphore with a part on each CPU, which is followed for writers alone.
    PercpuRwsem = 4,
}

/// What stands for a task in the place of a CPU's interrupts: no task has this number.
pub const IN_INTERRUPT: u32 = u32::MAX;

/// The hold of a lock by a task, and the wait before it, from its beginning to its booking. Interrupts and preemption
/// are on in such a hold, and its task may sleep and move to another CPU: so it is kept by task. Tasks share places by
/// the low bits of their pid; every program checks the pid. The interrupts of a CPU have one place: of two that hold the
/// lock at the same time the outer one was interrupted while it read, and the inner one reads, too.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskHold {
    /// When it began (CLOCK_MONOTONIC, ns): when the lock was taken, or when a wait for it ended; 0 where the task does
    /// not hold it.
    pub start_ns: u64,
    /// When the lock was about to be given back; 0 until then.
    pub end_ns: u64,
    /// When the wait for it began; 0 where nobody saw that, or there was none.
    pub wait_began_ns: u64,
    /// When that wait ended, with the lock; 0 while it lasts.
    pub wait_ended_ns: u64,
    /// Since when its task is not running; 0 while it is, and where nobody looks.
    pub off_since_ns: u64,
    /// Since when it could run again; 0 while it sleeps.
    pub woken_ns: u64,
    /// Where it went to sleep, by its call stack's id.
    pub off_stack: i32,
    /// 1 where it did not go to sleep, but another task was put in its place.
    pub was_preempted: u32,
    /// The task, plus 1, or [`IN_INTERRUPT`]; 0 in a place that nobody has used.
    pub pid: u32,
    /// The number of the window in which the wait, or else the hold, began.
    pub window: u32,
    /// Its site, by number.
    pub site: u32,
    /// 1 where the return of the function that took the lock was seen: until then the site is not known.
    pub returned: u16,
    /// How often the task holds it to read; 0 where it holds it for itself alone.
    pub reads: u16,
}

impl TaskHold {
    /// A free place.
    pub const FREE: Self = Self {
        start_ns: 0,
        end_ns: 0,
        wait_began_ns: 0,
        wait_ended_ns: 0,
        off_since_ns: 0,
        woken_ns: 0,
        off_stack: 0,
        was_preempted: 0,
        pid: 0,
        window: 0,
        site: 0,
        returned: 0,
        reads: 0,
    };
}

/// The lock of a process that is the target, wherever its address space is: exec makes a new one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ProcessLock {
    /// The process, by its number in the first pid namespace; 0 while there is none.
    pub tgid: u64,
    /// Where its mmap_lock is; 0 until one of its tasks was seen to take it. The programs write it.
    pub address: u64,
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
    /// Its site, by slot.
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
    until_ns.saturating_sub(from_ns)
}

const _: () = {
    assert!(RING_HOLDS.is_power_of_two() && MAX_BEHIND < RING_HOLDS as u64);
    assert!(offset_of!(HoldSlot, comm) == 64);
    assert!(size_of::<HoldSlot>() == 104);
    assert!(size_of::<WaitMark>() == 32);
    assert!(size_of::<TaskHold>() == 72);
    assert!(size_of::<ProcessLock>() == 16);
    assert!(size_of::<EndedHold>() == 32);
    assert!(size_of::<HoldRing>() == 16 + 32 * RING_HOLDS);
};

#[cfg(test)]
mod tests {
    use super::*;

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
