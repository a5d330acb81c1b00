//! Which kernel functions take and release reader-writer semaphores.

use lockprof_abi::Followed;

use super::by_task::{ByTask, Hook, NOT_WHERE_TASKS_SLEEP};
use crate::{known_locks::hold_by_mmap, recording::schema::LockFamily};

/// Reader-writer semaphores: all functions that take one, the hottest last, and those that give it back
/// (kernel/locking/rwsem.c, 6.1 to 7.3). Those with "nest" or "owner" in their names are of kernels with
/// CONFIG_DEBUG_LOCK_ALLOC; in others they are macros of the rest (include/linux/rwsem.h).
pub static RWSEM: ByTask = ByTask {
    family: LockFamily::Rwsem,
    followed: Followed::Rwsem,
    one: "an rwsem",
    plural: "rwsems",
    sleeps: true,
    on_realtime: "an rwsem is made of an rt_mutex",
    not_by_kprobe: NOT_WHERE_TASKS_SLEEP,
    readers: Ok(()),
    hooks: &[
        Hook::books("up_write", "rwsem_released_up_write"),
        Hook::gives_back("up_write", "rwsem_releasing_up_write"),
        Hook::books("downgrade_write", "rwsem_released_downgrade_write"),
        Hook::gives_back("downgrade_write", "rwsem_releasing_downgrade_write"),
        Hook::books("up_read_non_owner", "rwsem_released_up_read_non_owner").of_readers(),
        Hook::gives_back("up_read_non_owner", "rwsem_releasing_up_read_non_owner").of_readers(),
        Hook::books("up_read", "rwsem_released_up_read").of_readers(),
        Hook::gives_back("up_read", "rwsem_releasing_up_read").of_readers(),
        Hook::takes(
            "down_read_killable_nested",
            "rwsem_acquired_down_read_killable_nested",
        )
        .of_readers(),
        Hook::takes("down_read_nested", "rwsem_acquired_down_read_nested").of_readers(),
        Hook::takes(
            "down_read_interruptible",
            "rwsem_acquired_down_read_interruptible",
        )
        .of_readers(),
        Hook::takes("down_read_killable", "rwsem_acquired_down_read_killable").of_readers(),
        Hook::takes("down_read_trylock", "rwsem_acquired_down_read_trylock").of_readers(),
        Hook::takes("down_read", "rwsem_acquired_down_read").of_readers(),
        Hook::takes(
            "_down_write_nest_lock",
            "rwsem_acquired_down_write_nest_lock",
        ),
        Hook::takes(
            "down_write_killable_nested",
            "rwsem_acquired_down_write_killable_nested",
        ),
        Hook::takes("down_write_nested", "rwsem_acquired_down_write_nested"),
        Hook::takes("down_write_trylock", "rwsem_acquired_down_write_trylock"),
        Hook::takes("down_write_killable", "rwsem_acquired_down_write_killable"),
        Hook::takes("down_write", "rwsem_acquired_down_write"),
    ],
    needed: &["up_write", "downgrade_write", "up_read"],
    hold: hold_by_mmap,
    hold_of: None,
    held_by: &["down_write_killable", "up_write", "down_read", "up_read"],
    taken_by: &["down_write_killable"],
    given_back_by: "up_write",
};
