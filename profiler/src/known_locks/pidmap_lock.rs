//! pidmap_lock, which free_pid() takes, inside holds of tasklist_lock or not.

use super::KnownLock;
use crate::recording::schema::LockFamily;

/// What is known of it.
pub static LOCK: KnownLock = KnownLock::new(
    "pidmap_lock",
    LockFamily::Spinlock,
    "kernel/pid.c: DEFINE_SPINLOCK(pidmap_lock), 6.1 to 7.3",
);
