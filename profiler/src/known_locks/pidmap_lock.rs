//! pidmap_lock, which free_pid() takes, inside holds of tasklist_lock or not.

use super::KnownLock;
use crate::recording::schema::LockFamily;

/// What is known of it.
pub static LOCK: KnownLock = KnownLock {
    name: "pidmap_lock",
    family: LockFamily::Spinlock,
    writers_irq: false,
    source: "kernel/pid.c: DEFINE_SPINLOCK(pidmap_lock), 6.1 to 7.3",
    sites: &[],
    spans: &[],
    learned_in: None,
    taken_by_each_task: false,
    control_site: None,
    of_process: false,
    unseen: None,
};
