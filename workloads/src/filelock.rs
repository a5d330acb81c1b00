//! Holds of the spinlock of a file's record locks, each as long as the walk over thousands of locked ranges.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Context as _;

use crate::load::{Failure, Load, Operation, Prepared, Takes};

/// How many ranges are locked all the while: the walk over them takes microseconds.
const RANGES: libc::off_t = 2000;
/// Locked bytes have a free one between them, since adjacent ones of one owner would become one range.
const APART: libc::off_t = 2;
const NAME: &CStr = c"lockprof-load";

/// The file's descriptor, which the workers inherit: one open file, so that all ranges have one owner, and nobody's
/// request is refused.
static FILE: AtomicI32 = AtomicI32::new(-1);

thread_local! {
    /// A byte behind the locked ones that no other worker locks: by the number of the thread.
    // SAFETY: gettid touches no memory.
    static OWN: libc::off_t = APART * (RANGES + libc::off_t::from(unsafe { libc::gettid() }));
}

pub(crate) fn load() -> Load {
    Load {
        prepare,
        // posix_lock_inode() of fs/locks.c, 6.1 to 7.2, takes it once for each request, and walks the list in it: a
        // request that locks looks for others' ranges before its own, which is a walk more.
        takes: Some(Takes {
            lock: "file_lock_context.flc_lock of the file",
            exclusive: 2,
            shared: 0,
        }),
        ..Load::of("A range locked and unlocked in a file with many", || {
            OWN.with(|own| {
                let file = FILE.load(Ordering::Relaxed);
                set(file, libc::F_WRLCK, *own)?;
                set(file, libc::F_UNLCK, *own)
            })
        })
    }
}

/// Makes a file in memory that has no name, and locks its ranges.
fn prepare() -> anyhow::Result<Prepared> {
    // SAFETY: the name is NUL-terminated.
    let file = unsafe { libc::memfd_create(NAME.as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(std::io::Error::last_os_error()).context("cannot make a file in memory");
    }
    // SAFETY: the descriptor was made here, and belongs to nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(file) };
    for range in 0..RANGES {
        let locked = set(file.as_raw_fd(), libc::F_WRLCK, APART * range);
        locked.map_err(|failure| anyhow::anyhow!("{}", failure.describe()))?;
    }
    FILE.store(file.as_raw_fd(), Ordering::Relaxed);
    Ok(Prepared::of(file))
}

/// Locks or unlocks one byte for the open file.
fn set(file: RawFd, how: libc::c_int, byte: libc::off_t) -> Result<(), Failure> {
    let range = libc::flock {
        l_type: how as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the range is valid for reads during the call.
    match unsafe { libc::fcntl(file, libc::F_OFD_SETLK, &raw const range) } {
        0 => Ok(()),
        _ => Err(Failure::last(Operation::Fcntl)),
    }
}
