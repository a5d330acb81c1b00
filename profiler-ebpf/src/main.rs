//! lockprof's eBPF programs: entry points only. Each takes its arguments out of its context and
//! calls a body that fentry and kprobe share (`programs/`).
//!
//! Inside a hold of the target lock, only clocks are read: who it was is found before the lock is asked
//! for, and the hold is booked after it was given back, into the state of its own CPU, fixed histograms
//! and a ring: no hash map, no ring buffer, no stack walk, no log. Calls inside holds are measured by
//! programs inside holds; they have an arrangement of their own (`programs/hold.rs`).

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(
    target_arch = "bpf",
    expect(unstable_features, reason = "atomic additions have no other form")
)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod programs;

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
