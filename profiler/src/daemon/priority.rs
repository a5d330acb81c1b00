//! The daemon's own priority: it runs for some milliseconds a second, and late readings would blur the
//! edges of the measured time, on a machine that is busy by definition.

/// What the daemon asks for.
const NICENESS: i32 = -20;

/// Raises the priority of this process as far as it is allowed to; gives the niceness from before,
/// which the load is to have.
pub fn raise() -> i32 {
    // SAFETY: getpriority and setpriority have no precondition; the calling process exists, so the
    // result is a niceness and no error.
    unsafe {
        let before = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS);
        before
    }
}
