//! A reader-writer semaphore: the lock of this process's own memory map, which one thread takes to read while it
//! fills pages, and another to write while it maps some.

use std::io;

use super::contend::Turn;
use crate::known_locks::OwnMemory;

/// Pages that are filled at once: long enough that the other thread comes meanwhile.
const FILLED_BYTES: usize = 1 << 19;
/// What is mapped and unmapped.
const MAPPED_BYTES: usize = 1 << 12;

/// A thread that fills pages, and one that maps some.
///
/// # Errors
/// There is no memory.
pub(super) fn turns() -> io::Result<Vec<Turn<'static>>> {
    let filled = OwnMemory::map(FILLED_BYTES)?;
    Ok(vec![
        Box::new(move || {
            filled.advise(libc::MADV_POPULATE_WRITE)?;
            filled.advise(libc::MADV_DONTNEED)
        }),
        Box::new(|| OwnMemory::map(MAPPED_BYTES).map(drop)),
    ])
}
