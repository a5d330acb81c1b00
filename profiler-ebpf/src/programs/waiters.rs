//! Of which class a lock is by the task that waits for it, who has it, and the table of who waits for whom.
//!
//! Everything here is for locks that are slept for, or comes when a wait has ended. What is not inlined is cold by its
//! attribute too, as in the other files: aya 0.14 tells functions apart by their offset, so that all of them have to
//! be in one section.

use aya_ebpf::helpers::{
    bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
    generated::bpf_probe_read_kernel,
};
use lockprof_abi::{
    COMM_BYTES, CONTROLS, CpuState, KernelLayout, LCB_F_MUTEX, LCB_F_PERCPU, LCB_F_READ, LCB_F_RT,
    LCB_F_SPIN, LCB_F_WRITE, LockClass, Loss, MAX_CALLER_RANGES, MAX_PROBES, OTHER_WAITERS_PLACES,
    OTHERS, OWNER_STATE_MASK, OwnerState, READER_HINT, TaskSlot, WaiterEntry, kind_bit,
};

use super::{
    constants::{self, offset_of, only},
    maps::{self, lose},
    memory::{read_u32, read_u64},
    task,
};

/// The bits of a lock's owner that are no part of the address: `MUTEX_FLAGS` of kernel/locking/mutex.c,
/// `RWSEM_OWNER_FLAGS_MASK` of kernel/locking/rwsem.c (5.19 to 7.3).
const OWNER_FLAGS: u64 = 7;
/// `RWSEM_READER_OWNED` of kernel/locking/rwsem.c (5.19 to 7.3).
const READER_OWNED: u64 = 1;

/// A wait that has ended, for the table.
pub struct Waiter {
    pub lock: u64,
    pub class: u32,
    pub flags: u32,
    pub sampled: bool,
    pub waited_ns: u64,
}

/// How the names of lockprof's own threads begin.
const OWN_NAME: u64 = u64::from_le_bytes(*b"lockprof");

/// Whether somebody waits by whom it is proved that the programs see anything: a thread of lockprof's own, by its name,
/// for its number depends on a pid namespace.
#[inline(always)]
fn is_control(cpu: &CpuState) -> bool {
    if !maps::attached(cpu, CONTROLS) {
        return false;
    }
    let name = bpf_get_current_comm().unwrap_or_default();
    let [a, b, c, d, e, f, g, h, ..] = name;
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) == OWN_NAME
}

/// Whether a wait that begins is to be looked at.
#[inline(always)]
pub fn is_wanted(cpu: &CpuState, lock: u64, flags: u32) -> bool {
    if is_control(cpu) {
        return true;
    }
    let number = only(|only| &raw const only.cpu);
    if number != 0 && u64::from(maps::this_cpu()) + 1 != number {
        return false;
    }
    is_of_wanted(lock, flags)
}

/// Whether a wait is to be looked at by who asked for the lock: by the return address, 0 where that is not known.
#[cold]
#[inline(never)]
pub fn is_by_wanted(cpu: &mut CpuState, caller: u64) -> bool {
    if is_control(cpu) {
        return true;
    }
    if caller == 0 {
        lose(cpu, Loss::CallerUnknown);
        return false;
    }
    for index in 0..MAX_CALLER_RANGES {
        match constants::wanted_caller(index) {
            None => return false,
            Some(range) if range.contains(caller) => return true,
            Some(_) => {}
        }
    }
    false
}

/// Whether a wait that has ended is to be counted: it may have begun before the measured time.
#[inline(always)]
pub fn counts(cpu: &CpuState, wait: &Waiter) -> bool {
    if is_control(cpu) {
        return true;
    }
    let class = only(|only| &raw const only.class);
    if class != 0 && class != u64::from(wait.class) {
        return false;
    }
    wait.waited_ns >= only(|only| &raw const only.shortest_ns)
        && is_of_wanted(wait.lock, wait.flags)
}

/// Whether somebody is looked at who waits now for this lock.
#[inline(always)]
fn is_of_wanted(lock: u64, flags: u32) -> bool {
    let wanted = only(|only| &raw const only.lock);
    if wanted != 0 && wanted != lock {
        return false;
    }
    let kinds = only(|only| &raw const only.kinds);
    if kinds != 0 && kinds & kind_bit(flags) == 0 {
        return false;
    }
    let (tgid, pid) = (
        only(|only| &raw const only.tgid),
        only(|only| &raw const only.pid),
    );
    if tgid != 0 && bpf_get_current_pid_tgid() >> 32 != tgid {
        return false;
    }
    if pid != 0 && bpf_get_current_pid_tgid() & 0xffff_ffff != pid {
        return false;
    }
    let cgroup = only(|only| &raw const only.cgroup);
    // SAFETY: the helper has no precondition.
    cgroup == 0 || unsafe { bpf_get_current_cgroup_id() } == cgroup
}

/// The class of a lock that is a member of a structure of the current task, by its number; 0 where it is none.
#[cold]
#[inline(never)]
pub fn class_of(lock: u64, flags: u32) -> u32 {
    // An rwsem is waited for with one of two flags and no other.
    if flags == LCB_F_READ || flags == LCB_F_WRITE {
        if is_mmap_lock_of_current(lock) {
            return LockClass::MmapLock as u32;
        }
    } else if flags == LCB_F_SPIN && constants::keep_waiters() {
        let (task_sighand, siglock): (Member, Member) = (
            |layout| &raw const layout.task_sighand,
            |layout| &raw const layout.sighand_siglock,
        );
        if is_member_of_current(lock, task_sighand, siglock) {
            return LockClass::SigLock as u32;
        }
    }
    0
}

/// Whether a lock is the mmap_lock of the current task's own address space.
#[inline(always)]
pub fn is_mmap_lock_of_current(lock: u64) -> bool {
    let (task_mm, mmap_lock): (Member, Member) = (
        |layout| &raw const layout.task_mm,
        |layout| &raw const layout.mm_mmap_lock,
    );
    is_member_of_current(lock, task_mm, mmap_lock)
}

/// Where the layout has a member.
type Member = fn(&KernelLayout) -> *const u32;

/// Whether a lock is a member of the structure that the current task points to.
#[inline(always)]
fn is_member_of_current(lock: u64, pointer: Member, member: Member) -> bool {
    let (Some(pointer), Some(member)) = (offset_of(pointer), offset_of(member)) else {
        return false;
    };
    read_u64(task::current() + pointer)
        .is_some_and(|structure| structure != 0 && structure + member == lock)
}

/// What stands for a lock in the table of contended locks.
#[inline(always)]
pub const fn key_of(lock: u64, class: u32) -> u64 {
    if class == 0 {
        lock
    } else {
        OTHERS + class as u64
    }
}

/// Notes in a sleeping waiter's place who has the lock, and what that does.
#[cold]
#[inline(never)]
pub fn note_owner(slot: &mut TaskSlot, lock: u64, flags: u32) {
    slot.owner = 0;
    let Some((task, hint)) = owner_of(lock, flags).filter(|&(task, _)| task != 0) else {
        return;
    };
    let Some(ids) = ids_of(task) else {
        return;
    };
    slot.owner_ids = ids;
    slot.owner_state = state_of(task) | hint;
    slot.owner_cpu = offset_of(|layout| &raw const layout.task_cpu)
        .and_then(|offset| read_u32(task + offset))
        .unwrap_or(0);
    slot.owner = task;
}

/// Who has a lock that is slept for, by the address of its task_struct, or 0; with [`READER_HINT`] where it is one of
/// those that read the lock.
#[inline(always)]
pub fn owner_of(lock: u64, flags: u32) -> Option<(u64, u32)> {
    let is_mutex = flags & LCB_F_MUTEX != 0;
    let offset = if is_mutex {
        offset_of(|layout| &raw const layout.mutex_owner)
    } else if flags & (LCB_F_READ | LCB_F_WRITE) != 0
        && flags & (LCB_F_SPIN | LCB_F_RT | LCB_F_PERCPU) == 0
    {
        offset_of(|layout| &raw const layout.rwsem_owner)
    } else {
        None
    };
    let owner = read_u64(lock + offset?)?;
    let hint = if !is_mutex && owner & READER_OWNED != 0 {
        READER_HINT
    } else {
        0
    };
    Some((owner & !OWNER_FLAGS, hint))
}

/// A task's pid, and in the upper half its process: they stand one behind the other (include/linux/sched.h, 5.19 to
/// 7.3).
#[inline(always)]
fn ids_of(task: u64) -> Option<u64> {
    read_u64(task + offset_of(|layout| &raw const layout.task_pid)?).filter(|ids| *ids != 0)
}

/// What a task does, by the number of an [`OwnerState`].
#[inline(always)]
pub fn state_of(task: u64) -> u32 {
    let on_cpu = offset_of(|layout| &raw const layout.task_on_cpu);
    let state = offset_of(|layout| &raw const layout.task_state);
    if on_cpu.and_then(|offset| read_u32(task + offset)) == Some(1) {
        OwnerState::OnCpu as u32
    } else if state.and_then(|offset| read_u32(task + offset)) == Some(0) {
        OwnerState::Runnable as u32
    } else {
        OwnerState::Asleep as u32
    }
}

/// Adds a wait to this CPU's table; the place has who had the lock where it was slept for.
#[cold]
#[inline(never)]
pub fn add(cpu: &mut CpuState, wait: &Waiter, slot: Option<&TaskSlot>) {
    let mask = constants::waiter_mask();
    let base = maps::this_cpu() * (mask + 1 + OTHER_WAITERS_PLACES);
    let pid_tgid = bpf_get_current_pid_tgid();
    let slot = slot.filter(|slot| slot.owner != 0);
    let owner_ids = slot.map_or(0, |slot| slot.owner_ids);
    let hash = ((wait.lock >> 3) as u32 ^ (wait.lock >> 12) as u32)
        .wrapping_add((pid_tgid as u32) << 8)
        .wrapping_add((owner_ids as u32) << 4)
        .wrapping_add(wait.flags)
        .wrapping_mul(0x9e37_79b1)
        >> 8;
    for probe in 0..MAX_PROBES {
        let index = base + (hash.wrapping_add(probe) & mask);
        let Some(entry) = maps::WAITERS.get_ptr_mut(index) else {
            return;
        };
        // SAFETY: the entry is in the map, and belongs to this CPU and this program.
        let entry = unsafe { &mut *entry };
        if entry.lock == 0 {
            entry.pid = pid_tgid as u32;
            entry.tgid = (pid_tgid >> 32) as u32;
            // SAFETY: the helper has no precondition.
            entry.cgroup = unsafe { bpf_get_current_cgroup_id() };
            entry.comm = bpf_get_current_comm().unwrap_or_default();
            entry.owner_pid = owner_ids as u32;
            entry.owner_tgid = (owner_ids >> 32) as u32;
            entry.flags = wait.flags;
            entry.class = wait.class;
            if let Some(slot) = slot {
                name_owner(entry, slot);
            }
            entry.lock = wait.lock;
        }
        if entry.lock == wait.lock
            && entry.pid == pid_tgid as u32
            && entry.owner_pid == owner_ids as u32
            && entry.flags == wait.flags
        {
            count(entry, wait, slot);
            return;
        }
    }
    lose(cpu, Loss::WaiterTableFull);
    add_to_others(base + mask + 1, wait);
}

/// Adds a wait that found no place to those of all others, by its flags.
#[inline(always)]
fn add_to_others(base: u32, wait: &Waiter) {
    for place in 0..OTHER_WAITERS_PLACES {
        let Some(entry) = maps::WAITERS.get_ptr_mut(base + place) else {
            return;
        };
        // SAFETY: as in `add`.
        let entry = unsafe { &mut *entry };
        if entry.lock == 0 {
            entry.flags = wait.flags;
            entry.lock = OTHERS;
        }
        // The last place is for all flags that are still to come.
        if entry.flags == wait.flags || place == OTHER_WAITERS_PLACES - 1 {
            count(entry, wait, None);
            return;
        }
    }
}

/// Keeps an owner's name, unless it has died since the wait began: another task may have its place then.
#[inline(always)]
fn name_owner(entry: &mut WaiterEntry, slot: &TaskSlot) {
    let Some(offset) = offset_of(|layout| &raw const layout.task_comm) else {
        return;
    };
    if ids_of(slot.owner) != Some(slot.owner_ids) {
        return;
    }
    read_comm(slot.owner + offset, &mut entry.owner_comm);
}

/// Reads a task's name.
#[inline(always)]
pub fn read_comm(address: u64, into: &mut [u8; COMM_BYTES]) {
    // SAFETY: the helper checks the address that it reads, and writes no more than the name.
    unsafe {
        bpf_probe_read_kernel(
            into.as_mut_ptr().cast(),
            COMM_BYTES as u32,
            address as *const _,
        );
    }
}

#[inline(always)]
fn count(entry: &mut WaiterEntry, wait: &Waiter, slot: Option<&TaskSlot>) {
    if wait.sampled {
        entry.sampled += 1;
        return;
    }
    entry.waits += 1;
    entry.waited_ns += wait.waited_ns;
    if wait.waited_ns > entry.longest_ns {
        entry.longest_ns = wait.waited_ns;
    }
    let Some(slot) = slot else {
        return;
    };
    entry.owner_cpu = slot.owner_cpu;
    let state = (slot.owner_state & OWNER_STATE_MASK) as usize;
    if let Some(count) = entry.states.get_mut(state) {
        *count += 1;
    }
    if slot.owner_state & READER_HINT != 0 {
        entry.reader_hints += 1;
    }
}
