//! Who called the lock function, without a stack walk.
//!
//! In a tracing program, the words that follow the context hold the trampoline's frame
//! (arch/x86/net/bpf_jit_comp.c, arch_prepare_bpf_trampoline, 6.1 and 6.12): the saved rbp, the
//! return address into the traced function, and the return address into its caller. With fexit
//! attached a return value stands before them, so the place is searched for, not counted on. 7.x
//! has trampolines that jump, and leave no return address into the traced function: there the first
//! word that lies in a known site is taken.

use core::ffi::c_void;

use aya_ebpf::{bindings::pt_regs, helpers::generated::bpf_probe_read_kernel};
use lockprof_abi::{MAX_SITE_RANGES, Site, TextRange};

use super::constants;

/// Words after the first argument that are searched.
const FRAME_WORDS: usize = 6;

/// The site whose code an address is in.
#[inline(always)]
fn known_site(address: u64) -> Option<u32> {
    for index in 0..MAX_SITE_RANGES {
        let range = constants::site_range(index)?;
        if range.text.contains(address) {
            return Some(range.site);
        }
    }
    None
}

/// The site that called the traced function, from the context of an fentry or fexit program on a
/// function of one argument.
#[inline(always)]
pub fn from_trampoline(context: *mut c_void, traced: TextRange, other: Site) -> u32 {
    let mut words = [0_u64; FRAME_WORDS];
    // SAFETY: the helper checks the address that it reads, and writes no more than the array's size.
    let failed = unsafe {
        bpf_probe_read_kernel(
            words.as_mut_ptr().cast(),
            size_of_val(&words) as u32,
            context.cast::<u64>().add(1).cast_const().cast(),
        )
    };
    if failed != 0 {
        return Site::Unknown as u32;
    }
    for index in 0..FRAME_WORDS - 1 {
        if traced.contains(words[index]) {
            return known_site(words[index + 1]).unwrap_or(other as u32);
        }
    }
    for word in words {
        if let Some(site) = known_site(word) {
            return site;
        }
    }
    Site::Unknown as u32
}

/// The site to which a kretprobe returns. The handler sees the true return address in the
/// instruction pointer (kernel/trace/rethook.c, rethook_trampoline_handler, 6.1); where another
/// tracer has replaced it, it lies in no function of a site.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn from_return(regs: *const pt_regs, other: Site) -> u32 {
    // SAFETY: the context of a kretprobe is a valid pt_regs.
    let address = unsafe { (*regs).rip };
    known_site(address).unwrap_or(other as u32)
}

/// Only x86-64 is known to have the return address there.
#[cfg(not(bpf_target_arch = "x86_64"))]
#[inline(always)]
pub fn from_return(_regs: *const pt_regs, _other: Site) -> u32 {
    Site::Unknown as u32
}
