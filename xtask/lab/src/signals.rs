//! SIGINT and SIGTERM: noted here, and acted on by whoever waits for a child.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::{Context, Result, bail};

static SIGNAL: AtomicI32 = AtomicI32::new(0);
static FROM_TERMINAL: AtomicBool = AtomicBool::new(false);

extern "C" fn note(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo.
    let code = unsafe { (*info).si_code };
    // A terminal's Ctrl-C reaches our children by itself; what `kill` sends reaches us alone.
    FROM_TERMINAL.store(code == libc::SI_KERNEL, Ordering::SeqCst);
    SIGNAL.store(signal, Ordering::SeqCst);
}

/// Starts to note SIGINT, SIGTERM and SIGHUP instead of dying of them.
pub fn install() -> Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the action is zeroed, which is valid for it, and its handler touches only
        // atomics, which is allowed in a signal handler.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction =
                note as extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        };
        if result != 0 {
            return Err(io::Error::last_os_error()).context("cannot handle signals");
        }
    }
    Ok(())
}

/// Ends us quietly when the reader of our output goes away (`… | head`), which is right for a
/// command that only prints. The others go on: they have children and folders to clean up.
pub fn end_with_the_reader() {
    // SAFETY: the default action is a valid one, and no other thread runs yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// The signal that has come, if one has.
pub fn pending() -> Option<i32> {
    Some(SIGNAL.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
}

/// Like [`pending`], but gives each signal once, and says whether it came from the terminal.
pub fn take() -> Option<(i32, bool)> {
    let signal = SIGNAL.swap(0, Ordering::SeqCst);
    (signal != 0).then(|| (signal, FROM_TERMINAL.load(Ordering::SeqCst)))
}

/// An error once a signal has come.
pub fn check() -> Result<()> {
    match pending() {
        None => Ok(()),
        Some(signal) => bail!("interrupted by signal {signal}"),
    }
}
