//! A lock between processes: two set-ups at once would disturb each other.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::signals;

/// Waits for the lock file and holds it until the result is dropped; a process that dies loses it.
pub fn take(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let mut told = false;
    loop {
        // SAFETY: takes the descriptor of an open file and a constant.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(file);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
        if !told {
            eprintln!("waiting for another set-up, which holds {}", path.display());
            told = true;
        }
        signals::check()?;
        thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = take(&path).unwrap();
        let other = File::open(&path).unwrap();
        // SAFETY: takes the descriptor of an open file and a constant.
        let second = || unsafe { libc::flock(other.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        assert_eq!(second(), -1);
        drop(held);
        assert_eq!(second(), 0);
    }
}
