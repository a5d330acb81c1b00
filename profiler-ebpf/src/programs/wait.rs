//! Waits of every lock, from the tracepoints contention_begin and contention_end (since v5.19).
//!
//! A spinning wait stays on its CPU, and waits nest there: an interrupt may wait inside a task's
//! wait, and the inner wait_lock of a qrwlock inside the wait of the lock. So they are a small stack
//! per CPU. A sleeping wait is kept by task.
//!
//! The two programs may interrupt each other, never themselves (the kernel skips and counts that).
//! `began` writes a frame before it raises the depth, and `ended` lowers the depth, when it has read
//! its frame, to the frame that it found, which drops whatever an interrupt left above it.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use lockprof_abi::{
    CpuState, LCB_F_MUTEX, LCB_F_READ, LCB_F_SPIN, LCB_F_WRITE, Loss, NO_STACK, OWNER_SAMPLED,
    READERS, TaskSlot, WAIT_DEPTH, WRITERS, WaitFrame,
};

use super::{
    caller, constants,
    contention::{self, Wait},
    hold,
    maps::{self, lose},
    owners, task_hold,
    waiters::{self, Waiter},
};

/// How far into a reader-writer lock of PREEMPT_RT its rt_mutex is, in bytes (include/linux/rwbase_rt.h, 5.15
/// to 7.3).
const RT_MUTEX_IN_LOCK: u64 = 8;

#[raw_tracepoint]
fn contention_began(ctx: RawTracePointContext) -> i32 {
    began::<false>(ctx.as_ptr(), ctx.arg(0), ctx.arg(1))
}

/// The same, as a tracing program, which may walk another task's call stack.
#[btf_tracepoint(function = "contention_begin")]
fn contention_began_by_btf(ctx: BtfTracePointContext) -> i32 {
    began::<true>(ctx.as_ptr(), ctx.arg(0), ctx.arg(1))
}

#[inline(always)]
fn began<const OWNER_STACKS: bool>(context: *mut c_void, lock: u64, flags: u32) -> i32 {
    let Some(cpu) = maps::cpu_state() else {
        return 0;
    };
    if maps::attached(cpu, WRITERS) {
        if task_hold::is_target(lock) {
            if constants::is_followed_by_task() {
                // Waits of readers are among those of all locks.
                if flags & LCB_F_READ == 0 {
                    task_hold::wait_began(context, cpu);
                    return 0;
                }
            } else if flags & LCB_F_WRITE != 0 {
                hold::wait_began(cpu);
                return 0;
            }
        }
        // The target's inner wait_lock is taken inside the wait.
        if constants::is_inside_target(lock) {
            return 0;
        }
    }
    if constants::is_filtered() && !waiters::is_wanted(cpu, lock, flags) {
        return 0;
    }
    // A mutex's owner may be spun for, but then with preemption on: it is kept by task.
    if flags & LCB_F_SPIN != 0 && flags & LCB_F_MUTEX == 0 {
        spin_began(context, cpu, lock, flags);
    } else {
        sleep_began::<OWNER_STACKS>(context, cpu, lock, flags);
    }
    0
}

#[raw_tracepoint]
fn contention_ended(ctx: RawTracePointContext) -> i32 {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let lock: u64 = ctx.arg(0);
    let Some(cpu) = maps::cpu_state() else {
        return 0;
    };
    if maps::attached(cpu, WRITERS) {
        if constants::is_target(lock) {
            if constants::is_followed_by_task() {
                if task_hold::wait_ended(ctx.as_ptr(), cpu, now_ns, ctx.arg(1)) {
                    return 0;
                }
            } else if cpu.wait_mark.lasts_in == maps::window(cpu) {
                // Interrupts are off while a writer waits, so that a mark without its end is this wait's.
                hold::wait_ended(cpu, now_ns);
                return 0;
            }
        }
        if constants::is_inside_target(lock) {
            return 0;
        }
    }
    // Frames of another window are as good as none.
    let depth = if cpu.open_waits.seen == maps::window(cpu) + 1 {
        cpu.open_waits.depth as usize
    } else {
        0
    };
    let mut found = WAIT_DEPTH;
    // The innermost frame of this lock.
    for (index, frame) in cpu.open_waits.frames.iter().enumerate() {
        if index < depth && frame.lock == lock {
            found = index;
        }
    }
    if found < WAIT_DEPTH {
        spin_ended(ctx.as_ptr(), cpu, found, now_ns);
        // Only now: an interrupt that waits meanwhile takes the frames above.
        cpu.open_waits.depth = found as u32;
    } else {
        sleep_ended(ctx.as_ptr(), cpu, lock, now_ns, ctx.arg(1));
    }
    0
}

#[inline(always)]
fn spin_began(context: *mut c_void, cpu: &mut CpuState, lock: u64, flags: u32) {
    let pid = bpf_get_current_pid_tgid() as u32;
    let seen = maps::window(cpu) + 1;
    let mut depth = cpu.open_waits.depth as usize;
    if cpu.open_waits.seen != seen {
        cpu.open_waits.seen = seen;
        depth = 0;
    }
    // Who spins is not switched out, and an interrupt runs as the task that it interrupted: frames of
    // another task are of waits whose end was not seen.
    if depth > 0 && cpu.open_waits.frames[(depth - 1) & (WAIT_DEPTH - 1)].pid != pid {
        lose(cpu, Loss::WaitWithoutEnd);
        depth = 0;
    }
    // queued_write_lock_slowpath and queued_read_lock_slowpath take lock->wait_lock, four bytes into
    // the lock, inside their own wait (kernel/locking/qrwlock.c, 6.1 to 7.2).
    let outer = &cpu.open_waits.frames[depth.wrapping_sub(1) & (WAIT_DEPTH - 1)];
    let ignored = depth > 0
        && outer.lock.wrapping_add(4) == lock
        && outer.flags & (LCB_F_READ | LCB_F_WRITE) != 0;
    let hold_site = if maps::is_held(cpu) {
        cpu.hold.site + 1
    } else {
        0
    };
    // The acquisition that claims a reader's wait for the target knows its site.
    let claimed =
        flags & LCB_F_READ != 0 && maps::attached(cpu, READERS) && constants::is_target(lock);
    if depth >= WAIT_DEPTH {
        lose(cpu, Loss::WaitOverflow);
        return;
    }
    let frame = &mut cpu.open_waits.frames[depth & (WAIT_DEPTH - 1)];
    frame.lock = lock;
    frame.pid = pid;
    frame.flags = flags;
    frame.hold_site = hold_site;
    frame.ignored = u32::from(ignored);
    if ignored || claimed || hold_site != 0 {
        frame.caller = 0;
        frame.stack_id = NO_STACK;
        frame.sampled = 0;
    } else {
        caller::find(context, cpu, depth);
        let caller = cpu.open_waits.frames[depth & (WAIT_DEPTH - 1)].caller;
        if constants::callers_are_filtered() && !waiters::is_by_wanted(cpu, caller) {
            return;
        }
    }
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if !maps::awake(cpu, now_ns) {
        return begin_nothing(cpu);
    }
    let frame = &mut cpu.open_waits.frames[depth & (WAIT_DEPTH - 1)];
    frame.began_ns = now_ns;
    cpu.open_waits.depth = depth as u32 + 1;
}

/// No daemon lives that would read what a wait leaves: its end then is that of a wait that began before the
/// programs were attached, and no loss.
#[cold]
#[inline(never)]
fn begin_nothing(cpu: &mut CpuState) {
    cpu.open_waits.seen = 0;
}

#[inline(always)]
fn spin_ended(context: *mut c_void, cpu: &mut CpuState, index: usize, now_ns: u64) {
    let frame = &raw const cpu.open_waits.frames[index & (WAIT_DEPTH - 1)];
    // SAFETY: the frame is part of this CPU's state; nothing below writes it.
    let frame = unsafe { &*frame };
    if frame.ignored != 0 {
        return;
    }
    if frame.pid != bpf_get_current_pid_tgid() as u32 {
        lose(cpu, Loss::WaitMigrated);
        return;
    }
    let waited_ns = now_ns.wrapping_sub(frame.began_ns);
    let of_target = constants::is_target(frame.lock);
    if waited_ns >> 63 != 0 {
        lose(cpu, backwards(of_target));
        return;
    }
    // While a program is still to be attached, or already detached, no acquisition may claim it.
    if of_target
        && maps::armed(cpu)
        && frame.flags & LCB_F_WRITE == 0
        && maps::attached(cpu, READERS)
    {
        if constants::is_followed_by_task() {
            task_hold::read_wait_ended(context, cpu, frame.began_ns, now_ns);
        } else {
            leave_to_acquisition(cpu, frame, waited_ns);
        }
    }
    let class = if constants::keep_waiters() {
        let waiter = Waiter {
            lock: frame.lock,
            class: waiters::class_of(frame.lock, frame.flags),
            flags: frame.flags,
            sampled: frame.sampled != 0,
            waited_ns,
        };
        if constants::is_filtered() && !waiters::counts(cpu, &waiter) {
            return;
        }
        waiters::add(cpu, &waiter, None);
        waiter.class
    } else {
        0
    };
    contention::add(
        cpu,
        &Wait {
            lock: waiters::key_of(frame.lock, class),
            caller: frame.caller,
            flags: frame.flags,
            stack_id: frame.stack_id,
            hold_site: frame.hold_site,
            sampled: frame.sampled != 0,
            waited_ns,
        },
    );
}

/// Keeps a reader's wait for the target for the acquisition that follows, which knows its site.
#[inline(always)]
fn leave_to_acquisition(cpu: &mut CpuState, frame: &WaitFrame, waited_ns: u64) {
    let window = maps::window(cpu) + 1;
    if cpu.pending_read_wait.window == window {
        lose(cpu, Loss::ReadWaitUnclaimed);
    }
    let pending = &mut cpu.pending_read_wait;
    pending.window = window;
    pending.pid = frame.pid;
    pending.waited_ns = waited_ns;
    pending.began_ns = frame.began_ns;
}

/// The loss of a wait whose clock went backwards: only the target's makes a run void.
#[inline(always)]
fn backwards(of_target: bool) -> Loss {
    if of_target {
        Loss::ClockBackwards
    } else {
        Loss::WaitWithoutStart
    }
}

#[inline(always)]
fn sleep_began<const OWNER_STACKS: bool>(
    context: *mut c_void,
    cpu: &mut CpuState,
    lock: u64,
    flags: u32,
) {
    let pid = bpf_get_current_pid_tgid() as u32;
    let Some(slot) = maps::task_slot(pid) else {
        return;
    };
    // SAFETY: the slot is in the map. A task with the same low bits of its pid may write at the same
    // time; the end checks pid and lock.
    let slot: &mut TaskSlot = unsafe { &mut *slot };
    let window = maps::window(cpu);
    if slot.lock != 0 && slot.window == window {
        // A mutex says again that it waits when spinning for its owner has failed. Who reads a reader-writer
        // lock of PREEMPT_RT waits for it, and in that for the rt_mutex eight bytes into it
        // (__rwbase_read_lock() of kernel/locking/rwbase_rt.c, 5.19 to 7.3). Either is one wait.
        if slot.pid == pid && lock.wrapping_sub(slot.lock) <= RT_MUTEX_IN_LOCK {
            return;
        }
        lose(cpu, Loss::TaskSlotTaken);
    }
    let (caller, is_walked) = caller::find_of_sleep(context, cpu, flags);
    if constants::callers_are_filtered() && !waiters::is_by_wanted(cpu, caller) {
        return;
    }
    let stack_id = if is_walked && !maps::is_held(cpu) {
        contention::take_stack(context, cpu)
    } else {
        NO_STACK
    };
    if constants::keep_waiters() {
        waiters::note_owner(slot, lock, flags);
        if OWNER_STACKS && owners::is_due(cpu, slot) {
            owners::take_stack(cpu, slot, lock, flags);
        }
    }
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if !maps::awake(cpu, now_ns) {
        slot.lock = 0;
        return begin_nothing(cpu);
    }
    slot.pid = pid;
    slot.window = window;
    slot.flags = flags;
    slot.stack_id = stack_id;
    slot.caller = caller;
    slot.lock = lock;
    slot.began_ns = now_ns;
}

#[inline(always)]
fn sleep_ended(context: *mut c_void, cpu: &mut CpuState, lock: u64, now_ns: u64, result: i32) {
    let pid = bpf_get_current_pid_tgid() as u32;
    let Some(slot) = maps::task_slot(pid) else {
        return;
    };
    // SAFETY: as in `sleep_began`.
    let slot: &mut TaskSlot = unsafe { &mut *slot };
    if slot.lock != lock || slot.pid != pid {
        // The tracepoint's end does not say how the wait was made. One that began before this window is no
        // loss, and of locks that are slept for nobody can tell it from others: what may be lost of those is
        // counted where it happens (a place that is taken, a program that was not run).
        let seen = cpu.open_waits.seen == maps::window(cpu) + 1;
        let is_known = constants::is_target(lock) && !constants::is_followed_by_task();
        if is_known && seen && maps::armed(cpu) && maps::awake(cpu, now_ns) {
            lose(cpu, Loss::TargetWaitWithoutStart);
        }
        return;
    }
    slot.lock = 0;
    if slot.window != maps::window(cpu) {
        return;
    }
    let waited_ns = now_ns.wrapping_sub(slot.began_ns);
    if waited_ns >> 63 != 0 {
        lose(cpu, backwards(constants::is_target(lock)));
        return;
    }
    // The target's readers, who have it now.
    if constants::is_followed_by_task()
        && constants::is_target(lock)
        && result == 0
        && maps::attached(cpu, READERS)
    {
        task_hold::read_wait_ended(context, cpu, slot.began_ns, now_ns);
        // Where its address tells nobody what it is, it would be one of all other locks, too.
        if constants::follows_process() {
            return;
        }
    }
    let class = waiters::class_of(lock, slot.flags);
    // The state is of this wait where there is an owner.
    let sampled = slot.owner != 0 && slot.owner_state & OWNER_SAMPLED != 0;
    if constants::keep_waiters() {
        let waiter = Waiter {
            lock,
            class,
            flags: slot.flags,
            sampled,
            waited_ns,
        };
        if constants::is_filtered() && !waiters::counts(cpu, &waiter) {
            return;
        }
        waiters::add(cpu, &waiter, Some(slot));
    }
    contention::add(
        cpu,
        &Wait {
            lock: waiters::key_of(lock, class),
            caller: slot.caller,
            flags: slot.flags,
            stack_id: slot.stack_id,
            hold_site: 0,
            sampled,
            waited_ns,
        },
    );
}
