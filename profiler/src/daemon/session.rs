//! A run, from the attached probes to the footer: what is known of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitStatus,
    time::{Duration, Instant},
};

use workloads::GroundTruth;

use super::{
    Collector, Settings,
    budget::Keeper,
    cost::Usage,
    heart::Heart,
    in_progress::Watch,
    load::Load,
    owners::Owners,
    progress::Progress,
    sight::Sight,
    windows::{Schedule, Windows},
};
use crate::{
    kernel::CapabilitySet,
    offspring::Mark,
    probe::programs::Programs,
    recording::{
        RecordingWriter,
        schema::{Clock, NullHold, Phase, RunTime},
    },
};

/// What the progress line calls what comes after the measured time.
pub(super) const ENDING: &str = "ending";

/// Attached probes, and all that is needed until they are detached.
pub(super) struct Session {
    pub settings: Settings,
    pub collector: Collector,
    /// None where nothing was to be attached.
    pub programs: Option<Programs>,
    pub heart: Heart,
    /// By which the load's processes are known.
    pub mark: Mark,
    pub recording: RecordingWriter,
    pub progress: Progress,
    pub release: String,
    pub clock: Clock,
    pub exact: bool,
    /// The capabilities that it has a use for once the load runs.
    pub kept: CapabilitySet,
    /// Watches what has not ended, where waits can be seen.
    pub watch: Option<Watch>,
    /// What owners of locks do, in a run of all locks.
    pub owners: Option<Owners>,
    /// How the measured time will be cut into windows.
    pub schedule: Option<Schedule>,
    /// Keeps the budget, where there is one and there are windows.
    pub keeper: Option<Keeper>,
    pub attached: Instant,
    pub launch_to_attach_s: f64,
    pub usage_at_attach: Usage,
    pub sight: Sight,
    pub state: State,
}

/// What changes while the load runs.
pub(super) struct State {
    pub phase: Phase,
    /// What the progress line calls what goes on.
    pub doing: &'static str,
    pub phase_began: Instant,
    pub interval_began: Instant,
    pub usage: Usage,
    pub missed: BTreeMap<String, Option<u64>>,
    /// Spans that could not be attached.
    pub absent: BTreeSet<String>,
    /// Those of them of which no interval has told, and why.
    pub refused: BTreeMap<String, String>,
    /// Of a bundled load at the end of the last interval.
    pub iterations: u64,
    /// Why the budget allows nothing any more.
    pub over_budget: Option<String>,
    /// For how long lockprof was stopped, until an interval has told.
    pub stopped: Option<Duration>,
    pub null_hold: Option<NullHold>,
    pub run_time: Vec<RunTime>,
    pub calibrated: bool,
    pub load: Option<Load>,
    /// Once the measured time has begun, in a run that has windows.
    pub windows: Option<Windows>,
    pub ground_truth: Option<GroundTruth>,
    pub load_status: Option<ExitStatus>,
}

impl State {
    pub fn new(usage: Usage) -> Self {
        let now = Instant::now();
        Self {
            phase: Phase::WarmUp,
            doing: "warm-up",
            phase_began: now,
            interval_began: now,
            usage,
            missed: BTreeMap::new(),
            absent: BTreeSet::new(),
            refused: BTreeMap::new(),
            iterations: 0,
            over_budget: None,
            stopped: None,
            null_hold: None,
            run_time: Vec::new(),
            calibrated: false,
            load: None,
            windows: None,
            ground_truth: None,
            load_status: None,
        }
    }
}
