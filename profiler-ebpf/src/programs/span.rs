//! Calls inside a hold: their number, their time, and their time without the calls inside them.

use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use lockprof_abi::{Loss, MAX_SPANS, OpenSpans};

use super::maps::{self, lose};

/// The four programs of each number.
macro_rules! span_programs {
    ($($number:literal: $entered:ident $left:ident $kprobe_entered:ident $kretprobe_left:ident;)+) => {
        $(
            #[fentry]
            fn $entered(_ctx: FEntryContext) -> i32 {
                entered::<$number>();
                0
            }

            #[fexit]
            fn $left(_ctx: FExitContext) -> i32 {
                left::<$number>();
                0
            }

            #[kprobe]
            fn $kprobe_entered(_ctx: ProbeContext) -> u32 {
                entered::<$number>();
                0
            }

            #[kretprobe]
            fn $kretprobe_left(_ctx: RetProbeContext) -> u32 {
                left::<$number>();
                0
            }
        )+

        const _: () = assert!([$($number,)+].len() == MAX_SPANS);
    };
}

// Which function each stands at is known when it is loaded; of those that a run has no use for none is.
span_programs! {
    0: span_entered_0 span_left_0 kprobe_span_entered_0 kretprobe_span_left_0;
    1: span_entered_1 span_left_1 kprobe_span_entered_1 kretprobe_span_left_1;
    2: span_entered_2 span_left_2 kprobe_span_entered_2 kretprobe_span_left_2;
    3: span_entered_3 span_left_3 kprobe_span_entered_3 kretprobe_span_left_3;
    4: span_entered_4 span_left_4 kprobe_span_entered_4 kretprobe_span_left_4;
    5: span_entered_5 span_left_5 kprobe_span_entered_5 kretprobe_span_left_5;
    6: span_entered_6 span_left_6 kprobe_span_entered_6 kretprobe_span_left_6;
    7: span_entered_7 span_left_7 kprobe_span_entered_7 kretprobe_span_left_7;
    8: span_entered_8 span_left_8 kprobe_span_entered_8 kretprobe_span_left_8;
    9: span_entered_9 span_left_9 kprobe_span_entered_9 kretprobe_span_left_9;
    10: span_entered_10 span_left_10 kprobe_span_entered_10 kretprobe_span_left_10;
    11: span_entered_11 span_left_11 kprobe_span_entered_11 kretprobe_span_left_11;
    12: span_entered_12 span_left_12 kprobe_span_entered_12 kretprobe_span_left_12;
    13: span_entered_13 span_left_13 kprobe_span_entered_13 kretprobe_span_left_13;
    14: span_entered_14 span_left_14 kprobe_span_entered_14 kretprobe_span_left_14;
    15: span_entered_15 span_left_15 kprobe_span_entered_15 kretprobe_span_left_15;
}

/// A span begins. Interrupts are off in a hold, so whatever is called on this CPU while its hold is
/// open is called inside it.
#[inline(always)]
fn entered<const SPAN: usize>() {
    let Some(cpu) = maps::cpu_state() else { return };
    if !maps::is_held(cpu) {
        // In a hold that began at the edge of this window it is neither inside one of its holds nor outside.
        if !maps::armed(cpu) || cpu.hold.held != 0 {
            return;
        }
        maps::add(&mut cpu.calls_outside[SPAN], 1);
        return;
    }
    if enter::<SPAN>(&mut cpu.open_spans) != 0 {
        lose(cpu, Loss::SpanUnmatched);
    }
}

/// Keeps when a span begins, by the clock, which is read last; when it has begun before, 0 where it was left.
#[inline(always)]
pub fn enter<const SPAN: usize>(open: &mut OpenSpans) -> u64 {
    let covered_ns = open.covered_ns;
    let slot = &mut open.slots[SPAN];
    let before_ns = slot.start_ns;
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    slot.start_ns = now_ns;
    slot.start_own_ns = now_ns.wrapping_sub(covered_ns);
    before_ns
}

/// A span ends. The clock is read first.
#[inline(always)]
fn left<const SPAN: usize>() {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Some(cpu) = maps::cpu_state() else { return };
    if !maps::is_held(cpu) {
        return;
    }
    let held_since_ns = cpu.hold.start_ns;
    let (in_hold_ns, self_ns) = match leave::<SPAN>(&mut cpu.open_spans, held_since_ns, now_ns) {
        Ok(times) => times,
        Err(loss) => return lose(cpu, loss),
    };
    let Some(state) = maps::site_state(cpu.hold.site) else {
        return;
    };
    let totals = &mut state.spans[SPAN];
    totals.calls += 1;
    totals.in_hold_ns += in_hold_ns;
    totals.self_ns += self_ns;
}

/// Ends a span: its time in a hold that began then, and that without the spans inside it. The loss is that it did not begin
/// in that hold, or that the clock went backwards.
#[inline(always)]
pub fn leave<const SPAN: usize>(
    open: &mut OpenSpans,
    held_since_ns: u64,
    now_ns: u64,
) -> Result<(u64, u64), Loss> {
    let slot = &mut open.slots[SPAN];
    let (start_ns, start_own_ns) = (slot.start_ns, slot.start_own_ns);
    slot.start_ns = 0;
    if start_ns < held_since_ns {
        return Err(Loss::SpanUnmatched);
    }
    let in_hold_ns = now_ns.wrapping_sub(start_ns);
    if in_hold_ns >> 63 != 0 {
        return Err(Loss::ClockBackwards);
    }
    let self_ns = now_ns
        .wrapping_sub(open.covered_ns)
        .wrapping_sub(start_own_ns);
    // This span covers those inside it.
    open.covered_ns = now_ns.wrapping_sub(start_own_ns);
    Ok((in_hold_ns, self_ns))
}
