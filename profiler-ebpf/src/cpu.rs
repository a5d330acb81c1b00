//! The state of one CPU, and the few words that all CPUs share.
//!
//! A write hold of an irq-disabling lock runs on one CPU with interrupts off, from its acquisition to
//! its release, so one slot per CPU holds its state: no map look-up by key, no atomics.

use core::mem::{offset_of, size_of};

use crate::{BUCKETS, Loss, Phase, Site, Span};

/// Columns of the blame matrix: the writers' sites, then [`READERS_COLUMN`].
pub const BLAME_COLUMNS: usize = Site::WRITERS + 1;
/// The column of time that no writer's hold accounts for: readers held the lock, or it was being
/// handed over.
pub const READERS_COLUMN: usize = Site::WRITERS;
/// Spans that may be open inside one another in a hold.
pub const SPAN_DEPTH: usize = 8;
/// Spinning waits that may be open on one CPU: a task's, a soft interrupt's, an interrupt's, and the
/// inner wait_lock of a qrwlock in each.
pub const WAIT_DEPTH: usize = 8;
/// Read holds that may be open on one CPU.
pub const READ_DEPTH: usize = 4;
/// Address ranges of known sites that the programs are given.
pub const MAX_SITE_RANGES: usize = 40;

/// The addresses of a function: `start <= address < end`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextRange {
    /// The first address.
    pub start: u64,
    /// The first address after the function; 0 in an empty range.
    pub end: u64,
}

impl TextRange {
    /// Whether the address is in the range.
    #[inline(always)]
    #[must_use]
    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }
}

/// A function that is known to take the lock.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteRange {
    /// Its addresses.
    pub text: TextRange,
    /// The [`Site`] that it is, by index.
    pub site: u32,
    /// Always 0.
    pub reserved: u32,
}

/// The known sites, hottest first; the first empty range ends the list.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteRanges {
    /// The ranges.
    pub ranges: [SiteRange; MAX_SITE_RANGES],
}

impl SiteRanges {
    /// No known site.
    pub const EMPTY: Self = Self {
        ranges: [SiteRange {
            text: TextRange { start: 0, end: 0 },
            site: 0,
            reserved: 0,
        }; MAX_SITE_RANGES],
    };

    /// The ranges as the words in which they lie in memory, to set the programs' constant.
    #[must_use]
    pub fn to_words(&self) -> [u64; 3 * MAX_SITE_RANGES] {
        let mut words = [0; 3 * MAX_SITE_RANGES];
        for (words, range) in words.chunks_exact_mut(3).zip(&self.ranges) {
            let mut last = [0; 8];
            last[..4].copy_from_slice(&range.site.to_ne_bytes());
            last[4..].copy_from_slice(&range.reserved.to_ne_bytes());
            words.copy_from_slice(&[range.text.start, range.text.end, u64::from_ne_bytes(last)]);
        }
        words
    }
}

/// What the daemon tells the programs while they run.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RunControl {
    /// The [`Phase`], by index.
    pub phase: u32,
    /// 1 while every program is attached. Before and after, an event that lacks its other half, or
    /// its hold, is no loss and proves nothing.
    pub armed: u32,
}

/// For how long writers of each site have held the lock since the programs were attached. One for
/// all CPUs: only the holder of the lock writes, readers check `sequence` before and after.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HolderClocks {
    /// Odd while a holder writes.
    pub sequence: u64,
    /// When the hold in progress began (CLOCK_MONOTONIC, ns); 0 where there is none.
    pub since_ns: u64,
    /// The site of the hold in progress, by index.
    pub site: u32,
    /// Always 0.
    pub reserved: u32,
    /// Finished holds of each writer's site.
    pub held_ns: [u64; Site::SLOTS],
}

/// The hold in progress on this CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HoldSlot {
    /// When it began (CLOCK_MONOTONIC, ns); 0 where there is none.
    pub start_ns: u64,
    /// Its site, by index.
    pub site: u32,
    /// 1 once this CPU has seen an acquisition: a release before that belongs to a hold that began
    /// before the programs were attached, and is no loss.
    pub seen: u32,
}

/// A span in progress.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SpanFrame {
    /// When it was entered (CLOCK_MONOTONIC, ns).
    pub start_ns: u64,
    /// The time of the spans that it contained.
    pub inner_ns: u64,
    /// The [`Span`], by index.
    pub span: u32,
    /// Always 0.
    pub reserved: u32,
}

/// The spans in progress in the hold in progress.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SpanStack {
    /// How many.
    pub depth: u32,
    /// Always 0.
    pub reserved: u32,
    /// The outermost first.
    pub frames: [SpanFrame; SPAN_DEPTH],
}

/// A spinning wait in progress.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WaitFrame {
    /// The lock's address.
    pub lock: u64,
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
    /// 1 where `held_ns` was read consistently.
    pub settled: u32,
    /// How much of the hold in progress was over when the wait began.
    pub progress_ns: u64,
    /// The site of the hold in progress when the wait began, by index.
    pub progress_site: u32,
    /// Always 0.
    pub reserved: u32,
    /// The holders' clocks when the wait began; only for the target lock.
    pub held_ns: [u64; Site::WRITERS],
}

/// The spinning waits in progress on this CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WaitStack {
    /// How many.
    pub depth: u32,
    /// 1 once this CPU has seen a wait begin.
    pub seen: u32,
    /// The outermost first.
    pub frames: [WaitFrame; WAIT_DEPTH],
}

/// A wait for the target lock that has ended and whose site is not known yet: the acquisition that
/// follows at once on this CPU knows it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PendingWait {
    /// 1 where there is one.
    pub present: u32,
    /// 1 where `blame_ns` is known.
    pub settled: u32,
    /// The wait.
    pub waited_ns: u64,
    /// When it began (CLOCK_MONOTONIC, ns).
    pub began_ns: u64,
    /// Behind whose holds.
    pub blame_ns: [u64; BLAME_COLUMNS],
}

/// A read hold in progress.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ReadFrame {
    /// When it began (CLOCK_MONOTONIC, ns).
    pub start_ns: u64,
    /// Its site, by index.
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
    /// 1 once this CPU has seen one begin.
    pub seen: u32,
    /// The outermost first.
    pub frames: [ReadFrame; READ_DEPTH],
}

/// What a site did on this CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SiteTotals {
    /// Acquisitions that were released again.
    pub holds: u64,
    /// Their time.
    pub held_ns: u64,
    /// Acquisitions that had to wait.
    pub waits: u64,
    /// Their time.
    pub waited_ns: u64,
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

/// Everything about one CPU. The part that a hold touches comes first, the histograms last.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CpuState {
    /// The hold in progress.
    pub hold: HoldSlot,
    /// The spans in progress.
    pub open_spans: SpanStack,
    /// The wait that the next acquisition will claim.
    pub pending_wait: PendingWait,
    /// The same for readers.
    pub pending_read_wait: PendingWait,
    /// The spinning waits in progress.
    pub open_waits: WaitStack,
    /// The read holds in progress.
    pub open_reads: ReadStack,
    /// Totals by site.
    pub sites: [SiteTotals; Site::SLOTS],
    /// Waited time, by the waiter's site and the holder's column.
    pub blame_ns: [[u64; BLAME_COLUMNS]; Site::SLOTS],
    /// Spans inside holds, by the holder's site.
    pub spans: [[SpanTotals; Span::COUNT]; Site::SLOTS],
    /// Calls of spans outside every hold.
    pub calls_outside: [u64; Span::COUNT],
    /// The longest holds, by phase and site.
    pub longest_hold: [[Longest; Site::SLOTS]; Phase::COUNT],
    /// The longest waits, by phase and site.
    pub longest_wait: [[Longest; Site::SLOTS]; Phase::COUNT],
    /// Losses.
    pub losses: [u64; Loss::COUNT],
    /// Lengths of holds by site.
    pub holds: [[u32; BUCKETS]; Site::SLOTS],
    /// Lengths of waits by site.
    pub waits: [[u32; BUCKETS]; Site::SLOTS],
}

const _: () = {
    // The programs bound an index into these by a mask.
    assert!(SPAN_DEPTH.is_power_of_two() && WAIT_DEPTH.is_power_of_two());
    assert!(READ_DEPTH.is_power_of_two());
    assert!(size_of::<SiteRange>() == 24);
    assert!(size_of::<RunControl>() == 8);
    assert!(offset_of!(HolderClocks, held_ns) == 24);
    assert!(size_of::<HolderClocks>() == 24 + 8 * Site::SLOTS);
    assert!(size_of::<HoldSlot>() == 16);
    assert!(size_of::<SpanFrame>() == 24);
    assert!(offset_of!(SpanStack, frames) == 8);
    assert!(offset_of!(WaitFrame, progress_ns) == 40);
    assert!(size_of::<WaitFrame>() == 56 + 8 * Site::WRITERS);
    assert!(size_of::<PendingWait>() == 24 + 8 * BLAME_COLUMNS);
    assert!(size_of::<ReadFrame>() == 16);
    assert!(size_of::<SiteTotals>() == 32);
    assert!(size_of::<SpanTotals>() == 24);
    assert!(size_of::<Longest>() == 48);
    assert!(size_of::<CpuState>().is_multiple_of(8));
    // Every part follows the one before it without a gap.
    assert!(
        size_of::<CpuState>()
            == size_of::<HoldSlot>()
                + size_of::<SpanStack>()
                + 2 * size_of::<PendingWait>()
                + size_of::<WaitStack>()
                + size_of::<ReadStack>()
                + Site::SLOTS * size_of::<SiteTotals>()
                + Site::SLOTS * BLAME_COLUMNS * 8
                + Site::SLOTS * Span::COUNT * size_of::<SpanTotals>()
                + Span::COUNT * 8
                + 2 * Phase::COUNT * Site::SLOTS * size_of::<Longest>()
                + Loss::COUNT * 8
                + 2 * Site::SLOTS * BUCKETS * 4
    );
};
