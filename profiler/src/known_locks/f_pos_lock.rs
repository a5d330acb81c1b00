//! f_pos_lock, of which each open file has one: who reads, writes or seeks by a descriptor that another one shares the
//! position with takes it.

use std::{
    fs::File,
    io::{self, Seek as _},
};

use super::KnownLock;
use crate::recording::schema::LockFamily;

/// What is known of it.
pub static LOCK: KnownLock = KnownLock::new(
    "f_pos_lock",
    LockFamily::Mutex,
    "include/linux/fs.h: f_pos_lock of struct file, 6.1 to 7.3",
);

/// A regular file that everybody who runs this program can open.
const OWN_FILE: &str = "/proc/self/exe";

/// Takes the f_pos_lock of a file of this process by `mutex_lock`, and gives it back by `mutex_unlock`, so often.
///
/// Only of a regular file or a folder, and only while two have the file open (`fdget_pos()` of fs/file.c,
/// FMODE_ATOMIC_POS; 6.1 to 7.3).
///
/// # Errors
/// This program's own file cannot be opened, or its position not be asked for.
pub fn hold_by_lseek(times: u64) -> io::Result<()> {
    let mut file = File::open(OWN_FILE)?;
    let _same = file.try_clone()?;
    for _ in 0..times {
        file.stream_position()?;
    }
    Ok(())
}
