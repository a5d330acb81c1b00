//! The worker processes as their parent sees them.

use std::io;

use anyhow::{Context, bail};

use super::clock;
use super::shared::SharedArea;
use super::signals::{Event, SignalSets};
use super::worker::{Job, be_thread_host, be_worker_process};
use crate::Mode;
use crate::load::{Failure, Operation};

/// How long after the stop a signal is taken for impatience. One that comes sooner may be an echo
/// of the first: a terminal signals everybody, and then a parent passes the signal on.
const ECHO_NS: u64 = 2_000_000_000;

/// How often to look for dead workers if no signal says that one died.
const LOOK_NS: u64 = 1_000_000_000;

/// The worker processes of a run. Dropping it stops and reaps them.
pub(crate) struct Crew<'run> {
    area: &'run SharedArea,
    signals: &'run SignalSets,
    mode: Mode,
    /// How many there are to be.
    processes: usize,
    members: Vec<Member>,
    /// The first worker that did not end as it should, in words.
    trouble: Option<String>,
}

struct Member {
    pid: libc::pid_t,
    alive: bool,
}

impl<'run> Crew<'run> {
    /// Forks the worker processes; they wait for their release.
    pub(crate) fn spawn(job: &'run Job<'run>, mode: Mode) -> anyhow::Result<Self> {
        let workers = job.area.slots().len();
        let processes = workers.div_ceil(job.workers_per_process);
        let mut crew = Self {
            area: job.area,
            signals: job.signals,
            mode,
            processes,
            members: Vec::with_capacity(processes),
            trouble: None,
        };
        for (index, first) in (0..workers).step_by(job.workers_per_process).enumerate() {
            // SAFETY: this process has one thread (the driver has checked), so the child's copy
            // of everything is whole; and the child never returns from the two functions below.
            match unsafe { libc::fork() } {
                -1 => {
                    let why = Failure::last(Operation::Fork).describe();
                    bail!("cannot start {}: {why}", crew.member_name(index));
                }
                0 => match mode {
                    Mode::Processes => be_worker_process(job, first),
                    Mode::Threads => be_thread_host(job, first),
                },
                pid => crew.members.push(Member { pid, alive: true }),
            }
        }
        Ok(crew)
    }

    /// How many processes were forked.
    pub(crate) fn processes(&self) -> usize {
        self.members.len()
    }

    /// Whether every worker process has been reaped.
    pub(crate) fn is_gone(&self) -> bool {
        self.members.iter().all(|member| !member.alive)
    }

    /// Whether a worker ended as it should not, or gave up.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// Reaps whoever is dead.
    pub(crate) fn reap(&mut self) -> io::Result<()> {
        while !self.is_gone() {
            let mut status = 0;
            // SAFETY: `status` is valid for a write of its type during the call.
            match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
                0 => break,
                -1 => {
                    let error = io::Error::last_os_error();
                    if error.raw_os_error() != Some(libc::EINTR) {
                        return Err(error);
                    }
                }
                pid => self.note_end(pid, status),
            }
        }
        Ok(())
    }

    fn note_end(&mut self, pid: libc::pid_t, status: i32) {
        // A child of somebody else, which this process inherited as init or subreaper, is no
        // worker.
        let Some(index) = self.members.iter().position(|member| member.pid == pid) else {
            return;
        };
        if let Some(member) = self.members.get_mut(index) {
            member.alive = false;
        }
        if self.trouble.is_some() {
            return;
        }
        let name = self.member_name(index);
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            self.trouble = Some(format!(
                "{name} (pid {pid}) was killed by signal {signal}{}",
                signal_name(signal)
            ));
        } else if libc::WEXITSTATUS(status) != 0 {
            self.trouble = Some(self.noted_failure().unwrap_or_else(|| {
                format!(
                    "{name} (pid {pid}) exited with status {}",
                    libc::WEXITSTATUS(status)
                )
            }));
        }
    }

    /// What a worker has noted in its slot.
    fn noted_failure(&self) -> Option<String> {
        let slots = self.area.slots().iter().enumerate();
        let (index, failure) = slots
            .filter_map(|(index, slot)| Some((index, slot.failure()?)))
            .next()?;
        Some(format!("worker {index}: {}", failure.describe()))
    }

    fn member_name(&self, index: usize) -> String {
        match self.mode {
            Mode::Processes => format!("worker {index}"),
            Mode::Threads if self.processes == 1 => "the process of the worker threads".to_owned(),
            Mode::Threads => format!("process {index} of the worker threads"),
        }
    }

    /// Stops the workers between two iterations and waits for all of them.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        let stopped_at_ns = clock::now_ns();
        self.area.stop();
        loop {
            self.reap().context("cannot wait for the workers")?;
            if self.is_gone() {
                break;
            }
            let event = self.signals.wait(clock::now_ns() + LOOK_NS)?;
            let is_echo = clock::now_ns() < stopped_at_ns + ECHO_NS;
            if event == Event::StopRequest && !is_echo {
                self.kill();
            }
        }
        match self.trouble.take() {
            Some(trouble) => bail!(trouble),
            None => Ok(()),
        }
    }

    /// Ends workers that do not stop, such as frozen ones.
    fn kill(&mut self) {
        let alive = || self.members.iter().filter(|member| member.alive);
        let pids: Vec<String> = alive().map(|member| member.pid.to_string()).collect();
        for member in alive() {
            // SAFETY: kill touches no memory; the pid is that of a child which was not reaped, so
            // it cannot belong to anybody else.
            unsafe { libc::kill(member.pid, libc::SIGKILL) };
        }
        self.trouble.get_or_insert(format!(
            "workers did not stop and were killed at a second signal: pid {}",
            pids.join(", ")
        ));
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        if !self.is_gone() {
            // Whoever drops a crew that works has an error of their own to report.
            let _secondary = self.finish();
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        _ => "",
    }
}
