//! A reader-writer semaphore: the lock of this process's own memory map, which one thread takes to read while it
//! fills pages, and another to write while it maps some.

use std::{io, ptr::NonNull};

use super::contend::Turn;

/// Pages that are filled at once: long enough that the other thread comes meanwhile.
const FILLED_BYTES: usize = 1 << 19;
/// What is mapped and unmapped.
const MAPPED_BYTES: usize = 1 << 12;

/// Anonymous memory, unmapped when dropped.
struct Memory {
    start: NonNull<libc::c_void>,
    bytes: usize,
}

// SAFETY: whoever has it is its only user.
unsafe impl Send for Memory {}

impl Memory {
    fn map(bytes: usize) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice, checked below.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { start, bytes })
    }

    fn advise(&self, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: the whole of a mapping that only this value uses; nobody relies on what is in it.
        match unsafe { libc::madvise(self.start.as_ptr(), self.bytes, advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and nothing refers to it any more.
        unsafe { libc::munmap(self.start.as_ptr(), self.bytes) };
    }
}

/// A thread that fills pages, and one that maps some.
///
/// # Errors
/// There is no memory.
pub(super) fn turns() -> io::Result<Vec<Turn<'static>>> {
    let filled = Memory::map(FILLED_BYTES)?;
    Ok(vec![
        Box::new(move || {
            filled.advise(libc::MADV_POPULATE_WRITE)?;
            filled.advise(libc::MADV_DONTNEED)
        }),
        Box::new(|| Memory::map(MAPPED_BYTES).map(drop)),
    ])
}
