//! What one boot did under one instrument: recordings of the same boot, added up.
//!
//! Not each of them has measured everything. So a sum is divided by what happened in the recordings that it is of
//! (its [`Basis`]), and by nothing else; without one it is not known.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    profile::{Contention, Durations, Locks, Profile, SiteProfile, symbol_of},
    recording::schema::{LockFamily, Proves},
    site::Site,
    span::Span,
    statistics,
    work_unit::WorkUnit,
};

/// The sums of one or more recordings of a boot.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Recordings in it.
    pub recordings: usize,
    /// Measured time.
    pub seconds: f64,
    /// What was done, in the unit of the setting. Task lives are those that ended: reap holds where holds are known,
    /// else tasks that the kernel created.
    pub work: f64,
    /// Iterations a second of a bundled load, of each recording.
    pub rates: Vec<f64>,
    /// Mean null holds, of each recording.
    pub null_holds_ns: Vec<f64>,
    /// Holds by writer; empty where holds are not known.
    pub holds: BTreeMap<Site, Durations>,
    /// Contended waits for the lock, by site.
    pub waits: BTreeMap<Site, Durations>,
    /// Of what those are.
    pub waits_of: Basis,
    /// Whether each recording that knows waits proves that its probes see those of the families that a control can be
    /// made of.
    pub waits_proved: bool,
    /// Whether spinning waits are invisible, as [`crate::recording::schema::Kernel`] says.
    pub spin_waits_invisible: bool,
    /// Whether a recording says that waits for spinlocks are, by whatever cause.
    pub spinlock_waits_invisible: bool,
    /// Whether a recording proves that they are seen.
    pub spinlock_waits_proved: bool,
    /// Calls by span and the site of the hold; no site outside of holds.
    pub spans: BTreeMap<(Span, Option<Site>), SpanTotals>,
    /// Of what those of each span are; none of a span that had no probes.
    pub spans_of: BTreeMap<Span, Basis>,
    /// Why spans had no probes, in the recordings that were to probe them.
    pub spans_absent: BTreeMap<Span, String>,
    /// Waited time by waiter and holder; no holder for readers and hand-over.
    pub blame: BTreeMap<(Site, Option<Site>), f64>,
    /// Waits for other locks inside holds, by site and lock.
    pub inner_waits: BTreeMap<(Site, String), WaitTotals>,
    /// Of what those are.
    pub inner_waits_of: Basis,
    /// Waits for other locks, inside and outside of holds, by lock.
    pub other_locks: BTreeMap<String, WaitTotals>,
    /// Of what those are.
    pub other_locks_of: Basis,
    /// Recordings of all locks.
    pub every_lock: Vec<super::LockRun>,
    /// How its loads were run, beside what the setting has: other options of a bundled load.
    pub load_options: BTreeSet<String>,
}

/// The recordings that a sum is of, and what happened in them: what it may be divided by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Basis {
    /// How many; without one the sum is not known.
    pub recordings: usize,
    /// What was done in them.
    pub work: f64,
    /// In this unit.
    pub unit: WorkUnit,
    /// Holds in them, by writer.
    pub holds: BTreeMap<Site, f64>,
}

/// Calls of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpanTotals {
    /// Calls.
    pub calls: f64,
    /// Their time with that of the spans in them; 0 where none is taken.
    pub in_hold_ns: f64,
    /// Their own time; 0 where none is taken.
    pub self_ns: f64,
}

/// Waits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WaitTotals {
    /// How many.
    pub waits: f64,
    /// Their time.
    pub waited_ns: f64,
}

impl Totals {
    /// Adds a recording that has no windows: everything in it was measured together.
    pub fn add(&mut self, profile: &Profile, unit: WorkUnit) {
        let basis = self.add_results(profile, unit, profile.iterations_per_second());
        self.add_inside(profile, &basis);
    }

    /// Adds a recording's holds and waits, and tells what they are of; the load had this rate meanwhile.
    pub(super) fn add_results(
        &mut self,
        profile: &Profile,
        unit: WorkUnit,
        rate: Option<f64>,
    ) -> Basis {
        self.add_run(profile, profile.measured_s, rate);
        let created = || {
            let measured = profile.series.iter().filter(|point| point.is_measured());
            measured.map(|point| point.tasks_created).sum()
        };
        let lives = profile.lives().unwrap_or_else(created);
        let work = done(unit, lives, profile.measured_s, rate);
        let basis = self.add_holds(profile, &profile.sites, (work, unit));
        // Waits that are in no site are in no sum here.
        let told = profile.waits_seen().0 == 0 || profile.sites.iter().any(SiteProfile::has_waited);
        if profile.target_waits_known() && told {
            self.add_waits(profile, &basis);
        }
        if profile.waits_known() {
            self.other_locks_of.add(&basis);
            for wait in profile.contention.iter().filter(|wait| !wait.is_target) {
                let lock = lock_across_boots(wait);
                self.other_locks.entry(lock).or_default().add(wait);
            }
        }
        basis
    }

    /// Adds the waits for the lock of a recording that knows them.
    fn add_waits(&mut self, profile: &Profile, basis: &Basis) {
        let controlled = [LockFamily::Mutex, LockFamily::Rwsem, LockFamily::Rwlock];
        let mut proofs = controlled.into_iter().map(Proves::Waits);
        let proved = proofs.all(|waits| profile.proof(waits).is_proved());
        self.waits_proved = proved && (self.waits_proved || !self.waits_of.is_known());
        self.waits_of.add(basis);
        for site in &profile.sites {
            if let Some(wait) = &site.wait {
                add_durations(&mut self.waits, site.site, wait);
            }
        }
        for blame in &profile.blame {
            *self.blame.entry((blame.waiter, blame.holder)).or_default() += blame.waited_ns as f64;
        }
    }

    /// Adds what says itself how long it was.
    pub(super) fn add_run(&mut self, profile: &Profile, seconds: f64, rate: Option<f64>) {
        self.recordings += 1;
        self.seconds += seconds;
        self.rates.extend(rate);
        self.spin_waits_invisible |= profile.header.kernel.spin_waits_invisible;
        self.spinlock_waits_invisible |= profile.spinlock_waits_invisible().is_some();
        let spinlocks = profile.proof(Proves::Waits(LockFamily::Spinlock));
        self.spinlock_waits_proved |= spinlocks.is_proved();
        self.load_options.extend(other_options(profile));
    }

    /// Adds a recording of all locks: nothing is divided by anything but its own time.
    pub(super) fn add_locks(&mut self, profile: &Profile, locks: &Locks) {
        self.recordings += 1;
        self.seconds += profile.measured_s;
        self.spin_waits_invisible |= profile.header.kernel.spin_waits_invisible;
        self.every_lock.push(super::LockRun::of(profile, locks));
    }

    /// Adds the holds of writers, from all windows or some, in which so much was done; tells what they are of.
    pub(super) fn add_holds(
        &mut self,
        profile: &Profile,
        sites: &[SiteProfile],
        (work, unit): (f64, WorkUnit),
    ) -> Basis {
        let mut basis = Basis {
            recordings: 1,
            work,
            unit,
            holds: BTreeMap::new(),
        };
        self.work += work;
        if !profile.holds_known() {
            return basis;
        }
        self.null_holds_ns
            .extend(profile.null_hold().map(|null_hold| null_hold.mean_ns));
        for site in sites {
            if let Some(hold) = site.hold.as_ref().filter(|_| site.site.is_writer()) {
                basis.holds.insert(site.site, hold.count() as f64);
                add_durations(&mut self.holds, site.site, hold);
            }
        }
        basis
    }

    /// Adds what a recording says of the inside of these holds.
    pub(super) fn add_inside(&mut self, profile: &Profile, basis: &Basis) {
        let probed = probed_spans(profile);
        for &span in &probed {
            self.spans_of.entry(span).or_default().add(basis);
        }
        for (name, why) in &profile.absent_spans {
            if let Some(span) = Span::find(name) {
                self.spans_absent.entry(span).or_insert_with(|| why.clone());
            }
        }
        for span in profile
            .spans
            .iter()
            .filter(|span| probed.contains(&span.span))
        {
            let totals = self.spans.entry((span.span, span.site)).or_default();
            totals.calls += span.calls as f64;
            totals.in_hold_ns += span.in_hold_ns.unwrap_or(0) as f64;
            totals.self_ns += span.self_ns.unwrap_or(0) as f64;
        }
        if profile.waits_known() {
            self.inner_waits_of.add(basis);
            for wait in &profile.inner_waits {
                if let Some(site) = wait.in_hold_of {
                    let key = (site, lock_across_boots(wait));
                    self.inner_waits.entry(key).or_default().add(wait);
                }
            }
        }
    }

    /// The spans that it had, or was to have, probes for.
    pub(super) fn all_spans(&self) -> impl Iterator<Item = Span> {
        let absent = self.spans_absent.keys();
        self.spans_of.keys().chain(absent).copied()
    }

    /// Whether nobody would have been seen to wait for a spinlock: not where a recording of the same boot proves that
    /// they are seen.
    #[must_use]
    pub const fn hides_spinlock_waits(&self) -> bool {
        self.spinlock_waits_invisible && !self.spinlock_waits_proved
    }

    /// The mean null hold.
    #[must_use]
    pub fn null_hold_ns(&self) -> Option<f64> {
        statistics::mean(&self.null_holds_ns)
    }

    /// The holds of all writers.
    #[must_use]
    pub fn all_holds(&self) -> Option<Durations> {
        let mut all: Option<Durations> = None;
        for holds in self.holds.values() {
            all.get_or_insert_with(|| Durations::new(holds.histogram.scale()))
                .merge(holds);
        }
        all
    }
}

impl Basis {
    /// Whether any recording knows it.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.recordings > 0
    }

    fn add(&mut self, other: &Self) {
        self.recordings += other.recordings;
        self.work += other.work;
        self.unit = other.unit;
        for (&site, holds) in &other.holds {
            *self.holds.entry(site).or_default() += holds;
        }
    }
}

impl WaitTotals {
    fn add(&mut self, contention: &Contention) {
        self.waits += contention.waits.count() as f64;
        self.waited_ns += contention.waits.total_ns as f64;
    }
}

/// What was done in so many seconds, in which so many tasks lived and the load had this rate.
pub(super) fn done(unit: WorkUnit, lives: u64, seconds: f64, rate: Option<f64>) -> f64 {
    match unit {
        WorkUnit::TaskLife => lives as f64,
        WorkUnit::Iteration => rate.map_or(0.0, |rate| rate * seconds),
        WorkUnit::Second => seconds,
    }
}

fn add_durations(sums: &mut BTreeMap<Site, Durations>, site: Site, durations: &Durations) {
    sums.entry(site)
        .or_insert_with(|| Durations::new(durations.histogram.scale()))
        .merge(durations);
}

/// The spans whose calls were seen wherever they happened: all their probes were attached, and to the end.
fn probed_spans(profile: &Profile) -> BTreeSet<Span> {
    let probes = || profile.header.attach.probes.iter();
    let absent = probes().filter(|probe| probe.absent.is_some());
    let absent: BTreeSet<Span> = absent.filter_map(Span::of_probe).collect();
    let planned: BTreeSet<Span> = probes().filter_map(Span::of_probe).collect();
    &planned - &absent
}

/// The options of a bundled load that are not in the setting: how long it warms up and runs.
fn other_options(profile: &Profile) -> Option<String> {
    let workload = profile.header.workload.as_ref()?;
    workload.tasks?;
    let options = workload.command.iter().filter(|word| {
        let name = word.split('=').next().unwrap_or_default();
        name.starts_with("--") && !["--tasks", "--mode", "--no-affinity"].contains(&name)
    });
    let options: Vec<&str> = options.map(String::as_str).collect();
    Some(options.join(" "))
}

/// A lock's name that means the same in another boot: its symbol without the offset, which differs
/// between kernels, or, of one that has none, its kind and who asks for it, since its address differs
/// between boots.
fn lock_across_boots(wait: &Contention) -> String {
    match (&wait.name, &wait.caller) {
        (Some(name), _) => symbol_of(name).to_owned(),
        (None, Some(caller)) => format!("{} of {}", wait.kind.name(), symbol_of(caller)),
        (None, None) => format!("{} without a name", wait.kind.name()),
    }
}
