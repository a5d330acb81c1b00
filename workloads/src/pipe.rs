//! Holds of the mutex of a pipe that all workers share.

use std::os::fd::{FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Context as _;

use crate::load::{Failure, Load, Operation, Prepared, Takes};

/// The two ends, which the workers inherit.
static ENDS: [AtomicI32; 2] = [const { AtomicI32::new(-1) }; 2];

pub(crate) fn load() -> Load {
    Load {
        prepare,
        // pipe_write() and pipe_read() of fs/pipe.c, from 6.15 on anon_pipe_write() and anon_pipe_read(), take it once
        // each where nobody has to wait for room or for something to read: every worker writes before it reads, and all
        // of them together write no more than a page.
        takes: Some(Takes {
            lock: "pipe_inode_info.mutex of the pipe",
            exclusive: 2,
            shared: 0,
        }),
        ..Load::of("A byte through a pipe that all share", iterate)
    }
}

fn prepare() -> anyhow::Result<Prepared> {
    let mut ends = [-1; 2];
    // SAFETY: the array has room for both descriptors.
    let done = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).context("cannot make a pipe");
    }
    for (kept, end) in ENDS.iter().zip(ends) {
        kept.store(end, Ordering::Relaxed);
    }
    // SAFETY: both were opened here, and belong to nobody else.
    let ends = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    Ok(Prepared::of(ends))
}

fn iterate() -> Result<(), Failure> {
    let [read, write] = ENDS.each_ref().map(|end| end.load(Ordering::Relaxed));
    let mut byte = 0_u8;
    // SAFETY: the byte may be read during the call.
    let written = unsafe { libc::write(write, (&raw const byte).cast(), 1) };
    whole(written, Operation::Write)?;
    // SAFETY: the byte may be written during the call.
    let got = unsafe { libc::read(read, (&raw mut byte).cast(), 1) };
    whole(got, Operation::Read)
}

/// One byte was to go through; that none did is no error of the call's.
fn whole(bytes: isize, operation: Operation) -> Result<(), Failure> {
    match bytes {
        1 => Ok(()),
        0 => Err(Failure {
            operation,
            errno: libc::EIO,
        }),
        _ => Err(Failure::last(operation)),
    }
}
