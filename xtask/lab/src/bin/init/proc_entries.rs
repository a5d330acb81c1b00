//! A load for proc_subdir_lock, a reader-writer lock that spins: who looks for an entry of /proc reads it, and who makes one
//! writes it.

use std::fs;
use std::io;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The word before how often an entry is looked for that there is not, and how many network namespaces are made.
///
/// Each search takes the lock by `read_lock`, once (`proc_lookup_de()` of fs/proc/generic.c, 6.1 to 7.3), for nothing is kept
/// of what was not found. Each network namespace has entries, and `proc_register()` takes the lock by `write_lock` for each.
pub const LOAD: &str = "proc-entries";
/// The word by which this program makes one network namespace, which ends with it.
pub const NAMESPACE: &str = "network-namespace";

/// What there is not, in a folder that there is.
const NOTHING: &str = "/proc/driver/nothing";

/// Looks for the entry, and makes the namespaces, one after the other.
pub fn run(lookups: &str, namespaces: &str) -> Result<()> {
    let lookups: u32 = lookups.parse().context("how often is no number")?;
    let namespaces: u32 = namespaces.parse().context("how many is no number")?;
    for _ in 0..lookups {
        if fs::symlink_metadata(NOTHING).is_ok() {
            bail!("there is a {NOTHING}");
        }
    }
    for _ in 0..namespaces {
        let mut child = Command::new("/init");
        let status = child.arg(NAMESPACE).status();
        if !status.context("cannot execute /init")?.success() {
            bail!("no network namespace was made");
        }
    }
    Ok(())
}

/// Makes one.
pub fn unshare() -> Result<()> {
    // SAFETY: the call takes no pointer; this process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error()).context("unshare");
    }
    Ok(())
}
