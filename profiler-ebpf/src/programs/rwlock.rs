//! Holds of a reader-writer lock that spins, by whatever function it is taken (`task_hold.rs`): what stands at which
//! function. A lock whose writers all turn interrupts off is followed by CPU instead (`hold.rs`), which takes less of its
//! holds.
//!
//! Who has such a lock is not switched out, but may be interrupted, and an interrupt may take the lock, too: to read where it
//! comes into a hold of a reader, else by either way. So what interrupts hold is kept by CPU, beside what tasks hold.

use aya_ebpf::{
    EbpfContext as _,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

use super::task_hold::{self, ALONE, Taken, acquisitions, releases};

// kernel/locking/spinlock.c, 6.1 to 7.3. `_raw_write_lock_nested` has its second parameter with CONFIG_DEBUG_LOCK_ALLOC
// and without.
acquisitions! {
    rwlock_acquired_write_lock: 1, Always, task_hold::acquired::<ALONE>;
    rwlock_acquired_write_lock_bh: 1, Always, task_hold::acquired::<ALONE>;
    rwlock_acquired_write_lock_irq: 1, Always, task_hold::acquired::<ALONE>;
    rwlock_acquired_write_lock_irqsave: 1, Always, task_hold::acquired::<ALONE>;
    rwlock_acquired_write_lock_nested: 2, Always, task_hold::acquired::<ALONE>;
    rwlock_acquired_write_trylock: 1, One, task_hold::acquired::<ALONE>;
    rwlock_acquired_read_lock: 1, Always, task_hold::read_acquired;
    rwlock_acquired_read_lock_bh: 1, Always, task_hold::read_acquired;
    rwlock_acquired_read_lock_irq: 1, Always, task_hold::read_acquired;
    rwlock_acquired_read_lock_irqsave: 1, Always, task_hold::read_acquired;
    rwlock_acquired_read_trylock: 1, One, task_hold::read_acquired;
}

releases! {
    fentry rwlock_releasing_write_unlock(FEntryContext): task_hold::releasing;
    fexit rwlock_released_write_unlock(FExitContext): task_hold::released;
    fentry rwlock_releasing_write_unlock_bh(FEntryContext): task_hold::releasing;
    fexit rwlock_released_write_unlock_bh(FExitContext): task_hold::released;
    fentry rwlock_releasing_write_unlock_irq(FEntryContext): task_hold::releasing;
    fexit rwlock_released_write_unlock_irq(FExitContext): task_hold::released;
    fentry rwlock_releasing_write_unlock_irqrestore(FEntryContext): task_hold::releasing;
    fexit rwlock_released_write_unlock_irqrestore(FExitContext): task_hold::released;
    fentry rwlock_releasing_read_unlock(FEntryContext): task_hold::read_releasing;
    fexit rwlock_released_read_unlock(FExitContext): task_hold::read_released;
    fentry rwlock_releasing_read_unlock_bh(FEntryContext): task_hold::read_releasing;
    fexit rwlock_released_read_unlock_bh(FExitContext): task_hold::read_released;
    fentry rwlock_releasing_read_unlock_irq(FEntryContext): task_hold::read_releasing;
    fexit rwlock_released_read_unlock_irq(FExitContext): task_hold::read_released;
    fentry rwlock_releasing_read_unlock_irqrestore(FEntryContext): task_hold::read_releasing;
    fexit rwlock_released_read_unlock_irqrestore(FExitContext): task_hold::read_released;
}
