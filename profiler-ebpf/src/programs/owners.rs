//! Where the owner of a lock sleeps, when somebody comes to wait for it: its call stack, of a few waits.
//!
//! The walk takes a pointer to a task that the verifier knows, and only a tracing program may get one. It delays the
//! waiter, so that a wait of which it was made is in no length.

use core::{
    arch::asm,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::helpers::generated::bpf_get_task_stack;
use lockprof_abi::{
    CpuState, KernelCall, OWNER_FRAMES, OWNER_PLACES, OWNER_SAMPLE_EVERY, OWNER_SAMPLED,
    OWNER_STATE_MASK, OwnerState, TaskSlot,
};

use super::{
    constants::{self, offset_of, only},
    maps,
    memory::{read_u32, read_u64},
    waiters::{class_of, owner_of, read_comm, state_of},
};

/// Whether the owner in a waiter's place sleeps, and its call stack is to be taken.
#[inline(always)]
pub fn is_due(cpu: &mut CpuState, slot: &TaskSlot) -> bool {
    let state = slot.owner_state & OWNER_STATE_MASK;
    if slot.owner == 0 || state != OwnerState::Asleep as u32 || !constants::take_stacks() {
        return false;
    }
    cpu.found_asleep = cpu.found_asleep.wrapping_add(1);
    cpu.found_asleep % OWNER_SAMPLE_EVERY == 0
}

/// Takes the call stack of the owner that is in the waiter's place, unless the daemon has yet to read so many. It is
/// kept only where the owner has slept all the while, and has the lock still.
#[cold]
#[inline(never)]
pub fn take_stack(cpu: &CpuState, slot: &mut TaskSlot, lock: u64, flags: u32) {
    let wanted = only(|only| &raw const only.class);
    if wanted != 0 && wanted != u64::from(class_of(lock, flags)) {
        return;
    }
    let place = cpu.found_asleep / OWNER_SAMPLE_EVERY % OWNER_PLACES;
    let Some(kept) = maps::OWNERS.get_ptr_mut(maps::this_cpu() * OWNER_PLACES + place) else {
        return;
    };
    // SAFETY: the entry is in the map, and belongs to this CPU and this program. Of a place that is taken the daemon
    // writes this word, and nobody the others.
    let kept = unsafe { &mut *kept };
    // SAFETY: a reference is valid for reading.
    if unsafe { read_volatile(&raw const kept.lock) } != 0 {
        return;
    }
    let task = slot.owner;
    let before = switches_of(task);
    slot.owner_state |= OWNER_SAMPLED;
    let Some(frames) = walk(slot.owner_ids as u32, task, &mut kept.stack) else {
        return;
    };
    let owner = owner_of(lock, flags);
    let slept = before.is_some()
        && switches_of(task) == before
        && state_of(task) == OwnerState::Asleep as u32;
    if !slept || owner != Some((task, slot.owner_state & lockprof_abi::READER_HINT)) {
        return;
    }
    kept.owner_ids = slot.owner_ids;
    kept.flags = flags;
    kept.owner_state = slot.owner_state;
    kept.frames = frames;
    kept.task_state = offset_of(|layout| &raw const layout.task_state)
        .and_then(|offset| read_u32(task + offset))
        .unwrap_or(0);
    if let Some(offset) = offset_of(|layout| &raw const layout.task_comm) {
        read_comm(task + offset, &mut kept.comm);
    }
    // SAFETY: a reference is valid for writing. The daemon reads the rest when it sees this word.
    unsafe { write_volatile(&raw mut kept.lock, lock) };
}

/// How often a task has been switched out: as long as the number is the same, it has not run. `None` where that cannot
/// be read.
#[inline(always)]
fn switches_of(task: u64) -> Option<u64> {
    let offset = constants::task_switches() as u64;
    if offset == 0 {
        return None;
    }
    Some(read_u64(task + offset)?.wrapping_add(read_u64(task + offset + 8)?))
}

/// Walks the call stack of the task with this pid, where it is the one at this address. How many frames it has.
#[inline(always)]
fn walk(pid: u32, owner: u64, into: &mut [u64; OWNER_FRAMES]) -> Option<u32> {
    let task = task_from_pid(pid);
    if task == 0 {
        return None;
    }
    // To the compiler the copy is any number: else it would put the owner's address, which is no pointer to the
    // verifier, in the place of the task.
    let copy: u64;
    // SAFETY: the instruction copies a register.
    unsafe {
        asm!("{copy} = {task}", copy = lateout(reg) copy, task = in(reg) task, options(nomem));
    }
    let mut bytes = -1;
    if copy == owner {
        // SAFETY: the task is referenced, and the helper writes no more than the array's size.
        bytes = unsafe {
            bpf_get_task_stack(
                task as *mut _,
                into.as_mut_ptr().cast(),
                size_of_val(into) as u32,
                0,
            )
        };
    }
    release(task);
    (bytes > 0).then_some(bytes as u32 / 8)
}

/// The task with this pid in the first pid namespace, with a reference to it; 0 where there is none.
#[inline(always)]
fn task_from_pid(pid: u32) -> u64 {
    let task: u64;
    // SAFETY: the instruction calls bpf_task_from_pid, which user space has put in its place; it takes its argument
    // in r1, returns in r0, and may change r1 to r5.
    unsafe {
        asm!(
            ".quad {call}",
            call = const KernelCall::TaskFromPid.marker(),
            inlateout("r1") u64::from(pid) => _,
            lateout("r0") task,
            lateout("r2") _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    task
}

/// Gives back the reference to a task.
#[inline(always)]
fn release(task: u64) {
    // SAFETY: as in `task_from_pid`, of bpf_task_release; the verifier checks that the reference is there.
    unsafe {
        asm!(
            ".quad {call}",
            call = const KernelCall::TaskRelease.marker(),
            inlateout("r1") task => _,
            lateout("r0") _,
            lateout("r2") _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
}
