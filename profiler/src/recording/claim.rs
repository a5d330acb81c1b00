//! One run at a time in a folder: two would remove each other's recordings, and make reports of them.

use std::{io, os::fd::OwnedFd};

use rustix::{
    fd::AsFd,
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
};

/// A folder that nobody else takes until this is dropped, or the process ends, however that ends. The folder is locked
/// and no file in it, for a file may be removed while somebody is about to lock it.
#[derive(Debug)]
pub struct Claim {
    _folder: Option<OwnedFd>,
}

impl Claim {
    /// Takes a folder. What cannot be locked (it may not be read, or its file system has no locks) is taken unlocked:
    /// that is no reason to measure nothing.
    ///
    /// # Errors
    /// Somebody else has it: [`io::ErrorKind::WouldBlock`].
    pub fn of(folder: impl AsFd) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(opened) = rustix::fs::openat(folder, ".", flags, Mode::empty()) else {
            return Ok(Self { _folder: None });
        };
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error == Errno::WOULDBLOCK => Err(error.into()),
            Err(error) => {
                log::debug!("the output's folder cannot be locked: {error}");
                Ok(Self { _folder: None })
            }
            Ok(()) => Ok(Self {
                _folder: Some(opened),
            }),
        }
    }
}
