//! Calls inside holds that are followed by task (`task_hold.rs`): what `span.rs` does for those that have interrupts off.
//!
//! A span is entered and left by the task that has the lock, wherever it runs; it may sleep and move in between. So what is
//! open is kept by task, beside the hold, in a table of its own with the same places: nobody else's hold is longer for it.
//! What other tasks call, and interrupts on top of this one, is outside of every hold; so is what readers call.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use lockprof_abi::{CpuState, Loss, MAX_SPANS, OpenSpans, TaskHold};

use super::{
    maps::{self, lose},
    span, task_hold,
};

/// The two programs of each number.
macro_rules! task_span_programs {
    ($($number:literal: $entered:ident $left:ident;)+) => {
        $(
            #[fentry]
            fn $entered(ctx: FEntryContext) -> i32 {
                entered::<$number>(ctx.as_ptr());
                0
            }

            #[fexit]
            fn $left(ctx: FExitContext) -> i32 {
                left::<$number>(ctx.as_ptr());
                0
            }
        )+

        const _: () = assert!([$($number,)+].len() == MAX_SPANS);
    };
}

task_span_programs! {
    0: task_span_entered_0 task_span_left_0;
    1: task_span_entered_1 task_span_left_1;
    2: task_span_entered_2 task_span_left_2;
    3: task_span_entered_3 task_span_left_3;
    4: task_span_entered_4 task_span_left_4;
    5: task_span_entered_5 task_span_left_5;
    6: task_span_entered_6 task_span_left_6;
    7: task_span_entered_7 task_span_left_7;
    8: task_span_entered_8 task_span_left_8;
    9: task_span_entered_9 task_span_left_9;
    10: task_span_entered_10 task_span_left_10;
    11: task_span_entered_11 task_span_left_11;
    12: task_span_entered_12 task_span_left_12;
    13: task_span_entered_13 task_span_left_13;
    14: task_span_entered_14 task_span_left_14;
    15: task_span_entered_15 task_span_left_15;
}

/// The current task's hold for itself alone, and what is open in it; `None` where it has none, and in an interrupt.
#[inline(always)]
fn own_hold(context: *mut c_void) -> Option<(&'static TaskHold, &'static mut OpenSpans)> {
    let pid = bpf_get_current_pid_tgid() as u32;
    let (place, open) = (maps::task_hold(pid)?, maps::task_spans(pid)?);
    // SAFETY: the places are in their maps, aligned, and any bits are valid. A task with the same low bits of its pid may
    // write at the same time; the pid is checked, and two such tasks cost one of them its hold.
    let (hold, open) = unsafe { (&*place, &mut *open) };
    let is_own = hold.start_ns != 0 && hold.end_ns == 0 && hold.pid == pid + 1 && hold.reads == 0;
    (is_own && !task_hold::is_on_another_stack(context)).then_some((hold, open))
}

/// Whether a hold has begun in this window: in one that began before it, a call is neither inside one of its holds nor
/// outside.
#[inline(always)]
fn is_of_window(cpu: &CpuState, hold: &TaskHold) -> bool {
    hold.window == maps::window(cpu)
}

/// A span begins. The clock is read last.
#[inline(always)]
fn entered<const SPAN: usize>(context: *mut c_void) {
    let Some(cpu) = maps::cpu_state() else { return };
    let Some((hold, open)) = own_hold(context) else {
        if maps::armed(cpu) {
            maps::add(&mut cpu.calls_outside[SPAN], 1);
        }
        return;
    };
    if !is_of_window(cpu, hold) {
        return;
    }
    // One that was left after its hold had ended is still there.
    if span::enter::<SPAN>(open) >= hold.start_ns {
        lose(cpu, Loss::SpanUnmatched);
    }
}

/// A span ends. One that began before the hold, as a function that takes the lock does, was counted outside of it; one
/// whose beginning the kernel refused to look at, the kernel counts.
#[inline(always)]
fn left<const SPAN: usize>(context: *mut c_void) {
    let (Some((hold, open)), Some(cpu)) = (own_hold(context), maps::cpu_state()) else {
        return;
    };
    if !is_of_window(cpu, hold) {
        return;
    }
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let (in_hold_ns, self_ns) = match span::leave::<SPAN>(open, hold.start_ns, now_ns) {
        Ok(times) => times,
        Err(Loss::SpanUnmatched) => return,
        Err(loss) => return lose(cpu, loss),
    };
    let Some(state) = maps::site_state(hold.site) else {
        return;
    };
    let totals = &mut state.spans[SPAN];
    maps::add(&mut totals.calls, 1);
    maps::add(&mut totals.in_hold_ns, in_hold_ns);
    maps::add(&mut totals.self_ns, self_ns);
    // The hold may end on another CPU.
    maps::add(&mut cpu.calls_inside, 1);
}
