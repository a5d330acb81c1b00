//! What every command that measures shares.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};

use super::values::{positive_seconds, window_choice};
use crate::{
    daemon::{Settings, WindowChoice},
    kernel::Request,
    recording::schema::Clock,
};

/// What `run`, `attach` and `locks` share.
#[derive(Args, Debug)]
pub(super) struct CommonArguments {
    /// The folder for the recording and its report [default: ./lockprof-TIME]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Measure in windows, in turn with some that have no probes, so that the effect of the probes is measured
    /// too: auto, off (one window with everything, for exact counts), or the least length of a window in
    /// seconds
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = window_choice)]
    windows: WindowChoice,
    /// Seconds between two readings of the counters
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = positive_seconds)]
    interval: Duration,
    /// Say nothing while it runs
    #[arg(short, long)]
    quiet: bool,
    /// Write the recording alone: no table, no report
    #[arg(long)]
    pub no_report: bool,
    /// Whether call stacks of waiters are walked, in the lab: what they cost, and nothing else, tells
    /// the two apart
    #[arg(long, hide = true, value_enum, default_value_t = StacksWord::Sampled)]
    stacks: StacksWord,
    /// Start no guard, in the lab: what the programs do for a daemon that is stopped, and that no guard kills
    #[arg(long, hide = true)]
    no_guard: bool,
    /// What a nanosecond is, where lockprof runs in a lab that knows
    #[arg(long, hide = true, value_enum)]
    clock: Option<ClockWord>,
    /// CPUs of the machine that emulates this one, where lockprof runs in a lab that knows
    #[arg(long, hide = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    emulated_by: Option<u32>,
}

/// `--stacks`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum StacksWord {
    /// Of no waiter
    None,
    /// Of a few that spin, and of all that sleep
    Sampled,
    /// Of every one: to check who they are said to be
    Every,
}

impl StacksWord {
    /// Which spinning wait of a CPU's is sampled: every so many, by a prime, which no pattern of the load
    /// has as its period. A walk takes some sixty times as long as all else that is done at a wait, so
    /// that samples add a quarter to that.
    const fn sample_every(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Sampled => 251,
            Self::Every => 1,
        }
    }
}

/// `--clock`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ClockWord {
    /// An emulated machine's time
    Wall,
    /// One nanosecond a guest instruction
    Instructions,
}

impl ClockWord {
    const fn clock(self) -> Clock {
        match self {
            Self::Wall => Clock::EmulatedWall,
            Self::Instructions => Clock::Instructions,
        }
    }
}

impl CommonArguments {
    /// Whether the measured time is to be cut into windows.
    pub fn has_windows(&self) -> bool {
        self.windows != WindowChoice::Off
    }

    /// Whether call stacks are taken.
    pub fn takes_stacks(&self) -> bool {
        self.stacks.sample_every() != 0
    }

    /// What is to be measured, without a load and until somebody ends it.
    pub fn settings(&self, request: Request, launched: Instant) -> Settings {
        Settings {
            request,
            process: None,
            windows: self.windows,
            bare: false,
            cgroups: false,
            locks: None,
            sample_every: self.stacks.sample_every(),
            budget: None,
            guarded: !self.no_guard,
            interval: self.interval,
            warm_up: Duration::ZERO,
            duration: None,
            load: None,
            directory: self.output.clone(),
            quiet: self.quiet,
            clock: self.clock.map(ClockWord::clock),
            emulated_by: self.emulated_by,
            loss_threshold: 1.0,
            launched,
        }
    }
}
