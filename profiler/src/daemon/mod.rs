//! The daemon: attaches, drives or waits for a load, reads the counters at each interval, and writes
//! the recording.

mod advice;
pub mod budget;
mod cgroups;
mod collector;
mod command;
mod controls;
mod cost;
mod delta;
mod events;
mod follow;
mod heart;
mod in_progress;
mod intervals;
mod load;
mod locks;
mod names;
mod off_cpu;
mod owners;
mod pause;
mod place;
mod prepare;
mod priority;
mod process;
mod progress;
mod run_time;
mod session;
mod sight;
mod sites;
mod source;
mod symbols;
mod target;
mod turns;
mod windows;

pub use budget::Budget;
pub use collector::Collector;
pub use command::readable;
pub use load::LoadSpec;
pub use locks::LocksRequest;
pub use source::Source;
pub use windows::WindowChoice;

use std::{path::PathBuf, time::Duration, time::Instant};

use anyhow::{Context as _, Result};
use workloads::GroundTruth;

use events::Signals;

use crate::{
    kernel::Request,
    recording::{
        Claim,
        schema::{Clock, Ended},
    },
};

/// What the user asked for, validated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lock, method, detail, readers.
    pub request: Request,
    /// The process whose lock is followed, where each has one and lockprof starts none.
    pub process: Option<u32>,
    /// Whether the measured time is cut into windows.
    pub windows: WindowChoice,
    /// Nothing is attached: the load runs alone, to be compared with runs that are profiled.
    pub bare: bool,
    /// Whether to keep totals by cgroup.
    pub cgroups: bool,
    /// What is kept of all locks; `None` where one lock is followed.
    pub locks: Option<LocksRequest>,
    /// Which spinning wait of a CPU's has its call stack walked: every so many; 0: none.
    pub sample_every: u32,
    /// What measuring may cost; `None` for a run with a load of its own, which is there to be measured.
    pub budget: Option<Budget>,
    /// Whether a guard kills this process when it is stopped.
    pub guarded: bool,
    /// Between two readings of the counters.
    pub interval: Duration,
    /// Before the measured time.
    pub warm_up: Duration,
    /// The measured time; until the load ends or a signal comes where there is none. A bundled
    /// workload keeps the time itself.
    pub duration: Option<Duration>,
    /// What to run.
    pub load: Option<LoadSpec>,
    /// Where the recording is written; none: into a folder of its own.
    pub directory: Option<PathBuf>,
    /// Nothing on standard error but errors.
    pub quiet: bool,
    /// What a nanosecond is, where the caller knows better than this machine (the lab does).
    pub clock: Option<Clock>,
    /// CPUs of the machine that emulates this one, where the caller knows.
    pub emulated_by: Option<u32>,
    /// The share of lost events above which the run is void.
    pub loss_threshold: f64,
    /// When lockprof was launched.
    pub launched: Instant,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its recording.
    pub recording: PathBuf,
    /// That the recording's folder is this run's, until its views are in it.
    pub claim: Option<Claim>,
    /// Why.
    pub ended: Ended,
    /// Why the budget allowed nothing any more.
    pub over_budget: Option<String>,
    /// The load's exit status, where it was started here: a signal's number plus 128.
    pub load_status: Option<i32>,
    /// What the load knows of itself.
    pub ground_truth: Option<GroundTruth>,
}

/// Measures, from the first probe to the footer of the recording.
///
/// # Errors
/// The kernel cannot be probed, the load cannot be run, or the recording cannot be written. No probe
/// and no load is left behind.
pub fn run(settings: &Settings) -> Result<Outcome> {
    run_it(settings).map_err(advice::with)
}

fn run_it(settings: &Settings) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        // Before the first probe: a signal that comes while they are attached ends the run in order.
        let mut signals = Signals::listen()?;
        let mut session = prepare::attach(settings)?;
        session.beat();
        session.note_refused();
        let ended = match session.calibrate() {
            Ok(()) => session.follow(&mut signals).await,
            Err(error) => Err(error),
        };
        let finished = session.finish(ended.as_ref().ok().copied());
        // The first error is the cause of what follows it.
        ended
            .and_then(|ended| finished.map(|()| session.outcome(ended)))
            .map_err(|error| session.tell_what_is_left(error))
    })
}
