//! Two locks of an open file that fcntl(2) takes for a moment: a reader-writer lock that spins, for its owner, and
//! a spinlock, for its flags.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    sync::Arc,
};

use super::contend::Turn;

/// An open file that nobody else has.
fn private_file() -> io::Result<OwnedFd> {
    // SAFETY: the call touches no memory.
    let answer = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}

/// Two threads that set a file's owner: `f_modown()` of fs/fcntl.c takes its rwlock by write_lock_irq(), whose
/// functions are those of the target lock (6.1 to 7.2).
///
/// # Errors
/// No file can be opened.
pub(super) fn owner_turns() -> io::Result<Vec<Turn<'static>>> {
    // SAFETY: the call has no precondition.
    let own = unsafe { libc::getpid() };
    turns(2, libc::F_SETOWN, own)
}

/// Threads that set a file's flags: `setfl()` of fs/fcntl.c takes `f_lock` (6.1 to 7.2).
///
/// # Errors
/// No file can be opened.
pub(super) fn flags_turns(threads: usize) -> io::Result<Vec<Turn<'static>>> {
    turns(threads, libc::F_SETFL, libc::O_NONBLOCK)
}

fn turns(
    threads: usize,
    command: libc::c_int,
    argument: libc::c_int,
) -> io::Result<Vec<Turn<'static>>> {
    let file = Arc::new(File::from(private_file()?));
    let turn = || -> Turn<'static> {
        let file = Arc::clone(&file);
        Box::new(move || {
            // SAFETY: both commands take a number, and touch no memory of ours.
            match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    };
    Ok((0..threads).map(|_| turn()).collect())
}
