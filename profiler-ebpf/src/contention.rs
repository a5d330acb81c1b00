//! Tables of all contended locks, of sleeping waiters, and of cgroups: fixed, open-addressed, one
//! part per CPU where a program writes them. None needs a lock or an allocation.

use core::mem::{offset_of, size_of};

/// `LCB_F_SPIN` of include/trace/events/lock.h (v5.19, commit ee042be16cb4).
pub const LCB_F_SPIN: u32 = 1 << 0;
/// `LCB_F_READ`.
pub const LCB_F_READ: u32 = 1 << 1;
/// `LCB_F_WRITE`.
pub const LCB_F_WRITE: u32 = 1 << 2;
/// `LCB_F_RT`.
pub const LCB_F_RT: u32 = 1 << 3;
/// `LCB_F_PERCPU`.
pub const LCB_F_PERCPU: u32 = 1 << 4;
/// `LCB_F_MUTEX`.
pub const LCB_F_MUTEX: u32 = 1 << 5;

/// The stack id of a wait whose stack was not taken.
pub const NO_STACK: i32 = -1;
/// Octaves of the short histogram of a contended lock: its bucket is the position of the highest set
/// bit of the wait in nanoseconds, and the last one also has what is longer.
pub const WAIT_OCTAVES: usize = 40;
/// Places that are tried before an entry is given up.
pub const MAX_PROBES: u32 = 8;
/// Places in the table by task; a power of two.
pub const TASK_SLOTS: u32 = 16384;
/// Places for cgroups on each CPU; a power of two.
pub const CGROUP_SLOTS: u32 = 256;
/// The same with the one, after them, for all that find no place.
pub const CGROUP_PLACES: u32 = CGROUP_SLOTS + 1;
/// The key in that place, which is no cgroup's.
pub const OTHER_CGROUPS: u64 = u64::MAX;

/// Frames after which a waiter's call stack is cut, those of tracing included.
pub const STACK_FRAMES: usize = 24;
/// The lock's address in a row of all locks that the table had no place for.
pub const OTHERS: u64 = 1;
/// Places for such rows on each CPU, after the table's: one for each combination of flags.
pub const OTHERS_PLACES: u32 = 16;
/// Of how many bytes of the scheduler's and the locks' text the programs can keep what they found: a
/// power of two.
pub const BETWEEN_TEXT_LIMIT: usize = 1 << 16;

/// The waits for one lock, by one caller, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ContentionEntry {
    /// The lock's address, or [`OTHERS`]; 0 in a free place.
    pub lock: u64,
    /// The return address into the function that asked for it; 0 where that was not found.
    pub caller: u64,
    /// The call stack, or [`NO_STACK`].
    pub stack_id: i32,
    /// The tracepoint's LCB_F_ flags at the first begin of the wait.
    pub flags: u32,
    /// The site, plus 1, of the hold of the target lock inside which the waits happened; 0 outside.
    pub hold_site: u32,
    /// Waits of which a sample was taken, so that they were late in the queue: they are counted here and
    /// in nothing below.
    pub sampled: u32,
    /// Waits.
    pub waits: u64,
    /// Their time.
    pub waited_ns: u64,
    /// The longest.
    pub longest_ns: u64,
    /// Waits by octave.
    pub octaves: [u32; WAIT_OCTAVES],
}

impl ContentionEntry {
    /// A free place.
    pub const FREE: Self = Self {
        lock: 0,
        caller: 0,
        stack_id: 0,
        flags: 0,
        hold_site: 0,
        sampled: 0,
        waits: 0,
        waited_ns: 0,
        longest_ns: 0,
        octaves: [0; WAIT_OCTAVES],
    };
}

/// What is kept of a task between two events that may be on different CPUs. Tasks share places by
/// the low bits of their pid; both sides of each pair check the pid.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TaskSlot {
    /// The lock for which the task sleeps; 0 where it does not.
    pub lock: u64,
    /// When the wait began (CLOCK_MONOTONIC, ns).
    pub began_ns: u64,
    /// The return address into the function that asked for the lock; 0 where it is not known.
    pub caller: u64,
    /// The sleeping task.
    pub pid: u32,
    /// The tracepoint's LCB_F_ flags at the first begin.
    pub flags: u32,
    /// The call stack, or [`NO_STACK`].
    pub stack_id: i32,
    /// kprobe only: the task, plus 1, that has entered `_raw_write_lock_irq`.
    pub entry_pid: u32,
    /// kprobe only: the lock that it asked for.
    pub entry_lock: u64,
    /// kprobe only: the task, plus 1, that has asked to read the target lock and has not got it.
    pub reader_pid: u32,
    /// kprobe only: how many other locks have been asked for since by interrupts of that task.
    pub nested_reads: u32,
    /// The number of the window in which the sleep began.
    pub window: u32,
    /// kprobe only: the number of the window in which that task asked to read.
    pub reader_window: u32,
    /// The task that had the lock when the sleep began, by the address of its task_struct; 0 where that was not to
    /// be seen.
    pub owner: u64,
    /// Its pid, and in the upper half its process.
    pub owner_ids: u64,
    /// What it did, by the number of an [`OwnerState`](crate::OwnerState), with
    /// [`READER_HINT`] and [`OWNER_SAMPLED`].
    pub owner_state: u32,
    /// The CPU that it was on, or had been on last.
    pub owner_cpu: u32,
}

/// In [`TaskSlot::owner_state`]: the owner is one of those that read the lock.
pub const READER_HINT: u32 = 1 << 8;
/// In [`TaskSlot::owner_state`]: the owner's call stack was walked, so that the waiter came late.
pub const OWNER_SAMPLED: u32 = 1 << 9;
/// The bits of [`TaskSlot::owner_state`] that are the state.
pub const OWNER_STATE_MASK: u32 = READER_HINT - 1;

impl TaskSlot {
    /// A free place.
    pub const FREE: Self = Self {
        lock: 0,
        began_ns: 0,
        caller: 0,
        pid: 0,
        flags: 0,
        stack_id: 0,
        entry_pid: 0,
        entry_lock: 0,
        reader_pid: 0,
        nested_reads: 0,
        window: 0,
        reader_window: 0,
        owner: 0,
        owner_ids: 0,
        owner_state: 0,
        owner_cpu: 0,
    };
}

/// The holds and waits of a cgroup on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CgroupEntry {
    /// The cgroup's id, plus 1, or [`OTHER_CGROUPS`]; 0 in a free place.
    pub key: u64,
    /// Write holds.
    pub holds: u64,
    /// Their time.
    pub held_ns: u64,
    /// Contended acquisitions.
    pub waits: u64,
    /// Their time.
    pub waited_ns: u64,
}

impl CgroupEntry {
    /// A free place.
    pub const FREE: Self = Self {
        key: 0,
        holds: 0,
        held_ns: 0,
        waits: 0,
        waited_ns: 0,
    };
}

const _: () = {
    assert!(offset_of!(ContentionEntry, waits) == 32);
    assert!(size_of::<ContentionEntry>() == 56 + 4 * WAIT_OCTAVES);
    assert!(size_of::<TaskSlot>() == 88);
    assert!(size_of::<CgroupEntry>() == 40);
    assert!(BETWEEN_TEXT_LIMIT.is_power_of_two());
    assert!(TASK_SLOTS.is_power_of_two() && CGROUP_SLOTS.is_power_of_two());
};
