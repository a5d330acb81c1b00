//! tasklist_lock, for which lockprof was made: every task takes it for writing three times in its life.
//!
//! Sources were read in Linux 6.1.192, 6.12.107 and 7.2.13. Which of two functions holds the
//! call depends on the compiler: a static function is often inlined into its caller, so both are
//! here, and the ones that a kernel does not have are passed over.

use super::{KnownLock, KnownSite, KnownSpan, of};
use crate::{recording::schema::LockFamily, site::Site, span::Span};

/// What is known of it.
pub static LOCK: KnownLock = KnownLock {
    name: "tasklist_lock",
    family: LockFamily::Rwlock,
    writers_irq: true,
    source: "kernel/fork.c: DEFINE_RWLOCK(tasklist_lock), 6.1 to 7.3",
    sites: SITES,
    spans: SPANS,
    learned_in: Some("release_task"),
    taken_by_each_task: true,
    control_site: Some(Site::SETPGID),
    of_process: false,
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

impl Site {
    /// `copy_process`: a new task is linked in.
    pub const FORK: Self = Self::writer(0, "fork");
    /// `do_exit`, with `exit_notify` inlined: a task becomes a zombie.
    pub const EXIT: Self = Self::writer(1, "exit");
    /// `release_task`: a dead task is unlinked.
    pub const REAP: Self = Self::writer(2, "reap");
    /// `begin_new_exec`, with `de_thread` inlined.
    pub const EXEC: Self = Self::writer(3, "exec");
    /// `ksys_setsid`.
    pub const SETSID: Self = Self::writer(4, "setsid");
    /// `__do_sys_setpgid`.
    pub const SETPGID: Self = Self::writer(5, "setpgid");
    /// `ptrace_attach`, `ptrace_detach`, `ptrace_traceme`.
    pub const PTRACE: Self = Self::writer(6, "ptrace");
    /// `keyctl_session_to_parent`.
    pub const KEYCTL: Self = Self::writer(7, "keyctl");
    /// A reader: `do_wait`.
    pub const READ_DO_WAIT: Self = Self::reader(0, "read:do_wait");
    /// A reader: `kill` of a process group or of all.
    pub const READ_KILL: Self = Self::reader(1, "read:kill");
    /// A reader: /proc.
    pub const READ_PROC: Self = Self::reader(2, "read:proc");
}

/// The sites, hottest first: three writers' holds in every task's life, then the rest.
///
/// A system call's body is in `__do_sys_NAME`, `__se_sys_NAME` or the architecture's wrapper,
/// whichever the compiler kept (include/linux/syscalls.h, arch/*/include/asm/syscall_wrapper.h).
const SITES: &[KnownSite] = &[
    KnownSite {
        site: Site::REAP,
        symbol: Some("release_task"),
        functions: &[of("release_task", RELEASE_TASK)],
    },
    KnownSite {
        site: Site::EXIT,
        symbol: Some("do_exit"),
        functions: &[
            of("do_exit", EXIT_NOTIFY),
            of("exit_notify", EXIT_NOTIFY),
            of("forget_original_parent", CHILD_REAPER),
            of("find_child_reaper", CHILD_REAPER),
        ],
    },
    KnownSite {
        site: Site::FORK,
        symbol: Some("copy_process"),
        functions: &[of("copy_process", COPY_PROCESS)],
    },
    KnownSite {
        site: Site::EXEC,
        symbol: Some("begin_new_exec"),
        functions: &[of("begin_new_exec", DE_THREAD), of("de_thread", DE_THREAD)],
    },
    KnownSite {
        site: Site::SETSID,
        symbol: Some("ksys_setsid"),
        functions: &[
            of("ksys_setsid", SETSID),
            of("__do_sys_setsid", SETSID),
            of("__x64_sys_setsid", SETSID),
            of("__ia32_sys_setsid", SETSID),
            of("__arm64_sys_setsid", SETSID),
        ],
    },
    KnownSite {
        site: Site::SETPGID,
        symbol: Some("__do_sys_setpgid"),
        functions: &[
            of("__do_sys_setpgid", SETPGID),
            of("__se_sys_setpgid", SETPGID),
            of("__x64_sys_setpgid", SETPGID),
            of("__ia32_sys_setpgid", SETPGID),
            of("__arm64_sys_setpgid", SETPGID),
        ],
    },
    KnownSite {
        site: Site::PTRACE,
        symbol: Some("ptrace_attach"),
        functions: &[
            of("ptrace_attach", PTRACE_ATTACH),
            of("ptrace_detach", PTRACE_DETACH),
            of("ptrace_request", PTRACE_DETACH),
            of("ptrace_traceme", PTRACE_TRACEME),
            of("__do_sys_ptrace", PTRACE_TRACEME),
            of("__se_sys_ptrace", PTRACE_TRACEME),
            of("__x64_sys_ptrace", PTRACE_TRACEME),
            of("__ia32_sys_ptrace", PTRACE_TRACEME),
            of("__ia32_compat_sys_ptrace", PTRACE_ATTACH),
            of("__arm64_sys_ptrace", PTRACE_TRACEME),
            of("__arm64_compat_sys_ptrace", PTRACE_ATTACH),
        ],
    },
    KnownSite {
        site: Site::KEYCTL,
        symbol: Some("keyctl_session_to_parent"),
        functions: &[of("keyctl_session_to_parent", KEYCTL)],
    },
    KnownSite {
        site: Site::READ_DO_WAIT,
        symbol: Some("do_wait"),
        functions: &[
            of("__do_wait", DO_WAIT),
            of("do_wait", DO_WAIT),
            of("wait_consider_task", WAIT_CONSIDER),
        ],
    },
    KnownSite {
        site: Site::READ_KILL,
        symbol: None,
        functions: &[
            of("kill_something_info", KILL),
            of("kill_pgrp", KILL_PGRP),
            of("__do_sys_kill", KILL),
            of("__se_sys_kill", KILL),
            of("__x64_sys_kill", KILL),
            of("__ia32_sys_kill", KILL),
            of("__arm64_sys_kill", KILL),
        ],
    },
    KnownSite {
        site: Site::READ_PROC,
        symbol: None,
        functions: &[
            of("get_children_pid", PROC_CHILDREN),
            of("children_seq_start", PROC_CHILDREN),
            of("children_seq_next", PROC_CHILDREN),
            of("children_seq_show", PROC_CHILDREN),
            of("do_task_stat", PROC_STAT),
        ],
    },
];

impl Span {
    /// Frees a `struct pid`.
    pub const FREE_PID: Self = Self::known_as(0, "free_pid");
    /// Mixes bytes into the input pool.
    pub const ADD_DEVICE_RANDOMNESS: Self = Self::known_as(1, "add_device_randomness");
    /// Unlinks a task from a `struct pid`.
    pub const CHANGE_PID: Self = Self::known_as(2, "__change_pid");
    /// Frees queued signals.
    pub const FLUSH_SIGQUEUE: Self = Self::known_as(3, "flush_sigqueue");
    /// Cleans up the CPU timers of a thread.
    pub const POSIX_CPU_TIMERS_EXIT: Self = Self::known_as(4, "posix_cpu_timers_exit");
    /// Cleans up the CPU timers of a process.
    pub const POSIX_CPU_TIMERS_EXIT_GROUP: Self = Self::known_as(5, "posix_cpu_timers_exit_group");
    /// Drops the /proc entries of a task.
    pub const PROC_FLUSH_PID: Self = Self::known_as(6, "proc_flush_pid");
    /// The whole of a reap.
    pub const RELEASE_TASK: Self = Self::known_as(7, "release_task");
    /// Drops a reference to the signal handlers that threads share.
    pub const CLEANUP_SIGHAND: Self = Self::known_as(8, "__cleanup_sighand");
    /// Sends the signal of a child's end to its parent.
    pub const DO_NOTIFY_PARENT: Self = Self::known_as(9, "do_notify_parent");
    /// Links a task to a `struct pid`.
    pub const ATTACH_PID: Self = Self::known_as(10, "attach_pid");
    /// Wakes who waits in a queue.
    pub const WAKE_UP: Self = Self::known_as(11, "__wake_up");
}

/// The calls inside its holds.
const SPANS: &[KnownSpan] = &[
    KnownSpan {
        tells_deferral: true,
        own_lock: Some("pidmap_lock"),
        ..KnownSpan::of(
            Span::FREE_PID,
            "frees a struct pid",
            "kernel/pid.c: free_pid()",
        )
    },
    KnownSpan {
        own_lock: Some("input_pool"),
        ..KnownSpan::of(
            Span::ADD_DEVICE_RANDOMNESS,
            "mixes bytes into the input pool",
            "drivers/char/random.c: add_device_randomness(), under input_pool.lock",
        )
    },
    KnownSpan {
        // It wakes whoever polls a pidfd before Linux 6.15.
        contains: &[Span::FREE_PID, Span::WAKE_UP],
        ..KnownSpan::of(
            Span::CHANGE_PID,
            "unlinks a task from a struct pid, and frees it with the last one before Linux 6.15",
            "kernel/pid.c: __change_pid()",
        )
    },
    KnownSpan::of(
        Span::FLUSH_SIGQUEUE,
        "frees queued signals",
        "kernel/signal.c: flush_sigqueue()",
    ),
    KnownSpan::of(
        Span::POSIX_CPU_TIMERS_EXIT,
        "cleans up the CPU timers of a thread",
        "kernel/time/posix-cpu-timers.c: posix_cpu_timers_exit()",
    ),
    KnownSpan::of(
        Span::POSIX_CPU_TIMERS_EXIT_GROUP,
        "cleans up the CPU timers of a process",
        "kernel/time/posix-cpu-timers.c: posix_cpu_timers_exit_group()",
    ),
    KnownSpan {
        // It runs after the unlock (6.1 to 7.2), or before the lock (the deferral that was posted).
        has_left: false,
        ..KnownSpan::of(
            Span::PROC_FLUSH_PID,
            "drops the /proc entries of a task, outside of holds",
            "fs/proc/base.c: proc_flush_pid()",
        )
    },
    KnownSpan {
        has_left: false,
        encloses_holds: true,
        ..KnownSpan::of(
            Span::RELEASE_TASK,
            "reaps a task, and takes the lock itself",
            RELEASE_TASK,
        )
    },
    KnownSpan::of(
        Span::CLEANUP_SIGHAND,
        "drops a reference to the signal handlers that threads share, and frees them with the last one",
        "kernel/fork.c: __cleanup_sighand()",
    ),
    KnownSpan {
        contains: &[Span::WAKE_UP],
        ..KnownSpan::of(
            Span::DO_NOTIFY_PARENT,
            "sends the signal of a child's end to its parent, and wakes it",
            "kernel/signal.c: do_notify_parent()",
        )
    },
    KnownSpan::of(
        Span::ATTACH_PID,
        "links a task to a struct pid",
        "kernel/pid.c: attach_pid()",
    ),
    KnownSpan {
        is_on_request: true,
        ..KnownSpan::of(
            Span::WAKE_UP,
            "wakes who waits in a queue, here those that poll a pidfd",
            "kernel/sched/wait.c: __wake_up()",
        )
    },
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
