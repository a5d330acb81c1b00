//! The load that a run drives: a bundled workload, or the user's own command.

use std::{
    ffi::OsString,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::sleep,
};
use workloads::{Counters, WorkloadLine, parse_line};

use super::command;
use crate::{
    file_size,
    offspring::{self, Mark},
    probe::programs::FollowedProcess,
    recording::schema::Workload,
    renounce,
};

/// Between two looks whether what a load has started has ended as well.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be run.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadSpec {
    /// A bundled workload, by the words of `lockprof workload`.
    Bundled {
        /// What is recorded of it.
        workload: Workload,
        /// The words after `lockprof workload`.
        arguments: Vec<String>,
    },
    /// The user's command.
    Command {
        /// What is recorded of it.
        workload: Workload,
        /// The program and its arguments, which may be no text.
        words: Vec<OsString>,
    },
}

impl LoadSpec {
    /// What is recorded of it.
    #[must_use]
    pub fn workload(&self) -> &Workload {
        match self {
            Self::Bundled { workload, .. } | Self::Command { workload, .. } => workload,
        }
    }

    /// Whether it can be run, before anything is attached or made for it.
    ///
    /// # Errors
    /// There is no such command, or it may not be run.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Bundled { .. } => Ok(()),
            Self::Command { words, .. } => {
                command::check(words.first().context("the command to profile is empty")?)
            }
        }
    }
}

/// A load that runs. Killed when dropped, with all that it has started, and by the guard when this process
/// dies; by the kernel too, but alone. One that has ended by itself has left behind what it wanted to.
#[derive(Debug)]
pub struct Load {
    child: Child,
    mark: Mark,
    /// It was asked to end.
    asked: bool,
    /// How its first process has ended.
    status: Option<ExitStatus>,
    /// A bundled workload's.
    counters: Option<Counters>,
    lines: Option<Lines<BufReader<ChildStdout>>>,
    name: String,
}

/// What a load does next.
#[derive(Debug, PartialEq)]
pub enum LoadEvent {
    /// A bundled workload said something.
    Said(WorkloadLine),
    /// It ended.
    Ended(ExitStatus),
}

impl Load {
    /// Starts it with the niceness that lockprof was started with, and with no capability that lockprof has a use
    /// for but those that its own user has: a load of root's is root's. Its first process is the one that is followed, where
    /// one is.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        spec: &LoadSpec,
        mark: Mark,
        niceness: i32,
        followed: Option<FollowedProcess>,
    ) -> Result<Self> {
        let mut counters = None;
        let (mut command, name) = match spec {
            LoadSpec::Bundled {
                arguments,
                workload,
            } => {
                let mut command = Command::new("/proc/self/exe");
                command.arg("workload").args(arguments);
                let made = Counters::new(workload.tasks.unwrap_or(1)).with_context(|| {
                    format!("cannot make memory for the counters of {}", workload.name)
                })?;
                command.args(["--counters", &made.as_raw_fd().to_string()]);
                counters = Some(made);
                // Ctrl-C at the terminal reaches lockprof alone, which then ends the load in order.
                command.process_group(0);
                command.stdin(Stdio::null()).stdout(Stdio::piped());
                (command, &workload.name)
            }
            LoadSpec::Command { workload, words } => {
                let mut words = words.iter();
                let program = words.next().context("the command to profile is empty")?;
                let mut command = Command::new(program);
                command.args(words);
                (command, &workload.name)
            }
        };
        command.kill_on_drop(true);
        command.env(offspring::VARIABLE, &mark);
        let parent = std::process::id();
        let inherited = counters.as_ref().map(Counters::as_raw_fd);
        // SAFETY: between fork and exec only async-signal-safe calls are made.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::setpriority(libc::PRIO_PROCESS, 0, niceness);
                file_size::as_it_was();
                renounce::to_load()?;
                if let Some(fd) = inherited {
                    libc::fcntl(fd, libc::F_SETFD, 0);
                }
                // The parent may have died before the line above.
                if libc::getppid().unsigned_abs() != parent {
                    libc::_exit(1);
                }
                if let Some(followed) = &followed {
                    followed.begin(libc::getpid().unsigned_abs());
                }
                Ok(())
            });
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start the load {name}"))?;
        let lines = child
            .stdout
            .take()
            .map(|stdout| BufReader::new(stdout).lines());
        Ok(Self {
            child,
            mark,
            asked: false,
            status: None,
            counters,
            lines,
            name: name.clone(),
        })
    }

    /// Iterations of a bundled workload so far, its warm-up's included.
    pub fn iterations(&self) -> Option<u64> {
        self.counters.as_ref().map(Counters::iterations)
    }

    /// Waits for what it does next. May be cancelled and called again.
    ///
    /// # Errors
    /// Its output cannot be read, or it cannot be waited for.
    pub async fn next(&mut self) -> Result<LoadEvent> {
        if let Some(lines) = &mut self.lines {
            let line = lines
                .next_line()
                .await
                .with_context(|| format!("cannot read what the load {} prints", self.name))?;
            if let Some(line) = line {
                return Ok(LoadEvent::Said(parse_line(&line)));
            }
            self.lines = None;
        }
        let status = match self.status {
            Some(status) => status,
            None => {
                let status = self.child.wait().await;
                status.with_context(|| format!("cannot wait for the load {}", self.name))?
            }
        };
        self.status = Some(status);
        // What it has started may take longer over its end.
        while self.asked && !self.mark.processes(None).is_empty() {
            sleep(LOOK).await;
        }
        Ok(LoadEvent::Ended(status))
    }

    /// The number of its first process, until that was waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How its first process has ended, where it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Asks it to end, with all that it has started.
    pub fn terminate(&mut self) {
        self.asked = true;
        // Once it was waited for, its number may be another's, and is not known here any more.
        self.mark.terminate(self.child.id());
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if self.asked || self.status.is_none() {
            self.mark.kill(self.child.id());
        }
    }
}
