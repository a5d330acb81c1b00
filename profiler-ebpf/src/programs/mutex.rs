//! Holds of a mutex, which are followed by task (`task_hold.rs`): what stands at which function.
//!
//! - A program at the return of each function that takes a mutex begins the hold, where the return value says that it
//!   was taken.
//! - A program at the entry of `mutex_unlock` ends it, and does nothing but that.
//! - A program at the return of `mutex_unlock` books it, after the release.

use aya_ebpf::{
    EbpfContext as _,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

use super::task_hold::{self, ALONE, CALLS, Taken, acquisitions, releases};

// kernel/locking/mutex.c, 6.1 to 7.3. Those with more than one parameter are of kernels with CONFIG_DEBUG_LOCK_ALLOC, in
// which most of the others are macros of them (include/linux/mutex.h).
acquisitions! {
    mutex_acquired_lock: 1, Always, task_hold::acquired::<ALONE>;
    mutex_acquired_lock_interruptible: 1, Zero, task_hold::acquired::<ALONE>;
    mutex_acquired_lock_killable: 1, Zero, task_hold::acquired::<ALONE>;
    mutex_acquired_lock_io: 1, Always, task_hold::acquired::<CALLS>;
    mutex_acquired_trylock: 1, One, task_hold::acquired::<ALONE>;
    mutex_acquired_lock_nested: 2, Always, task_hold::acquired::<ALONE>;
    mutex_acquired_lock_nest_lock: 2, Always, task_hold::acquired::<ALONE>;
    mutex_acquired_lock_interruptible_nested: 2, Zero, task_hold::acquired::<ALONE>;
    mutex_acquired_lock_killable_nested: 2, Zero, task_hold::acquired::<ALONE>;
    mutex_acquired_lock_killable_nest_lock: 3, Zero, task_hold::acquired::<ALONE>;
    mutex_acquired_lock_io_nested: 2, Always, task_hold::acquired::<ALONE>;
    mutex_acquired_trylock_nest_lock: 2, One, task_hold::acquired::<ALONE>;
}

releases! {
    fentry mutex_releasing(FEntryContext): task_hold::releasing;
    fexit mutex_released(FExitContext): task_hold::released;
}
