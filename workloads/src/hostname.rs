//! Holds of uts_sem for writing, by setting the name of a machine that is the run's own.

use anyhow::Context as _;

use crate::load::{Failure, Load, Operation, Prepared, Takes};

const NAME: &[u8] = b"lockprof-load";

pub(crate) fn load() -> Load {
    Load {
        prepare,
        // sys_sethostname() of kernel/sys.c, 6.1 to 7.3; the lock is that of all namespaces.
        takes: Some(Takes {
            lock: "uts_sem",
            exclusive: 1,
            shared: 0,
        }),
        ..Load::of("The name of a namespace set to what it is", iterate)
    }
}

/// Enters a namespace of names, in which the run may set one, without capabilities outside of it.
fn prepare() -> anyhow::Result<Prepared> {
    // SAFETY: the call touches no memory.
    match unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWUTS) } {
        0 => Ok(Prepared::of(())),
        _ => Err(std::io::Error::last_os_error()).context(
            "cannot make a user namespace, in which this load sets a name: the machine may allow none \
             (user.max_user_namespaces, kernel.unprivileged_userns_clone)",
        ),
    }
}

fn iterate() -> Result<(), Failure> {
    // SAFETY: the name has that length.
    match unsafe { libc::sethostname(NAME.as_ptr().cast(), NAME.len()) } {
        0 => Ok(()),
        _ => Err(Failure::last(Operation::Sethostname)),
    }
}
