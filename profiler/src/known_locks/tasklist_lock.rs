//! tasklist_lock, for which lockprof was made: every task takes it for writing three times in its life.
//!
//! Sources were read in Linux 6.1.192, 6.12.107 and 7.2.13. Which of two functions holds the
//! call depends on the compiler: a static function is often inlined into its caller, so both are
//! here, and the ones that a kernel does not have are passed over.

use lockprof_abi::Site;

use super::{KnownLock, SiteFunction, of};
use crate::recording::schema::LockFamily;

/// What is known of it.
pub static LOCK: KnownLock = KnownLock {
    name: "tasklist_lock",
    family: LockFamily::Rwlock,
    source: "kernel/fork.c: DEFINE_RWLOCK(tasklist_lock), 6.1 to 7.3",
    sites: SITES,
    learned_in: Some("release_task"),
    taken_by_each_task: true,
    is_held_by_setpgid: true,
    unseen: None,
};

const RELEASE_TASK: &str = "kernel/exit.c: release_task()";
const COPY_PROCESS: &str = "kernel/fork.c: copy_process()";
const EXIT_NOTIFY: &str = "kernel/exit.c: do_exit() > exit_notify()";
const CHILD_REAPER: &str = "kernel/exit.c: exit_notify() > forget_original_parent() > find_child_reaper(), which unlocks and locks again";
const DE_THREAD: &str = "fs/exec.c: begin_new_exec() > de_thread()";
const SETSID: &str = "kernel/sys.c: ksys_setsid()";
const SETPGID: &str = "kernel/sys.c: SYSCALL_DEFINE2(setpgid)";
const PTRACE_ATTACH: &str = "kernel/ptrace.c: ptrace_attach() (7.2: scoped_guard)";
const PTRACE_DETACH: &str = "kernel/ptrace.c: ptrace_request() > ptrace_detach()";
const PTRACE_TRACEME: &str = "kernel/ptrace.c: SYSCALL_DEFINE4(ptrace) > ptrace_traceme()";
const KEYCTL: &str = "security/keys/keyctl.c: keyctl_session_to_parent()";
const DO_WAIT: &str = "kernel/exit.c: do_wait() (6.6 and later: __do_wait())";
const WAIT_CONSIDER: &str = "kernel/exit.c: wait_consider_task(), under do_wait()'s lock";
const KILL: &str = "kernel/signal.c: SYSCALL_DEFINE2(kill) > kill_something_info()";
const KILL_PGRP: &str = "kernel/signal.c: kill_pgrp()";
const PROC_CHILDREN: &str = "fs/proc/array.c: children_seq_start(), _next() > get_children_pid()";
const PROC_STAT: &str = "fs/proc/array.c: do_task_stat()";

/// The sites, hottest first: three writers' holds in every task's life, then the rest.
///
/// A system call's body is in `__do_sys_NAME`, `__se_sys_NAME` or the architecture's wrapper,
/// whichever the compiler kept (include/linux/syscalls.h, arch/*/include/asm/syscall_wrapper.h).
const SITES: &[SiteFunction] = &[
    of("release_task", Site::Reap, RELEASE_TASK),
    of("do_exit", Site::Exit, EXIT_NOTIFY),
    of("exit_notify", Site::Exit, EXIT_NOTIFY),
    of("copy_process", Site::Fork, COPY_PROCESS),
    of("forget_original_parent", Site::Exit, CHILD_REAPER),
    of("find_child_reaper", Site::Exit, CHILD_REAPER),
    of("begin_new_exec", Site::Exec, DE_THREAD),
    of("de_thread", Site::Exec, DE_THREAD),
    of("ksys_setsid", Site::Setsid, SETSID),
    of("__do_sys_setsid", Site::Setsid, SETSID),
    of("__x64_sys_setsid", Site::Setsid, SETSID),
    of("__ia32_sys_setsid", Site::Setsid, SETSID),
    of("__arm64_sys_setsid", Site::Setsid, SETSID),
    of("__do_sys_setpgid", Site::Setpgid, SETPGID),
    of("__se_sys_setpgid", Site::Setpgid, SETPGID),
    of("__x64_sys_setpgid", Site::Setpgid, SETPGID),
    of("__ia32_sys_setpgid", Site::Setpgid, SETPGID),
    of("__arm64_sys_setpgid", Site::Setpgid, SETPGID),
    of("ptrace_attach", Site::Ptrace, PTRACE_ATTACH),
    of("ptrace_detach", Site::Ptrace, PTRACE_DETACH),
    of("ptrace_request", Site::Ptrace, PTRACE_DETACH),
    of("ptrace_traceme", Site::Ptrace, PTRACE_TRACEME),
    of("__do_sys_ptrace", Site::Ptrace, PTRACE_TRACEME),
    of("__se_sys_ptrace", Site::Ptrace, PTRACE_TRACEME),
    of("__x64_sys_ptrace", Site::Ptrace, PTRACE_TRACEME),
    of("__ia32_sys_ptrace", Site::Ptrace, PTRACE_TRACEME),
    of("__ia32_compat_sys_ptrace", Site::Ptrace, PTRACE_ATTACH),
    of("__arm64_sys_ptrace", Site::Ptrace, PTRACE_TRACEME),
    of("__arm64_compat_sys_ptrace", Site::Ptrace, PTRACE_ATTACH),
    of("keyctl_session_to_parent", Site::Keyctl, KEYCTL),
    of("__do_wait", Site::ReadDoWait, DO_WAIT),
    of("do_wait", Site::ReadDoWait, DO_WAIT),
    of("wait_consider_task", Site::ReadDoWait, WAIT_CONSIDER),
    of("kill_something_info", Site::ReadKill, KILL),
    of("kill_pgrp", Site::ReadKill, KILL_PGRP),
    of("__do_sys_kill", Site::ReadKill, KILL),
    of("__se_sys_kill", Site::ReadKill, KILL),
    of("__x64_sys_kill", Site::ReadKill, KILL),
    of("__ia32_sys_kill", Site::ReadKill, KILL),
    of("__arm64_sys_kill", Site::ReadKill, KILL),
    of("get_children_pid", Site::ReadProc, PROC_CHILDREN),
    of("children_seq_start", Site::ReadProc, PROC_CHILDREN),
    of("children_seq_next", Site::ReadProc, PROC_CHILDREN),
    of("children_seq_show", Site::ReadProc, PROC_CHILDREN),
    of("do_task_stat", Site::ReadProc, PROC_STAT),
];

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
