//! The state of one CPU, and the few words that all CPUs share.
//!
//! A write hold of an irq-disabling lock runs on one CPU with interrupts off, from its acquisition to
//! its release, so one slot per CPU holds its state: no map look-up by key, no atomics.

use core::mem::{offset_of, size_of};

use crate::{BUCKETS, HoldSlot, INTERRUPTED_FRAMES, Loss, Phase, WaitMark};

/// Spinning waits that may be open on one CPU: a task's, a soft interrupt's, an interrupt's, and the
/// inner wait_lock of a qrwlock in each.
pub const WAIT_DEPTH: usize = 8;
/// Read holds that may be open on one CPU.
pub const READ_DEPTH: usize = 4;
/// Spans that a run may have: functions whose calls inside holds are measured. Both sides know each by its number, which
/// it has in this run; there are programs for each number.
pub const MAX_SPANS: usize = 16;

/// The addresses of a function.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextRange {
    /// The first address.
    pub start: u64,
    /// How many addresses; 0 in an empty range.
    pub length: u64,
}

impl TextRange {
    /// No address.
    pub const EMPTY: Self = Self {
        start: 0,
        length: 0,
    };

    /// Whether the address is in the range.
    ///
    /// One comparison of a difference: two comparisons of the address itself would have the verifier
    /// follow both sides of each, for every range.
    #[inline(always)]
    #[must_use]
    pub const fn contains(&self, address: u64) -> bool {
        address.wrapping_sub(self.start) < self.length
    }
}

/// What the daemon tells the programs of a CPU while they run.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RunControl {
    /// The [`Phase`], by index.
    pub phase: u16,
    /// What is attached: [`ARMED`], [`RELEASES`], [`WRITERS`] and [`READERS`]; and [`CONTROLS`].
    pub attached: u16,
    /// The number of the window, or of the edge between two: what began in another one is dropped.
    pub window: u32,
}

/// Every program of this window is attached. Before and after, an event that lacks its other half, or
/// its hold, is no loss and proves nothing.
pub const ARMED: u16 = 1 << 0;
/// A program stands at the entry of the unlock: it alone knows for sure whose hold ends.
pub const RELEASES: u16 = 1 << 1;
/// Requests or acquisitions of the target lock are probed, so that a wait can be claimed by its hold.
pub const WRITERS: u16 = 1 << 2;
/// The same for readers.
pub const READERS: u16 = 1 << 3;
/// Controls are made: waits of lockprof's own threads pass every filter.
pub const CONTROLS: u16 = 1 << 4;

/// A span in progress.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SpanSlot {
    /// When it was entered (CLOCK_MONOTONIC, ns); 0 where it is not in progress.
    pub start_ns: u64,
    /// The same, less the time that spans inside others had taken by then. The difference of two such
    /// times is the time that was spent outside of the spans in between.
    pub start_own_ns: u64,
}

/// The spans in progress in the hold in progress. None of them calls itself.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenSpans {
    /// The time of all spans that have ended on this CPU and do not lie inside another that has.
    pub covered_ns: u64,
    /// By the span's number.
    pub slots: [SpanSlot; MAX_SPANS],
}

/// A spinning wait in progress.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WaitFrame {
    /// The lock's address.
    pub lock: u64,
    /// The return address into the function that asked for the lock; 0 where it is not known.
    pub caller: u64,
    /// When it began (CLOCK_MONOTONIC, ns).
    pub began_ns: u64,
    /// The waiting task.
    pub pid: u32,
    /// The tracepoint's LCB_F_ flags.
    pub flags: u32,
    /// The call stack, or [`NO_STACK`](crate::NO_STACK).
    pub stack_id: i32,
    /// The site, plus 1, of the hold of the target lock inside which the wait happens; 0 outside.
    pub hold_site: u32,
    /// 1: not to be booked (the inner queue lock of a wait that is booked itself).
    pub ignored: u32,
    /// 1: a sample was taken, so that the waiter was late in the queue.
    pub sampled: u32,
}

/// The spinning waits in progress on this CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WaitStack {
    /// How many.
    pub depth: u32,
    /// The number, plus 1, of the window in which this CPU saw a wait begin: what lies here is of that one.
    pub seen: u32,
    /// The outermost first.
    pub frames: [WaitFrame; WAIT_DEPTH],
}

/// A reader's wait for the target lock that has ended and whose site is not known yet: the acquisition
/// that follows at once on this CPU knows it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PendingWait {
    /// The number of its window, plus 1, where there is one; else 0.
    pub window: u32,
    /// The task that waited.
    pub pid: u32,
    /// The wait.
    pub waited_ns: u64,
    /// When it began (CLOCK_MONOTONIC, ns).
    pub began_ns: u64,
}

/// A read hold in progress.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ReadFrame {
    /// When it began (CLOCK_MONOTONIC, ns).
    pub start_ns: u64,
    /// Its site, by number.
    pub site: u32,
    /// The task.
    pub pid: u32,
}

/// The read holds in progress on this CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ReadStack {
    /// How many.
    pub depth: u32,
    /// The number, plus 1, of the window in which this CPU saw one begin: what lies here is of that one.
    pub seen: u32,
    /// The outermost first.
    pub frames: [ReadFrame; READ_DEPTH],
}

/// What a span did inside the holds of a site on this CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanTotals {
    /// Calls inside a hold.
    pub calls: u64,
    /// Their time, with the spans that they contain.
    pub in_hold_ns: u64,
    /// Their time, without the spans that they contain.
    pub self_ns: u64,
}

/// The longest hold or wait of a site on this CPU in a phase.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Longest {
    /// Its length; 0 where there was none.
    pub duration_ns: u64,
    /// When it ended (CLOCK_MONOTONIC, ns).
    pub ended_ns: u64,
    /// The cgroup's id (its inode in cgroup2).
    pub cgroup: u64,
    /// The thread.
    pub pid: u32,
    /// The process.
    pub tgid: u32,
    /// The thread's name.
    pub comm: [u8; 16],
}

/// What a site did on this CPU. Acquisitions are counted by the histograms alone, which miss none.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SiteState {
    /// The time of all holds that were released.
    pub held_ns: u64,
    /// The time of all waits.
    pub waited_ns: u64,
    /// The longest hold in each phase.
    pub longest_hold: [Longest; Phase::COUNT],
    /// The longest wait in each phase.
    pub longest_wait: [Longest; Phase::COUNT],
    /// Spans inside its holds, by number.
    pub spans: [SpanTotals; MAX_SPANS],
    /// Lengths of holds.
    pub holds: [u32; BUCKETS],
    /// Lengths of waits.
    pub waits: [u32; BUCKETS],
}

/// Everything about one CPU. What a hold touches comes first.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CpuState {
    /// What the daemon says; the programs write neither this nor the next two.
    pub control: RunControl,
    /// Until when the daemon's last beat lets the programs begin anything (CLOCK_MONOTONIC, ns): a daemon that
    /// is stopped or stuck is not measuring. What has begun by then is finished.
    pub awake_until_ns: u64,
    /// The daemon's task, by the address of its task_struct, once that is known; else 0. Its holds at some sites
    /// are controls.
    pub control_task: u64,
    /// The hold in progress.
    pub hold: HoldSlot,
    /// The wait that the hold in progress will claim.
    pub wait_mark: WaitMark,
    /// Interrupts that have come.
    pub interrupts: u64,
    /// The stack when the last one came while a hold was open: for the program alone.
    pub interrupted_frames: [u64; INTERRUPTED_FRAMES],
    /// The spans in progress.
    pub open_spans: OpenSpans,
    /// The wait that the next reader will claim.
    pub pending_read_wait: PendingWait,
    /// The spinning waits in progress.
    pub open_waits: WaitStack,
    /// The read holds in progress.
    pub open_reads: ReadStack,
    /// Waits of all locks that were added to this CPU's table of contended locks.
    pub contended: u64,
    /// Holds that are controls: in no other number.
    pub control_holds: u64,
    /// What the last search for a caller found: a site, by number.
    pub found_site: u32,
    /// Waits that found the lock's owner asleep, where its call stack may be taken.
    pub found_asleep: u32,
    /// Searches for a waiter's caller that no sample was due for.
    pub searches: u32,
    /// Spinning waits before the next one that is sampled.
    pub until_sample: u32,
    /// When the call stack of a sleeping waiter was walked last: for the program alone.
    pub walked_at: u64,
    /// Calls of spans inside holds that are followed by task, which may end on another CPU.
    pub calls_inside: u64,
    /// Calls of spans outside every hold, by number.
    pub calls_outside: [u64; MAX_SPANS],
    /// Losses.
    pub losses: [u64; Loss::COUNT],
}

impl CpuState {
    /// Whether a hold of a task is a control of the daemon's own. The daemon takes the lock otherwise as well: so the
    /// site decides too, where it is known: `controls` has a bit for each slot of which a control may be.
    ///
    /// Without a comparison of the site: after one the verifier goes on with two kinds of sites, and would verify
    /// all that follows for each.
    #[inline(always)]
    #[must_use]
    pub const fn is_control(&self, task: u64, slot: usize, controls: u64) -> bool {
        let other_site = !(controls >> slot) & 1;
        (task ^ self.control_task) | other_site == 0
    }

    /// A number that grows with all that the programs count here, but for holds and waits of no length.
    /// `word` reads the word at an offset in bytes, wherever the state lies, and `site_word` the same of the slots
    /// below a number.
    pub fn activity(
        word: impl Fn(usize) -> u64,
        slots: usize,
        site_word: impl Fn(usize, usize) -> u64,
    ) -> u64 {
        let mut sum = word(offset_of!(Self, contended));
        sum = sum.wrapping_add(word(offset_of!(Self, control_holds)));
        sum = sum.wrapping_add(word(offset_of!(Self, calls_inside)));
        // A hold that has ended and is not booked yet is read as if it were.
        let ended = offset_of!(Self, hold) + offset_of!(HoldSlot, end_ns);
        sum = sum.wrapping_add(word(ended));
        let mut add = |offset| sum = sum.wrapping_add(word(offset));
        for span in 0..MAX_SPANS {
            add(offset_of!(Self, calls_outside) + 8 * span);
        }
        for loss in 0..Loss::COUNT {
            add(offset_of!(Self, losses) + 8 * loss);
        }
        for slot in 0..slots {
            sum = sum
                .wrapping_add(site_word(slot, offset_of!(SiteState, held_ns)))
                .wrapping_add(site_word(slot, offset_of!(SiteState, waited_ns)));
        }
        sum
    }
}

const _: () = {
    // The programs bound an index into these by a mask.
    assert!(WAIT_DEPTH.is_power_of_two());
    assert!(READ_DEPTH.is_power_of_two() && Phase::COUNT.is_power_of_two());
    assert!(size_of::<RunControl>() == 8);
    assert!(size_of::<SpanSlot>() == 16);
    assert!(size_of::<OpenSpans>() == 8 + 16 * MAX_SPANS);
    assert!(size_of::<WaitFrame>() == 48);
    assert!(size_of::<PendingWait>() == 24);
    assert!(size_of::<ReadFrame>() == 16);
    assert!(size_of::<SpanTotals>() == 24);
    assert!(size_of::<Longest>() == 48);
    assert!(offset_of!(CpuState, control) == 0);
    assert!(size_of::<CpuState>().is_multiple_of(8));
    // Every part follows the one before it without a gap.
    assert!(
        size_of::<SiteState>()
            == 16
                + 2 * Phase::COUNT * size_of::<Longest>()
                + MAX_SPANS * size_of::<SpanTotals>()
                + 2 * BUCKETS * 4
    );
    assert!(
        size_of::<CpuState>()
            == size_of::<RunControl>()
                + 16
                + size_of::<HoldSlot>()
                + size_of::<OpenSpans>()
                + size_of::<WaitMark>()
                + size_of::<PendingWait>()
                + size_of::<WaitStack>()
                + size_of::<ReadStack>()
                + 56
                + 8 * INTERRUPTED_FRAMES
                + MAX_SPANS * 8
                + Loss::COUNT * 8
    );
};
