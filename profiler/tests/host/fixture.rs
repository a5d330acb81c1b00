//! lockprof as a process, and what it leaves behind.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Within which what was to end has ended, however busy the machine: a test that has to wait so long fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn lockprof() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockprof"));
    command.stdin(Stdio::null());
    command
}

/// Why the contention tracepoints cannot be used here, if they cannot.
pub fn obstacle() -> Option<String> {
    let doctor = lockprof().args(["doctor", "--json"]).output().unwrap();
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    if doctor["assumes_privileges"] == true {
        return Some("not root".to_owned());
    }
    (doctor["tier"] == "unsupported").then(|| doctor["reasons"].to_string())
}

/// Whether to go on; says by name that a test is skipped where not.
pub fn possible(test: &str) -> bool {
    is_possible(test, obstacle())
}

/// The same with an obstacle of the test's own.
pub fn is_possible(test: &str, obstacle: Option<String>) -> bool {
    match obstacle {
        Some(why) => {
            println!("SKIPPED {test}: {why}");
            false
        }
        None => true,
    }
}

pub fn report(folder: &Path) -> Value {
    let Output { stdout, stderr, .. } = lockprof()
        .args(["report", "--format", "json"])
        .arg(folder)
        .output()
        .unwrap();
    serde_json::from_slice(&stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&stderr)))
}

/// Arguments of a run that only watches the tracepoints, into a folder.
pub fn attach(folder: &Path) -> Command {
    let mut command = lockprof();
    command.args([
        "attach",
        "--attach",
        "wait",
        "--windows",
        "off",
        "--budget",
        "off",
    ]);
    command.args(["--interval", "0.1", "--no-report", "-o"]);
    command.arg(folder);
    command
}

/// A lockprof that measures.
pub struct Measuring {
    pub child: Child,
    /// Programs and links that it has in the kernel.
    pub objects: BTreeSet<Object>,
    /// Its standard error, behind what was waited for.
    pub errors: BufReader<ChildStderr>,
}

impl Measuring {
    /// Starts it; its second reading has been written when this returns, so that the recording has an
    /// interval.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        for _ in 0..3 {
            wait_for_line(&mut errors, "measuring ");
        }
        Self {
            objects: objects_of(child.id()),
            child,
            errors,
        }
    }

    /// What is said until the end; and the end.
    pub fn end(mut self) -> Output {
        let mut lines = Vec::new();
        for line in (&mut self.errors).lines() {
            lines.push(line.unwrap());
        }
        let status = self.child.wait().unwrap();
        wait_until("its programs and links are gone", || {
            self.objects.iter().all(|object| !object.exists())
        });
        Output {
            status,
            stdout: Vec::new(),
            stderr: lines.join("\n").into_bytes(),
        }
    }
}

/// Reads up to a line that has this text.
pub fn wait_for_line(lines: &mut BufReader<ChildStderr>, text: &str) {
    let mut seen = String::new();
    loop {
        let before = seen.len();
        let read = lines.read_line(&mut seen).unwrap();
        assert!(read > 0, "it ended before it said {text:?}:\n{seen}");
        if seen[before..].contains(text) {
            return;
        }
    }
}

pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The child has not been waited for, so that the number is its own.
pub fn signal(child: &Child, signal: libc::c_int) {
    let pid = child.id().try_into().unwrap();
    // SAFETY: the call has no precondition.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// A length of time that no other process sleeps for: so that those of one test can be told from all others.
pub fn sleep_of_its_own() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("86399.{:07}{number:03}", std::process::id())
}

/// The processes with this word on their command lines.
pub fn processes_with(word: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| {
            let line = fs::read(process.path().join("cmdline")).ok()?;
            let has_it = line
                .split(|byte| *byte == 0)
                .any(|found| found == word.as_bytes());
            has_it.then(|| process.file_name().to_str()?.parse().ok())?
        })
        .collect()
}

pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Something of BPF's in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Program(u32),
    Link(u32),
}

impl Object {
    /// Whether the kernel still has it.
    fn exists(&self) -> bool {
        /// enum bpf_cmd of linux/bpf.h.
        const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
        const BPF_LINK_GET_FD_BY_ID: libc::c_int = 30;
        let (command, id) = match self {
            Self::Program(id) => (BPF_PROG_GET_FD_BY_ID, id),
            Self::Link(id) => (BPF_LINK_GET_FD_BY_ID, id),
        };
        // The first member of union bpf_attr for both, and as much as both have.
        let attributes = [*id, 0, 0, 0];
        // SAFETY: the attributes are valid for their size; the call gives a descriptor or -1.
        let descriptor = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                command,
                attributes.as_ptr(),
                size_of_val(&attributes),
            )
        };
        match i32::try_from(descriptor) {
            Ok(descriptor @ 0..) => {
                // SAFETY: the kernel has just given this descriptor to us.
                unsafe { libc::close(descriptor) };
                true
            }
            _ => false,
        }
    }
}

/// The programs and links that a process holds, by proc_pid_fdinfo(5).
fn objects_of(process: u32) -> BTreeSet<Object> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fdinfo")).unwrap();
    let texts = descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_to_string(descriptor.path()).ok());
    let mut objects = BTreeSet::new();
    for text in texts {
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        objects.extend(number("prog_id:").map(Object::Program));
        objects.extend(number("link_id:").map(Object::Link));
    }
    objects
}
