//! Processes by their numbers.

use std::{fs, os::unix::fs::MetadataExt as _};

use anyhow::{Result, bail};

use crate::proc::StatLine;

/// `PROC_PID_INIT_INO` (include/linux/proc_ns.h): the namespace whose numbers eBPF programs see.
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Whether the numbers of processes are here what they are for eBPF programs.
pub fn has_first_namespace() -> bool {
    let namespace = fs::metadata("/proc/self/ns/pid");
    namespace.is_ok_and(|file| file.ino() == FIRST_PID_NAMESPACE)
}

/// That they are.
///
/// # Errors
/// They are not, or that is not known.
pub fn is_in_first_namespace() -> Result<()> {
    if !has_first_namespace() {
        bail!(
            "a process whose lock is followed is known by its number in the first pid namespace, and lockprof runs in \
             another one: run it on the host, or in a container with the host's (--pid=host)"
        );
    }
    Ok(())
}

/// Whether there is a process, or a thread, of this number, which has not ended: who waits to be reaped has no memory.
pub fn exists(pid: u32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = StatLine::parse(&stat).and_then(|line| line.state());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The processes that the first thread of a process has made, the oldest first; none where the kernel does not tell
/// (CONFIG_PROC_CHILDREN).
pub fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let numbers = children.split_ascii_whitespace();
    numbers.filter_map(|number| number.parse().ok()).collect()
}
