//! A child that does nothing but live: it is forked, exits, and is reaped by this process.

use std::io;

/// Makes a child that ends at once, and reaps it.
///
/// # Errors
/// There may be no further process, or it cannot be waited for.
pub(super) fn live() -> io::Result<()> {
    // SAFETY: the child calls nothing but _exit, which may follow a fork in a process with several threads.
    let child = unsafe { libc::fork() };
    match child {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: it ends the child.
        0 => unsafe { libc::_exit(0) },
        child => reap(child),
    }
}

fn reap(child: libc::pid_t) -> io::Result<()> {
    loop {
        // SAFETY: no status is asked for.
        if unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) } == child {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // Where SIGCHLD is ignored, the kernel has reaped it (wait(2)).
            Some(libc::ECHILD) => return Ok(()),
            _ => return Err(error),
        }
    }
}
