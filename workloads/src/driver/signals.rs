//! Signals, which the main process takes one at a time instead of in handlers.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use super::clock;

/// What ends a run early: Ctrl-C, a request, and a terminal that is closed.
const STOP_REQUESTS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// The sets of signals that the main process and the workers block.
pub(crate) struct SignalSets {
    /// What was blocked before.
    original: libc::sigset_t,
    /// What the main process waits for.
    awaited: libc::sigset_t,
    /// What the workers block: they stop when the main process says so, and a Ctrl-C that the
    /// terminal sends to everybody must not break their accounts.
    workers: libc::sigset_t,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// One of [`STOP_REQUESTS`].
    StopRequest,
    /// SIGCHLD: something happened to at least one child.
    Child,
    /// The deadline passed.
    Deadline,
}

impl SignalSets {
    /// Blocks the awaited signals until the value is dropped.
    pub(crate) fn block() -> io::Result<Self> {
        // Were it ignored, the kernel would reap the children itself.
        // SAFETY: SIG_DFL is a valid disposition, and no handler is installed.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };

        let mut stop_requests = empty_set();
        for signal in STOP_REQUESTS {
            // Whoever ignores a signal for us means it: a shell does so with SIGINT for what it
            // runs in the background. Blocked, it would reach us all the same.
            if !is_ignored(signal) {
                add(&mut stop_requests, signal);
            }
        }
        let mut awaited = stop_requests;
        add(&mut awaited, libc::SIGCHLD);

        let mut original = empty_set();
        // SAFETY: both sets are initialised and valid during the call.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const awaited, &mut original) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        let mut workers = original;
        for signal in STOP_REQUESTS {
            add(&mut workers, signal);
        }
        Ok(Self {
            original,
            awaited,
            workers,
        })
    }

    /// Waits for the next signal until the deadline; a signal that is pending already counts.
    pub(crate) fn wait(&self, deadline_ns: u64) -> io::Result<Event> {
        loop {
            let timeout = clock::until(deadline_ns);
            // SAFETY: the set and the timeout are initialised and valid during the call, and a
            // null pointer means that the details of the signal are not wanted.
            match unsafe { libc::sigtimedwait(&self.awaited, ptr::null_mut(), &timeout) } {
                libc::SIGCHLD => return Ok(Event::Child),
                signal if signal > 0 => return Ok(Event::StopRequest),
                _ => {
                    let error = io::Error::last_os_error();
                    match error.raw_os_error() {
                        Some(libc::EAGAIN) => return Ok(Event::Deadline),
                        Some(libc::EINTR) => {}
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    /// In a worker process: blocks what workers block. SIGCHLD is not of these: blocked, each
    /// child of forkexit would leave one pending, which costs a plain C program nothing.
    pub(crate) fn set_workers_mask(&self) {
        set_mask(&self.workers);
    }
}

impl Drop for SignalSets {
    fn drop(&mut self) {
        // A signal that came too late for the run has done what it was to do.
        while let Ok(Event::StopRequest | Event::Child) = self.wait(0) {}
        set_mask(&self.original);
    }
}

fn set_mask(set: &libc::sigset_t) {
    // SAFETY: the set is initialised and valid during the call; a null pointer means that the
    // previous mask is not wanted. The call cannot fail with SIG_SETMASK.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set, ptr::null_mut()) };
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn add(set: &mut libc::sigset_t, signal: libc::c_int) {
    // SAFETY: the set is initialised; the callers pass signals that exist.
    unsafe { libc::sigaddset(set, signal) };
}

fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action changes nothing; the old one is written to valid memory, for
    // which zero bytes are valid if the call should fail.
    let action = unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}
