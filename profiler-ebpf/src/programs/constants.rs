//! What the daemon decides before the programs are loaded. The kernel freezes these, so the verifier
//! and the JIT see constants.

use aya_ebpf::Global;
use lockprof_abi::{
    FEW_SITES, Followed, KernelLayout, MAX_CALLER_RANGES, MAX_SITE_RANGES, SiteRange, SiteRanges,
    TextRange, UNKNOWN_OFFSET, WaitFilter,
};

use super::maps;

/// Where modules are, behind the gigabyte that is the kernel's own (Documentation/arch/x86/x86_64/mm.rst, where the
/// kernel is loaded at any address, CONFIG_RANDOMIZE_BASE, 5.19 to 7.3).
const MODULES: TextRange = TextRange {
    start: 0xffff_ffff_c000_0000,
    length: 0x3f00_0000,
};

/// The address of the target lock.
#[unsafe(no_mangle)]
static TARGET_LOCK: Global<u64> = Global::new(0);

/// 1 where the target is the mmap_lock of a process, wherever that is.
#[unsafe(no_mangle)]
static FOLLOWS_PROCESS: Global<u32> = Global::new(0);

/// How its holds are kept, by the number of a [`Followed`].
#[unsafe(no_mangle)]
static FOLLOWED: Global<u32> = Global::new(Followed::ByCpu as u32);

/// `_raw_write_lock_irq`, or, of a lock that is followed by task, from the first to the last function that takes one: a
/// return address in it is followed by the caller's.
#[unsafe(no_mangle)]
static LOCK_FUNCTION: Global<TextRange> = Global::new(TextRange::EMPTY);

/// `_raw_write_unlock_irq`: an interrupt inside it has waited for the release.
#[unsafe(no_mangle)]
static UNLOCK_FUNCTION: Global<TextRange> = Global::new(TextRange::EMPTY);

/// `_raw_read_lock`, or more functions that take a lock that is followed by task, which stand elsewhere.
#[unsafe(no_mangle)]
static READ_FUNCTION: Global<TextRange> = Global::new(TextRange::EMPTY);

/// The functions that are known to take the lock.
#[unsafe(no_mangle)]
static SITE_RANGES: SiteRanges = SiteRanges::EMPTY;

/// Slots for sites on each CPU: a power of two.
#[unsafe(no_mangle)]
static SITE_SLOTS: Global<u32> = Global::new(FEW_SITES as u32);

/// The first slot of a caller that is not known before; the number of slots where none is learned.
#[unsafe(no_mangle)]
static FIRST_LEARNED: Global<u32> = Global::new(FEW_SITES as u32);

/// A bit for each slot of which a hold of the daemon's own may be.
#[unsafe(no_mangle)]
static CONTROL_SLOTS: Global<u64> = Global::new(0);

/// The type, by its number in the kernel's BTF, as which a trampoline's frame is read; 0 where the
/// kernel has no bpf_rdonly_cast.
#[unsafe(no_mangle)]
static FRAME_TYPE: Global<u32> = Global::new(0);

/// 1 where totals by cgroup are kept.
#[unsafe(no_mangle)]
static KEEP_CGROUPS: Global<u32> = Global::new(0);

/// 1 where another task than the holder may book a hold, so that who it was is kept with it.
#[unsafe(no_mangle)]
static KEEP_TASK: Global<u32> = Global::new(0);

/// Where a task_struct has nvcsw, in bytes, with nivcsw behind it (include/linux/sched.h, 6.1 to 7.3); 0
/// where the kernel's BTF does not tell.
#[unsafe(no_mangle)]
static TASK_SWITCHES: Global<u32> = Global::new(0);

/// Which spinning wait of a CPU's is sampled: every so many. 0 where no stack is walked.
#[unsafe(no_mangle)]
static SAMPLE_EVERY: Global<u32> = Global::new(0);

/// The text of the scheduler and of the locks, at most `BETWEEN_TEXT_LIMIT` bytes: what stands between
/// a wait and who asked for the lock.
#[unsafe(no_mangle)]
static BETWEEN_TEXT: Global<TextRange> = Global::new(TextRange::EMPTY);

/// The part of it that is the spinning locks'.
#[unsafe(no_mangle)]
static LOCK_TEXT: Global<TextRange> = Global::new(TextRange::EMPTY);

/// The kernel's own text.
#[unsafe(no_mangle)]
static KERNEL_TEXT: Global<TextRange> = Global::new(TextRange::EMPTY);

/// Places for contended locks on each CPU, less 1; the number of places is a power of two.
#[unsafe(no_mangle)]
static CONTENTION_MASK: Global<u32> = Global::new(0);

/// 1 where it is kept who waits for whom.
#[unsafe(no_mangle)]
static KEEP_WAITERS: Global<u32> = Global::new(0);

/// Places for waiting tasks on each CPU, less 1; the number of places is a power of two.
#[unsafe(no_mangle)]
static WAITER_MASK: Global<u32> = Global::new(0);

/// Where the kernel's structures have what tells a lock's class and its owner.
#[unsafe(no_mangle)]
static LAYOUT: KernelLayout = KernelLayout::UNKNOWN;

/// 1 where not every wait is looked at.
#[unsafe(no_mangle)]
static IS_FILTERED: Global<u32> = Global::new(0);

/// What is looked at, where that is not everything.
#[unsafe(no_mangle)]
static ONLY: WaitFilter = WaitFilter::EVERYTHING;

/// The address of the target lock; 0 where it is not known.
#[inline(always)]
pub fn target_lock() -> u64 {
    if follows_process() {
        return lock_of_process();
    }
    TARGET_LOCK.load()
}

/// Where the lock of the process is. A function of its own, so that the programs of all other locks are verified, and
/// compiled, as if there were none.
#[cold]
#[inline(never)]
fn lock_of_process() -> u64 {
    maps::process_lock().map_or(0, |lock| {
        // SAFETY: the pointer is to the only element of the map; a word is read whole.
        unsafe { core::ptr::read_volatile(&raw const (*lock).address) }
    })
}

/// Whether the target is the mmap_lock of a process, wherever that is.
#[inline(always)]
pub fn follows_process() -> bool {
    FOLLOWS_PROCESS.load() != 0
}

#[inline(always)]
pub fn is_target(lock: u64) -> bool {
    lock == target_lock()
}

/// Whether the target's holds are kept so.
#[inline(always)]
pub fn is_followed(how: Followed) -> bool {
    FOLLOWED.load() == how as u32
}

/// Whether the target's holds are kept by task.
#[inline(always)]
pub fn is_followed_by_task() -> bool {
    !is_followed(Followed::ByCpu)
}

/// Whether some may have the target together with others, to read, and are followed.
#[inline(always)]
pub fn may_be_read() -> bool {
    is_followed(Followed::Rwsem) || is_followed(Followed::Rwlock)
}

#[inline(always)]
pub fn lock_function() -> TextRange {
    LOCK_FUNCTION.load()
}

#[inline(always)]
pub fn unlock_function() -> TextRange {
    UNLOCK_FUNCTION.load()
}

#[inline(always)]
pub fn read_function() -> TextRange {
    READ_FUNCTION.load()
}

#[inline(always)]
pub fn frame_type() -> u32 {
    FRAME_TYPE.load()
}

#[inline(always)]
pub fn keep_cgroups() -> bool {
    KEEP_CGROUPS.load() != 0
}

#[inline(always)]
pub fn keep_task() -> bool {
    KEEP_TASK.load() != 0
}

#[inline(always)]
pub fn task_switches() -> usize {
    TASK_SWITCHES.load() as usize
}

#[inline(always)]
pub fn site_slots() -> u32 {
    SITE_SLOTS.load()
}

#[inline(always)]
pub fn first_learned() -> u32 {
    FIRST_LEARNED.load()
}

#[inline(always)]
pub fn control_slots() -> u64 {
    CONTROL_SLOTS.load()
}

/// Whether the address is that of the target's inner wait_lock, four bytes into a reader-writer lock
/// (include/asm-generic/qrwlock_types.h, 6.1 to 7.3). That of a lock that is slept for is a spinlock of its own, with waits
/// of its own.
#[inline(always)]
pub fn is_inside_target(lock: u64) -> bool {
    (is_followed(Followed::ByCpu) || is_followed(Followed::Rwlock))
        && lock == TARGET_LOCK.load().wrapping_add(4)
}

#[inline(always)]
pub fn sample_every() -> u32 {
    SAMPLE_EVERY.load()
}

#[inline(always)]
pub fn take_stacks() -> bool {
    sample_every() != 0
}

#[inline(always)]
pub fn between_text() -> TextRange {
    BETWEEN_TEXT.load()
}

#[inline(always)]
pub fn lock_text() -> TextRange {
    LOCK_TEXT.load()
}

#[inline(always)]
pub fn kernel_text() -> TextRange {
    KERNEL_TEXT.load()
}

/// Whether an address may be one into which a function returns.
#[inline(always)]
pub fn is_code(address: u64) -> bool {
    kernel_text().contains(address) || MODULES.contains(address)
}

/// Whether an address is where modules are, and tracing's trampolines.
#[inline(always)]
pub fn is_of_modules(address: u64) -> bool {
    MODULES.contains(address)
}

#[inline(always)]
pub fn contention_mask() -> u32 {
    CONTENTION_MASK.load()
}

/// One of the known sites; `None` past the last one.
#[inline(always)]
pub fn site_range(index: usize) -> Option<SiteRange> {
    if index >= MAX_SITE_RANGES {
        return None;
    }
    // The whole table does not fit the stack of a program, and a plain read would be folded to the
    // empty table that was compiled in.
    // SAFETY: the index is in bounds, and the table is plain data that never changes once loaded.
    let range = unsafe { core::ptr::read_volatile(&raw const SITE_RANGES.ranges[index]) };
    (range.text.length != 0).then_some(range)
}

#[inline(always)]
pub fn keep_waiters() -> bool {
    KEEP_WAITERS.load() != 0
}

#[inline(always)]
pub fn waiter_mask() -> u32 {
    WAITER_MASK.load()
}

/// Where a member of the kernel's structures is; `None` where that is not known.
#[inline(always)]
pub fn offset_of(member: fn(&KernelLayout) -> *const u32) -> Option<u64> {
    // SAFETY: the pointer is to a field of the table, plain data that never changes once loaded; a plain read would
    // be folded to what was compiled in.
    let offset = unsafe { core::ptr::read_volatile(member(&LAYOUT)) };
    (offset != UNKNOWN_OFFSET).then_some(u64::from(offset))
}

#[inline(always)]
pub fn is_filtered() -> bool {
    IS_FILTERED.load() != 0
}

/// A part of what is looked at; 0 where it is everything.
#[inline(always)]
pub fn only(part: fn(&WaitFilter) -> *const u64) -> u64 {
    // SAFETY: as in `offset_of`.
    unsafe { core::ptr::read_volatile(part(&ONLY)) }
}

/// One of the functions that ask for the locks that are looked at; `None` past the last one.
#[inline(always)]
pub fn wanted_caller(index: usize) -> Option<TextRange> {
    if index >= MAX_CALLER_RANGES {
        return None;
    }
    // SAFETY: the index is in bounds, and otherwise as in `offset_of`.
    let range = unsafe { core::ptr::read_volatile(&raw const ONLY.callers[index]) };
    (range.length != 0).then_some(range)
}

/// Whether it matters who asks for a lock.
#[inline(always)]
pub fn callers_are_filtered() -> bool {
    wanted_caller(0).is_some()
}
