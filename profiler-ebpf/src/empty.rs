//! eBPF programs that do nothing, one of each kind that lockprof attaches: what they cost is the
//! floor under every profiler of that kind. And some that read the clock, as whoever measures a length
//! must.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        helpers::bpf_ktime_get_ns,
        macros::{fentry, fexit, kprobe, kretprobe, raw_tracepoint},
        programs::{
            FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext,
        },
    };

    #[fentry]
    fn empty_fentry(_ctx: FEntryContext) -> i32 {
        0
    }

    #[fexit]
    fn empty_fexit(_ctx: FExitContext) -> i32 {
        0
    }

    #[fentry]
    fn clock_fentry(_ctx: FEntryContext) -> i32 {
        // SAFETY: the helper has no precondition.
        unsafe { bpf_ktime_get_ns() };
        0
    }

    #[fexit]
    fn clock_fexit(_ctx: FExitContext) -> i32 {
        // SAFETY: the helper has no precondition.
        unsafe { bpf_ktime_get_ns() };
        0
    }

    #[kprobe]
    fn empty_kprobe(_ctx: ProbeContext) -> u32 {
        0
    }

    #[kretprobe]
    fn empty_kretprobe(_ctx: RetProbeContext) -> u32 {
        0
    }

    #[raw_tracepoint]
    fn empty_raw_tracepoint(_ctx: RawTracePointContext) -> i32 {
        0
    }

    #[raw_tracepoint]
    fn clock_raw_tracepoint(_ctx: RawTracePointContext) -> i32 {
        // SAFETY: the helper has no precondition.
        unsafe { bpf_ktime_get_ns() };
        0
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
