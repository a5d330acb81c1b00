//! A mutex: the position of an open file, which threads that share it take to read.
//!
//! Only of a regular file or a folder, and only while somebody else may use it too (`fdget_pos()` of fs/file.c,
//! FMODE_ATOMIC_POS; 6.1 to 7.2). This program's own file is in the page cache.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
};

use super::contend::Turn;

const OWN_FILE: &str = "/proc/self/exe";
/// What is read at once: long enough that another thread comes meanwhile.
const BYTES: usize = 1 << 16;

/// Two threads that read one open file.
///
/// # Errors
/// It cannot be opened.
pub(super) fn turns() -> io::Result<Vec<Turn<'static>>> {
    let file = File::open(OWN_FILE)?;
    let same = file.try_clone()?;
    Ok([file, same].map(reader).into())
}

fn reader(mut file: File) -> Turn<'static> {
    let mut buffer = vec![0; BYTES];
    Box::new(move || {
        // Always the beginning, which need not be fetched from the disk again.
        let _read = file.read(&mut buffer)?;
        file.rewind()
    })
}
