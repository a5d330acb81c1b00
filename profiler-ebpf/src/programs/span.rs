//! Calls inside a hold: their number, their time, and their time without the calls inside them.

use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use lockprof_abi::{Loss, Span};

use super::maps::{self, lose};

/// The four programs of a span.
macro_rules! span_programs {
    ($($span:ident: $entered:ident $left:ident $kprobe_entered:ident $kretprobe_left:ident,)+) => {
        $(
            #[fentry]
            fn $entered(_ctx: FEntryContext) -> i32 {
                entered(Span::$span);
                0
            }

            #[fexit]
            fn $left(_ctx: FExitContext) -> i32 {
                left(Span::$span);
                0
            }

            #[kprobe]
            fn $kprobe_entered(_ctx: ProbeContext) -> u32 {
                entered(Span::$span);
                0
            }

            #[kretprobe]
            fn $kretprobe_left(_ctx: RetProbeContext) -> u32 {
                left(Span::$span);
                0
            }
        )+
    };
}

span_programs! {
    FreePid: span_entered_free_pid span_left_free_pid
        kprobe_span_entered_free_pid kretprobe_span_left_free_pid,
    AddDeviceRandomness: span_entered_add_device_randomness span_left_add_device_randomness
        kprobe_span_entered_add_device_randomness kretprobe_span_left_add_device_randomness,
    ChangePid: span_entered_change_pid span_left_change_pid
        kprobe_span_entered_change_pid kretprobe_span_left_change_pid,
    FlushSigqueue: span_entered_flush_sigqueue span_left_flush_sigqueue
        kprobe_span_entered_flush_sigqueue kretprobe_span_left_flush_sigqueue,
    PosixCpuTimersExit: span_entered_posix_cpu_timers_exit span_left_posix_cpu_timers_exit
        kprobe_span_entered_posix_cpu_timers_exit kretprobe_span_left_posix_cpu_timers_exit,
    PosixCpuTimersExitGroup: span_entered_posix_cpu_timers_exit_group
        span_left_posix_cpu_timers_exit_group
        kprobe_span_entered_posix_cpu_timers_exit_group
        kretprobe_span_left_posix_cpu_timers_exit_group,
    ProcFlushPid: span_entered_proc_flush_pid span_left_proc_flush_pid
        kprobe_span_entered_proc_flush_pid kretprobe_span_left_proc_flush_pid,
    ReleaseTask: span_entered_release_task span_left_release_task
        kprobe_span_entered_release_task kretprobe_span_left_release_task,
    CleanupSighand: span_entered_cleanup_sighand span_left_cleanup_sighand
        kprobe_span_entered_cleanup_sighand kretprobe_span_left_cleanup_sighand,
    DoNotifyParent: span_entered_do_notify_parent span_left_do_notify_parent
        kprobe_span_entered_do_notify_parent kretprobe_span_left_do_notify_parent,
    AttachPid: span_entered_attach_pid span_left_attach_pid
        kprobe_span_entered_attach_pid kretprobe_span_left_attach_pid,
    WakeUp: span_entered_wake_up span_left_wake_up
        kprobe_span_entered_wake_up kretprobe_span_left_wake_up,
}

/// A span begins. Interrupts are off in a hold, so whatever is called on this CPU while its hold is
/// open is called inside it.
#[inline(always)]
fn entered(span: Span) {
    let Some(cpu) = maps::cpu_state() else { return };
    if !maps::is_held(cpu) {
        // In a hold that began at the edge of this window it is neither inside one of its holds nor outside.
        if !maps::armed(cpu) || cpu.hold.held != 0 {
            return;
        }
        maps::add(&mut cpu.calls_outside[span.index()], 1);
        return;
    }
    let covered_ns = cpu.open_spans.covered_ns;
    let slot = &mut cpu.open_spans.slots[span.index()];
    let left_before = slot.start_ns == 0;
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    slot.start_ns = now_ns;
    slot.start_own_ns = now_ns.wrapping_sub(covered_ns);
    if !left_before {
        lose(cpu, Loss::SpanUnmatched);
    }
}

/// A span ends. The clock is read first.
#[inline(always)]
fn left(span: Span) {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Some(cpu) = maps::cpu_state() else { return };
    if !maps::is_held(cpu) {
        return;
    }
    let held_since_ns = cpu.hold.start_ns;
    let open = &mut cpu.open_spans;
    let slot = &mut open.slots[span.index()];
    let (start_ns, start_own_ns) = (slot.start_ns, slot.start_own_ns);
    slot.start_ns = 0;
    if start_ns < held_since_ns {
        return lose(cpu, Loss::SpanUnmatched);
    }
    let in_hold_ns = now_ns.wrapping_sub(start_ns);
    if in_hold_ns >> 63 != 0 {
        return lose(cpu, Loss::ClockBackwards);
    }
    let self_ns = now_ns
        .wrapping_sub(open.covered_ns)
        .wrapping_sub(start_own_ns);
    // This span covers those inside it.
    open.covered_ns = now_ns.wrapping_sub(start_own_ns);
    let Some(state) = maps::site_state(cpu.hold.site) else {
        return;
    };
    let totals = &mut state.spans[span.index()];
    totals.calls += 1;
    totals.in_hold_ns += in_hold_ns;
    totals.self_ns += self_ns;
}
