//! mmap_lock, of which each address space has one: page faults, mmap(2) and munmap(2), and everything that reads
//! another process's memory take it.

use super::KnownLock;
use crate::recording::schema::LockFamily;

/// What is known of it.
pub static LOCK: KnownLock = KnownLock {
    name: "mmap_lock",
    family: LockFamily::Rwsem,
    source: "include/linux/mm_types.h: mmap_lock of struct mm_struct, 5.8 to 7.3",
    sites: &[],
    learned_in: None,
    taken_by_each_task: false,
    control_site: None,
    unseen: Some(
        "Locks of single VMAs (Linux 6.4 and later), which page faults take first, are no rwsems from 6.15 on and tell \
         nothing: waits for them are in no row.",
    ),
};
