//! mmap_lock, of which each address space has one: page faults, mmap(2) and munmap(2), and everything that reads
//! another process's memory take it.

use std::{io, ptr::NonNull};

use super::KnownLock;
use crate::recording::schema::LockFamily;

/// What is known of it.
pub static LOCK: KnownLock = KnownLock {
    of_process: true,
    unseen: Some(
        "Locks of single VMAs (Linux 6.4 and later), which page faults take first, are no rwsems from 6.15 on and tell \
         nothing: waits for them are in no row.",
    ),
    ..KnownLock::new(
        "mmap_lock",
        LockFamily::Rwsem,
        "include/linux/mm_types.h: mmap_lock of struct mm_struct, 5.8 to 7.3",
    )
};

/// Takes the mmap_lock of this process by `down_write_killable`, twice, and by `down_read`, and gives it back by `up_write`
/// and `up_read`, so often (`vm_mmap_pgoff()` of mm/util.c, `__vm_munmap()` of mm/mmap.c or mm/vma.c, `sys_mincore()` of
/// mm/mincore.c; 6.1 to 7.3).
///
/// # Errors
/// There is no memory.
pub fn hold_by_mmap(times: u64) -> io::Result<()> {
    for _ in 0..times {
        OwnMemory::map(1)?.ask_of_page()?;
    }
    Ok(())
}

/// Anonymous memory of this process, unmapped when dropped.
#[derive(Debug)]
pub struct OwnMemory {
    start: NonNull<libc::c_void>,
    bytes: usize,
}

// SAFETY: whoever has it is its only user.
unsafe impl Send for OwnMemory {}

impl OwnMemory {
    /// Maps as many bytes.
    ///
    /// # Errors
    /// There is no memory.
    pub fn map(bytes: usize) -> io::Result<Self> {
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

    /// Tells the kernel what to do with it (madvise(2)).
    ///
    /// # Errors
    /// The kernel does not.
    pub fn advise(&self, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: the whole of a mapping that only this value uses; nobody relies on what is in it.
        match unsafe { libc::madvise(self.start.as_ptr(), self.bytes, advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Asks whether its first page is in memory.
    fn ask_of_page(&self) -> io::Result<()> {
        let mut answer = 0_u8;
        // SAFETY: the page is mapped, and there is room for its answer.
        match unsafe { libc::mincore(self.start.as_ptr(), 1, &raw mut answer) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for OwnMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and nothing refers to it any more.
        unsafe { libc::munmap(self.start.as_ptr(), self.bytes) };
    }
}
