//! The workers' counters as another process sees them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, RawFd};
use std::sync::atomic::Ordering;

use super::shared::SharedArea;

/// Memory in which a workload's workers count, made by whoever starts the workload and wants to look at any
/// moment, at no cost to the workers.
#[derive(Debug)]
pub struct Counters {
    memory: File,
    area: SharedArea,
}

impl Counters {
    /// Memory for so many workers.
    ///
    /// # Errors
    /// There is none.
    pub fn new(tasks: u32) -> io::Result<Self> {
        // SAFETY: the name is a string that ends with a zero.
        let fd = unsafe { libc::memfd_create(c"lockprof-counters".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else's.
        let memory = unsafe { File::from_raw_fd(fd) };
        let tasks = usize::try_from(tasks).map_err(io::Error::other)?;
        memory.set_len(SharedArea::size(tasks) as u64)?;
        let area = SharedArea::of(tasks, &memory)?;
        Ok(Self { memory, area })
    }

    /// What `--counters` takes, in a child to which it is left open.
    #[must_use]
    pub fn as_raw_fd(&self) -> RawFd {
        self.memory.as_raw_fd()
    }

    /// Iterations of all workers since their release, the warm-up's included.
    #[must_use]
    pub fn iterations(&self) -> u64 {
        let slots = self.area.slots().iter();
        slots
            .map(|slot| slot.iterations.load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }
}
