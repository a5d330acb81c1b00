//! Files made by root through sudo belong to whoever called sudo.

use std::{
    env, fs, io,
    os::unix::fs::{MetadataExt, lchown},
    path::Path,
};

/// The user and group that called sudo, where this process is root through it.
fn caller() -> Option<(u32, u32)> {
    // The owner of /proc/self is the effective user: no call to libc is needed.
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let id = |name: &str| env::var(name).ok()?.parse().ok();
    Some((id("SUDO_UID")?, id("SUDO_GID")?))
}

/// Gives a file or directory to the user who called sudo; does nothing without sudo.
///
/// # Errors
///
/// When the owner cannot be changed.
pub fn give_to_caller(path: &Path) -> io::Result<()> {
    let Some((user, group)) = caller() else {
        return Ok(());
    };
    // Neither a device (`-o /dev/full`) nor, through a symbolic link, what is someone else's.
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_file() || kind.is_dir() {
        lchown(path, Some(user), Some(group))
    } else {
        Ok(())
    }
}

/// Creates a directory, with its parents, for the user who called sudo. One that exists already
/// keeps its owner.
///
/// # Errors
///
/// When it cannot be created or given away.
pub fn directory_for_caller(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        directory_for_caller(parent)?;
    }
    fs::create_dir(path)?;
    give_to_caller(path)
}
