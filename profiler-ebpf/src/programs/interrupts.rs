//! Interrupts between a clock and the lock.
//!
//! Interrupts are off during a hold, but its first clock may be read before that, and its last one after
//! they are on again: those that had to wait come just then, and more of them the longer the hold was. The
//! first that comes inside the unlock function marks the release. Of one that comes elsewhere between the two
//! clocks it is not known how much of the time it took: that hold has no length, and is counted as a loss. Those
//! come at random, whatever the length of the hold.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_stack, bpf_ktime_get_ns},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use lockprof_abi::{CpuState, INTERRUPTED_FRAMES, RELEASES};

use super::{constants, maps};

#[raw_tracepoint]
fn interrupt_entered(ctx: RawTracePointContext) -> i32 {
    if let Some(cpu) = maps::cpu_state() {
        cpu.interrupts = cpu.interrupts.wrapping_add(1);
        // SAFETY: references are valid for reading; the interrupted program may be between its stores.
        let is_open = unsafe {
            read_volatile(&raw const cpu.hold.start_ns) != 0
                && read_volatile(&raw const cpu.hold.end_ns) == 0
                && read_volatile(&raw const cpu.hold.window) == maps::window(cpu)
        };
        if is_open {
            interrupted(&ctx, cpu);
        }
    }
    0
}

/// An interrupt has come between the request for the lock and the clock at the end of the hold.
#[cold]
#[inline(always)]
fn interrupted(ctx: &RawTracePointContext, cpu: &mut CpuState) {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    // A wait that has ended was the last moment at which interrupts were not off; and where a program stands
    // at the entry of the unlock, it has read the clock before they were on again.
    let contended = cpu.wait_mark.began_ns != 0 && cpu.wait_mark.ended_ns != 0;
    if !maps::attached(cpu, RELEASES) && (contended || is_in_the_unlock(ctx, cpu)) {
        // SAFETY: a reference is valid for writing.
        unsafe { write_volatile(&raw mut cpu.hold.end_ns, now_ns) };
    } else if !contended {
        cpu.hold.interrupted = 1;
    }
}

/// Whether the interrupt came inside the unlock function: a walk of the stack, of a task that holds and
/// waits for no lock of ours.
#[inline(always)]
fn is_in_the_unlock(ctx: &RawTracePointContext, cpu: &mut CpuState) -> bool {
    let frames = &mut cpu.interrupted_frames;
    // SAFETY: the helper writes at most the array's size.
    let bytes = unsafe {
        bpf_get_stack(
            ctx.as_ptr(),
            frames.as_mut_ptr().cast(),
            size_of_val(frames) as u32,
            0,
        )
    };
    let unlock = constants::unlock_function();
    for (index, frame) in frames.iter().enumerate() {
        if (index as i64) < bytes / 8 && unlock.contains(*frame) {
            return true;
        }
    }
    false
}

const _: () = assert!(INTERRUPTED_FRAMES >= 16);
