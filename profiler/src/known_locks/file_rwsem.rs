//! file_rwsem, which who locks a part of a file takes to read, and who reads /proc/locks to write.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::KnownLock;
use crate::recording::schema::LockFamily;

/// What is known of it.
pub static LOCK: KnownLock = KnownLock::new(
    "file_rwsem",
    LockFamily::PercpuRwsem,
    "fs/locks.c: DEFINE_STATIC_PERCPU_RWSEM(file_rwsem), 6.1 to 7.3",
);

/// What shows the locks of all files.
const LOCKS: &str = "/proc/locks";

/// Takes file_rwsem by `percpu_down_write`, and gives it back by `percpu_up_write`, so often: who reads the list has it
/// from the first lock to the last (`locks_start()` and `locks_stop()` of fs/locks.c, 6.1 to 7.3).
///
/// # Errors
/// The list cannot be opened, or not be read.
pub fn hold_by_proc_locks(times: u64) -> io::Result<()> {
    let locks = File::open(LOCKS)?;
    let mut some = [0; 64];
    for _ in 0..times {
        locks.read_at(&mut some, 0)?;
    }
    Ok(())
}
