//! The current task.

use aya_ebpf::helpers::{bpf_get_current_task, generated::bpf_get_current_task_btf};
use core::ptr::read_volatile;

use super::constants;

/// The current task, by the address of its task_struct, which does not depend on a pid namespace.
#[inline(always)]
pub fn current() -> u64 {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_get_current_task() }
}

/// How often the current task has been switched out; 0 where the kernel does not tell.
#[inline(always)]
pub fn switches() -> u64 {
    let offset = constants::task_switches();
    if offset == 0 {
        return 0;
    }
    // SAFETY: the helper returns the current task as a pointer to its type in the kernel's BTF (v5.11),
    // from which the verifier lets a program load; the offset is that of two fields, by that BTF.
    unsafe {
        let task = bpf_get_current_task_btf().cast::<u8>();
        let voluntary = task.add(offset).cast::<u64>();
        read_volatile(voluntary).wrapping_add(read_volatile(voluntary.add(1)))
    }
}
