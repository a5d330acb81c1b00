//! What a command has itself started.

use std::fs;

/// The processes that this one has started, and those that they have started, as far as their parents
/// still live: an orphan belongs to init. Empty where the kernel does not tell
/// (CONFIG_PROC_CHILDREN).
#[must_use]
pub fn of(process: u32) -> Vec<u32> {
    let mut found = children(process);
    let mut next = 0;
    while let Some(process) = found.get(next).copied() {
        found.extend(children(process));
        next += 1;
    }
    found
}

/// Sends a signal to each process. One that has ended meanwhile is no error.
pub fn signal(processes: &[u32], signal: libc::c_int) {
    for pid in processes.iter().filter_map(|pid| i32::try_from(*pid).ok()) {
        // SAFETY: the call has no precondition.
        unsafe { libc::kill(pid, signal) };
    }
}

/// The children of all threads of a process.
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}
