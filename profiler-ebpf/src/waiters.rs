//! Who waits for whom: a table by waiting task and owner, and where the kernel's structures have what tells.

use core::mem::size_of;

use crate::{OTHERS, TextRange};

/// An offset that the kernel's BTF does not tell.
pub const UNKNOWN_OFFSET: u32 = u32::MAX;

/// Where the members are that tell a lock's class and its owner, in bytes from the beginning of their structure;
/// [`UNKNOWN_OFFSET`] where the kernel does not tell.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelLayout {
    /// `task_struct.mm`.
    pub task_mm: u32,
    /// `mm_struct.mmap_lock`.
    pub mm_mmap_lock: u32,
    /// `task_struct.sighand`.
    pub task_sighand: u32,
    /// `sighand_struct.siglock`.
    pub sighand_siglock: u32,
    /// `task_struct.pid`, with `tgid` behind it.
    pub task_pid: u32,
    /// `task_struct.comm`.
    pub task_comm: u32,
    /// `task_struct.__state`.
    pub task_state: u32,
    /// `task_struct.on_cpu`.
    pub task_on_cpu: u32,
    /// `task_struct.thread_info.cpu`.
    pub task_cpu: u32,
    /// `mutex.owner`.
    pub mutex_owner: u32,
    /// `rw_semaphore.owner`.
    pub rwsem_owner: u32,
    /// `task_struct.stack`.
    pub task_stack: u32,
    /// How many bytes that has (`union thread_union` of include/linux/sched.h, 5.19 to 7.3).
    pub stack_bytes: u32,
}

impl KernelLayout {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        task_mm: UNKNOWN_OFFSET,
        mm_mmap_lock: UNKNOWN_OFFSET,
        task_sighand: UNKNOWN_OFFSET,
        sighand_siglock: UNKNOWN_OFFSET,
        task_pid: UNKNOWN_OFFSET,
        task_comm: UNKNOWN_OFFSET,
        task_state: UNKNOWN_OFFSET,
        task_on_cpu: UNKNOWN_OFFSET,
        task_cpu: UNKNOWN_OFFSET,
        mutex_owner: UNKNOWN_OFFSET,
        rwsem_owner: UNKNOWN_OFFSET,
        task_stack: UNKNOWN_OFFSET,
        stack_bytes: UNKNOWN_OFFSET,
    };

    /// As the programs' variable has it.
    #[must_use]
    pub const fn to_words(&self) -> [u32; 13] {
        [
            self.task_mm,
            self.mm_mmap_lock,
            self.task_sighand,
            self.sighand_siglock,
            self.task_pid,
            self.task_comm,
            self.task_state,
            self.task_on_cpu,
            self.task_cpu,
            self.mutex_owner,
            self.rwsem_owner,
            self.task_stack,
            self.stack_bytes,
        ]
    }
}

/// Ranges of functions among which who asks for a lock may be looked for.
pub const MAX_CALLER_RANGES: usize = 16;

/// How many words [`WaitFilter::to_words`] has.
const FILTER_WORDS: usize = 8 + 2 * MAX_CALLER_RANGES;

/// Which waits are looked at; a field that is 0 lets all pass.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitFilter {
    /// The waiting task's process.
    pub tgid: u64,
    /// The waiting task.
    pub pid: u64,
    /// The waiting task's cgroup.
    pub cgroup: u64,
    /// The CPU on which a wait begins, plus 1.
    pub cpu: u64,
    /// The shortest wait, in nanoseconds.
    pub shortest_ns: u64,
    /// Kinds of locks, by the [`kind_bit`] of their flags.
    pub kinds: u64,
    /// The lock's address.
    pub lock: u64,
    /// The [`LockClass`] by its number.
    pub class: u64,
    /// The functions that ask for the lock; behind the last one they are empty. Without any, whoever asks.
    pub callers: [TextRange; MAX_CALLER_RANGES],
}

impl WaitFilter {
    /// Every wait.
    pub const EVERYTHING: Self = Self {
        tgid: 0,
        pid: 0,
        cgroup: 0,
        cpu: 0,
        shortest_ns: 0,
        kinds: 0,
        lock: 0,
        class: 0,
        callers: [TextRange::EMPTY; MAX_CALLER_RANGES],
    };

    /// As the programs' variable has it.
    #[must_use]
    pub fn to_words(&self) -> [u64; FILTER_WORDS] {
        let mut words = [0; FILTER_WORDS];
        let (first, callers) = words.split_at_mut(FILTER_WORDS - 2 * MAX_CALLER_RANGES);
        first.copy_from_slice(&[
            self.tgid,
            self.pid,
            self.cgroup,
            self.cpu,
            self.shortest_ns,
            self.kinds,
            self.lock,
            self.class,
        ]);
        for (words, caller) in callers.chunks_exact_mut(2).zip(&self.callers) {
            words.copy_from_slice(&[caller.start, caller.length]);
        }
        words
    }
}

/// The bit that stands for a combination of LCB_F_ flags in [`WaitFilter::kinds`]. There are six flags.
#[inline(always)]
#[must_use]
pub const fn kind_bit(flags: u32) -> u64 {
    1 << (flags & 63)
}

/// A lock that is a member of a structure of the task that waits for it. In tables it stands in the place of the
/// lock's address, so that the locks of all processes are one row.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockClass {
    /// `current->mm->mmap_lock`.
    MmapLock = 1,
    /// `current->sighand->siglock`.
    SigLock = 2,
}

impl LockClass {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::MmapLock, Self::SigLock];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MmapLock => "mmap_lock",
            Self::SigLock => "siglock",
        }
    }

    /// The structure and its member.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::MmapLock => "mm_struct.mmap_lock",
            Self::SigLock => "sighand_struct.siglock",
        }
    }

    /// What stands for the lock's address; no lock has it.
    #[must_use]
    pub const fn key(self) -> u64 {
        OTHERS + self as u64
    }

    /// The class for which this stands in the place of an address.
    #[must_use]
    pub fn from_key(key: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.key() == key)
    }

    /// By its number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&class| class as u32 == number)
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What an owner did when somebody came to wait for it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// It was on a CPU.
    OnCpu = 0,
    /// It was ready, and waited for a CPU.
    Runnable = 1,
    /// It slept.
    Asleep = 2,
}

impl OwnerState {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Bytes of a task's name (TASK_COMM_LEN of include/linux/sched.h).
pub const COMM_BYTES: usize = 16;

/// Places for rows of all that find no place, on each CPU, after the table's: one for each combination of flags.
pub const OTHER_WAITERS_PLACES: u32 = 8;

/// The waits of one task for one lock behind one owner, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WaiterEntry {
    /// The lock's address, or [`OTHERS`]; 0 in a free place.
    pub lock: u64,
    /// The waiting task's cgroup.
    pub cgroup: u64,
    /// Waits with a length.
    pub waits: u64,
    /// Their time.
    pub waited_ns: u64,
    /// The longest.
    pub longest_ns: u64,
    /// The waiting task.
    pub pid: u32,
    /// Its process.
    pub tgid: u32,
    /// The task that had the lock when the waits began; 0 where that was not to be seen.
    pub owner_pid: u32,
    /// Its process.
    pub owner_tgid: u32,
    /// The tracepoint's LCB_F_ flags.
    pub flags: u32,
    /// The [`LockClass`] by its number, or 0.
    pub class: u32,
    /// Waits of which a sample was taken: they are in nothing but this.
    pub sampled: u32,
    /// The CPU on which the owner was seen last.
    pub owner_cpu: u32,
    /// Waits by [`OwnerState`].
    pub states: [u32; OwnerState::COUNT],
    /// Waits for an rwsem that was read, of which the owner is one of those that had read it: a hint.
    pub reader_hints: u32,
    /// The waiting task's name.
    pub comm: [u8; COMM_BYTES],
    /// The owner's; empty where it had died.
    pub owner_comm: [u8; COMM_BYTES],
}

impl WaiterEntry {
    /// A free place.
    pub const FREE: Self = Self {
        lock: 0,
        cgroup: 0,
        waits: 0,
        waited_ns: 0,
        longest_ns: 0,
        pid: 0,
        tgid: 0,
        owner_pid: 0,
        owner_tgid: 0,
        flags: 0,
        class: 0,
        sampled: 0,
        owner_cpu: 0,
        states: [0; OwnerState::COUNT],
        reader_hints: 0,
        comm: [0; COMM_BYTES],
        owner_comm: [0; COMM_BYTES],
    };
}

const _: () = {
    assert!(size_of::<WaiterEntry>() == 120);
    assert!(size_of::<KernelLayout>() == 52);
    assert!(size_of::<WaitFilter>() == 8 * FILTER_WORDS);
};
