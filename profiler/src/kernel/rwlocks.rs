//! Which kernel functions take and release reader-writer locks that spin.

use lockprof_abi::Followed;

use super::by_task::{ByTask, Hook};
use crate::{
    known_locks::{DEFAULT_LOCK, hold_by_setpgid},
    recording::schema::LockFamily,
};

/// Reader-writer locks that spin: all functions that take one, the hottest last, and those that give it back
/// (kernel/locking/spinlock.c, 6.1 to 7.3). `write_trylock_irqsave()` is a macro of one of them
/// (include/linux/rwlock.h).
pub static RWLOCK: ByTask = ByTask {
    family: LockFamily::Rwlock,
    followed: Followed::Rwlock,
    one: "an rwlock",
    plural: "rwlocks",
    sleeps: false,
    on_realtime: "an rwlock is made of an rt_mutex",
    not_by_kprobe: "holds of an rwlock that is taken by more functions than write_lock_irq() are followed by fentry and fexit \
                    alone, for those that try say by their return value whether they took it",
    readers: Ok(()),
    hooks: &[
        Hook::books("_raw_write_unlock_bh", "rwlock_released_write_unlock_bh"),
        Hook::gives_back("_raw_write_unlock_bh", "rwlock_releasing_write_unlock_bh"),
        Hook::books(
            "_raw_write_unlock_irqrestore",
            "rwlock_released_write_unlock_irqrestore",
        ),
        Hook::gives_back(
            "_raw_write_unlock_irqrestore",
            "rwlock_releasing_write_unlock_irqrestore",
        ),
        Hook::books("_raw_write_unlock_irq", "rwlock_released_write_unlock_irq"),
        Hook::gives_back("_raw_write_unlock_irq", "rwlock_releasing_write_unlock_irq"),
        Hook::books("_raw_write_unlock", "rwlock_released_write_unlock"),
        Hook::gives_back("_raw_write_unlock", "rwlock_releasing_write_unlock"),
        Hook::books("_raw_read_unlock_bh", "rwlock_released_read_unlock_bh").of_readers(),
        Hook::gives_back("_raw_read_unlock_bh", "rwlock_releasing_read_unlock_bh").of_readers(),
        Hook::books(
            "_raw_read_unlock_irqrestore",
            "rwlock_released_read_unlock_irqrestore",
        )
        .of_readers(),
        Hook::gives_back(
            "_raw_read_unlock_irqrestore",
            "rwlock_releasing_read_unlock_irqrestore",
        )
        .of_readers(),
        Hook::books("_raw_read_unlock_irq", "rwlock_released_read_unlock_irq").of_readers(),
        Hook::gives_back("_raw_read_unlock_irq", "rwlock_releasing_read_unlock_irq").of_readers(),
        Hook::books("_raw_read_unlock", "rwlock_released_read_unlock").of_readers(),
        Hook::gives_back("_raw_read_unlock", "rwlock_releasing_read_unlock").of_readers(),
        Hook::takes("_raw_read_trylock", "rwlock_acquired_read_trylock").of_readers(),
        Hook::takes("_raw_read_lock_bh", "rwlock_acquired_read_lock_bh").of_readers(),
        Hook::takes(
            "_raw_read_lock_irqsave",
            "rwlock_acquired_read_lock_irqsave",
        )
        .of_readers(),
        Hook::takes("_raw_read_lock_irq", "rwlock_acquired_read_lock_irq").of_readers(),
        Hook::takes("_raw_read_lock", "rwlock_acquired_read_lock").of_readers(),
        Hook::takes(
            "_raw_write_lock_nested",
            "rwlock_acquired_write_lock_nested",
        ),
        Hook::takes("_raw_write_trylock", "rwlock_acquired_write_trylock"),
        Hook::takes("_raw_write_lock_bh", "rwlock_acquired_write_lock_bh"),
        Hook::takes(
            "_raw_write_lock_irqsave",
            "rwlock_acquired_write_lock_irqsave",
        ),
        Hook::takes("_raw_write_lock_irq", "rwlock_acquired_write_lock_irq"),
        Hook::takes("_raw_write_lock", "rwlock_acquired_write_lock"),
    ],
    needed: &[
        "_raw_write_unlock",
        "_raw_write_unlock_bh",
        "_raw_write_unlock_irq",
        "_raw_write_unlock_irqrestore",
        "_raw_read_unlock",
        "_raw_read_unlock_bh",
        "_raw_read_unlock_irq",
        "_raw_read_unlock_irqrestore",
    ],
    hold: |times| {
        hold_by_setpgid(times);
        Ok(())
    },
    hold_of: Some(DEFAULT_LOCK),
    held_by: &["_raw_write_lock_irq", "_raw_write_unlock_irq"],
    taken_by: &["_raw_write_lock_irq"],
    given_back_by: "_raw_write_unlock_irq",
};
