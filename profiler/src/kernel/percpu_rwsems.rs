//! Which kernel functions take and release reader-writer semaphores with a part on each CPU.

use lockprof_abi::Followed;

use super::by_task::{ByTask, Hook, NOT_WHERE_TASKS_SLEEP};
use crate::{known_locks::hold_by_proc_locks, recording::schema::LockFamily};

/// Reader-writer semaphores with a part on each CPU: the function that takes one for writing, and the one that gives it
/// back (kernel/locking/percpu-rwsem.c, 6.1 to 7.3).
pub static PERCPU_RWSEM: ByTask = ByTask {
    family: LockFamily::PercpuRwsem,
    followed: Followed::PercpuRwsem,
    one: "a percpu-rwsem",
    plural: "percpu-rwsems",
    sleeps: true,
    on_realtime: "who waits for a percpu-rwsem waits for rt_mutexes",
    not_by_kprobe: NOT_WHERE_TASKS_SLEEP,
    readers: Err(
        "of a percpu-rwsem the kernel inlines what readers do into their functions, where no probe can be",
    ),
    hooks: &[
        Hook::books("percpu_up_write", "percpu_rwsem_released_up_write"),
        Hook::gives_back("percpu_up_write", "percpu_rwsem_releasing_up_write"),
        Hook::takes("percpu_down_write", "percpu_rwsem_acquired_down_write"),
    ],
    needed: &["percpu_up_write"],
    hold: hold_by_proc_locks,
    hold_of: Some("file_rwsem"),
    held_by: &["percpu_down_write", "percpu_up_write"],
    taken_by: &["percpu_down_write"],
    given_back_by: "percpu_up_write",
};
