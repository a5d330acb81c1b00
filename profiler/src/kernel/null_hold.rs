//! The shortest hold of the default lock that a process can make without changing anything.

/// No process has this number (include/linux/threads.h: PID_MAX_LIMIT is 4 · 2^20).
const NOBODY: libc::pid_t = libc::pid_t::MAX;

/// Takes tasklist_lock for writing and releases it, so often: setpgid() of a process that does not exist does, and
/// fails before it changes anything, from any thread (kernel/sys.c, 6.1 to 7.2).
pub fn hold_by_setpgid(times: u64) {
    for _ in 0..times {
        // SAFETY: the call touches no memory of ours.
        let answer = unsafe { libc::setpgid(NOBODY, 1) };
        debug_assert_eq!(answer, -1, "nobody has a process group");
    }
}
