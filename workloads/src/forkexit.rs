//! Processes forked and waited for.

use std::ptr;

use crate::load::{Failure, Load, Operation};

pub(crate) fn load() -> Load {
    Load {
        tasks_per_iteration: 1,
        ..Load::of("Fork, exit and wait", iterate)
    }
}

fn iterate() -> Result<(), Failure> {
    // SAFETY: the child calls nothing but _exit, which is async-signal-safe, so it does not matter
    // what other threads of this process were doing.
    let child = unsafe { libc::fork() };
    match child {
        -1 => Err(Failure::last(Operation::Fork)),
        // SAFETY: _exit ends the child without running anything of the parent's.
        0 => unsafe { libc::_exit(0) },
        _ => wait(child),
    }
}

fn wait(child: libc::pid_t) -> Result<(), Failure> {
    loop {
        // SAFETY: a null status pointer means that the status is not wanted.
        if unsafe { libc::waitpid(child, ptr::null_mut(), 0) } == child {
            return Ok(());
        }
        let failure = Failure::last(Operation::Wait);
        if failure.errno != libc::EINTR {
            return Err(failure);
        }
    }
}
