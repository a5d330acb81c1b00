//! What is written, where it cannot be, and to whom it belongs.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Output},
};

use crate::fixture::{is_possible, lockprof, names_in, possible, report};

/// A user who is not root.
const OTHER: u32 = 12345;

/// A shell's script in namespaces of its own, in which the folder is `$1` and lockprof `$2`.
fn in_namespaces(options: &str, script: &str, folder: &Path) -> Output {
    let mut unshare = Command::new("unshare");
    unshare.args([options, "sh"]);
    in_shell(unshare, script, folder)
}

/// The same of the shell that a command ends with.
fn in_shell(mut command: Command, script: &str, folder: &Path) -> Output {
    command
        .args(["-euc", script, "sh"])
        .arg(folder)
        .arg(env!("CARGO_BIN_EXE_lockprof"))
        .output()
        .unwrap()
}

/// Why there are no such namespaces here, if there are none.
fn obstacle(options: &str) -> Option<String> {
    let tried = Command::new("unshare").args([options, "true"]).output();
    match tried {
        Ok(Output { status, .. }) if status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(format!("no unshare: {error}")),
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// In a user namespace, on vfat, on NFS.
#[test]
fn an_owner_that_cannot_be_changed_is_a_warning() {
    let test = "an_owner_that_cannot_be_changed_is_a_warning";
    if !is_possible(test, obstacle("-Ur")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "SUDO_UID=1000 SUDO_GID=1000 exec \"$2\" run --attach off -o \"$1/a/run\" -- true";
    let output = in_namespaces("-Ur", script, folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let about_it = "to user 1000, who called sudo: Invalid argument";
    assert_eq!(said.matches(about_it).count(), 1, "said once: {said}");
    assert!(said.contains("what is written stays root's"), "{said}");
    assert_eq!(report(&folder.path().join("a/run"))["cut_short"], false);
}

#[test]
fn what_is_written_belongs_to_who_called_sudo() {
    let test = "what_is_written_belongs_to_who_called_sudo";
    if !is_possible(test, (!is_root()).then(|| "not root".to_owned())) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = lockprof()
        .env("SUDO_UID", OTHER.to_string())
        .env("SUDO_GID", OTHER.to_string())
        .args(["run", "--attach", "off", "--quiet", "-o"])
        .arg(folder.path().join("a/run"))
        .args(["--", "true"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::metadata(folder.path()).unwrap().uid(), 0);
    for name in ["a", "a/run", "a/run/recording.jsonl", "a/run/report.html"] {
        let metadata = fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (OTHER, OTHER), "{name}");
    }
}

/// Another user's links do not lead root anywhere: not to a file that it would overwrite, not to a folder in
/// which it would make some, and which it would give away.
#[test]
fn root_follows_no_link_in_another_users_folder() {
    let test = "root_follows_no_link_in_another_users_folder";
    if !is_possible(test, (!is_root()).then(|| "not root".to_owned())) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (theirs, precious) = (folder.path().join("theirs"), folder.path().join("precious"));
    for path in [&theirs, &precious] {
        fs::create_dir(path).unwrap();
    }
    fs::write(precious.join("file"), "precious").unwrap();
    let names = [
        "recording.jsonl",
        "recording.jsonl.partial",
        "report.html",
        "x.svg",
    ];
    for name in names {
        symlink("../precious/file", theirs.join(name)).unwrap();
        lchown(theirs.join(name), Some(OTHER), Some(OTHER)).unwrap();
    }
    symlink("../precious", theirs.join("folder")).unwrap();
    lchown(theirs.join("folder"), Some(OTHER), Some(OTHER)).unwrap();
    chown(&theirs, Some(OTHER), Some(OTHER)).unwrap();
    let run = |output: &Path| {
        let mut command = lockprof();
        command.env("SUDO_UID", OTHER.to_string());
        command.env("SUDO_GID", OTHER.to_string());
        command.args(["run", "--attach", "off", "--quiet", "-o"]);
        command.arg(output).args(["--", "true"]).output().unwrap()
    };
    let output = run(&theirs.join("folder/run"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.contains("is a symbolic link that user 12345 can change"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    // The recording takes the place of the link; a page that is one is refused.
    let output = run(&theirs);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("report.html is a symbolic link"), "{error}");
    assert_eq!(report(&theirs)["cut_short"], false);
    assert_eq!(names_in(&precious), ["file"]);
    assert_eq!(
        fs::read_to_string(precious.join("file")).unwrap(),
        "precious"
    );
    let metadata = fs::metadata(&precious).unwrap();
    assert_eq!(
        (metadata.uid(), metadata.permissions().mode() & 0o777),
        (0, 0o755)
    );
}

/// It ended, and said once why the recording could not be written, and what there is of it.
fn ended_with(output: &Output, cause: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        error.contains(&format!("recording.jsonl.partial: {cause}; ")),
        "{error}"
    );
    assert!(
        error.contains("has what was measured until then"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "said once: {error}");
}

/// The disk is full while it measures: it ends, says so, and leaves what it has measured.
#[test]
fn a_full_disk_leaves_what_was_measured() {
    let test = "a_full_disk_leaves_what_was_measured";
    if !possible(test) || !is_possible(test, obstacle("-m")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=128k none \"$1\"
        status=0
        \"$2\" attach --attach wait --budget off --interval 0.01 --quiet -o \"$1/run\" || status=$?
        ls \"$1/run\"
        \"$2\" report \"$1/run\" --format json
        exit \"$status\"";
    let output = in_namespaces("-m", script, folder.path());
    ended_with(&output, "No space left on device (os error 28)");
    let text = String::from_utf8(output.stdout).unwrap();
    let (names, json) = text.split_once('\n').unwrap();
    assert_eq!(names, "recording.jsonl.partial");
    let report: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(report["cut_short"], true);
    assert!(report["duration_s"].as_f64().unwrap() > 0.1, "{report}");
}

/// A recording that may grow no further is like a full disk, and no death without a word. Whether a load is killed for
/// its own files is for whoever started lockprof to say.
#[test]
fn a_limit_to_files_leaves_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let script = "ulimit -f 24; exec \"$2\" run --attach off --quiet --interval 0.01 -o \"$1\" -- \
        sh -c 'grep SigIgn /proc/self/status; exec sleep 30'";
    let output = in_shell(Command::new("sh"), script, folder.path());
    ended_with(&output, "File too large (os error 27)");
    let ignored = String::from_utf8(output.stdout).unwrap();
    let ignored = ignored.trim().rsplit('\t').next().unwrap().to_owned();
    let ignored = u64::from_str_radix(&ignored, 16).unwrap();
    assert_eq!(ignored >> (libc::SIGXFSZ - 1) & 1, 0, "{ignored:x}");
    let report = report(folder.path());
    assert_eq!(report["cut_short"], true);
    assert!(report["duration_s"].as_f64().unwrap() > 0.0, "{report}");
}

/// The kernel's words for a limit do not say what to do about it.
#[test]
fn too_few_files_are_said_with_what_to_do() {
    if !possible("too_few_files_are_said_with_what_to_do") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for files in ["8", "12", "16", "20"] {
        let script =
            format!("ulimit -n {files}; exec \"$2\" attach --attach wait -d 0.1 -q -o \"$1\"");
        let output = in_shell(Command::new("sh"), &script, folder.path());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{files}: {output:?}");
        assert!(error.contains("Too many open files"), "{files}: {error}");
        assert!(error.contains("`ulimit -n 1024`"), "{files}: {error}");
    }
}

/// Who may not read a recording is told who may.
#[test]
fn a_recording_of_another_user_is_said_to_be_one() {
    let test = "a_recording_of_another_user_is_said_to_be_one";
    if !is_possible(test, (!is_root()).then(|| "not root".to_owned())) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.jsonl");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = lockprof();
    command.arg("report").arg(path);
    let output = match command.uid(OTHER).gid(OTHER).output() {
        Ok(output) => output,
        Err(error) => {
            println!("SKIPPED {test}: others may not run it: {error}");
            return;
        }
    };
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.contains("recording.jsonl: Permission denied"),
        "{error}"
    );
    assert!(
        error.contains("it is for its owner to read, or for root"),
        "{error}"
    );
}

/// A kernel without /proc/kallsyms is measured as `doctor` says, without names. Here there is nothing at all in /proc.
#[test]
fn without_the_kernels_symbols_waits_are_measured() {
    let test = "without_the_kernels_symbols_waits_are_measured";
    if !possible(test) || !is_possible(test, obstacle("-m")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs none /proc
        \"$2\" attach --attach wait --windows off --budget off -d 0.5 --no-report -o \"$1/run\"
        \"$2\" doctor --json";
    let output = in_namespaces("-m", script, folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let line = said.lines().find(|line| line.contains("/proc/kallsyms"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(
        line.contains("goes on without the names of functions"),
        "{line}"
    );
    assert_eq!(line.matches("No such file").count(), 1, "said once: {line}");
    let doctor: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(doctor["tier"], "wait-only", "{doctor}");
    let report = report(&folder.path().join("run"));
    assert_eq!(report["tier"], "wait-only");
    assert!(report["duration_s"].as_f64().unwrap() > 0.0, "{report}");
}

/// Nothing is attached for what cannot be written down, and the message names it.
#[test]
fn an_output_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for (output, why) in [
        ("file", "Not a directory"),
        ("file/run", "Not a directory"),
        ("/proc/nothing", "No such file or directory"),
    ] {
        let output = lockprof()
            .current_dir(folder.path())
            .args(["run", "--attach", "off", "-o", output, "--", "true"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("cannot create the folder "), "{error}");
        assert!(error.contains("-o names another one"), "{error}");
        assert!(error.contains(why), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(names_in(folder.path()), ["file"]);
    }
}
