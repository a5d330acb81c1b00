//! What happened over time, and on each CPU.

use serde::Serialize;

use super::{
    holds_known,
    windows::{has_holds, main_kind},
};
use crate::{
    known_locks::is_taken_by_each_task,
    recording::schema::{Header, Interval, Phase, Window, WindowKind},
    site::Site,
};

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

/// Moves what cannot have been in an interval into those before it.
///
/// A hold is counted where it ended. Of one that is longer than its interval the rest was before: there can be one
/// such hold only, for the lock has one writer, and it was on the CPU that held the lock longest. What finds no
/// room there (the first interval of a window; clocks that are not read at one moment) is in no share.
pub(super) fn spread_holds(series: &mut [SeriesPoint]) {
    for last in 0..series.len() {
        let over = series[last].held_by_all() - 1.0;
        let longest = series[last].cpus.iter_mut();
        let longest = longest.max_by(|a, b| a.held.total_cmp(&b.held));
        let Some(longest) = longest.filter(|_| over > 0.0) else {
            continue;
        };
        // Where two CPUs' clocks disagree, more may be over than one of them has.
        let over = over.min(longest.held);
        longest.held -= over;
        let cpu = longest.cpu;
        let rest_s = over * series[last].seconds;
        hold_before(series[..last].iter_mut().rev(), cpu, rest_s);
    }
    for cpu in series.iter_mut().flat_map(|point| &mut point.cpus) {
        cpu.held = cpu.held.clamp(0.0, 1.0);
    }
}

/// Puts a hold that had not ended with the measured time into the intervals in which it was: no interval has counted it.
pub(super) fn add_open_hold(series: &mut [SeriesPoint], cpu: u32, seconds: f64) {
    let measured = series.iter_mut().rev();
    hold_before(
        measured.skip_while(|point| !point.is_measured()),
        cpu,
        seconds,
    );
}

/// Puts so many seconds of a hold into intervals, the last first, as far as there is room.
fn hold_before<'a>(points: impl Iterator<Item = &'a mut SeriesPoint>, cpu: u32, mut rest_s: f64) {
    for point in points {
        if rest_s <= 0.0 || point.holds.is_none() {
            break;
        }
        if point.seconds <= 0.0 {
            continue;
        }
        let room = (1.0 - point.held_by_all()).max(0.0);
        let held = (rest_s / point.seconds).min(room);
        point.add_held(cpu, held);
        rest_s -= held * point.seconds;
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
    /// Write holds that ended; none where holds were not measured.
    pub holds: Option<u64>,
    /// Their time, that before the interval included.
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
                let site = Site::named(&totals.site);
                if site.is_writer() {
                    holds = holds.saturating_add(totals.holds);
                    held_here = held_here.saturating_add(totals.held_ns);
                }
                if site == Site::REAP {
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
            lives: known(lives).filter(|_| is_taken_by_each_task(&header.lock.name)),
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
        self.holds?;
        (self.seconds > 0.0).then(|| self.held_by_all().min(1.0))
    }

    fn held_by_all(&self) -> f64 {
        self.cpus.iter().map(|cpu| cpu.held).sum()
    }

    fn add_held(&mut self, cpu: u32, held: f64) {
        match self.cpus.binary_search_by_key(&cpu, |share| share.cpu) {
            Ok(place) => self.cpus[place].held += held,
            Err(place) if held > 0.0 => self.cpus.insert(place, CpuShare { cpu, held }),
            Err(_) => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn point(cpus: &[(u32, f64)]) -> SeriesPoint {
        SeriesPoint {
            at_s: 0.0,
            seconds: 0.001,
            stage: Stage::Measured,
            cpus: cpus
                .iter()
                .map(|&(cpu, held)| CpuShare { cpu, held })
                .collect(),
            holds: Some(1),
            held_ns: Some(0),
            lives: None,
            iterations: None,
            tasks_created: 0,
            steal_s: 0.0,
            idle_s: 0.0,
            own_cpu_s: 0.0,
            own_resident_bytes: 0,
        }
    }

    fn spread(intervals: &[&[(u32, f64)]]) -> Vec<Vec<(u32, f64)>> {
        let mut series: Vec<SeriesPoint> = intervals.iter().map(|cpus| point(cpus)).collect();
        spread_holds(&mut series);
        let round = |share: &CpuShare| (share.cpu, (share.held * 1e6).round() / 1e6);
        series
            .iter()
            .map(|point| point.cpus.iter().map(round).collect())
            .collect()
    }

    #[test]
    fn a_hold_is_in_all_the_intervals_that_it_covers() {
        // 2.5 ms, which ended at the end of the last of four intervals of 1 ms.
        assert_eq!(
            spread(&[&[(0, 0.2)], &[(1, 0.1)], &[], &[(0, 2.5)]]),
            [
                vec![(0, 0.2)],
                vec![(0, 0.5), (1, 0.1)],
                vec![(0, 1.0)],
                vec![(0, 1.0)]
            ]
        );
    }

    #[test]
    fn no_share_is_more_than_all() {
        for intervals in [
            // Before the first interval there is nothing.
            &[&[(0, 3.0)][..]][..],
            &[&[(0, 0.9)], &[(0, 3.0)]],
            // One hold that began before, and others on another CPU.
            &[&[], &[(0, 0.7), (1, 0.6)]],
            &[&[(0, 0.7), (1, 0.7)], &[(0, 0.7), (1, 0.7)]],
        ] {
            for shares in spread(intervals) {
                let all: f64 = shares.iter().map(|(_, held)| held).sum();
                assert!(all <= 1.000_001, "{intervals:?}: {shares:?}");
            }
        }
        assert_eq!(
            spread(&[&[], &[(0, 0.7), (1, 0.6)]]),
            [vec![(0, 0.3)], vec![(0, 0.4), (1, 0.6)]]
        );
    }

    #[test]
    fn nothing_is_put_where_nobody_looked() {
        let mut series = [point(&[]), point(&[]), point(&[(0, 2.5)])];
        series[0].holds = None;
        spread_holds(&mut series);
        assert_eq!(series[0].cpus, []);
        assert_eq!(series[0].held_share(), None);
        assert_eq!(series[1].held_share(), Some(1.0));
        assert_eq!(series[2].held_share(), Some(1.0));
    }
}
