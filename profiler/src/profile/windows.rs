//! The windows of a run: what was done in each, and in those of a kind together.

use std::collections::BTreeMap;

use super::SiteProfile;
use crate::{
    recording::schema::{Done, Interval, Window, WindowKind, WindowPlan},
    site::Site,
};

/// One window, or the edge before it, that came to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FinishedWindow {
    /// Which probes were attached; at an edge, which were about to be.
    pub kind: WindowKind,
    /// The probes were being changed.
    pub edge: bool,
    /// Its middle, in seconds since the probes were attached for the first time.
    pub middle_s: f64,
    /// What was done in it.
    pub done: Done,
}

/// What the windows say in which spans were measured, beside the spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanWindows {
    /// Their time.
    pub seconds: f64,
    /// Their holds and waits, in which the probes of spans are.
    pub sites: Vec<SiteProfile>,
}

/// All windows of a kind, or all edges.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WindowTotals {
    /// How many came to their end.
    pub windows: u64,
    /// Their time.
    pub seconds: f64,
    /// Iterations of a bundled load; none where it did not tell those of each.
    pub iterations: Option<u64>,
    /// Tasks that were created on the whole machine.
    pub tasks_created: u64,
}

impl WindowTotals {
    /// Iterations of a bundled load by seconds.
    #[must_use]
    pub fn iterations_per_second(&self) -> Option<f64> {
        let iterations = self.iterations.filter(|_| self.seconds > 0.0)?;
        Some(iterations as f64 / self.seconds)
    }

    /// Adds up what was done in some.
    pub(super) fn of<'a>(windows: impl Iterator<Item = &'a FinishedWindow>) -> Self {
        let mut sum = Self::default();
        for FinishedWindow { done, .. } in windows {
            // What is unknown once is unknown in the sum.
            let before = if sum.windows == 0 {
                Some(0)
            } else {
                sum.iterations
            };
            let both = before.zip(done.iterations);
            sum.iterations = both.map(|(sum, more)| sum.saturating_add(more));
            sum.windows += 1;
            sum.seconds += done.seconds;
            sum.tasks_created = sum.tasks_created.saturating_add(done.tasks_created);
        }
        sum
    }
}

/// Holds by the sites that a task life has, of setsid, and by nobody knows whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LifeHolds {
    pub(super) fork: u64,
    pub(super) exit: u64,
    pub(super) reap: u64,
    pub(super) setsid: u64,
    /// Any of these may be of the sites above: functions have no names, or were put into others.
    pub(super) unnamed: u64,
}

impl LifeHolds {
    fn add(&mut self, other: Self) {
        self.fork = self.fork.saturating_add(other.fork);
        self.exit = self.exit.saturating_add(other.exit);
        self.reap = self.reap.saturating_add(other.reap);
        self.setsid = self.setsid.saturating_add(other.setsid);
        self.unnamed = self.unnamed.saturating_add(other.unnamed);
    }

    fn of(interval: &Interval) -> Self {
        let mut holds = Self::default();
        for totals in interval.cpus.iter().flat_map(|cpu| &cpu.sites) {
            let sum = match Site::named(&totals.site) {
                Site::FORK => &mut holds.fork,
                Site::EXIT => &mut holds.exit,
                Site::REAP => &mut holds.reap,
                Site::SETSID => &mut holds.setsid,
                Site::UNKNOWN | Site::OTHER => &mut holds.unnamed,
                _ => continue,
            };
            *sum = sum.saturating_add(totals.holds);
        }
        holds
    }
}

/// What the windows in which holds were seen have of task lives, beside what the kernel counted in the
/// same windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SeenLives {
    pub(super) windows: u64,
    pub(super) holds: LifeHolds,
    pub(super) tasks_created: u64,
    /// How many tasks may have been created between the reading of the programs' counters and that of the kernel's.
    pub(super) between_readings: u64,
}

impl SeenLives {
    fn add(&mut self, other: Self) {
        self.windows += other.windows;
        self.holds.add(other.holds);
        self.tasks_created = self.tasks_created.saturating_add(other.tasks_created);
        self.between_readings = self.between_readings.saturating_add(other.between_readings);
    }
}

/// For so long the daemon may be kept from reading the kernel's counter after the programs': a turn or two of a busy
/// or an emulated machine's scheduler.
const READING_S: f64 = 0.05;

/// The window that has not come to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OpenWindow {
    number: u32,
    edge: bool,
    holds: LifeHolds,
    tasks_created: u64,
}

/// The windows of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows {
    /// Those that came to their end, edges included, in their order.
    finished: Vec<FinishedWindow>,
    /// The one that has not yet, and its holds so far.
    open: Option<OpenWindow>,
    /// By kind of window.
    seen: BTreeMap<WindowKind, SeenLives>,
}

impl Windows {
    /// Adds an interval of the measured time, and what it says of its window.
    pub(crate) fn add(&mut self, interval: &Interval, window: &Window) {
        let (number, edge) = (window.number, window.edge);
        let same = |open: &OpenWindow| (open.number, open.edge) == (number, edge);
        let mut open = self.open.filter(same).unwrap_or(OpenWindow {
            number,
            edge,
            holds: LifeHolds::default(),
            tasks_created: 0,
        });
        open.holds.add(LifeHolds::of(interval));
        let created = interval.machine.tasks_created;
        open.tasks_created = open.tasks_created.saturating_add(created);
        let Some(done) = window.done else {
            self.open = Some(open);
            return;
        };
        self.open = None;
        self.finished.push(FinishedWindow {
            kind: window.kind,
            edge,
            middle_s: interval.at_s - done.seconds / 2.0,
            done,
        });
        if !edge && has_holds(window.kind) {
            // Of two accounts of one window, the intervals' and its own, the smaller is certain: an interval that
            // could not be written is in one alone, and their edges are not the same.
            let tasks_created = done.tasks_created.min(open.tasks_created);
            let per_second = tasks_created as f64 / done.seconds.max(READING_S);
            let seen = self.seen.entry(window.kind).or_default();
            seen.add(SeenLives {
                windows: 1,
                holds: open.holds,
                tasks_created,
                between_readings: (per_second * READING_S).ceil() as u64,
            });
        }
    }

    /// Forgets the oldest windows that came to their end.
    pub(crate) fn forget_all_but(&mut self, last: usize) {
        let old = self.finished.len().saturating_sub(last);
        self.finished.drain(..old);
    }

    /// Of all windows with holds.
    pub(super) fn seen_lives(&self) -> SeenLives {
        let mut all = SeenLives::default();
        self.seen.values().for_each(|seen| all.add(*seen));
        all
    }

    /// Of those of a kind.
    pub(super) fn seen_lives_of(&self, kind: WindowKind) -> SeenLives {
        self.seen.get(&kind).copied().unwrap_or_default()
    }

    /// Windows and edges that came to their end, in their order.
    #[must_use]
    pub fn finished(&self) -> &[FinishedWindow] {
        &self.finished
    }

    /// All windows of a kind; none where there was none.
    #[must_use]
    pub fn of(&self, kind: WindowKind) -> Option<WindowTotals> {
        self.sum(|window| !window.edge && window.kind == kind)
    }

    /// All edges; none where there was none.
    #[must_use]
    pub fn edges(&self) -> Option<WindowTotals> {
        self.sum(|window| window.edge)
    }

    /// Windows and edges together; none where there was none.
    #[must_use]
    pub fn all(&self) -> Option<WindowTotals> {
        self.sum(|_| true)
    }

    fn sum(&self, which: impl Fn(&FinishedWindow) -> bool) -> Option<WindowTotals> {
        let sum = WindowTotals::of(self.finished.iter().filter(|window| which(window)));
        (sum.windows > 0).then_some(sum)
    }
}

/// Whether holds are seen in windows of a kind.
pub(super) const fn has_holds(kind: WindowKind) -> bool {
    matches!(kind, WindowKind::Holds | WindowKind::Spans)
}

/// The kind of windows that holds and waits are to be taken from: the one that disturbs least of those that
/// have most.
pub(super) fn main_kind(plan: &WindowPlan) -> WindowKind {
    main_kind_of(|kind| plan.turn.contains(&kind)).unwrap_or(WindowKind::Bare)
}

/// The same of those that there are.
pub(super) fn main_kind_of(is_there: impl Fn(WindowKind) -> bool) -> Option<WindowKind> {
    let kinds = [WindowKind::Holds, WindowKind::Waits, WindowKind::Spans];
    kinds.into_iter().find(|&kind| is_there(kind))
}
