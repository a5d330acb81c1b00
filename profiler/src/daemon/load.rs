//! The load that a run drives: a bundled workload, or the user's own command.

use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use workloads::{Counters, WorkloadLine, parse_line};

use super::descendants;
use crate::recording::schema::Workload;

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
    },
}

impl LoadSpec {
    /// What is recorded of it.
    #[must_use]
    pub fn workload(&self) -> &Workload {
        match self {
            Self::Bundled { workload, .. } | Self::Command { workload } => workload,
        }
    }
}

/// A load that runs. Killed when dropped, with all that it has started, and alone by the kernel when
/// this process dies.
#[derive(Debug)]
pub struct Load {
    child: Child,
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
    /// Starts it with the niceness that lockprof was started with.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(spec: &LoadSpec, niceness: i32) -> Result<Self> {
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
            LoadSpec::Command { workload } => {
                let mut words = workload.command.iter();
                let program = words.next().context("the command to profile is empty")?;
                let mut command = Command::new(program);
                command.args(words);
                (command, program)
            }
        };
        command.kill_on_drop(true);
        let parent = std::process::id();
        let inherited = counters.as_ref().map(Counters::as_raw_fd);
        // SAFETY: between fork and exec only async-signal-safe calls are made.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::setpriority(libc::PRIO_PROCESS, 0, niceness);
                if let Some(fd) = inherited {
                    libc::fcntl(fd, libc::F_SETFD, 0);
                }
                // The parent may have died before the line above.
                if libc::getppid().unsigned_abs() != parent {
                    libc::_exit(1);
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
        let status = self
            .child
            .wait()
            .await
            .with_context(|| format!("cannot wait for the load {}", self.name))?;
        Ok(LoadEvent::Ended(status))
    }

    /// Asks it to end, with all that it has started. What is stopped, by Ctrl-Z, would not hear it.
    pub fn terminate(&self) {
        self.signal(libc::SIGTERM);
        self.signal(libc::SIGCONT);
    }

    /// Nothing happens where it was waited for: its number may be another's by now.
    fn signal(&self, signal: libc::c_int) {
        if let Some(child) = self.child.id() {
            let mut processes = descendants::of(child);
            processes.push(child);
            descendants::signal(&processes, signal);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
    }
}
