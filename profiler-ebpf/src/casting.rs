//! The one kernel function that the programs call and that is no helper: bpf_rdonly_cast.
//!
//! A call of a kernel function names it by its number in the kernel's BTF, which only the loader knows.
//! So the object has a call of a function that does not exist, and the loader writes the number in.
//! Without one, the number is 0, which the verifier lets pass where it is never reached
//! (kernel/bpf/verifier.c, add_kfunc_call, 6.1).

/// The instruction in the object, as a little-endian word: a call (0x85) of a kernel function (source
/// register 2), and a number in its upper half that no BTF reaches.
pub const CAST_CALL: u64 = 0x7a63_6f6c_0000_2085;

/// The type as which a frame is read: it has more words than the programs look at
/// (arch/x86/include/asm/ptrace.h).
pub const FRAME_TYPE_NAME: &str = "pt_regs";

/// The instruction with the number of bpf_rdonly_cast in the kernel's BTF; 0 where it has none.
#[must_use]
pub const fn cast_call(function: u32) -> u64 {
    CAST_CALL & u32::MAX as u64 | (function as u64) << 32
}
