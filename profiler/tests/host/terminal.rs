//! A terminal that is closed, and a pipe whose reader has gone: nobody listens any more, and nothing is lost.

use std::{
    fs::File,
    io::Read as _,
    os::{
        fd::{FromRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::Stdio,
};

use crate::fixture::{
    Measuring, attach, lockprof, names_in, possible, processes_with, report, signal,
    sleep_of_its_own, wait_until,
};

/// A terminal: what the user has, and what the programs in it have.
fn terminal() -> (File, OwnedFd) {
    let (mut user, mut programs) = (-1, -1);
    // SAFETY: both numbers are valid for writing, and nothing else is asked for.
    let failed = unsafe {
        libc::openpty(
            &raw mut user,
            &raw mut programs,
            std::ptr::null_mut(),
            std::ptr::null(),
            std::ptr::null(),
        )
    };
    assert_eq!(failed, 0);
    // Whoever has the user's side open keeps the terminal from being closed.
    // SAFETY: openpty() has given these descriptors to us and to nobody else.
    unsafe {
        libc::fcntl(user, libc::F_SETFD, libc::FD_CLOEXEC);
        (File::from_raw_fd(user), OwnedFd::from_raw_fd(programs))
    }
}

/// The window is closed while a load runs in it: the load ends, and the recording and its page are there.
#[test]
fn a_closed_terminal_ends_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = sleep_of_its_own();
    let (mut user, programs) = terminal();
    let copy = || Stdio::from(programs.try_clone().unwrap());
    let mut command = lockprof();
    command
        .args(["run", "--attach", "off", "-o"])
        .arg(folder.path());
    command.args([
        "--",
        "sh",
        "-c",
        &format!("trap '' HUP; sleep {seconds} & wait"),
    ]);
    command.stdin(copy()).stdout(copy()).stderr(copy());
    // SAFETY: between fork and exec only async-signal-safe calls are made.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    drop(command);
    drop(programs);
    wait_until("the load runs", || !processes_with(&seconds).is_empty());
    // Something was said to the terminal.
    let mut first = [0; 1];
    user.read_exact(&mut first).unwrap();
    drop(user);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1), "the table could not be printed");
    assert!(processes_with(&seconds).is_empty());
    assert_eq!(report(folder.path())["ended"], "signal");
    let names = names_in(folder.path());
    for name in ["recording.jsonl", "report.html"] {
        assert!(names.iter().any(|there| there == name), "{names:?}");
    }
    assert!(
        names.iter().all(|name| !name.ends_with(".partial")),
        "{names:?}"
    );
}

/// What a terminal cannot show is not sent to it.
#[test]
fn a_dumb_terminal_gets_no_escape_sequences() {
    for (term, has_any) in [("dumb", false), ("xterm", true)] {
        let folder = tempfile::tempdir().unwrap();
        let (mut user, programs) = terminal();
        let copy = || Stdio::from(programs.try_clone().unwrap());
        let mut command = lockprof();
        command.env("TERM", term).env_remove("NO_COLOR");
        command.args(["run", "--attach", "off", "--interval", "0.1", "-o"]);
        command.arg(folder.path()).args(["--", "sleep", "0.5"]);
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let mut child = command.spawn().unwrap();
        drop(command);
        drop(programs);
        // The terminal's buffer is smaller than the table; at the end it says EIO.
        let mut shown = Vec::new();
        let _closed = user.read_to_end(&mut shown);
        assert!(child.wait().unwrap().success());
        let shown = String::from_utf8_lossy(&shown);
        assert!(shown.contains("Nothing was attached"), "{shown}");
        assert_eq!(shown.contains('\u{1b}'), has_any, "{term}: {shown:?}");
    }
}

/// `lockprof attach 2>&1 | head -1`.
#[test]
fn standard_error_without_a_reader_is_no_reason_to_end() {
    if !possible("standard_error_without_a_reader_is_no_reason_to_end") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut measuring = Measuring::start(&mut attach(folder.path()));
    let lines_before = lines(folder.path());
    drop(measuring.errors);
    wait_until("it goes on", || lines(folder.path()) > lines_before + 3);
    signal(&measuring.child, libc::SIGINT);
    assert!(measuring.child.wait().unwrap().success());
    assert_eq!(report(folder.path())["ended"], "signal");
}

fn lines(folder: &std::path::Path) -> usize {
    let recording = folder.join("recording.jsonl.partial");
    std::fs::read_to_string(recording).unwrap().lines().count()
}
