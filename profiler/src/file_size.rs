//! A file that may grow no further (`ulimit -f`).
//!
//! The kernel's signal for it kills, without a word and without a footer. Ignored, the write fails, and is told like one
//! to a full disk. Rust's own start does the same with SIGPIPE, and takes it back in programs that it starts.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the signal was ignored here, and not by whoever started this process.
static IGNORED: AtomicBool = AtomicBool::new(false);

/// Makes a write to such a file fail.
pub fn let_writes_fail() {
    // SAFETY: to ignore a signal runs no handler.
    let before = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    IGNORED.store(before == libc::SIG_DFL, Ordering::Relaxed);
}

/// Between fork and exec: what is executed finds the signal as this process has found it.
pub fn as_it_was() {
    if IGNORED.load(Ordering::Relaxed) {
        // SAFETY: the default disposition runs no handler, and the call is async-signal-safe.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_DFL) };
    }
}
