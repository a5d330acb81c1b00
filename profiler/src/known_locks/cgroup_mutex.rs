//! cgroup_mutex, which whatever changes the tree of cgroups takes, and who moves a task in it.

use super::KnownLock;
use crate::recording::schema::LockFamily;

/// What is known of it.
pub static LOCK: KnownLock = KnownLock {
    name: "cgroup_mutex",
    family: LockFamily::Mutex,
    source: "kernel/cgroup/cgroup.c: DEFINE_MUTEX(cgroup_mutex), 6.1 to 7.3",
    sites: &[],
    learned_in: None,
    taken_by_each_task: false,
    control_site: None,
    unseen: None,
};
