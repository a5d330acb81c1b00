//! What `run` and `attach` have in common.

use std::time::Instant;

use anyhow::Result;
use clap::{Args, CommandFactory as _, ValueEnum, error::ErrorKind};

use super::{
    Arguments,
    common::CommonArguments,
    values::{LockChoice, lock_choice, percent, span_choice},
};
use crate::{
    daemon::Settings,
    kernel::{AttachChoice, ByTask, Request},
    known_locks::{DEFAULT_LOCK, is_of_process},
    recording::schema::{Arrangement, Detail},
    span::Span,
};

/// What `run` and `attach` share.
#[derive(Args, Debug)]
pub(super) struct MeasureArguments {
    /// The lock to follow: a mutex, an rwsem, an rwlock, or a percpu-rwsem, by its symbol or its address (0x…). What kind it
    /// is follows, as in event_mutex:mutex, where lockprof neither knows it nor sees within 50 ms who takes it
    #[arg(long, value_name = "NAME|ADDRESS[:KIND]", default_value = DEFAULT_LOCK, value_parser = lock_choice)]
    pub(super) lock: LockChoice,
    /// The kind of probe; auto takes the best that this kernel allows
    #[arg(long, value_enum, default_value_t = AttachWord::Auto)]
    pub(super) attach: AttachWord,
    /// Where the programs of a hold stand, where the best that this kernel allows is not to be taken
    #[arg(long, hide = true, value_enum)]
    pub(super) arrangement: Option<ArrangementWord>,
    /// Follow readers of the lock too. More probes, on functions that all rwlocks, or rwsems, of the kernel share: each
    /// costs every read_lock(), or down_read(), of the machine the time of a probe
    #[arg(long)]
    pub(super) readers: bool,
    /// Measure calls of this function inside holds too; once for each. Two more probes: each call anywhere on the machine
    /// costs their time
    #[arg(long = "span", value_name = "FUNCTION", value_parser = span_choice)]
    pub(super) spans: Vec<Span>,
    /// Tell what holders of a mutex or an rwsem do instead of running: sleep, and where, or wait for a CPU. Two programs on
    /// the scheduler's tracepoints: each switch of the machine costs the time of a look
    #[arg(long)]
    pub(super) off_cpu: bool,
    /// Keep totals by cgroup
    #[arg(long)]
    pub(super) cgroups: bool,
    /// The share of the lock's events, in per cent, that may be lost before the run is void
    #[arg(long, value_name = "PERCENT", default_value = "0.1", value_parser = percent)]
    pub(super) loss_threshold: f64,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

/// `--detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DetailChoice {
    /// Holds alone: two probes in each hold
    Holds,
    /// Holds and the calls in them: two probes more for each call
    Spans,
}

/// `--attach`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AttachWord {
    /// The best that this kernel allows
    Auto,
    /// fentry and fexit
    Fentry,
    /// kprobe and kretprobe
    Kprobe,
    /// The contention tracepoints alone
    Wait,
    /// Nothing: the load alone, to compare its throughput with
    Off,
}

/// `--arrangement`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ArrangementWord {
    /// None inside the hold
    Exit,
    /// One inside the hold, at the release
    Robust,
    /// Two inside the hold
    Inside,
}

fn conflicts(why: &str) -> Result<(), clap::Error> {
    Err(Arguments::command().error(ErrorKind::ArgumentConflict, why))
}

impl MeasureArguments {
    /// Whether the words fit together.
    ///
    /// # Errors
    /// They contradict each other.
    pub(super) fn check(&self, detail: DetailChoice) -> Result<(), clap::Error> {
        let asks_for_none = self.spans.is_empty();
        let conflict = if self.follows_by_task() && asks_for_none && detail == DetailChoice::Spans {
            "--detail spans of a lock that is followed by task takes --span FUNCTION: which calls are inside its holds \
             lockprof does not know"
        } else if let Some(why) = self.no_readers() {
            return conflicts(&format!(
                "--readers is for locks whose readers can be followed: {why}"
            ));
        } else if self.off_cpu
            && self.lock.family().is_some()
            && self.by_task().is_none_or(|by_task| !by_task.sleeps)
        {
            "--off-cpu is for locks that may be slept with, mutexes and rwsems: who holds another one does not leave its CPU"
        } else if !asks_for_none && detail != DetailChoice::Spans {
            "--span measures calls inside holds: it does not go with --detail holds"
        } else {
            return Ok(());
        };
        conflicts(conflict)
    }

    /// How the lock is followed, where it is known, or said, to be of a kind that is followed by task.
    fn by_task(&self) -> Option<&'static ByTask> {
        ByTask::of(self.lock.family(), self.lock.writers_irq())
    }

    /// Whether the lock is known, or said, to be of such a kind.
    pub(super) fn follows_by_task(&self) -> bool {
        self.by_task().is_some()
    }

    /// Why readers cannot be followed, where they are asked for: a part of a sentence.
    fn no_readers(&self) -> Option<&'static str> {
        self.by_task().filter(|_| self.readers)?.readers.err()
    }

    /// Whether it is one of which each process has its own.
    pub(super) fn follows_of_process(&self) -> bool {
        is_of_process(&self.lock.name)
    }

    pub(super) fn settings(&self, detail: DetailChoice, launched: Instant) -> Result<Settings> {
        let request = Request {
            attach: match self.attach {
                AttachWord::Auto | AttachWord::Off => AttachChoice::Auto,
                AttachWord::Fentry => AttachChoice::Fentry,
                AttachWord::Kprobe => AttachChoice::Kprobe,
                AttachWord::Wait => AttachChoice::Wait,
            },
            detail: match detail {
                DetailChoice::Holds => Detail::Holds,
                DetailChoice::Spans => Detail::Spans,
            },
            readers: self.readers,
            spans: self.spans.clone(),
            lock: self.lock.name.clone(),
            kind: self.lock.family(),
            writers_irq: self.lock.writers_irq(),
            of_process: false,
            windows: self.common.has_windows(),
            arrangement: self.arrangement.map(|arrangement| match arrangement {
                ArrangementWord::Exit => Arrangement::Exit,
                ArrangementWord::Robust => Arrangement::Robust,
                ArrangementWord::Inside => Arrangement::Inside,
            }),
            owner_stacks: false,
            off_cpu: self.off_cpu,
        };
        Ok(Settings {
            bare: self.attach == AttachWord::Off,
            cgroups: self.cgroups,
            loss_threshold: self.loss_threshold,
            ..self.common.settings(request, launched)
        })
    }
}
