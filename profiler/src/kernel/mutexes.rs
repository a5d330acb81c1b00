//! Which kernel functions take and release mutexes.

use lockprof_abi::Followed;

use super::by_task::{ByTask, Hook, NOT_WHERE_TASKS_SLEEP};
use crate::{known_locks::hold_by_lseek, recording::schema::LockFamily};

/// Mutexes: all functions that take one, the hottest last, and the one that gives it back (kernel/locking/mutex.c, 6.1 to
/// 7.3). With CONFIG_DEBUG_LOCK_ALLOC some are macros of others (include/linux/mutex.h).
///
/// `atomic_dec_and_mutex_lock` and `ww_mutex_lock` are none of them: the first calls `mutex_lock` unless the compiler has
/// put that into it, and the locks of the second are of a kind of their own.
pub static MUTEX: ByTask = ByTask {
    family: LockFamily::Mutex,
    followed: Followed::Mutex,
    one: "a mutex",
    plural: "mutexes",
    sleeps: true,
    on_realtime: "a mutex is an rt_mutex",
    not_by_kprobe: NOT_WHERE_TASKS_SLEEP,
    readers: Err("a mutex has none"),
    hooks: &[
        Hook::books("mutex_unlock", "mutex_released"),
        Hook::gives_back("mutex_unlock", "mutex_releasing"),
        Hook::takes(
            "_mutex_trylock_nest_lock",
            "mutex_acquired_trylock_nest_lock",
        ),
        Hook::takes("mutex_lock_io_nested", "mutex_acquired_lock_io_nested"),
        Hook::takes(
            "_mutex_lock_killable",
            "mutex_acquired_lock_killable_nest_lock",
        ),
        Hook::takes(
            "mutex_lock_killable_nested",
            "mutex_acquired_lock_killable_nested",
        ),
        Hook::takes(
            "mutex_lock_interruptible_nested",
            "mutex_acquired_lock_interruptible_nested",
        ),
        Hook::takes("_mutex_lock_nest_lock", "mutex_acquired_lock_nest_lock"),
        Hook::takes("mutex_lock_nested", "mutex_acquired_lock_nested"),
        Hook::takes("mutex_lock_io", "mutex_acquired_lock_io"),
        Hook::takes("mutex_trylock", "mutex_acquired_trylock"),
        Hook::takes("mutex_lock_killable", "mutex_acquired_lock_killable"),
        Hook::takes(
            "mutex_lock_interruptible",
            "mutex_acquired_lock_interruptible",
        ),
        Hook::takes("mutex_lock", "mutex_acquired_lock"),
    ],
    needed: &["mutex_unlock"],
    hold: hold_by_lseek,
    hold_of: None,
    held_by: &["mutex_lock", "mutex_lock_nested", "mutex_unlock"],
    taken_by: &["mutex_lock_nested", "mutex_lock"],
    given_back_by: "mutex_unlock",
};
