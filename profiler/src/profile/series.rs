//! What happened over time, and on each CPU.

use lockprof_abi::Site;

use serde::Serialize;

use super::{
    holds_known,
    windows::{has_holds, main_kind},
};
use crate::recording::schema::{Header, Interval, Phase, Window, WindowKind};

/// What a run was doing in an interval. A recording has one phase for all that is not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before anything was measured.
    WarmUp,
    /// In the results.
    Measured,
    /// In a window with the probes of waits alone, in a run that has windows of holds.
    Waits,
    /// In a window with the probes of spans, in a run that has windows of holds: holds are longer here.
    Spans,
    /// In a window without probes: nothing is known of the lock.
    Bare,
    /// Between two windows: probes were being changed.
    Edge,
    /// lockprof was stopped, with nothing attached.
    Stopped,
    /// After all that was measured: the load ends.
    Ending,
}

impl Stage {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Measured => "measured",
            Self::Waits => "waits alone",
            Self::Spans => "with spans",
            Self::Bare => "without probes",
            Self::Edge => "probes change",
            Self::Stopped => "stopped",
            Self::Ending => "ending",
        }
    }

    fn of(interval: &Interval, header: &Header) -> Self {
        if interval.stopped_s.is_some() {
            return Self::Stopped;
        }
        match (interval.phase, &interval.window) {
            (Phase::WarmUp, _) => Self::WarmUp,
            (Phase::Measured, None) => Self::Measured,
            (Phase::Measured, Some(Window { edge: true, .. })) => Self::Edge,
            (Phase::Measured, Some(window)) => match window.kind {
                WindowKind::Bare => Self::Bare,
                kind if header.windows.as_ref().map(main_kind) == Some(kind) => Self::Measured,
                WindowKind::Waits => Self::Waits,
                WindowKind::Holds => Self::Measured,
                WindowKind::Spans => Self::Spans,
            },
        }
    }
}

/// What is not measured after the last window, or the last measured interval, is no warm-up.
pub(super) fn tell_the_ending(series: &mut [SeriesPoint]) {
    if let Some(last) = series.iter().rposition(SeriesPoint::is_of_run) {
        for point in &mut series[last + 1..] {
            point.stage = Stage::Ending;
        }
    }
}

/// What one CPU did in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuTotals {
    /// Its number.
    pub cpu: u32,
    /// Write holds.
    pub holds: u64,
    /// Their time.
    pub held_ns: u64,
    /// Contended acquisitions, readers' included.
    pub waits: u64,
    /// Their time.
    pub waited_ns: u64,
}

/// For which share of an interval a CPU held the lock for writing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuShare {
    /// The CPU.
    pub cpu: u32,
    /// The share.
    pub held: f64,
}

/// One interval.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesPoint {
    /// Its end, in seconds since the probes were attached.
    pub at_s: f64,
    /// Its length.
    pub seconds: f64,
    /// What the run was doing.
    pub stage: Stage,
    /// CPUs that held the lock for writing.
    pub cpus: Vec<CpuShare>,
    /// Write holds; none where holds were not measured.
    pub holds: Option<u64>,
    /// Their time.
    pub held_ns: Option<u64>,
    /// Task lives that ended, by reap holds.
    pub lives: Option<u64>,
    /// Iterations of a bundled load, where it told.
    pub iterations: Option<u64>,
    /// Tasks that were created on the whole machine.
    pub tasks_created: u64,
    /// Time stolen by the hypervisor, over all CPUs.
    pub steal_s: f64,
    /// Idle time, over all CPUs.
    pub idle_s: f64,
    /// CPU time of the daemon.
    pub own_cpu_s: f64,
    /// Resident memory of the daemon.
    pub own_resident_bytes: u64,
}

impl SeriesPoint {
    /// What an interval did; holds only where there were probes for them: what a window without them, or
    /// an edge, tells of holds is nothing, and not that there was none.
    pub(super) fn of(interval: &Interval, header: &Header) -> Self {
        let seen = holds_known(header)
            && interval.stopped_s.is_none()
            && interval
                .window
                .is_none_or(|window| !window.edge && has_holds(window.kind));
        let mut holds = 0_u64;
        let mut held_ns = 0_u64;
        let mut lives = 0_u64;
        let mut cpus = Vec::with_capacity(interval.cpus.len());
        for cpu in &interval.cpus {
            let mut held_here = 0_u64;
            for totals in &cpu.sites {
                let site = Site::from_name(&totals.site).unwrap_or(Site::Unknown);
                if site.is_writer() {
                    holds = holds.saturating_add(totals.holds);
                    held_here = held_here.saturating_add(totals.held_ns);
                }
                if site == Site::Reap {
                    lives = lives.saturating_add(totals.holds);
                }
            }
            held_ns = held_ns.saturating_add(held_here);
            if seen && held_here > 0 && interval.seconds > 0.0 {
                cpus.push(CpuShare {
                    cpu: cpu.cpu,
                    held: held_here as f64 / (interval.seconds * 1e9),
                });
            }
        }
        let known = |number| seen.then_some(number);
        Self {
            at_s: interval.at_s,
            seconds: interval.seconds,
            stage: Stage::of(interval, header),
            cpus,
            holds: known(holds),
            held_ns: known(held_ns),
            lives: known(lives),
            iterations: interval.iterations,
            tasks_created: interval.machine.tasks_created,
            steal_s: interval.machine.steal_s,
            idle_s: interval.machine.idle_s,
            own_cpu_s: interval.own.cpu_s,
            own_resident_bytes: interval.own.resident_bytes,
        }
    }

    /// Whether it is of the measured time: of a window of any kind, or an edge.
    #[must_use]
    pub const fn is_of_run(&self) -> bool {
        !matches!(self.stage, Stage::WarmUp | Stage::Ending)
    }

    /// Whether it is in the results of holds and waits.
    #[must_use]
    pub const fn is_measured(&self) -> bool {
        matches!(self.stage, Stage::Measured)
    }

    /// The mean length of its write holds.
    #[must_use]
    pub fn mean_hold_ns(&self) -> Option<f64> {
        let holds = self.holds.filter(|&holds| holds > 0)?;
        Some(self.held_ns? as f64 / holds as f64)
    }

    /// The share of its length that a writer held the lock.
    #[must_use]
    pub fn held_share(&self) -> Option<f64> {
        (self.seconds > 0.0).then_some(self.held_ns? as f64 / (self.seconds * 1e9))
    }

    /// A number by seconds.
    #[must_use]
    pub fn per_second(&self, number: f64) -> Option<f64> {
        (self.seconds > 0.0).then_some(number / self.seconds)
    }

    /// Stolen time as a share of the time of all CPUs.
    #[must_use]
    pub fn steal_share(&self, cpus: u32) -> Option<f64> {
        (self.seconds > 0.0 && cpus > 0).then_some(self.steal_s / (self.seconds * f64::from(cpus)))
    }
}
