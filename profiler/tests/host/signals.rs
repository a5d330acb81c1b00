//! Signals: what they end, and what is left.

use std::{
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::Command,
};

use crate::fixture::{
    Measuring, attach, lockprof, names_in, possible, processes_with, report, signal,
    sleep_of_its_own, wait_for_line, wait_until,
};

const PARTIAL: [&str; 1] = ["recording.jsonl.partial"];
const WHOLE: [&str; 1] = ["recording.jsonl"];

/// The guard, which has the recording's name on its command line.
fn guards(folder: &Path) -> Vec<i32> {
    processes_with(folder.join(PARTIAL[0]).to_str().unwrap())
}

#[test]
fn a_signal_ends_it_in_order() {
    if !possible("a_signal_ends_it_in_order") {
        return;
    }
    for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let folder = tempfile::tempdir().unwrap();
        let measuring = Measuring::start(&mut attach(folder.path()));
        assert!(measuring.objects.len() >= 4, "{:?}", measuring.objects);
        assert_eq!(names_in(folder.path()), PARTIAL);
        assert_eq!(guards(folder.path()).len(), 1);
        signal(&measuring.child, number);
        let output = measuring.end();
        assert!(output.status.success(), "{number}: {output:?}");
        assert_eq!(names_in(folder.path()), WHOLE, "{number}");
        let report = report(folder.path());
        assert_eq!(report["ended"], "signal");
        assert_eq!(report["cut_short"], false);
        assert!(guards(folder.path()).is_empty());
    }
}

#[test]
fn what_was_measured_survives_sigkill() {
    if !possible("what_was_measured_survives_sigkill") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let measuring = Measuring::start(&mut attach(folder.path()));
    signal(&measuring.child, libc::SIGKILL);
    let output = measuring.end();
    assert_eq!(output.status.signal(), Some(libc::SIGKILL));
    assert_eq!(names_in(folder.path()), PARTIAL);
    let report = report(folder.path());
    assert_eq!(report["cut_short"], true);
    assert!(report["duration_s"].as_f64().unwrap() > 0.0);
    wait_until("the guard has ended", || guards(folder.path()).is_empty());
}

/// Under nohup(1) the end of the terminal is none of lockprof's business.
#[test]
fn a_hang_up_that_is_ignored_ends_nothing() {
    if !possible("a_hang_up_that_is_ignored_ends_nothing") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = attach(folder.path());
    // SAFETY: between fork and exec only an async-signal-safe call is made.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        });
    }
    let mut measuring = Measuring::start(&mut command);
    signal(&measuring.child, libc::SIGHUP);
    for _ in 0..3 {
        wait_for_line(&mut measuring.errors, "measuring ");
    }
    signal(&measuring.child, libc::SIGTERM);
    assert!(measuring.end().status.success());
}

/// `lockprof run` of a load that is its own child, a child of that, one in a session of its own, and an orphan.
fn run_of_a_family(folder: &Path, options: &[&str], seconds: &str) -> Command {
    let mut command = lockprof();
    command.args(["run", "--windows", "off"]).args(options);
    command.args(["--interval", "0.1", "--no-report", "-o"]);
    command.arg(folder);
    let script = format!(
        "sleep {seconds} & setsid sleep {seconds} & (sleep {seconds} &); exec sleep {seconds}"
    );
    command.args(["--", "sh", "-c", &script]);
    command
}

/// What ends lockprof ends its load, with all that it has started: with probes and without.
#[test]
fn the_load_ends_with_all_that_it_has_started() {
    if !possible("the_load_ends_with_all_that_it_has_started") {
        return;
    }
    let numbers = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGKILL];
    for attach in ["off", "wait"] {
        for number in numbers {
            let folder = tempfile::tempdir().unwrap();
            let seconds = sleep_of_its_own();
            let measuring = Measuring::start(&mut run_of_a_family(
                folder.path(),
                &["--attach", attach],
                &seconds,
            ));
            wait_until("the load has four processes", || {
                processes_with(&seconds).len() == 4
            });
            signal(&measuring.child, number);
            let output = measuring.end();
            let killed = number == libc::SIGKILL;
            assert_eq!(output.status.success(), !killed, "{number}: {output:?}");
            if !killed {
                // Whoever waited for lockprof finds nothing of the load.
                assert!(processes_with(&seconds).is_empty(), "{attach}, {number}");
            }
            wait_until("the load has ended", || processes_with(&seconds).is_empty());
            let names = if killed { PARTIAL } else { WHOLE };
            assert_eq!(names_in(folder.path()), names);
            assert_eq!(report(folder.path())["cut_short"], killed);
        }
    }
}

/// Who kills the guard is told what that means, once, and the run goes on.
#[test]
fn a_guard_that_is_killed_is_missed() {
    if !possible("a_guard_that_is_killed_is_missed") {
        return;
    }
    for attach in ["off", "wait"] {
        let folder = tempfile::tempdir().unwrap();
        let seconds = sleep_of_its_own();
        let options = ["--attach", attach];
        let mut measuring =
            Measuring::start(&mut run_of_a_family(folder.path(), &options, &seconds));
        for guard in guards(folder.path()) {
            // SAFETY: the call has no precondition; the process is this test's own.
            assert_eq!(unsafe { libc::kill(guard, libc::SIGKILL) }, 0);
        }
        wait_for_line(
            &mut measuring.errors,
            "its guard was killed; so a lockprof that is stopped",
        );
        signal(&measuring.child, libc::SIGINT);
        let output = measuring.end();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("guard"), "said once: {said}");
        assert_eq!(names_in(folder.path()), WHOLE);
    }
}

/// The guard of a lockprof that is stopped kills it, and then what it has run.
#[test]
fn a_stopped_lockprof_is_killed_with_its_load() {
    if !possible("a_stopped_lockprof_is_killed_with_its_load") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let seconds = sleep_of_its_own();
    let measuring = Measuring::start(&mut run_of_a_family(
        folder.path(),
        &["--attach", "wait"],
        &seconds,
    ));
    signal(&measuring.child, libc::SIGSTOP);
    let output = measuring.end();
    assert_eq!(output.status.signal(), Some(libc::SIGKILL));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("it had been stopped for 12 s"), "{said}");
    wait_until("the load has ended", || processes_with(&seconds).is_empty());
    assert_eq!(names_in(folder.path()), PARTIAL);
    wait_until("the recording says so", || {
        report(folder.path())["killed_by_guard"]["stopped"] == true
    });
}

/// What a load that ends by itself leaves running was meant to run: a service that it has started.
#[test]
fn a_load_that_ends_may_leave_something_behind() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = sleep_of_its_own();
    let status = lockprof()
        .args(["run", "--attach", "off", "--quiet", "--no-report", "-o"])
        .arg(folder.path())
        .args(["--", "sh", "-c", &format!("sleep {seconds} &")])
        .status()
        .unwrap();
    assert!(status.success());
    // The shell may have ended before what it has begun became `sleep`.
    wait_until("something is left", || processes_with(&seconds).len() == 1);
    let left = processes_with(&seconds);
    // SAFETY: the call has no precondition; the process is this test's own.
    assert_eq!(unsafe { libc::kill(left[0], libc::SIGKILL) }, 0);
}

/// What README says of it: an orphan that has cleaned its environment is not found. One with a parent is.
#[test]
fn an_orphan_without_the_variable_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let [clean, child] = [(); 2].map(|()| sleep_of_its_own());
    let script = format!(
        "env -i setsid sh -c 'sleep {clean} & exit 0'; env -i sleep {child} & exec sleep {child}"
    );
    let status = lockprof()
        .args([
            "run",
            "--attach",
            "off",
            "--quiet",
            "--no-report",
            "-d",
            "1",
            "-o",
        ])
        .arg(folder.path())
        .args(["--", "sh", "-c", &script])
        .status()
        .unwrap();
    assert!(status.success());
    assert!(processes_with(&child).is_empty());
    let left = processes_with(&clean);
    for process in &left {
        // SAFETY: the call has no precondition; the process is this test's own.
        assert_eq!(unsafe { libc::kill(*process, libc::SIGKILL) }, 0);
    }
    assert_eq!(left.len(), 1, "README says so");
}

#[test]
fn a_load_whose_time_is_over_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = sleep_of_its_own();
    let options = ["--attach", "off", "--quiet", "-d", "1"];
    let output = run_of_a_family(folder.path(), &options, &seconds)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(processes_with(&seconds).is_empty());
    assert_eq!(report(folder.path())["ended"], "duration");
}
