//! Holds of the writers of a reader-writer semaphore with a part on each CPU, which are followed by task
//! (`task_hold.rs`): what stands at which function. Its readers' functions are inlined into their callers
//! (include/linux/percpu-rwsem.h, 6.1 to 7.3), and nobody sees what they hold.
//!
//! Each writer waits until all readers have noticed. Linux 6.1 says so by contention_begin and contention_end whether or not
//! there is one, 6.12 and later where somebody has it (kernel/locking/percpu-rwsem.c, `percpu_down_write()`).

use aya_ebpf::{
    EbpfContext as _,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

use super::task_hold::{self, ALONE, Taken, acquisitions, releases};

acquisitions! {
    percpu_rwsem_acquired_down_write: 1, Always, task_hold::acquired::<ALONE>;
}

releases! {
    fentry percpu_rwsem_releasing_up_write(FEntryContext): task_hold::releasing;
    fexit percpu_rwsem_released_up_write(FExitContext): task_hold::released;
}
