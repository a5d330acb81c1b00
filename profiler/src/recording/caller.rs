//! Files made by root through sudo belong to whoever called sudo.

use std::{env, os::fd::AsFd, path::Path, sync::Once};

use rustix::{
    fs::{AtFlags, Gid, Uid, chownat},
    process::geteuid,
};

use crate::tell::tell;

/// The user and group that called sudo, where this process is root through it.
fn caller() -> Option<(Uid, Gid)> {
    if !geteuid().is_root() {
        return None;
    }
    let id = |name: &str| {
        let id: u32 = env::var(name).ok()?.parse().ok()?;
        // It would mean: leave it as it is (chown(2)).
        (id != u32::MAX).then_some(id)
    };
    Some((
        Uid::from_raw(id("SUDO_UID")?),
        Gid::from_raw(id("SUDO_GID")?),
    ))
}

/// Gives a file or folder to the user who called sudo; does nothing without sudo. Where that is refused (in a
/// user namespace without that user, on vfat, on NFS), it stays root's, which is said once.
pub(super) fn give(descriptor: impl AsFd, path: &Path) {
    static SAID: Once = Once::new();
    let Some((user, group)) = caller() else {
        return;
    };
    let given = chownat(descriptor, "", Some(user), Some(group), AtFlags::EMPTY_PATH);
    if let Err(error) = given {
        SAID.call_once(|| {
            tell(&format!(
                "cannot give {} to user {user}, who called sudo: {error}; what is written stays root's",
                path.display()
            ));
        });
    }
}
