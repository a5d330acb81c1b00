//! Holds of a reader-writer semaphore, which are followed by task (`task_hold.rs`): what stands at which function.
//!
//! Those of readers are followed where they are asked for; else no program stands at their functions. Several tasks may
//! read at once, each in its own place. Who reads for the second time has one hold, until it reads no more.
//!
//! Readers may take the lock by down_read_trylock, and give it back by up_read, in an interrupt (kernel/bpf/stackmap.c,
//! `do_up_read()`, 5.19 to 7.3): what interrupts read is in no hold, and what one gives back for a task leaves that task's
//! hold without its end. So does who gives it back for another task (`up_read_non_owner()`). Either is a loss.

use aya_ebpf::{
    EbpfContext as _,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

use super::task_hold::{self, ALONE, Taken, acquisitions, releases};

// kernel/locking/rwsem.c, 6.1 to 7.3. Those with "nest" in their names are of kernels with CONFIG_DEBUG_LOCK_ALLOC
// (include/linux/rwsem.h). Who takes one by `down_read_non_owner()` of such a kernel does not give it back: that is a loss
// when another one does.
acquisitions! {
    rwsem_acquired_down_write: 1, Always, task_hold::acquired::<ALONE>;
    rwsem_acquired_down_write_killable: 1, Zero, task_hold::acquired::<ALONE>;
    rwsem_acquired_down_write_trylock: 1, One, task_hold::acquired::<ALONE>;
    rwsem_acquired_down_write_nested: 2, Always, task_hold::acquired::<ALONE>;
    rwsem_acquired_down_write_killable_nested: 2, Zero, task_hold::acquired::<ALONE>;
    rwsem_acquired_down_write_nest_lock: 2, Always, task_hold::acquired::<ALONE>;
    rwsem_acquired_down_read: 1, Always, task_hold::read_acquired;
    rwsem_acquired_down_read_interruptible: 1, Zero, task_hold::read_acquired;
    rwsem_acquired_down_read_killable: 1, Zero, task_hold::read_acquired;
    rwsem_acquired_down_read_trylock: 1, One, task_hold::read_acquired;
    rwsem_acquired_down_read_nested: 2, Always, task_hold::read_acquired;
    rwsem_acquired_down_read_killable_nested: 2, Zero, task_hold::read_acquired;
}

releases! {
    fentry rwsem_releasing_up_write(FEntryContext): task_hold::releasing;
    fexit rwsem_released_up_write(FExitContext): task_hold::released;
    fentry rwsem_releasing_downgrade_write(FEntryContext): task_hold::releasing;
    fexit rwsem_released_downgrade_write(FExitContext): task_hold::downgraded;
    fentry rwsem_releasing_up_read(FEntryContext): task_hold::read_releasing;
    fexit rwsem_released_up_read(FExitContext): task_hold::read_released;
    fentry rwsem_releasing_up_read_non_owner(FEntryContext): task_hold::read_releasing;
    fexit rwsem_released_up_read_non_owner(FExitContext): task_hold::read_released;
}
