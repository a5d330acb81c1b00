//! Why a holder is slow: what it does instead of running, from sched_switch and sched_wakeup.
//!
//! Each switch of the machine comes through here, and one that is of no holder's costs two looks at the table of holds. A
//! holder that goes to sleep has its call stack walked, which delays nobody but itself, and it waits anyway. It is booked
//! when it comes back: the switch is in its hold, as everything is that its task does meanwhile.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns, generated::bpf_get_stackid},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use lockprof_abi::{
    CpuState, Loss, MAX_PROBES, NO_STACK, OFF_CPU_PLACES, OFF_CPU_SLOTS, OTHERS_OFF_CPU,
    OffCpuEntry, TaskHold,
};

use super::{
    constants,
    maps::{self, add, lose},
    memory::read_u32,
};

/// `BPF_F_FAST_STACK_CMP`: stacks with the same hash are taken for the same.
const FAST_STACK_COMPARISON: u64 = 1 << 9;
/// `TASK_RUNNING` (include/linux/sched.h): the task that leaves could run on.
const TASK_RUNNING: u32 = 0;

/// `sched_switch(preempt, prev, next, prev_state)` (include/trace/events/sched.h, since v5.18), as the task that leaves.
#[raw_tracepoint]
fn holder_switched(ctx: RawTracePointContext) -> i32 {
    let Some(cpu) = maps::cpu_state() else {
        return 0;
    };
    if let Some(hold) = open_hold(cpu, bpf_get_current_pid_tgid() as u32) {
        let is_preempted: u64 = ctx.arg(0);
        left(
            ctx.as_ptr(),
            hold,
            is_preempted != 0 || ctx.arg::<u32>(3) == TASK_RUNNING,
        );
    }
    if let Some(pid) = pid_of(ctx.arg(2))
        && let Some(hold) = open_hold(cpu, pid)
        && hold.off_since_ns != 0
    {
        came_back(cpu, hold);
    }
    0
}

/// `sched_wakeup(task)`: it can run again.
#[raw_tracepoint]
fn holder_woken(ctx: RawTracePointContext) -> i32 {
    let Some(cpu) = maps::cpu_state() else {
        return 0;
    };
    if let Some(pid) = pid_of(ctx.arg(0))
        && let Some(hold) = open_hold(cpu, pid)
        && hold.off_since_ns != 0
        && hold.woken_ns == 0
    {
        // SAFETY: the helper has no precondition.
        hold.woken_ns = unsafe { bpf_ktime_get_ns() };
    }
    0
}

#[inline(always)]
fn pid_of(task: u64) -> Option<u32> {
    read_u32(task + constants::offset_of(|layout| &raw const layout.task_pid)?)
}

/// The hold of a task that goes on, where it holds the lock.
#[inline(always)]
fn open_hold(cpu: &CpuState, pid: u32) -> Option<&'static mut TaskHold> {
    let place = maps::task_hold(pid)?;
    // SAFETY: the place is in the map, aligned, and any bits are valid. Who is switched out, or not yet back, runs no program
    // of its own that writes there.
    let hold = unsafe { &mut *place };
    let is_open = hold.pid == pid + 1
        && hold.start_ns != 0
        && hold.end_ns == 0
        && hold.window == maps::window(cpu);
    is_open.then_some(hold)
}

/// The holder leaves the CPU.
#[cold]
#[inline(never)]
fn left(context: *mut c_void, hold: &mut TaskHold, can_run: bool) {
    hold.off_stack = NO_STACK;
    if !can_run {
        // SAFETY: the context is a program's, and the map one of call stacks.
        let id = unsafe { bpf_get_stackid(context, maps::STACKS.as_ptr(), FAST_STACK_COMPARISON) };
        hold.off_stack = id as i32;
    }
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    hold.off_since_ns = now_ns;
    hold.woken_ns = if can_run { now_ns } else { 0 };
    hold.was_preempted = u32::from(can_run);
}

/// The holder is about to run again.
#[cold]
#[inline(never)]
fn came_back(cpu: &mut CpuState, hold: &mut TaskHold) {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let since_ns = hold.off_since_ns;
    // Where nobody saw it woken, all of it is taken for sleep.
    let woken_ns = if hold.woken_ns == 0 || hold.woken_ns > now_ns {
        now_ns
    } else {
        hold.woken_ns
    };
    hold.off_since_ns = 0;
    hold.woken_ns = 0;
    let asleep_ns = woken_ns.saturating_sub(since_ns);
    let runnable_ns = now_ns - woken_ns;
    let stack = (hold.was_preempted == 0).then_some(hold.off_stack);
    book(
        cpu,
        OffCpuEntry::key(hold.site, stack),
        asleep_ns,
        runnable_ns,
    );
}

#[inline(always)]
fn book(cpu: &mut CpuState, key: u64, asleep_ns: u64, runnable_ns: u64) {
    let base = maps::this_cpu() * OFF_CPU_PLACES;
    let hash = (key as u32 ^ (key >> 32) as u32).wrapping_mul(0x9e37_79b1) >> 16;
    for probe in 0..MAX_PROBES {
        let place = base + (hash.wrapping_add(probe) & (OFF_CPU_SLOTS - 1));
        if add_to_place(place, key, asleep_ns, runnable_ns) {
            return;
        }
    }
    lose(cpu, Loss::OffCpuTableFull);
    add_to_place(base + OFF_CPU_SLOTS, OTHERS_OFF_CPU, asleep_ns, runnable_ns);
}

/// Adds to a place that is free or has this key already; whether it was.
#[inline(always)]
fn add_to_place(place: u32, key: u64, asleep_ns: u64, runnable_ns: u64) -> bool {
    let Some(entry) = maps::OFF_CPU.get_ptr_mut(place) else {
        return true;
    };
    // SAFETY: the entry is in the map, and belongs to this CPU, on which nothing else is switched meanwhile.
    let entry = unsafe { &mut *entry };
    if !maps::claim(&mut entry.key, key) {
        return false;
    }
    add(&mut entry.stretches, 1);
    add(&mut entry.asleep_ns, asleep_ns);
    add(&mut entry.runnable_ns, runnable_ns);
    let whole_ns = asleep_ns + runnable_ns;
    if whole_ns > entry.longest_ns {
        entry.longest_ns = whole_ns;
    }
    true
}
