//! Holds of the workers' own mmap_lock for writing.

use std::ptr;

use crate::load::{Failure, Load, Operation, Takes};

/// What is mapped: four pages of 4 KiB, too few for a huge page.
const LENGTH: usize = 4 * 4096;

pub(crate) fn load() -> Load {
    Load {
        // vm_mmap_pgoff() of mm/util.c and __vm_munmap(), of mm/mmap.c or mm/vma.c, each take the
        // lock by mmap_write_lock_killable(). Whether the page fault between them takes it for
        // reading is the kernel's choice: since 6.4 a lock of the mapping alone may do.
        takes: Some(Takes {
            lock: "mm_struct.mmap_lock",
            exclusive: 2,
            shared: 0,
        }),
        ..Load::of("Anonymous memory mapped, touched and unmapped", iterate)
    }
}

fn iterate() -> Result<(), Failure> {
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            LENGTH,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(Failure::last(Operation::Mmap));
    }
    // SAFETY: the mapping is writable, and nobody else knows of it.
    unsafe { address.cast::<u8>().write_volatile(1) };
    // SAFETY: the mapping is of that length, and nothing refers to it.
    if unsafe { libc::munmap(address, LENGTH) } == 0 {
        Ok(())
    } else {
        Err(Failure::last(Operation::Munmap))
    }
}
