//! Another user than root, with capabilities of its own.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities, set_thread_gid, set_thread_groups, set_thread_uid,
};

/// The user and group that own nothing: `nobody` and `nogroup` of Debian's.
const NOBODY: u32 = 65534;

/// Makes this process, which has one thread, that user's, with these capabilities alone; what it executes has them
/// too. Allocates no memory.
pub fn become_nobody(capabilities: CapabilitySet) -> io::Result<()> {
    set_thread_groups(&[])?;
    set_thread_gid(Gid::from_raw(NOBODY))?;
    // Or they would go with the user.
    set_keep_capabilities(true)?;
    set_thread_uid(Uid::from_raw(NOBODY))?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: capabilities,
            permitted: capabilities,
            inheritable: capabilities,
        },
    )?;
    for capability in capabilities {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}
