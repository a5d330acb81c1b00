//! Workers that die and limits that are reached.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{fs, io};

use workloads::WorkloadLine;

use crate::run::{PROGRAM, Run, children_of, is_root, send, skipped, wait_until};

#[test]
fn a_killed_worker_is_named() {
    let mut run = Run::start("threadspawn -t 3 --until-signalled --warm-up 0");
    run.wait_for(|line| *line == WorkloadLine::Measurement);
    let workers = children_of(run.pid());
    assert_eq!(workers.len(), 3);
    send(workers[1], libc::SIGKILL);

    let (status, errors) = run.finish();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("worker "), "{errors}");
    assert!(
        errors.contains(&format!("(pid {})", workers[1])),
        "{errors}"
    );
    assert!(errors.contains("SIGKILL"), "{errors}");
    assert_eq!(run.survivors(), [0; 0]);
    let truths = run
        .lines
        .iter()
        .filter(|line| line.contains("ground-truth"));
    assert_eq!(truths.count(), 0, "{:?}", run.lines);
}

#[test]
fn a_killed_thread_host_is_named() {
    let mut run = Run::start("nullhold -t 3 --mode threads --until-signalled --warm-up 0");
    run.wait_for(|line| *line == WorkloadLine::Measurement);
    let hosts = children_of(run.pid());
    assert_eq!(hosts.len(), 1);
    send(hosts[0], libc::SIGKILL);
    let (status, errors) = run.finish();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("process of the worker threads"), "{errors}");
    assert_eq!(run.survivors(), [0; 0]);
}

#[test]
fn a_killed_thread_host_is_told_from_the_others() {
    let mut run = Run::start("mmap -t 5 --threads-each 2 --until-signalled --warm-up 0");
    run.wait_for(|line| *line == WorkloadLine::Measurement);
    let hosts = children_of(run.pid());
    let threads = hosts
        .iter()
        .map(|host| fs::read_dir(format!("/proc/{host}/task")).unwrap().count());
    // Each has a first thread that is no worker.
    assert_eq!(threads.collect::<Vec<usize>>(), [3, 3, 2]);
    send(hosts[1], libc::SIGKILL);
    let (status, errors) = run.finish();
    assert_eq!(status.code(), Some(1), "{errors}");
    let expected = format!("process 1 of the worker threads (pid {})", hosts[1]);
    assert!(errors.contains(&expected), "{errors}");
    assert_eq!(run.survivors(), [0; 0]);
}

#[test]
fn processes_do_not_share_out_threads() {
    let mut run = Run::start("forkexit -t 4 --threads-each 2");
    let (status, errors) = run.finish();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("--threads-each needs --mode threads"),
        "{errors}"
    );
}

#[test]
fn task_limits_are_named() {
    if !is_root() {
        skipped(
            "task_limits_are_named",
            "needs root, to be a user without other tasks",
        );
        return;
    }
    // Each case of each test run is a user of its own, because the limit counts all tasks of a user.
    let first_user = 1_000_000 + 4 * std::process::id();
    for (case, limit, arguments, operation) in [
        // The main process and three workers; the fourth worker is too many.
        (0, 4, "forkexit -t 8", "cannot start worker 3: fork failed"),
        // The main process and the worker, but no child of the worker.
        (1, 2, "forkexit -t 1", "worker 0: fork failed"),
        (2, 2, "threadspawn -t 1", "worker 0: pthread_create failed"),
        // The main process, the host and two workers; the third is too many.
        (
            3,
            4,
            "nullhold -t 8 --mode threads",
            "worker 2: pthread_create failed",
        ),
    ] {
        let mut run = start_limited(first_user + case, limit, arguments);
        let (status, errors) = run.finish();
        assert_eq!(status.code(), Some(1), "{arguments}: {errors}");
        assert!(errors.contains(operation), "{arguments}: {errors}");
        assert!(errors.contains("EAGAIN"), "{errors}");
        let named = format!("RLIMIT_NPROC, `ulimit -u`, is {limit}");
        assert!(errors.contains(&named), "{errors}");
        assert_eq!(run.survivors(), [0; 0], "{arguments}");
    }
}

#[test]
fn a_limit_on_mappings_is_named() {
    for mode in ["processes", "threads"] {
        let arguments = format!("mmap -t 2 --mode {mode} --until-signalled --warm-up 0");
        let mut run = Run::start(&arguments);
        run.wait_for(|line| *line == WorkloadLine::Measurement);
        forbid_mappings(children_of(run.pid())[0]);
        let (status, errors) = run.finish();
        assert_eq!(status.code(), Some(1), "{mode}: {errors}");
        for part in [": mmap failed with ENOMEM", "RLIMIT_AS", "vm.max_map_count"] {
            assert!(errors.contains(part), "{mode}: {errors}");
        }
        assert_eq!(run.survivors(), [0; 0], "{mode}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let mut command = Command::new(PROGRAM);
    command.args(["create", "--iterations", "1", "--warm-up", "0"]);
    let mut run = Run::start_command({
        command.env("TMPDIR", "/proc");
        command
    });
    let (status, errors) = run.finish();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot make a folder in /proc"), "{errors}");
}

/// However the run ends, unless it is killed.
#[test]
fn folders_are_removed() {
    for (arguments, signalled) in [
        ("create -t 2 --iterations 10 --warm-up 0", false),
        ("rename -t 2 --until-signalled --warm-up 0", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(arguments.split_whitespace());
        command.env("TMPDIR", folder.path());
        let mut run = Run::start_command(command);
        if signalled {
            run.wait_for(|line| *line == WorkloadLine::Measurement);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            run.signal(libc::SIGTERM);
        }
        let (status, errors) = run.finish();
        assert!(status.success(), "{errors}");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "{arguments}"
        );
    }
}

/// Lets a process have no more memory than it has.
fn forbid_mappings(pid: i32) {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the new limit is valid for reads during the call, and the old one is not wanted.
    let result = unsafe { libc::prlimit(pid, libc::RLIMIT_AS, &none, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Starts the program as a user who may have only so many tasks.
fn start_limited(user: u32, limit: u64, arguments: &str) -> Run {
    // The build's folder may be closed to other users.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("workloads");
    // Copied by this process, it would be busy for as long as a child that another test forks at the
    // time has the descriptor.
    let copied = Command::new("cp")
        .args([PROGRAM.as_ref(), program.as_path()])
        .status();
    assert!(copied.unwrap().success());
    open_to_all(folder.path());
    open_to_all(&program);

    let mut command = Command::new(&program);
    command
        .args(arguments.split_whitespace())
        .uid(user)
        .gid(user);
    let limit = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(
            move || match libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            },
        );
    }
    // The program is open by the time that spawn returns, so the folder may go.
    Run::start_command(command)
}

fn open_to_all(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn frozen_workers_are_killed_at_a_late_second_signal() {
    let mut run = Run::start("nullhold -t 2 --until-signalled --warm-up 0");
    run.wait_for(|line| *line == WorkloadLine::Measurement);
    let frozen = children_of(run.pid())[0];
    send(frozen, libc::SIGSTOP);
    // The first of these signals stops the run; those of the next two seconds are taken for echoes.
    wait_until("the run ends", || {
        run.signal(libc::SIGTERM);
        run.survivors().is_empty()
    });
    let (status, errors) = run.finish();
    assert_eq!(status.code(), Some(1), "{errors}");
    let expected = format!("killed at a second signal: pid {frozen}\n");
    assert!(errors.ends_with(&expected), "{errors}");
}
