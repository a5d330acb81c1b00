//! Interrupts between a clock and the lock.
//!
//! A hold's first clock may be read before interrupts are off, and its last one after they are on
//! again: those that had to wait come just then. Each interrupt ends a stretch of the open hold, and
//! begins the next one when it is over; the hold lies in the longest (`lockprof_abi::HoldSlot`).
//!
//! Soft interrupts run when an interrupt has been served, before the task goes on, and are interrupted
//! themselves: what ends inside one begins no stretch (kernel/softirq.c, 6.1 to 7.3).

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::raw_tracepoint, programs::RawTracePointContext};
use lockprof_abi::{CpuState, INTERRUPTED};

use super::maps;

#[raw_tracepoint]
fn interrupt_entered(_ctx: RawTracePointContext) -> i32 {
    if let Some(cpu) = maps::cpu_state() {
        entered(cpu);
    }
    0
}

#[raw_tracepoint]
fn interrupt_left(_ctx: RawTracePointContext) -> i32 {
    if let Some(cpu) = maps::cpu_state() {
        left(cpu);
    }
    0
}

#[raw_tracepoint]
fn soft_interrupt_entered(_ctx: RawTracePointContext) -> i32 {
    if let Some(cpu) = maps::cpu_state() {
        entered(cpu);
        cpu.in_soft_interrupt = 1;
    }
    0
}

#[raw_tracepoint]
fn soft_interrupt_left(_ctx: RawTracePointContext) -> i32 {
    if let Some(cpu) = maps::cpu_state() {
        cpu.in_soft_interrupt = 0;
        left(cpu);
    }
    0
}

/// Whether a hold has been asked for, and its end has not been seen.
#[inline(always)]
fn is_open(cpu: &CpuState) -> bool {
    // SAFETY: references are valid for reading; the interrupted program may be between its stores.
    unsafe {
        read_volatile(&raw const cpu.hold.start_ns) != 0
            && read_volatile(&raw const cpu.hold.end_ns) == 0
    }
}

#[inline(always)]
fn entered(cpu: &mut CpuState) {
    if !is_open(cpu) {
        return;
    }
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let stretch_ns = now_ns.wrapping_sub(cpu.hold.start_ns);
    if stretch_ns >> 63 == 0 && stretch_ns > cpu.hold.stretch_ns {
        cpu.hold.stretch_ns = stretch_ns;
        cpu.hold.stretch_end_ns = now_ns;
    }
    // SAFETY: as in `is_open`.
    unsafe { write_volatile(&raw mut cpu.hold.start_ns, INTERRUPTED) };
}

#[inline(always)]
fn left(cpu: &mut CpuState) {
    cpu.interrupts = cpu.interrupts.wrapping_add(1);
    if !is_open(cpu) || cpu.in_soft_interrupt != 0 {
        return;
    }
    // SAFETY: the helper has no precondition, and as in `is_open`.
    unsafe { write_volatile(&raw mut cpu.hold.start_ns, bpf_ktime_get_ns()) };
}
