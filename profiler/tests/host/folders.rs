//! What runs leave in their folders: each its own, and nothing that shows another one.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::fixture::{lockprof, names_in, report, signal, wait_until};

fn bare_run(folder: Option<&Path>) -> Command {
    let mut command = lockprof();
    command.args(["run", "--attach", "off", "--quiet"]);
    if let Some(folder) = folder {
        command.arg("-o").arg(folder);
    }
    command
}

/// Two runs that begin in the same second do not get the same name.
#[test]
fn runs_without_a_folder_have_one_each() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["a", "b", "c", "d"].map(|word| {
        let mut command = bare_run(None);
        command.current_dir(folder.path());
        command.args([
            "--no-report",
            "--",
            "sh",
            "-c",
            &format!("sleep 0.5; : {word}"),
        ]);
        command.stderr(Stdio::piped()).spawn().unwrap()
    });
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let mut loads: Vec<String> = names_in(folder.path())
        .iter()
        .map(|name| {
            let report = report(&folder.path().join(name));
            report["workload"]["command"][2]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    loads.sort();
    assert_eq!(loads.len(), 4, "{loads:?}");
    for (load, word) in loads.iter().zip(["a", "b", "c", "d"]) {
        assert!(load.ends_with(word), "{loads:?}");
    }
}

/// The second run of two into one folder is refused, and the first one does not notice.
#[test]
fn a_folder_in_which_a_run_goes_on_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("run");
    let first = bare_run(Some(&folder))
        .args(["--", "sleep", "600"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("it writes", || {
        folder.join("recording.jsonl.partial").exists()
    });
    let output = bare_run(Some(&folder))
        .args(["--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("another lockprof is measuring into the folder")
            && error.contains("name another one with -o"),
        "{error}"
    );
    // Before the kernel is looked at: no kernel has such a lock.
    let mut probing = lockprof();
    probing.args(["run", "--lock", "no_such_lock", "-o"]);
    let output = probing.arg(&folder).args(["--", "true"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("another lockprof is measuring into the folder"),
        "{error}"
    );
    signal(&first, libc::SIGINT);
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = report(&folder);
    assert_eq!(report["cut_short"], false);
    assert_eq!(report["workload"]["command"][0], "sleep");
    assert!(folder.join("report.html").exists());
}

/// A recording that somebody has removed is not said to be there.
#[test]
fn a_recording_that_was_removed_is_said_to_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let run = bare_run(Some(folder.path()))
        .args(["--interval", "0.1", "--", "sleep", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let partial = folder.path().join("recording.jsonl.partial");
    wait_until("it has measured", || {
        fs::read_to_string(&partial).is_ok_and(|text| text.lines().count() > 1)
    });
    fs::remove_file(&partial).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("what was measured is lost"), "{error}");
    assert!(!error.contains("has what was measured"), "{error}");
}

/// What shows the older run goes with its recording; what is not lockprof's stays.
#[test]
fn a_new_recording_has_no_older_report_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = |options: &[&str]| {
        let mut command = bare_run(Some(folder.path()));
        let output = command.args(options).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    run(&["--", "true"]);
    fs::write(folder.path().join("notes.svg"), "mine").unwrap();
    let before = names_in(folder.path());
    assert!(before.len() > 3, "{before:?}");
    // One that does not come to measuring replaces nothing.
    let error = run(&["--", "/nonexistent"]);
    assert!(error.contains("cannot start the load"), "{error}");
    assert_eq!(names_in(folder.path()), before);
    run(&["--no-report", "--", "true"]);
    assert_eq!(names_in(folder.path()), ["notes.svg", "recording.jsonl"]);
}

/// A view is never written over a recording: by no name of it, and by no command.
#[test]
fn a_recording_is_not_written_over_by_a_view() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.jsonl");
    let status = bare_run(Some(folder.path()))
        .args(["--no-report", "--", "true"])
        .status()
        .unwrap();
    assert!(status.success());
    std::os::unix::fs::symlink("recording.jsonl", folder.path().join("link")).unwrap();
    fs::hard_link(&path, folder.path().join("hard")).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let copy = folder.path().join("distribution.svg");
    fs::write(&copy, &text).unwrap();
    let refused = |words: &[&str], input: Stdio| {
        let mut command = lockprof();
        command.current_dir(folder.path()).args(words).stdin(input);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {error}");
        assert!(
            error.contains("is a recording, from which views are made: name another file with -o"),
            "{words:?}: {error}"
        );
        for path in [&path, &copy] {
            assert_eq!(fs::read_to_string(path).unwrap(), text, "{words:?}");
        }
    };
    for output in ["recording.jsonl", "./recording.jsonl", "link", "hard"] {
        refused(
            &["report", ".", "--format", "json", "-o", output],
            Stdio::null(),
        );
    }
    refused(
        &["report", "-", "--format", "json", "-o", "recording.jsonl"],
        fs::File::open(&path).unwrap().into(),
    );
    // Pictures have names of their own.
    refused(&["report", ".", "--format", "svg"], Stdio::null());
    // A report may be made again.
    for _ in 0..2 {
        let status = lockprof()
            .current_dir(folder.path())
            .args(["report", ".", "--format", "json", "-o", "view.json"])
            .status()
            .unwrap();
        assert!(status.success());
    }
}
