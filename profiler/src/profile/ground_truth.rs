//! What the profiler counted beside what the load and the kernel counted.

use std::collections::BTreeMap;

use super::{
    holds_known,
    windows::{LifeHolds, SeenLives},
};
use crate::{
    known_locks::is_taken_by_each_task,
    recording::schema::{Footer, Header, Interval},
    site::Site,
    span::Span,
};

/// Totals from attach to detach, warm-up included. In a run with windows, holds and calls are those that
/// its windows had probes for, and no totals of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attached {
    /// Holds by site; none where holds were not measured.
    pub holds: Option<BTreeMap<Site, u64>>,
    /// Calls of spans: all of them, and those inside a hold.
    pub spans: BTreeMap<Span, SpanCalls>,
    /// Tasks created on the whole machine, from /proc/stat.
    pub tasks_created: u64,
    /// Runs of each program that the kernel skipped; none where it does not tell.
    pub missed: BTreeMap<String, Option<u64>>,
}

/// Calls of one span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanCalls {
    /// All calls.
    pub calls: u64,
    /// Those inside a hold.
    pub calls_in_hold: u64,
}

impl Attached {
    /// Adds an interval of either phase.
    pub(super) fn add(&mut self, interval: &Interval) {
        if let Some(holds) = &mut self.holds {
            for totals in interval.cpus.iter().flat_map(|cpu| &cpu.sites) {
                let sum = holds.entry(Site::named(&totals.site)).or_default();
                *sum = sum.saturating_add(totals.holds);
            }
        }
        for span in &interval.spans {
            if let Some(kind) = Span::find(&span.span) {
                let sum = self.spans.entry(kind).or_default();
                sum.calls = sum.calls.saturating_add(span.calls);
                sum.calls_in_hold = sum.calls_in_hold.saturating_add(span.calls);
            }
        }
        for (name, &calls) in &interval.calls_outside {
            if let Some(kind) = Span::find(name) {
                let sum = self.spans.entry(kind).or_default();
                sum.calls = sum.calls.saturating_add(calls);
            }
        }
        for (program, count) in &interval.missed {
            let sum = self.missed.entry(program.clone()).or_insert(Some(0));
            *sum = sum
                .zip(*count)
                .map(|(sum, count)| sum.saturating_add(count));
        }
        self.tasks_created = self
            .tasks_created
            .saturating_add(interval.machine.tasks_created);
    }

    /// Of a run without windows, what it has seen of lives beside what the kernel counted meanwhile: of the two
    /// accounts that there are the smaller, which is certain. Those that were created in the `last` interval may have
    /// been after the programs' counters were read: the footer's count ends before.
    pub(super) fn seen_lives(&self, footer: Option<&Footer>, last: u64) -> SeenLives {
        let holds = |which: &[Site]| {
            let holds = self.holds.iter().flatten();
            let holds = holds.filter(|(site, _)| which.contains(site));
            holds.fold(0, |sum: u64, (_, &count)| sum.saturating_add(count))
        };
        let mut seen = SeenLives {
            windows: 1,
            tasks_created: match footer {
                Some(footer) => self.tasks_created.min(footer.tasks_created),
                None => self.tasks_created.saturating_sub(last),
            },
            ..SeenLives::default()
        };
        seen.holds.fork = holds(&[Site::FORK]);
        seen.holds.unnamed = holds(&[Site::UNKNOWN, Site::OTHER]);
        seen
    }
}

/// Holds of fork that were not seen, and not counted as lost either, though the kernel has counted the tasks: each of
/// them is linked in under the lock (copy_process(), kernel/fork.c, 6.1 to 7.3). At both edges of a window each CPU may
/// be about to create one.
pub(super) fn uncounted(header: &Header, seen: &SeenLives, lost: u64) -> u64 {
    if !holds_known(header) || !is_taken_by_each_task(&header.lock.name) {
        return 0;
    }
    let cpus = u64::from(header.kernel.cpus_online.max(1));
    let at_edges = seen.windows.saturating_mul(2).saturating_mul(cpus);
    let LifeHolds { fork, unnamed, .. } = seen.holds;
    let known = [fork, unnamed, lost, at_edges, seen.between_readings];
    seen.tasks_created
        .saturating_sub(known.into_iter().fold(0, u64::saturating_add))
}

/// What the profiler counted beside what others counted: from attach to detach, or, in a run with
/// windows, in those with probes of holds. None is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroundTruthCheck {
    /// The windows that are compared; none where it is the whole run. At both edges of each, a task that
    /// is being created may be on one side only.
    pub windows: Option<u64>,
    /// Lives by the load's own account, and the load's main process; not known for windows.
    pub lives_by_load: Option<u64>,
    /// Null holds by the load's own account; not known for windows.
    pub null_holds_by_load: Option<u64>,
    /// Tasks created by the kernel's account: with the background's.
    pub tasks_created_by_kernel: Option<u64>,
    /// Holds of fork.
    pub fork_holds: Option<u64>,
    /// Holds of exit.
    pub exit_holds: Option<u64>,
    /// Holds of reap.
    pub reap_holds: Option<u64>,
    /// Holds of setsid.
    pub setsid_holds: Option<u64>,
}

impl GroundTruthCheck {
    pub(super) fn new(attached: &Attached, footer: Option<&Footer>) -> Self {
        let holds = |site: Site| {
            attached
                .holds
                .as_ref()
                .map(|holds| holds.get(&site).copied().unwrap_or(0))
        };
        let truth = footer.and_then(|footer| footer.ground_truth.as_ref());
        Self {
            windows: None,
            // The load leaves its main process to whoever started it: that is us.
            lives_by_load: truth.map(|truth| truth.tasks_created.saturating_add(1)),
            null_holds_by_load: truth.map(|truth| truth.null_holds),
            tasks_created_by_kernel: footer.map(|footer| footer.tasks_created),
            fork_holds: holds(Site::FORK),
            exit_holds: holds(Site::EXIT),
            reap_holds: holds(Site::REAP),
            setsid_holds: holds(Site::SETSID),
        }
    }

    /// Of windows alone: the load tells no totals of theirs, the kernel does.
    pub(super) fn of_windows(seen: SeenLives, holds_known: bool) -> Self {
        let known = |count| holds_known.then_some(count);
        Self {
            windows: Some(seen.windows),
            lives_by_load: None,
            null_holds_by_load: None,
            tasks_created_by_kernel: known(seen.tasks_created),
            fork_holds: known(seen.holds.fork),
            exit_holds: known(seen.holds.exit),
            reap_holds: known(seen.holds.reap),
            setsid_holds: known(seen.holds.setsid),
        }
    }

    /// The same for this lock: where a task's life does not take it, its holds say nothing of lives.
    pub(super) fn for_lock(self, name: &str) -> Self {
        if is_taken_by_each_task(name) {
            return self;
        }
        Self {
            fork_holds: None,
            exit_holds: None,
            reap_holds: None,
            setsid_holds: None,
            ..self
        }
    }

    /// Fork holds less the tasks that the kernel created: 0 where nothing was lost; a little above
    /// where forks failed late. A task that is created while the probes are attached or detached
    /// may be on one side only.
    #[must_use]
    pub fn fork_difference(&self) -> Option<i64> {
        self.fork_holds?
            .checked_signed_diff(self.tasks_created_by_kernel?)
    }
}
