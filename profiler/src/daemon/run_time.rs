//! How long the programs run, by the kernel's own statistics, in a short window: counting costs two
//! clock reads a run, so it is off while anything is measured.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aya::sys::{Stats, enable_stats};

use crate::{
    probe::{misses, programs::Programs},
    recording::schema::RunTime,
};

/// How long the window in the load's warm-up is.
pub const WINDOW: Duration = Duration::from_millis(200);

/// A window in which the kernel counts. Closed when dropped.
#[derive(Debug)]
pub struct RunTimeWindow {
    _statistics: OwnedFd,
    before: BTreeMap<String, (u64, u64)>,
    /// When the window is over.
    pub ends: Instant,
}

impl RunTimeWindow {
    /// Opens a window; `None` where the kernel does not count.
    #[must_use]
    pub fn open(programs: &Programs) -> Option<Self> {
        let statistics = enable_stats(Stats::RunTime).ok()?;
        Some(Self {
            before: totals(programs),
            _statistics: statistics,
            ends: Instant::now() + WINDOW,
        })
    }

    /// What the programs took in the window; those that did not run are left out.
    #[must_use]
    pub fn close(self, programs: &Programs) -> Vec<RunTime> {
        totals(programs)
            .into_iter()
            .filter_map(|(program, (run_time_ns, runs))| {
                let (old_ns, old_runs) = self.before.get(&program).copied().unwrap_or_default();
                let runs = runs.saturating_sub(old_runs);
                let run_time_ns = run_time_ns.saturating_sub(old_ns);
                (runs > 0).then(|| RunTime {
                    program,
                    runs,
                    ns_per_run: run_time_ns as f64 / runs as f64,
                })
            })
            .collect()
    }
}

fn totals(programs: &Programs) -> BTreeMap<String, (u64, u64)> {
    programs
        .attached()
        .filter_map(|attached| Some((attached.probe.program.clone(), misses::run_time(attached)?)))
        .collect()
}

/// Two windows as one: of a program that ran in both, the later and more typical one.
#[must_use]
pub fn merge(first: Vec<RunTime>, later: Vec<RunTime>) -> Vec<RunTime> {
    let mut by_program: BTreeMap<String, RunTime> = BTreeMap::new();
    for run_time in first.into_iter().chain(later) {
        by_program.insert(run_time.program.clone(), run_time);
    }
    by_program.into_values().collect()
}
