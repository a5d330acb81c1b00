//! lockprof's eBPF programs: entry points only. Each takes its arguments out of its context and
//! calls a body that fentry and kprobe share (`programs/`).
//!
//! What runs inside a hold of the target lock, from `*lock_acquired` to `*lock_released`, touches the
//! state of its own CPU, the holders' clocks and fixed histograms: no hash map, no ring buffer, no
//! stack walk, no log.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(
    target_arch = "bpf",
    expect(
        unstable_features,
        reason = "the atomic add of `span` has no other form"
    )
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
