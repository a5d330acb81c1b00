//! Learns the target lock's address where kallsyms does not tell: it is the first lock that a task asks to
//! write inside a function that the daemon chooses.

use core::ptr::read_volatile;

use aya_ebpf::{
    EbpfContext,
    helpers::bpf_get_current_task,
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use aya_log_ebpf::info;

use super::maps::LEARNED;

/// The places of the map's element.
const TASK: usize = 0;
const LOCK: usize = 1;

#[fentry]
fn learn_function_entered(_ctx: FEntryContext) -> i32 {
    function_entered();
    0
}

#[fexit]
fn learn_function_left(_ctx: FExitContext) -> i32 {
    function_left();
    0
}

#[fentry]
fn learn_lock_requested(ctx: FEntryContext) -> i32 {
    lock_requested(&ctx, ctx.arg(0));
    0
}

#[kprobe]
fn kprobe_learn_function_entered(_ctx: ProbeContext) -> u32 {
    function_entered();
    0
}

#[kretprobe]
fn kretprobe_learn_function_left(_ctx: RetProbeContext) -> u32 {
    function_left();
    0
}

#[kprobe]
fn kprobe_learn_lock_requested(ctx: ProbeContext) -> u32 {
    if let Some(lock) = ctx.arg(0) {
        lock_requested(&ctx, lock);
    }
    0
}

/// This task, by the address of its task_struct, which does not depend on a pid namespace.
#[inline(always)]
fn this_task() -> u64 {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_get_current_task() }
}

/// One task at a time is followed; another that comes in between takes its place, and the next call
/// is another chance.
#[inline(always)]
fn function_entered() {
    if let Some(learned) = LEARNED.get_ptr_mut(0) {
        // SAFETY: the element is in the map; each word is written with one store.
        unsafe { (*learned)[TASK] = this_task() };
    }
}

#[inline(always)]
fn function_left() {
    if let Some(learned) = LEARNED.get_ptr_mut(0) {
        // SAFETY: as in `function_entered`.
        unsafe {
            if (*learned)[TASK] == this_task() {
                (*learned)[TASK] = 0;
            }
        }
    }
}

/// The lock is asked for, and not held yet: this is the place to log.
#[inline(always)]
fn lock_requested<C: EbpfContext>(ctx: &C, lock: u64) {
    let Some(learned) = LEARNED.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: as in `function_entered`.
    unsafe {
        if (*learned)[LOCK] != 0 || (*learned)[TASK] != this_task() {
            return;
        }
        (*learned)[LOCK] = lock;
        // What comes back from the map is a number to the verifier; the argument is a pointer, whose
        // bytes it does not let us take apart for the record.
        let address = read_volatile(&raw const (*learned)[LOCK]);
        info!(ctx, "the lock that is asked for lies at {:x}", address);
    }
}
