//! Waits that do not end: a frozen file system lets nobody write, for as long as the test wants.

use std::{
    fs::{self, File},
    io::{BufReader, Write as _, copy, sink},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::fixture::{is_possible, lockprof, obstacle, report, wait_for_line};

fn succeeds(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!(
        "{command:?}: {said} ({:?})",
        output.status.signal()
    ))
}

/// A file system of its own that can be frozen. Thawed and unmounted when dropped, and who waited in it is
/// waited for.
struct Frozen {
    folder: TempDir,
    mounted: bool,
    frozen: bool,
    children: Vec<Child>,
    threads: Vec<JoinHandle<()>>,
}

impl Frozen {
    fn mount() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let image = folder.path().join("image");
        let file = File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(16 << 20).map_err(|error| error.to_string())?;
        succeeds(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        let mut frozen = Self {
            folder,
            mounted: false,
            frozen: false,
            children: Vec::new(),
            threads: Vec::new(),
        };
        let root = frozen.root();
        fs::create_dir(&root).map_err(|error| error.to_string())?;
        succeeds(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&root),
        )?;
        frozen.mounted = true;
        Ok(frozen)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn freeze(&mut self) -> Result<(), String> {
        succeeds(Command::new("fsfreeze").arg("-f").arg(self.root()))?;
        self.frozen = true;
        Ok(())
    }

    /// A process that waits for the thaw.
    fn touch(&mut self) -> u32 {
        let child = Command::new("touch").arg(self.root().join("new")).spawn();
        let child = child.unwrap();
        let pid = child.id();
        self.children.push(child);
        until_asleep(pid);
        pid
    }

    /// A thread of ours that writes, and waits.
    fn write(&mut self, mut file: File) -> u32 {
        let (sender, receiver) = mpsc::channel();
        self.threads.push(thread::spawn(move || {
            // SAFETY: the call has no precondition.
            sender.send(unsafe { libc::gettid() }).unwrap();
            file.write_all(b"x").unwrap();
        }));
        let thread = receiver.recv().unwrap().cast_unsigned();
        until_asleep(thread);
        thread
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if self.frozen {
            succeeds(Command::new("fsfreeze").arg("-u").arg(self.root())).unwrap();
        }
        self.children.iter_mut().for_each(|child| {
            child.wait().unwrap();
        });
        self.threads
            .drain(..)
            .for_each(|thread| thread.join().unwrap());
        if self.mounted {
            succeeds(Command::new("umount").arg(self.root())).unwrap();
        }
    }
}

/// Waits until a thread sleeps and no signal wakes it.
fn until_asleep(thread: u32) {
    loop {
        let stat = fs::read_to_string(format!("/proc/{thread}/stat")).unwrap();
        if stat.rsplit_once(") ").unwrap().1.starts_with('D') {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A file system of its own, frozen or not; says by name that a test is skipped where there can be none.
fn possible(test: &str) -> Option<Frozen> {
    let frozen = obstacle()
        .map_or_else(Frozen::mount, Err)
        .and_then(|mut frozen| {
            // Whether it can be, before the test relies on it.
            frozen.freeze()?;
            succeeds(Command::new("fsfreeze").arg("-u").arg(frozen.root()))?;
            frozen.frozen = false;
            Ok(frozen)
        });
    match frozen {
        Ok(frozen) => Some(frozen),
        Err(why) => {
            is_possible(test, Some(why));
            None
        }
    }
}

fn attach(seconds: &str, folder: &Path) -> Command {
    let mut command = lockprof();
    command.args(["attach", "--attach", "wait", "-d", seconds, "-o"]);
    command.arg(folder);
    command
}

/// Measures for so long, with these arguments; the hang begins in the measured time, and may end in it.
fn attached_while(seconds: &str, arguments: &[&str], hang: impl FnOnce() -> u32) -> (TempDir, u32) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = attach(seconds, folder.path());
    command.args(arguments).arg("--no-report");
    let mut attached = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(attached.stderr.take().unwrap());
    wait_for_line(&mut lines, "measuring ");
    let thread = hang();
    copy(&mut lines, &mut sink()).unwrap();
    assert!(attached.wait().unwrap().success());
    (folder, thread)
}

fn report_as(format: &str, folder: &Path) -> String {
    let mut command = lockprof();
    let output = command
        .args(["report", "--format", format])
        .arg(folder)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the report has of a thread in progress.
fn in_progress(folder: &Path, thread: u32) -> Value {
    let report = report(folder);
    let events = report["in_progress"]["events"].as_array().unwrap();
    let event = events.iter().find(|event| event["pid"] == thread);
    event
        .unwrap_or_else(|| panic!("{thread}: {}", report["in_progress"]))
        .clone()
}

#[test]
fn a_hang_that_began_before_the_attach_is_seen() {
    let Some(mut frozen) = possible("a_hang_that_began_before_the_attach_is_seen") else {
        return;
    };
    let file = File::create(frozen.root().join("written")).unwrap();
    let same_file = file.try_clone().unwrap();
    frozen.freeze().unwrap();
    let touch = frozen.touch();
    let writer = frozen.write(file);
    // Two that share a file take turns, by a mutex.
    let next = frozen.write(same_file);
    let folder = tempfile::tempdir().unwrap();
    let output = attach("2", folder.path()).arg("--quiet").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for (thread, kind, caller) in [
        (touch, "pcpu-sem", "mnt_want_write"),
        (writer, "pcpu-sem", "vfs_write"),
        (next, "mutex", "fdget_pos"),
    ] {
        let event = in_progress(folder.path(), thread);
        assert_eq!(event["kind"], "wait", "{event}");
        assert_eq!(event["lock_kind"], kind, "{event}");
        let asked = event["caller"].as_str().unwrap();
        assert!(asked.trim_start_matches('_').starts_with(caller), "{event}");
        assert_eq!(event["since_attach"], true, "{event}");
        assert_eq!(event["address"], Value::Null, "{event}");
        // All the time that was measured, and the time before it.
        assert!(
            event["at_least_ns"].as_u64().unwrap() >= 2_000_000_000,
            "{event}"
        );
    }
    assert_eq!(in_progress(folder.path(), touch)["comm"], "touch");
    let table = report_as("table", folder.path());
    let verdict = table.lines().nth(1).unwrap();
    assert!(verdict.contains("Still waiting at the end: "), "{table}");
    for format in ["table", "markdown", "html"] {
        let report = report_as(format, folder.path());
        assert!(report.contains("Still in progress at the end"), "{report}");
        assert!(report.contains("touch"), "{report}");
    }
}

#[test]
fn a_wait_that_has_not_ended_is_seen() {
    let Some(mut frozen) = possible("a_wait_that_has_not_ended_is_seen") else {
        return;
    };
    frozen.freeze().unwrap();
    let (folder, touch) = attached_while("4", &["--windows", "off"], || frozen.touch());
    let event = in_progress(folder.path(), touch);
    assert_eq!(event["lock_kind"], "pcpu-sem", "{event}");
    assert_eq!(event["comm"], "touch", "{event}");
    assert_eq!(event["since_attach"], false, "{event}");
    // An event tells which lock it is.
    assert!(
        event["address"].as_str().unwrap().starts_with("0x"),
        "{event}"
    );
    let table = report_as("table", folder.path());
    let said = format!("Still waiting at the end: touch (pid {touch})");
    let words: Vec<&str> = table.split_whitespace().collect();
    assert!(words.join(" ").contains(&said), "{table}");
}

/// Also where no probe was attached when it began.
#[test]
fn a_wait_that_began_in_any_window_is_seen() {
    let Some(mut frozen) = possible("a_wait_that_began_in_any_window_is_seen") else {
        return;
    };
    frozen.freeze().unwrap();
    let (folder, touch) = attached_while("8", &["--windows", "0.3", "--budget", "off"], || {
        frozen.touch()
    });
    let event = in_progress(folder.path(), touch);
    assert_eq!(event["lock_kind"], "pcpu-sem", "{event}");
    assert_eq!(event["since_attach"], false, "{event}");
    assert!(event["at_least_ns"].as_u64().unwrap() > 0, "{event}");
}

#[test]
fn a_wait_that_has_ended_is_not_in_progress() {
    let Some(mut frozen) = possible("a_wait_that_has_ended_is_not_in_progress") else {
        return;
    };
    frozen.freeze().unwrap();
    let (folder, touch) = attached_while("3", &["--windows", "off"], || {
        let touch = frozen.touch();
        drop(frozen);
        touch
    });
    let report = report(folder.path());
    let events = report["in_progress"]["events"].as_array().unwrap();
    assert!(
        events.iter().all(|event| event["pid"] != touch),
        "{events:?}"
    );
}

/// A hang of which no event is left when its window ends, and that is over when the run ends.
#[test]
fn a_wait_that_is_longer_than_its_window_is_told() {
    let test = "a_wait_that_is_longer_than_its_window_is_told";
    let Some(mut frozen) = possible(test) else {
        return;
    };
    frozen.freeze().unwrap();
    let options = ["--windows", "0.3", "--budget", "off"];
    let (folder, touch) = attached_while("6", &options, || {
        let touch = frozen.touch();
        // Several windows, and looks at /proc.
        thread::sleep(Duration::from_secs(3));
        drop(frozen);
        touch
    });
    let report = report(folder.path());
    let cut = &report["in_progress"]["cut"];
    let longest = cut["longest"].as_array().unwrap();
    let event = longest.iter().find(|event| event["pid"] == touch);
    let event = event.unwrap_or_else(|| panic!("{touch}: {cut}"));
    assert_eq!(event["lock_kind"], "pcpu-sem", "{event}");
    assert_eq!(event["comm"], "touch", "{event}");
    let at_least = event["at_least_ns"].as_u64().unwrap();
    assert!(
        (1_000_000_000..6_000_000_000).contains(&at_least),
        "{event}"
    );
    let table = report_as("table", folder.path());
    let words: Vec<&str> = table.split_whitespace().collect();
    let words = words.join(" ");
    assert!(
        words.contains("went on over the end of a window, at least "),
        "{table}"
    );
    assert!(
        words.contains("the longest by touch for a pcpu-sem"),
        "{table}"
    );
}

/// Also where the right to look at others' call stacks is given up after the attach, for there are no bare windows.
#[test]
fn a_hang_from_before_the_attach_is_followed_without_windows() {
    let test = "a_hang_from_before_the_attach_is_followed_without_windows";
    let Some(mut frozen) = possible(test) else {
        return;
    };
    frozen.freeze().unwrap();
    let touch = frozen.touch();
    for options in [&["--windows", "off"][..], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = attach("1", folder.path());
        let output = command.args(options).arg("--quiet").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let event = in_progress(folder.path(), touch);
        assert_eq!(event["since_attach"], true, "{event}");
        assert!(
            event["at_least_ns"].as_u64().unwrap() >= 1_000_000_000,
            "{event}"
        );
        assert_eq!(report(folder.path())["in_progress"]["unseen"], Value::Null);
    }
}
