//! The kernel functions that the programs call and that are no helpers.
//!
//! A call of a kernel function names it by its number in the kernel's BTF, which only the loader knows.
//! So the object has calls of functions that do not exist, and the loader writes the numbers in.
//! Where the kernel lacks a function, the number is 0, which the verifier lets pass where it is never reached
//! (kernel/bpf/verifier.c, add_kfunc_call, 6.1).

/// The type as which a frame is read: it has more words than the programs look at
/// (arch/x86/include/asm/ptrace.h).
pub const FRAME_TYPE_NAME: &str = "pt_regs";

/// The instruction without the function's number: a call (0x85) of a kernel function (source register 2), as a
/// little-endian word.
const CALL: u64 = 0x2085;
/// The number, in the instruction's upper half, that stands for the first of the functions: no BTF reaches it.
const FIRST_MARK: u64 = 0x7a63_6f6c;

/// A kernel function that the programs call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelCall {
    /// `bpf_rdonly_cast` (kernel/bpf/helpers.c, v6.2).
    ReadOnlyCast = 0,
    /// `bpf_task_from_pid` (kernel/bpf/helpers.c, v6.2): a task with a reference to it, or 0.
    TaskFromPid = 1,
    /// `bpf_task_release` (kernel/bpf/helpers.c, v6.2): gives the reference back.
    TaskRelease = 2,
}

impl KernelCall {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ReadOnlyCast, Self::TaskFromPid, Self::TaskRelease];

    /// The kernel's name of the function.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnlyCast => "bpf_rdonly_cast",
            Self::TaskFromPid => "bpf_task_from_pid",
            Self::TaskRelease => "bpf_task_release",
        }
    }

    /// The instruction that stands for the call in the object.
    #[must_use]
    pub const fn marker(self) -> u64 {
        CALL | (FIRST_MARK + self as u64) << 32
    }

    /// The instruction that calls the function with this number in the kernel's BTF; 0 where it has none.
    #[must_use]
    pub const fn instruction(function: u32) -> u64 {
        CALL | (function as u64) << 32
    }
}
