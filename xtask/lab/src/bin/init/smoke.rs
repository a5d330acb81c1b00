//! What a patch of the release of tasks may break: every way in which a task ends, is waited for or is
//! watched; and, in a file of its own, of the making of cgroups. Each check is a few system calls with a
//! known answer; what the kernel itself complains about, the console shows.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::cgroups;

/// The word that runs the checks, and the one that only ends with a status.
pub const CHECKS: &str = "smoke";
/// `exit STATUS`.
pub const EXIT: &str = "exit";

/// Threads and children of the checks that want many.
const MANY: usize = 100;

type Check = fn() -> Result<()>;

const ALL: [(&str, Check); 10] = [
    ("exec", exec),
    ("exec by another thread", exec_by_another_thread),
    ("threads", threads),
    ("ptrace", ptrace),
    ("pidfd", pidfd),
    ("setsid", setsid),
    ("children that nobody waits for", ignored_children),
    ("orphans", orphans),
    ("the end of a pid namespace", pid_namespace),
    ("cgroups", cgroups::check),
];

/// Runs all checks; the error names the first that failed.
pub fn run() -> Result<()> {
    for (name, check) in ALL {
        check().with_context(|| format!("the check of {name} failed"))?;
        println!("smoke: {name}: ok");
    }
    Ok(())
}

/// Forks; the child runs this and ends with what it returns.
fn child(body: impl FnOnce() -> i32) -> Result<i32> {
    // SAFETY: every check forks while this process has one thread, so the child may do as it likes.
    match unsafe { libc::fork() } {
        0 => {
            let status = body();
            // SAFETY: _exit() has no preconditions.
            unsafe { libc::_exit(status) }
        }
        pid if pid > 0 => Ok(pid),
        _ => Err(io::Error::last_os_error()).context("fork"),
    }
}

/// Waits for a child; its status as waitpid() has it.
fn wait(pid: i32) -> Result<i32> {
    let mut status = 0;
    // SAFETY: the pointer is that of a live local.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    if waited == pid {
        Ok(status)
    } else {
        Err(io::Error::last_os_error()).with_context(|| format!("waitpid({pid}) gave {waited}"))
    }
}

fn wait_for_exit(pid: i32, expected: i32) -> Result<()> {
    let status = wait(pid)?;
    ensure!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == expected,
        "the child ended with {status:#x} in place of {expected}"
    );
    Ok(())
}

fn succeed(what: &str, result: libc::c_long) -> Result<libc::c_long> {
    if result < 0 {
        return Err(io::Error::last_os_error()).context(what.to_owned());
    }
    Ok(result)
}

/// Replaces this process by one that ends with a status.
fn exec_exit(status: i32) -> i32 {
    let error = Command::new("/proc/self/exe")
        .args([EXIT, &status.to_string()])
        .exec();
    eprintln!("smoke: exec: {error}");
    1
}

fn exec() -> Result<()> {
    wait_for_exit(child(|| exec_exit(7))?, 7)
}

/// The thread takes the place of the group's leader, which is released on the way (fs/exec.c,
/// de_thread).
fn exec_by_another_thread() -> Result<()> {
    let pid = child(|| thread::spawn(|| exec_exit(9)).join().unwrap_or(1))?;
    wait_for_exit(pid, 9)
}

fn threads() -> Result<()> {
    let pid = child(|| {
        let threads: Vec<_> = (0..MANY).map(|_| thread::spawn(thread::current)).collect();
        i32::from(threads.into_iter().any(|thread| thread.join().is_err()))
    })?;
    wait_for_exit(pid, 0)
}

fn ptrace() -> Result<()> {
    let request = |request: libc::c_uint, pid: i32, data: usize| {
        // SAFETY: none of the requests here writes through its pointer arguments.
        succeed("ptrace", unsafe {
            libc::ptrace(request, pid, 0_usize, data)
        })
    };
    let traced = child(|| {
        // SAFETY: PTRACE_TRACEME takes no argument, and raise() an integer.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0_usize, 0_usize);
            libc::raise(libc::SIGSTOP);
        }
        3
    })?;
    let status = wait(traced)?;
    ensure!(libc::WIFSTOPPED(status), "it did not stop: {status:#x}");
    request(libc::PTRACE_SYSCALL, traced, 0)?;
    let status = wait(traced)?;
    ensure!(
        libc::WIFSTOPPED(status),
        "no system call was seen: {status:#x}"
    );
    request(libc::PTRACE_CONT, traced, 0)?;
    wait_for_exit(traced, 3)?;
    // One that is seized, stopped, let go, and killed.
    let seized = child(pause)?;
    request(libc::PTRACE_SEIZE, seized, 0)?;
    request(libc::PTRACE_INTERRUPT, seized, 0)?;
    let status = wait(seized)?;
    ensure!(libc::WIFSTOPPED(status), "it was not stopped: {status:#x}");
    request(libc::PTRACE_DETACH, seized, 0)?;
    kill(seized, libc::SIGKILL)?;
    let status = wait(seized)?;
    ensure!(libc::WIFSIGNALED(status), "it was not killed: {status:#x}");
    Ok(())
}

fn pause() -> i32 {
    loop {
        // SAFETY: pause() has no preconditions.
        unsafe { libc::pause() };
    }
}

fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: kill() takes integers.
    succeed("kill", unsafe { libc::kill(pid, signal) }.into())?;
    Ok(())
}

fn pidfd() -> Result<()> {
    let waiting = child(pause)?;
    // SAFETY: pidfd_open() takes integers and gives a descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, waiting, 0) };
    let fd = i32::try_from(succeed("pidfd_open", fd)?)?;
    // SAFETY: pidfd_open() gave this descriptor to us and to nobody else.
    let _owned = unsafe { OwnedFd::from_raw_fd(fd) };
    let readable = |timeout_ms: i32| {
        let mut polled = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the pointer is that of one live structure.
        let ready = unsafe { libc::poll(&raw mut polled, 1, timeout_ms) };
        ready == 1
    };
    ensure!(!readable(0), "the pidfd of a living process is readable");
    let send = |signal: i32| {
        // SAFETY: pidfd_send_signal() takes a descriptor, integers, and a pointer that may be null.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, 0_usize, 0) }
    };
    succeed("pidfd_send_signal", send(libc::SIGKILL))?;
    // The kernel wakes this poll when the process ends: without that, it is never ready.
    ensure!(
        readable(60_000),
        "the pidfd of a dead process is not readable"
    );
    // SAFETY: siginfo_t is plain data, for which zeroes are a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is that of a live local.
    let waited = unsafe {
        libc::waitid(
            libc::P_PIDFD,
            fd.unsigned_abs(),
            &raw mut info,
            libc::WEXITED,
        )
    };
    succeed("waitid", waited.into())?;
    ensure!(info.si_code == libc::CLD_KILLED, "si_code {}", info.si_code);
    ensure!(send(0) < 0, "a signal reached a process that is gone");
    Ok(())
}

fn setsid() -> Result<()> {
    let pid = child(|| {
        // SAFETY: none of these has preconditions.
        let (own, session, again, of_own) = unsafe {
            (
                libc::getpid(),
                libc::setsid(),
                libc::setsid(),
                libc::getsid(0),
            )
        };
        // The leader of a session cannot begin another one.
        i32::from(own != session || again != -1 || of_own != own)
    })?;
    wait_for_exit(pid, 0)?;
    // A group that is killed as one.
    let leader = child(pause)?;
    let member = child(pause)?;
    for pid in [leader, member] {
        // SAFETY: setpgid() takes integers.
        succeed("setpgid", unsafe { libc::setpgid(pid, leader) }.into())?;
    }
    kill(-leader, libc::SIGKILL)?;
    for pid in [leader, member] {
        let status = wait(pid)?;
        ensure!(libc::WIFSIGNALED(status), "{pid} of the group lives");
    }
    Ok(())
}

/// They are released by their own exit.
fn ignored_children() -> Result<()> {
    let pid = child(|| {
        // SAFETY: SIG_IGN is a disposition that any signal but two may have.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        for _ in 0..MANY {
            if child(|| 0).is_err() {
                return 1;
            }
        }
        // SAFETY: a null pointer asks for no status.
        let waited = unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
        let error = io::Error::last_os_error().raw_os_error();
        i32::from(waited != -1 || error != Some(libc::ECHILD))
    })?;
    wait_for_exit(pid, 0)
}

/// Grandchildren come to who adopts them.
fn orphans() -> Result<()> {
    // SAFETY: this option takes an integer.
    let adopts = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    succeed("prctl", adopts.into())?;
    let parent = child(|| i32::from(child(|| 5).is_err()))?;
    wait_for_exit(parent, 0)?;
    let mut status = 0;
    // SAFETY: the pointer is that of a live local.
    let orphan = unsafe { libc::waitpid(-1, &raw mut status, 0) };
    succeed("waitpid", orphan.into())?;
    ensure!(libc::WEXITSTATUS(status) == 5, "another child: {status:#x}");
    Ok(())
}

/// With its first process, all of them end (kernel/pid_namespace.c, zap_pid_ns_processes).
fn pid_namespace() -> Result<()> {
    let pid = child(|| {
        // SAFETY: unshare() takes flags.
        if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
            return 2;
        }
        let first = child(|| {
            // SAFETY: getpid() has no preconditions.
            let is_first = unsafe { libc::getpid() } == 1;
            let others = (0..5).all(|_| child(pause).is_ok());
            i32::from(!is_first || !others)
        });
        match first.map(|pid| wait_for_exit(pid, 0)) {
            Ok(Ok(())) => 0,
            _ => 1,
        }
    })?;
    let status = wait(pid)?;
    match libc::WEXITSTATUS(status) {
        0 => Ok(()),
        2 => bail!("unshare(CLONE_NEWPID) is not allowed"),
        other => bail!("the namespace's first process ended with {other}"),
    }
}
