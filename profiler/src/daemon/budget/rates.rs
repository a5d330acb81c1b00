//! How often what costs something happens on this machine.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::super::cost::Usage;
use crate::{
    kernel::LockRates,
    recording::schema::{Interval, WindowKind},
};

/// Write holds of tasklist_lock in a task's life: by fork, exit and the reaper.
pub const HOLDS_OF_A_LIFE: f64 = 3.0;
/// CPU time of the daemon a second, before it is measured: some refreshes of a large machine.
const ASSUMED_OWN_CPU: f64 = 1e-3;
/// With fewer task lives a second than this, holds are of something else.
const FEW_LIVES: f64 = 10.0;
/// How long /proc/stat is watched at least.
const WATCH: Duration = Duration::from_millis(100);

/// Events a second, over all CPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// CPUs that are online.
    pub cpus: u32,
    /// Write holds of the lock.
    pub holds: f64,
    /// Holds of other locks of its kind, with which the programs of one that is followed run, too.
    pub passing: f64,
    /// Switches of tasks, where programs look at each.
    pub switches: f64,
    /// Calls of functions that were asked for.
    pub calls: f64,
    /// Waits, where they are counted.
    pub waits: Option<Waits>,
    /// CPU time of the daemon, in seconds a second.
    pub own_cpu: f64,
}

/// Waits a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    /// For any lock.
    pub all: f64,
    /// For the lock that is followed.
    pub of_lock: f64,
}

/// What the machine did while nothing was attached.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    tasks: u64,
    since: Instant,
}

impl Seen {
    /// Begins to watch.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            tasks: Usage::read().tasks_created,
            since: Instant::now(),
        }
    }

    /// Task lives a second since then; waits until there was time enough to tell.
    #[must_use]
    pub fn lives_per_s(self) -> f64 {
        thread::sleep(WATCH.saturating_sub(self.since.elapsed()));
        let seconds = self.since.elapsed().as_secs_f64();
        let tasks = Usage::read().tasks_created.saturating_sub(self.tasks);
        tasks as f64 / seconds
    }
}

impl Rates {
    /// Before anything is attached: by the tasks that the machine makes.
    #[must_use]
    pub fn by_lives(cpus: u32, lives_per_s: f64) -> Self {
        Self {
            cpus,
            holds: HOLDS_OF_A_LIFE * lives_per_s,
            passing: 0.0,
            switches: 0.0,
            calls: 0.0,
            waits: None,
            own_cpu: ASSUMED_OWN_CPU,
        }
    }

    /// Before anything is attached, of a lock that is followed by task: by what was counted for a moment.
    #[must_use]
    pub fn by_locks(cpus: u32, locks: LockRates) -> Self {
        Self {
            holds: of_lock(locks),
            passing: passing(locks),
            switches: locks.switches_per_s.unwrap_or(0.0),
            ..Self::by_lives(cpus, 0.0)
        }
    }
}

/// Holds of the one that is followed, a second: at most all of them, where it is not known yet which that is.
pub(super) fn of_lock(locks: LockRates) -> f64 {
    locks.of_lock_per_s.unwrap_or(locks.all_per_s)
}

/// Holds of locks of the kind that are not the one that is followed, a second.
pub(super) fn passing(locks: LockRates) -> f64 {
    (locks.all_per_s - of_lock(locks)).max(0.0)
}

/// What was counted in the intervals of a window, and what the daemon has used since the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    seconds: f64,
    holds: u64,
    waits: u64,
    waits_of_lock: u64,
    own_cpu_s: f64,
    all_seconds: f64,
    /// Holds and task lives a second, when holds were seen last.
    last_holds: Option<(f64, f64)>,
    /// Holds have nothing to do with task lives.
    whatever_lives: bool,
}

impl Tally {
    /// Begins with so many holds a second, whatever tasks are made: where they were counted before anything was attached.
    pub fn with_holds(holds_per_s: f64) -> Self {
        Self {
            last_holds: Some((holds_per_s, 0.0)),
            whatever_lives: true,
            ..Self::default()
        }
    }

    /// Adds an interval; its events where probes were attached.
    pub fn add(&mut self, interval: &Interval, has_probes: bool) {
        self.own_cpu_s += interval.own.cpu_s;
        self.all_seconds += interval.seconds;
        if !has_probes {
            return;
        }
        self.seconds += interval.seconds;
        for site in interval.cpus.iter().flat_map(|cpu| &cpu.sites) {
            self.holds = self.holds.saturating_add(site.holds);
            self.waits_of_lock = self.waits_of_lock.saturating_add(site.waits);
        }
        // The lock's own waits by writers are not among the others where holds are measured.
        for lock in &interval.contention {
            let waits = lock.waits.saturating_add(lock.sampled);
            self.waits = self.waits.saturating_add(waits);
        }
    }

    /// Holds a second at so many task lives, where they are not seen: in the same relation as when they were,
    /// unless hardly a task was made then, or holds do not follow lives.
    fn holds_at(&self, lives: f64) -> f64 {
        match self.last_holds {
            None => HOLDS_OF_A_LIFE * lives,
            Some((holds, then)) if then >= FEW_LIVES && !self.whatever_lives => {
                holds * lives / then
            }
            Some((holds, _)) => holds,
        }
    }

    /// The rates in the window that has ended; the next one begins. `None` where it had no length. In windows
    /// of waits holds are not seen: the task lives of the machine stand for them, or those that were seen last.
    pub fn take(&mut self, cpus: u32, kind: WindowKind, lives: f64) -> Option<Rates> {
        let window = *self;
        *self = Self {
            own_cpu_s: self.own_cpu_s,
            all_seconds: self.all_seconds,
            last_holds: self.last_holds,
            whatever_lives: self.whatever_lives,
            ..Self::default()
        };
        if window.seconds <= 0.0 {
            return None;
        }
        let per_s = |number: u64| number as f64 / window.seconds;
        let holds = if kind == WindowKind::Waits {
            self.holds_at(lives)
        } else {
            let holds = per_s(window.holds);
            self.last_holds = Some((holds, lives));
            holds
        };
        Some(Rates {
            cpus,
            holds,
            passing: 0.0,
            switches: 0.0,
            calls: 0.0,
            waits: Some(Waits {
                all: per_s(window.waits.saturating_add(window.waits_of_lock)),
                of_lock: per_s(window.waits_of_lock),
            }),
            own_cpu: window.own_cpu_s / window.all_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::schema::{CpuInterval, OwnCost, SiteInterval};

    #[test]
    fn rates_are_counts_by_the_length_of_the_interval() {
        let site = |holds, waits| SiteInterval {
            site: "fork".to_owned(),
            holds,
            held_ns: 0,
            waits,
            waited_ns: 0,
            hold_buckets: Vec::new(),
            wait_buckets: Vec::new(),
        };
        let cpu = |cpu, sites| CpuInterval { cpu, sites };
        let interval = Interval {
            seconds: 2.0,
            cpus: vec![
                cpu(0, vec![site(100, 10), site(50, 0)]),
                cpu(1, vec![site(250, 30)]),
            ],
            own: OwnCost {
                cpu_s: 0.01,
                resident_bytes: 0,
            },
            ..Interval::default()
        };
        let expected = Rates {
            cpus: 2,
            holds: 200.0,
            passing: 0.0,
            switches: 0.0,
            calls: 0.0,
            waits: Some(Waits {
                all: 20.0,
                of_lock: 20.0,
            }),
            own_cpu: 0.005,
        };
        let mut tally = Tally::default();
        tally.add(&interval, true);
        assert_eq!(tally.take(2, WindowKind::Holds, 0.0), Some(expected));
        assert_eq!(tally.take(2, WindowKind::Holds, 0.0), None);
        // Without probes it is the daemon's time alone that is counted.
        tally.add(&interval, false);
        assert_eq!(tally.take(2, WindowKind::Holds, 0.0), None);
        let mut waits = |lives| {
            tally.add(&interval, true);
            tally.take(2, WindowKind::Waits, lives).unwrap()
        };
        // Holds of something else than lives.
        assert_eq!(waits(10.0).holds, 200.0);
        assert_eq!(waits(10.0).own_cpu, 0.005);
        tally.add(&interval, true);
        tally.take(2, WindowKind::Holds, 50.0);
        tally.add(&interval, true);
        let waits = tally.take(2, WindowKind::Waits, 100.0).unwrap();
        assert_eq!(waits.holds, 400.0);
        let mut unknown = Tally::default();
        unknown.add(&interval, true);
        let waits = unknown.take(2, WindowKind::Waits, 10.0).unwrap();
        assert_eq!(waits.holds, 30.0);
    }

    #[test]
    fn of_a_mutex_holds_were_counted_before() {
        let counted = LockRates {
            plural: "mutexes",
            all_per_s: 1000.0,
            of_lock_per_s: Some(40.0),
            switches_per_s: Some(7.0),
        };
        let rates = Rates::by_locks(4, counted);
        assert_eq!((rates.holds, rates.passing), (40.0, 960.0));
        assert_eq!(rates.switches, 7.0);
        // Whose it is nobody knows yet: all may be.
        let unknown = LockRates {
            of_lock_per_s: None,
            ..counted
        };
        let rates = Rates::by_locks(4, unknown);
        assert_eq!((rates.holds, rates.passing), (1000.0, 0.0));
        let mut tally = Tally::with_holds(40.0);
        let interval = Interval {
            seconds: 1.0,
            ..Interval::default()
        };
        tally.add(&interval, true);
        let waits = tally.take(4, WindowKind::Waits, 500.0).unwrap();
        assert_eq!(waits.holds, 40.0);
        // A window of holds, in which as many were seen as tasks were made: what comes next is not scaled by those.
        let site = SiteInterval {
            site: "cgroup_attach_task".to_owned(),
            holds: 60,
            held_ns: 0,
            waits: 0,
            waited_ns: 0,
            hold_buckets: Vec::new(),
            wait_buckets: Vec::new(),
        };
        let of_holds = Interval {
            cpus: vec![CpuInterval {
                cpu: 0,
                sites: vec![site],
            }],
            ..interval.clone()
        };
        tally.add(&of_holds, true);
        assert_eq!(tally.take(4, WindowKind::Holds, 60.0).unwrap().holds, 60.0);
        tally.add(&interval, true);
        let waits = tally.take(4, WindowKind::Waits, 500.0).unwrap();
        assert_eq!(waits.holds, 60.0);
    }

    #[test]
    fn a_life_holds_the_lock_three_times() {
        let rates = Rates::by_lives(4, 100.0);
        assert_eq!((rates.holds, rates.waits), (300.0, None));
    }
}
