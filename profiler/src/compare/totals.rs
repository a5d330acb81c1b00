//! What one boot did under one instrument: recordings of the same boot, added up.

use std::collections::BTreeMap;

use lockprof_abi::{Site, Span};

use crate::profile::{Contention, Durations, Profile, SiteProfile, symbol_of};

/// The sums of one or more recordings of a boot.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Recordings in it.
    pub recordings: usize,
    /// Measured time.
    pub seconds: f64,
    /// Task lives that ended: reap holds where holds are known, else tasks that the kernel created.
    pub lives: f64,
    /// Iterations a second of a bundled load, of each recording.
    pub rates: Vec<f64>,
    /// Mean null holds, of each recording.
    pub null_holds_ns: Vec<f64>,
    /// Holds by writer; empty where holds are not known.
    pub holds: BTreeMap<Site, Durations>,
    /// Whether holds are known.
    pub holds_known: bool,
    /// Contended waits for the lock, by site.
    pub waits: BTreeMap<Site, Durations>,
    /// Whether waits are known.
    pub waits_known: bool,
    /// Whether spinning waits are invisible, as [`crate::recording::schema::Kernel`] says.
    pub spin_waits_invisible: bool,
    /// Calls by span and the site of the hold; no site outside of holds.
    pub spans: BTreeMap<(Span, Option<Site>), SpanTotals>,
    /// Waited time by waiter and holder; no holder for readers and hand-over.
    pub blame: BTreeMap<(Site, Option<Site>), f64>,
    /// Whether waits for other locks inside holds are known.
    pub inner_waits_known: bool,
    /// Waits for other locks inside holds, by site and lock.
    pub inner_waits: BTreeMap<(Site, String), WaitTotals>,
    /// Waits for other locks, inside and outside of holds, by lock.
    pub other_locks: BTreeMap<String, WaitTotals>,
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
    pub fn add(&mut self, profile: &Profile) {
        self.add_results(profile, profile.iterations_per_second());
        self.add_inside(profile);
    }

    /// Adds a recording's holds and waits; the load had this rate meanwhile.
    pub(super) fn add_results(&mut self, profile: &Profile, rate: Option<f64>) {
        self.add_run(profile, profile.measured_s, rate);
        let created = || {
            let measured = profile.series.iter().filter(|point| point.is_measured());
            measured.map(|point| point.tasks_created).sum()
        };
        self.lives += profile.lives().unwrap_or_else(created) as f64;
        self.waits_known = profile.waits_known();
        self.add_holds(profile, &profile.sites);
        for site in &profile.sites {
            if let Some(wait) = &site.wait {
                add_durations(&mut self.waits, site.site, wait);
            }
        }
        for blame in &profile.blame {
            *self.blame.entry((blame.waiter, blame.holder)).or_default() += blame.waited_ns as f64;
        }
        for wait in profile.contention.iter().filter(|wait| !wait.is_target) {
            let lock = lock_across_boots(wait);
            self.other_locks.entry(lock).or_default().add(wait);
        }
    }

    /// Adds what says itself how long it was.
    pub(super) fn add_run(&mut self, profile: &Profile, seconds: f64, rate: Option<f64>) {
        self.recordings += 1;
        self.seconds += seconds;
        self.rates.extend(rate);
        self.spin_waits_invisible = profile.header.kernel.spin_waits_invisible;
    }

    /// Adds the holds of writers, from all windows or some.
    pub(super) fn add_holds(&mut self, profile: &Profile, sites: &[SiteProfile]) {
        self.holds_known = profile.holds_known();
        self.null_holds_ns
            .extend(profile.null_hold().map(|null_hold| null_hold.mean_ns));
        for site in sites {
            if let Some(hold) = site.hold.as_ref().filter(|_| site.site.is_writer()) {
                add_durations(&mut self.holds, site.site, hold);
            }
        }
    }

    /// Adds what a recording says of the inside of holds.
    pub(super) fn add_inside(&mut self, profile: &Profile) {
        for span in &profile.spans {
            let totals = self.spans.entry((span.span, span.site)).or_default();
            totals.calls += span.calls as f64;
            totals.in_hold_ns += span.in_hold_ns.unwrap_or(0) as f64;
            totals.self_ns += span.self_ns.unwrap_or(0) as f64;
        }
        self.inner_waits_known = profile.waits_known();
        for wait in &profile.inner_waits {
            if let Some(site) = wait.in_hold_of {
                let key = (site, lock_across_boots(wait));
                self.inner_waits.entry(key).or_default().add(wait);
            }
        }
    }

    /// The mean null hold.
    #[must_use]
    pub fn null_hold_ns(&self) -> Option<f64> {
        super::statistics::mean(&self.null_holds_ns)
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

impl WaitTotals {
    fn add(&mut self, contention: &Contention) {
        self.waits += contention.waits.count() as f64;
        self.waited_ns += contention.waits.total_ns as f64;
    }
}

fn add_durations(sums: &mut BTreeMap<Site, Durations>, site: Site, durations: &Durations) {
    sums.entry(site)
        .or_insert_with(|| Durations::new(durations.histogram.scale()))
        .merge(durations);
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
