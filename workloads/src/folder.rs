//! A folder of the run's own, in which all workers make files.

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::{env, fs};

use anyhow::Context as _;

use crate::load::{Failure, Operation, Prepared};

/// Its descriptor, which the workers inherit.
static FOLDER: AtomicI32 = AtomicI32::new(-1);

thread_local! {
    /// A file that no other worker has: by the number of the thread.
    static NAME: CString = own_name();
}

/// Makes it, with these folders in it; removed with everything in it when it is dropped, which workers never do.
pub(crate) fn prepare(inner: &[&str]) -> anyhow::Result<Prepared> {
    let folder = tempfile::Builder::new()
        .prefix(&own_prefix())
        .tempdir()
        .with_context(|| format!("cannot make a folder in {}", env::temp_dir().display()))?;
    for name in inner {
        let path = folder.path().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    let opened = fs::File::open(folder.path())
        .with_context(|| format!("cannot open {}", folder.path().display()))?;
    FOLDER.store(opened.as_raw_fd(), Ordering::Relaxed);
    Ok(Prepared::of((opened, folder)))
}

/// What the run's own folder's name begins with: whoever kills the run finds what it leaves by that.
pub(crate) fn own_prefix() -> String {
    format!("lockprof-load-{}-", std::process::id())
}

/// The folder, below which paths are.
pub(crate) fn descriptor() -> RawFd {
    FOLDER.load(Ordering::Relaxed)
}

/// Calls something with the worker's own name.
pub(crate) fn with_own_name<T>(call: impl FnOnce(&CString) -> T) -> T {
    NAME.with(call)
}

/// Makes a file that is not there, and leaves it closed.
pub(crate) fn create(path: &CString) -> Result<(), Failure> {
    let how = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: the path is NUL-terminated.
    let file = unsafe { libc::openat(descriptor(), path.as_ptr(), how, 0o600) };
    if file < 0 {
        return Err(Failure::last(Operation::Open));
    }
    // SAFETY: the descriptor was opened here, and nobody else knows of it.
    unsafe { libc::close(file) };
    Ok(())
}

/// Removes a file.
pub(crate) fn unlink(path: &CString) -> Result<(), Failure> {
    // SAFETY: the path is NUL-terminated.
    match unsafe { libc::unlinkat(descriptor(), path.as_ptr(), 0) } {
        0 => Ok(()),
        _ => Err(Failure::last(Operation::Unlink)),
    }
}

fn own_name() -> CString {
    // SAFETY: gettid touches no memory.
    let thread = unsafe { libc::gettid() };
    CString::new(thread.to_string()).unwrap_or_default()
}
