//! The memory through which the main process and its workers talk.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::clock;
use crate::load::{Failure, Operation};

/// What the workers do; they look at it before each iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Phase {
    /// Wait for the release. A fresh mapping is zero, and so in this phase.
    Waiting = 0,
    WarmUp,
    Measurement,
    Stop,
}

/// What all workers share. The phase is read all the time and hardly ever written; it has cache
/// lines of its own, 128 bytes as in will-it-scale, for CPUs that fetch lines in pairs.
#[repr(C, align(128))]
struct Header {
    phase: AtomicU32,
    ready: Ready,
}

#[repr(C, align(128))]
struct Ready(AtomicU32);

/// What one worker alone writes.
#[repr(C, align(128))]
pub(crate) struct Slot {
    /// Iterations finished since the release.
    pub(crate) iterations: AtomicU64,
    /// How many of them came before the measured window, as the worker saw it begin.
    pub(crate) warm_up_iterations: AtomicU64,
    /// When the worker left its loop; 0 while it is in it.
    pub(crate) finished_at_ns: AtomicU64,
    failed_operation: AtomicU32,
    failed_errno: AtomicI32,
}

impl Slot {
    /// What made the worker give up, if anything did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let operation = Operation::from_number(self.failed_operation.load(Ordering::Acquire))?;
        let errno = self.failed_errno.load(Ordering::Relaxed);
        Some(Failure { operation, errno })
    }
}

/// A shared mapping: a header and one slot for each worker.
#[derive(Debug)]
pub(crate) struct SharedArea {
    mapping: NonNull<Header>,
    slots: usize,
}

// SAFETY: everything in the mapping is atomic, and the mapping lives as long as this value.
unsafe impl Sync for SharedArea {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for SharedArea {}

impl SharedArea {
    /// Memory of this process and of those that it forks.
    pub(crate) fn new(slots: usize) -> io::Result<Self> {
        Self::map(slots, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
    }

    /// Memory that another process has made for so many slots.
    pub(crate) fn of(slots: usize, memory: &File) -> io::Result<Self> {
        if memory.metadata()?.len() < Self::size(slots) as u64 {
            return Err(io::Error::other("it is too small"));
        }
        Self::map(slots, libc::MAP_SHARED, memory.as_raw_fd())
    }

    fn map(slots: usize, flags: libc::c_int, fd: libc::c_int) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Self::size(slots),
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = NonNull::new(address.cast())
            .ok_or_else(|| io::Error::other("mmap returned address 0"))?;
        Ok(Self { mapping, slots })
    }

    /// Bytes for so many slots.
    pub(crate) fn size(slots: usize) -> usize {
        size_of::<Header>() + slots * size_of::<Slot>()
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, begins with a Header for which zero bytes are
        // valid, and lives as long as `self`.
        unsafe { self.mapping.as_ref() }
    }

    /// The slots, one for each worker.
    pub(crate) fn slots(&self) -> &[Slot] {
        // SAFETY: the mapping has room for that many slots behind the header, whose size is a
        // multiple of their alignment; zero bytes are valid slots; it lives as long as `self`.
        unsafe {
            let first = self.mapping.add(1).cast::<Slot>();
            std::slice::from_raw_parts(first.as_ptr(), self.slots)
        }
    }

    /// Whether the workers are in this phase: one load, for the workers' loop.
    #[inline]
    pub(crate) fn is_in(&self, phase: Phase) -> bool {
        self.header().phase.load(Ordering::Relaxed) == phase as u32
    }

    /// Goes from one phase to the next, unless somebody has gone elsewhere: a stop is final.
    pub(crate) fn advance(&self, from: Phase, to: Phase) {
        let phase = &self.header().phase;
        let _was_stopped = phase
            .compare_exchange(from as u32, to as u32, Ordering::Release, Ordering::Relaxed)
            .is_err();
        futex_wake_all(phase);
    }

    /// Lets all workers stop before their next iteration.
    pub(crate) fn stop(&self) {
        let header = self.header();
        header.phase.store(Phase::Stop as u32, Ordering::Release);
        futex_wake_all(&header.phase);
        // The main process may be waiting for workers that will never be ready.
        futex_wake_all(&header.ready.0);
    }

    /// Notes what made a worker give up, and stops the others.
    pub(crate) fn fail(&self, slot: &Slot, failure: Failure) {
        slot.failed_errno.store(failure.errno, Ordering::Relaxed);
        slot.failed_operation
            .store(failure.operation as u32, Ordering::Release);
        self.stop();
    }

    /// In a worker: reports that it is ready and waits for the release.
    pub(crate) fn wait_for_release(&self) {
        let header = self.header();
        header.ready.0.fetch_add(1, Ordering::Release);
        futex_wake_all(&header.ready.0);
        while header.phase.load(Ordering::Acquire) == Phase::Waiting as u32 {
            futex_wait(&header.phase, Phase::Waiting as u32, None);
        }
    }

    /// In the main process: waits at most this long for another worker to be ready, and says
    /// whether all are.
    pub(crate) fn wait_for_ready(&self, timeout: Duration) -> bool {
        let ready = &self.header().ready.0;
        let all_ready = |count| usize::try_from(count).is_ok_and(|count| count >= self.slots);
        let count = ready.load(Ordering::Acquire);
        if all_ready(count) {
            return true;
        }
        futex_wait(ready, count, Some(timeout));
        all_ready(ready.load(Ordering::Acquire))
    }
}

impl Drop for SharedArea {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no reference into it can outlive the value.
        unsafe { libc::munmap(self.mapping.as_ptr().cast(), Self::size(self.slots)) };
    }
}

/// Waits until woken, if the word still has this value. It may also return for no reason.
fn futex_wait(word: &AtomicU32, value: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(|timeout| clock::until(clock::now_ns() + clock::to_ns(timeout)));
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word and the timeout are valid for reads during the call. Without the private
    // flag the kernel knows the word by its page, so this works between processes.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            value,
            timeout,
        )
    };
}

fn futex_wake_all(word: &AtomicU32) {
    // SAFETY: the kernel uses the address of the word as a key, and changes nothing there.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_share_cache_lines() {
        let area = SharedArea::new(3).unwrap();
        let addresses: Vec<usize> = area
            .slots()
            .iter()
            .map(|slot| ptr::from_ref(slot).addr())
            .collect();
        assert!(addresses.iter().all(|address| address % 128 == 0));
        assert!(addresses.windows(2).all(|pair| pair[0] + 128 == pair[1]));
        assert_eq!(size_of::<Header>(), 256);
    }

    #[test]
    fn a_stop_is_final() {
        let area = SharedArea::new(1).unwrap();
        assert!(area.is_in(Phase::Waiting));
        area.advance(Phase::Waiting, Phase::WarmUp);
        assert!(area.is_in(Phase::WarmUp));
        area.stop();
        area.advance(Phase::WarmUp, Phase::Measurement);
        assert!(area.is_in(Phase::Stop));
    }

    #[test]
    fn failures_arrive() {
        let area = SharedArea::new(2).unwrap();
        let failure = Failure {
            operation: Operation::Fork,
            errno: libc::EAGAIN,
        };
        area.fail(&area.slots()[1], failure);
        assert_eq!(area.slots()[0].failure(), None);
        assert_eq!(area.slots()[1].failure(), Some(failure));
        assert!(area.is_in(Phase::Stop));
    }
}
