//! One side of a comparison: the boots of one kernel.

use std::collections::{BTreeMap, BTreeSet};

use super::{Instrument, Setting, Totals, windows};
use crate::{
    profile::Profile,
    recording::schema::{Arrangement, Deferral, Ended, Footer, Kernel, Workload},
    units,
    work_unit::WorkUnit,
};

/// The recordings of one kernel.
#[derive(Clone, Debug)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// Its kernels, by release, version and configuration: more than one is worth a word.
    pub kernels: Vec<Kernel>,
    /// The versions of lockprof that recorded it.
    pub versions: BTreeSet<String>,
    /// Where the programs of its holds stood, by name.
    pub arrangements: BTreeSet<String>,
    /// Its boots by what was measured in them.
    pub boots: BTreeMap<Setting, Vec<Boot>>,
    /// Recordings that are not used, and why.
    pub unused: Vec<String>,
    /// What is to be known about those that are used.
    pub cautions: Vec<String>,
}

/// One boot: a sample. Whatever was recorded in one boot is one sample, since gains vary between boots
/// more than within one.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The kernel's boot_id; of a recording without one, a number of its own.
    pub id: String,
    /// When its first recording began, in seconds since 1970.
    pub started_at_s: f64,
    /// What it did, by instrument.
    pub runs: BTreeMap<Instrument, Totals>,
}

impl Side {
    /// Begins a side.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kernels: Vec::new(),
            versions: BTreeSet::new(),
            arrangements: BTreeSet::new(),
            boots: BTreeMap::new(),
            unused: Vec::new(),
            cautions: Vec::new(),
        }
    }

    /// Adds a recording; `origin` names it in messages.
    pub fn add(&mut self, origin: &str, profile: &Profile) {
        if let Some(why) = profile.void_because() {
            self.unused.push(format!("{origin}: void, {why}"));
            return;
        }
        if profile.intervals == 0 {
            self.unused.push(format!("{origin}: nothing was measured"));
            return;
        }
        if profile.locks.is_some() && !profile.waits_known() {
            self.unused.push(format!("{origin}: it knows no waits"));
            return;
        }
        let measured = units::seconds(profile.measured_s);
        if let Some(status) = profile.footer.as_ref().and_then(Footer::failed_load) {
            // Of lockprof's own loads another status than 0 is known to be a failure; commands end as they please.
            let workload = profile.header.workload.as_ref();
            if workload.is_some_and(Workload::is_bundled) {
                self.unused.push(format!(
                    "{origin}: its load failed (status {status}), with {measured} measured"
                ));
                return;
            }
            self.cautions.push(format!(
                "The command of {origin} ended with status {status}, with {measured} measured"
            ));
        }
        if let Some(by) = ended_by(profile) {
            self.cautions.push(format!(
                "{origin} was ended by {by}, with {measured} measured"
            ));
        }
        if profile.cut_short {
            self.cautions.push(format!("{origin} was cut short"));
        }
        let kernel = &profile.header.kernel;
        if !self.kernels.iter().any(|known| same_build(known, kernel)) {
            self.kernels.push(kernel.clone());
        }
        self.versions.insert(profile.header.lockprof.clone());
        if profile.holds_known() {
            let arrangement = profile.header.attach.arrangement;
            let name = arrangement.map_or("that of lockprof 0.1", Arrangement::name);
            self.arrangements.insert(name.to_owned());
        }
        let id = if kernel.boot_id.is_empty() {
            self.cautions.push(format!(
                "{origin} does not say which boot it is of, and counts as one of its own"
            ));
            format!("without a boot_id: {origin}")
        } else {
            kernel.boot_id.clone()
        };
        let setting = Setting::of(profile);
        let unit = setting.unit;
        let boots = self.boots.entry(setting).or_default();
        let index = boots.iter().position(|boot| boot.id == id);
        let index = index.unwrap_or_else(|| {
            boots.push(Boot {
                id,
                started_at_s: f64::INFINITY,
                runs: BTreeMap::new(),
            });
            boots.len() - 1
        });
        let boot = &mut boots[index];
        boot.started_at_s = boot.started_at_s.min(profile.header.started_at_s);
        if let Some(locks) = &profile.locks {
            let instrument = Instrument::of(&profile.header);
            let totals = boot.runs.entry(instrument).or_default();
            totals.add_locks(profile, locks);
        } else {
            windows::add(profile, unit, &mut boot.runs);
        }
    }

    /// Every boot once, whatever was measured in it.
    #[must_use]
    pub fn boot_ids(&self) -> BTreeSet<&str> {
        let boots = self.boots.values().flatten();
        boots.map(|boot| boot.id.as_str()).collect()
    }

    /// What it is called, with its kernel; of a release that ends with that name, what stands before it.
    #[must_use]
    pub fn describe(&self) -> String {
        let release = |kernel: &Kernel| match kernel.release.strip_suffix(&self.name) {
            Some(before) if before.ends_with('-') => format!("{before}…"),
            _ => kernel.release.clone(),
        };
        let releases: Vec<String> = self
            .kernels
            .iter()
            .map(release)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        format!("{} (Linux {})", self.name, releases.join(", "))
    }

    /// Whether any of it is of a lock that each task takes.
    #[must_use]
    pub fn tells_lives(&self) -> bool {
        let mut settings = self.boots.keys();
        settings.any(|setting| setting.unit == WorkUnit::TaskLife)
    }

    /// Whether its kernel is known to have the deferral.
    #[must_use]
    pub fn deferral(&self) -> Option<Deferral> {
        let mut kernels = self.kernels.iter().map(|kernel| kernel.deferral);
        let first = kernels.next()?;
        kernels.all(|deferral| deferral == first).then_some(first)
    }
}

/// What ended the measured time of a load before its end. Where there is none, a signal is how one ends it.
fn ended_by(profile: &Profile) -> Option<&'static str> {
    profile.header.workload.as_ref()?;
    match profile.footer.as_ref()?.ended {
        Ended::Signal => Some("a signal"),
        Ended::Budget => Some("its budget"),
        Ended::LoadEnded | Ended::Duration => None,
    }
}

/// Whether two recordings are of the same build of a kernel on the same kind of CPU; how many of them
/// there are is the setting's.
fn same_build(a: &Kernel, b: &Kernel) -> bool {
    (&a.release, &a.version, &a.config_hash, &a.cpu_model)
        == (&b.release, &b.version, &b.config_hash, &b.cpu_model)
}

/// The boots of one side in one setting.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    /// In the order in which they were booted.
    pub boots: Vec<&'a Boot>,
}

impl<'a> Samples<'a> {
    /// Those of a side.
    #[must_use]
    pub fn of(side: &'a Side, setting: &Setting) -> Self {
        let mut boots: Vec<&Boot> = side.boots.get(setting).into_iter().flatten().collect();
        boots.sort_by(|a, b| a.started_at_s.total_cmp(&b.started_at_s));
        Self { boots }
    }

    /// The instruments of any of them.
    #[must_use]
    pub fn instruments(&self) -> BTreeSet<Instrument> {
        let runs = self.boots.iter().flat_map(|boot| boot.runs.keys());
        runs.copied().collect()
    }

    /// Whether spinning waits are invisible in its boots: both where they differ.
    #[must_use]
    pub fn spin_waits_invisible(&self) -> BTreeSet<bool> {
        let runs = self.boots.iter().flat_map(|boot| boot.runs.values());
        runs.map(|totals| totals.spin_waits_invisible).collect()
    }

    /// The totals of each boot that was measured with an instrument.
    pub fn totals(&self, instrument: Instrument) -> impl Iterator<Item = &'a Totals> {
        self.boots
            .iter()
            .filter_map(move |boot| boot.runs.get(&instrument))
    }
}
