//! The command that is to be profiled: what is none, and what it gets.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
};

use crate::fixture::{lockprof, names_in, possible, report};

#[test]
fn a_command_that_fails_is_said_to_have_failed() {
    if !possible("a_command_that_fails_is_said_to_have_failed") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = lockprof()
        .args(["run", "--attach", "wait", "--quiet", "-o"])
        .arg(folder.path())
        .args(["--", "false"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains(
            "the load ended with status 1; the recording has what was measured until then"
        ),
        "{error}"
    );
    assert!(fs::metadata(folder.path().join("recording.jsonl")).is_ok());
}

/// Who has asked for no warm-up has none, however short the load is. With one, nothing is said to be measured that is
/// not.
#[test]
fn a_load_that_is_over_at_once_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let run = |options: &[&str]| {
        let output = lockprof()
            .args(["run", "--attach", "off", "--quiet", "-o"])
            .arg(folder.path())
            .args(options)
            .args(["--", "sh", "-c", "kill -9 $$"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    for _ in 0..10 {
        let [table, error] = run(&[]);
        assert!(
            error.contains("status 137; the recording has what"),
            "{error}"
        );
        assert!(!table.contains("Nothing was measured"), "{table}");
        let report = report(folder.path());
        assert!(report["duration_s"].as_f64().unwrap() > 0.0, "{report}");
    }
    let [_, error] = run(&["--warm-up", "60"]);
    assert!(
        error.contains("status 137; that was before its measured time"),
        "{error}"
    );
}

fn script(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Refused before anything is attached or made, and in one sentence.
#[test]
fn a_command_that_cannot_be_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    script(&plain, "exit 0\n", 0o644);
    let plain = plain.to_str().unwrap();
    let itself = folder.path().to_str().unwrap();
    let before = names_in(folder.path());
    for (command, why) in [
        ("nosuchcommand", "no folder of PATH has it, which is /"),
        ("/nonexistent/load", "No such file or directory"),
        (plain, "Permission denied"),
        (itself, "is a directory"),
        ("./nosuchcommand", "No such file or directory"),
        ("", "its name is empty"),
    ] {
        let output = lockprof()
            .current_dir(folder.path())
            .args(["run", "-o", "made/run", "--", command])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        let start = format!("lockprof: cannot start the load {command}: ");
        assert!(error.starts_with(&start) && error.contains(why), "{error}");
        assert_eq!(
            error.lines().count(),
            1,
            "said once, and nothing else: {error}"
        );
        assert_eq!(names_in(folder.path()), before);
    }
}

/// What only execve() finds out leaves nothing either.
#[test]
fn a_script_without_its_interpreter_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    script(&path, "#!/nonexistent/interpreter\n", 0o755);
    let output = lockprof()
        .args(["run", "--attach", "off", "--quiet", "-o"])
        .arg(folder.path().join("made/run"))
        .arg("--")
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("cannot start the load"), "{error}");
    assert_eq!(names_in(folder.path()), ["script"], "{error}");
}

#[test]
fn a_command_is_found_by_path_and_from_the_present_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    script(
        &folder.path().join("bin/ofitsown"),
        "#!/bin/sh\nexit 7\n",
        0o755,
    );
    let path = env::var_os("PATH").unwrap();
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    folders.push(folder.path().join("bin"));
    for command in ["ofitsown", "bin/ofitsown", "./bin/ofitsown"] {
        let output = lockprof()
            .current_dir(folder.path())
            .env("PATH", env::join_paths(&folders).unwrap())
            .args([
                "run",
                "--attach",
                "off",
                "--quiet",
                "--no-report",
                "-o",
                "run",
            ])
            .args(["--", command])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains("the load ended with status 7"),
            "{command}: {error}"
        );
    }
}

/// The load gets its bytes, and the recording has something that can be read.
#[test]
fn bytes_that_are_no_text_are_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join(OsStr::from_bytes(b"run\xfe"));
    let output = lockprof()
        .args(["run", "--attach", "off", "--quiet", "--no-report", "-o"])
        .arg(&run)
        .args(["--", "printf", "%s"])
        .arg(OsStr::from_bytes(b"a\xffb"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"a\xffb");
    let report = report(&run);
    let words = ["printf", "%s", "a\\xffb"];
    assert_eq!(report["workload"]["command"], serde_json::json!(words));
}
