//! cgroup_mutex: who changes the tree of cgroups or a limit of one takes it, and who moves tasks in the tree.

use super::KnownLock;
use crate::recording::schema::LockFamily;

/// What is known of it.
pub static LOCK: KnownLock = KnownLock::new(
    "cgroup_mutex",
    LockFamily::Mutex,
    "kernel/cgroup/cgroup.c: DEFINE_MUTEX(cgroup_mutex), 6.1 to 7.3",
);
