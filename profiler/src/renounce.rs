//! What a process of lockprof's gives up as soon as it can do without.
//!
//! Capabilities are a thread's (capabilities(7)), and what it makes later, threads and children, begins with its
//! own: so a process gives up before it has a second thread.

use std::io;

use rustix::thread::{CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

use crate::kernel::privileges::{self, CapabilitySet};

/// Keeps no other capabilities than these, and of these what it has. A program that it executes gets none,
/// unless root's identity or the file gives them.
///
/// # Errors
/// The kernel refuses, which a filter of system calls may make it do.
pub fn all_but(kept: CapabilitySet) -> io::Result<()> {
    let had = capabilities(None)?;
    // What is no longer inheritable is no longer ambient (security/commoncap.c, cap_capset).
    set_capabilities(
        None,
        CapabilitySets {
            effective: had.effective & kept,
            permitted: had.permitted & kept,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}

/// The same, and nothing that it executes has more than it has then.
///
/// Not for what forks a load: a task's flag is handed on inside the hold of tasklist_lock (kernel/fork.c,
/// `copy_seccomp`).
///
/// # Errors
/// As [`all_but`].
pub fn for_good(kept: CapabilitySet) -> io::Result<()> {
    set_no_new_privs(true)?;
    all_but(kept)
}

/// Hands nothing that lockprof has a use for on to the program that this process is going to execute, between fork
/// and exec: no memory is allocated. What its own user or file gives a program is not lockprof's to take.
///
/// # Errors
/// As [`all_but`].
pub fn to_load() -> io::Result<()> {
    let mut sets = capabilities(None)?;
    sets.inheritable -= privileges::of_use();
    Ok(set_capabilities(None, sets)?)
}
