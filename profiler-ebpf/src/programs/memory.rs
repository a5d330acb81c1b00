//! Words of the kernel's memory: without a helper where the kernel allows it.

use core::{arch::asm, ffi::c_void};

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use lockprof_abi::KernelCall;

use super::constants;

/// The word at an address. Where there is none it is `None`, or 0 where no helper is needed.
#[inline(always)]
pub fn read_u64(address: u64) -> Option<u64> {
    let frame_type = constants::frame_type();
    if frame_type != 0 {
        return Some(read_cast::<0>(address as *mut c_void, frame_type));
    }
    let mut word = 0_u64;
    // SAFETY: the helper checks the address that it reads, and writes no more than the word.
    let failed = unsafe { bpf_probe_read_kernel((&raw mut word).cast(), 8, address as *const _) };
    (failed == 0).then_some(word)
}

/// Four bytes, as of [`read_u64`]; something has to follow them that is mapped, too.
#[inline(always)]
pub fn read_u32(address: u64) -> Option<u32> {
    read_u64(address).map(|word| word as u32)
}

/// Reads the word at an offset, in bytes, from a pointer that the kernel lets us read as another type
/// (kernel/bpf/helpers.c, bpf_rdonly_cast, v6.2): the access is a load that may fault, and then gives
/// 0.
#[inline(always)]
pub fn read_cast<const OFFSET: usize>(pointer: *mut c_void, frame_type: u32) -> u64 {
    let word: u64;
    // SAFETY: the first instruction calls bpf_rdonly_cast, which user space has put in its place; it
    // takes its arguments in r1 and r2, returns in r0, and may change r1 to r5. The verifier checks the
    // load that follows.
    unsafe {
        asm!(
            ".quad {call}",
            "{word} = *(u64 *)(r0 + {offset})",
            call = const KernelCall::ReadOnlyCast.marker(),
            offset = const OFFSET,
            word = lateout(reg) word,
            inlateout("r1") pointer => _,
            inlateout("r2") u64::from(frame_type) => _,
            lateout("r0") _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    word
}
