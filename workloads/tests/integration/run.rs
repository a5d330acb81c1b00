//! A run of the program under test, and ways to look at it from outside.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use workloads::{GroundTruth, Mode, Workload, WorkloadLine, parse_line};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_workloads");

/// How long anything may take before a test gives up; far more than it needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Finds a run's processes wherever they are reparented to: all inherit this variable.
const MARK: &str = "LOCKPROF_TEST_RUN";

static RUNS: AtomicU32 = AtomicU32::new(0);
static LOOKS: AtomicU32 = AtomicU32::new(0);

/// Every workload that is possible here in every mode.
pub fn all_combinations() -> impl Iterator<Item = (Workload, Mode)> {
    Workload::ALL
        .into_iter()
        .filter(|workload| !makes_cgroups(*workload) || cgroups_can_be_made())
        .flat_map(|workload| [(workload, Mode::Processes), (workload, Mode::Threads)])
}

/// Whether a workload needs a second hierarchy.
fn makes_cgroups(workload: Workload) -> bool {
    matches!(workload, Workload::Cgroup | Workload::Mkcgroup)
}

/// Whether there is a second hierarchy that lets a cgroup be made; said where there is none.
fn cgroups_can_be_made() -> bool {
    let made = cgroup_root().is_some_and(|root| {
        // Another test of this program may look at the same time.
        let look = LOOKS.fetch_add(1, Ordering::Relaxed);
        let path = format!("{root}/lockprof-test-{}-{look}", std::process::id());
        fs::create_dir(&path)
            .and_then(|()| fs::remove_dir(&path))
            .is_ok()
    });
    if !made {
        println!("SKIPPED loads of cgroup_mutex: no cgroup2 in which a cgroup can be made");
    }
    made
}

/// Where the second hierarchy begins, if there is one.
fn cgroup_root() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    mounts.find_map(|mut words| {
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| place.to_owned())
    })
}

pub struct Run {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    mark: String,
    pub lines: Vec<String>,
}

impl Run {
    pub fn start(arguments: &str) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(arguments.split_whitespace());
        Self::start_command(command)
    }

    pub fn start_command(mut command: Command) -> Self {
        let mark = format!(
            "{}-{}",
            std::process::id(),
            RUNS.fetch_add(1, Ordering::Relaxed)
        );
        let mut child = command
            .env(MARK, &mark)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let output = child.stdout.take().map(BufReader::new);
        Self {
            child,
            output,
            mark,
            lines: Vec::new(),
        }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Reads on until a line that matches; fails at the end of the output.
    pub fn wait_for(&mut self, wanted: impl Fn(&WorkloadLine) -> bool) {
        while let Some(line) = self.next_line() {
            if wanted(&parse_line(&line)) {
                return;
            }
        }
        panic!("the run ended too early: {:?}", self.lines);
    }

    fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let output = self.output.as_mut()?;
        if output.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let line = line.trim_end_matches('\n').to_owned();
        self.lines.push(line.clone());
        Some(line)
    }

    pub fn signal(&self, signal: i32) {
        send(self.pid(), signal);
    }

    pub fn close_output(&mut self) {
        self.output = None;
    }

    /// Reads to the end and waits; returns the exit status and what was written to stderr.
    pub fn finish(&mut self) -> (ExitStatus, String) {
        while self.next_line().is_some() {}
        let status = self.child.wait().unwrap();
        let stderr = self.child.stderr.take().unwrap();
        let errors = std::io::read_to_string(stderr).unwrap();
        (status, errors)
    }

    /// Finishes a run that must succeed and leave nothing behind.
    pub fn ground_truth(mut self) -> (GroundTruth, Vec<String>) {
        let (status, errors) = self.finish();
        assert!(status.success(), "{status}: {errors}");
        assert_eq!(self.survivors(), [0; 0], "{:?}", self.lines);
        let last = self.lines.last().expect("no output");
        match parse_line(last) {
            WorkloadLine::GroundTruth(truth) => (truth, std::mem::take(&mut self.lines)),
            _ => panic!("the last line is no ground truth: {last}"),
        }
    }

    /// The processes of this run that live.
    pub fn survivors(&self) -> Vec<i32> {
        let wanted = format!("{MARK}={}", self.mark);
        processes()
            .filter(|pid| {
                fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                    environment
                        .split(|byte| *byte == 0)
                        .any(|variable| variable == wanted.as_bytes())
                })
            })
            .collect()
    }

    /// A folder or a cgroup, by the run's number.
    fn remove_what_a_killed_run_leaves(&self) {
        let start = format!("lockprof-load-{}-", self.child.id());
        let places = [Some(std::env::temp_dir()), cgroup_root().map(PathBuf::from)];
        for listed in places
            .into_iter()
            .flatten()
            .filter_map(|place| fs::read_dir(place).ok())
        {
            let entries = listed.filter_map(Result::ok);
            for left in
                entries.filter(|left| left.file_name().to_string_lossy().starts_with(&start))
            {
                // The files of a cgroup are the kernel's: it goes by itself.
                if fs::remove_dir(left.path()).is_err() {
                    let _ = fs::remove_dir_all(left.path());
                }
            }
        }
    }

    /// Fails if processes of this run live on for longer than the kernel needs to kill them.
    pub fn expect_no_survivors(&self) {
        wait_until("the workers die", || self.survivors().is_empty());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for pid in self.survivors() {
            send(pid, libc::SIGKILL);
        }
        let _status = self.child.wait();
        self.remove_what_a_killed_run_leaves();
    }
}

pub fn ground_truth_of(arguments: &str) -> GroundTruth {
    Run::start(arguments).ground_truth().0
}

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The children of a process, oldest first.
pub fn children_of(parent: i32) -> Vec<i32> {
    let mut children: Vec<i32> = processes()
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name stands in parentheses and may hold anything; state and parent follow it.
            stat.rsplit_once(") ")
                .and_then(|(_, rest)| rest.split(' ').nth(1))
                == Some(parent.to_string().as_str())
        })
        .collect();
    children.sort_unstable();
    children
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

pub fn send(pid: i32, signal: i32) {
    // SAFETY: kill touches no memory.
    unsafe { libc::kill(pid, signal) };
}

pub fn is_root() -> bool {
    // SAFETY: geteuid touches no memory.
    unsafe { libc::geteuid() == 0 }
}

pub fn has_program(name: &str) -> bool {
    Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Tells the test runner that a test did not happen. Not `println!`, which libtest swallows.
pub fn skipped(test: &str, reason: &str) {
    let _result = writeln!(std::io::stdout(), "\nSKIPPED {test}: {reason}");
}
