//! What one recording of `lockprof locks` has for a comparison.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    profile::{Class, Durations, Locks, NamedBy, Profile},
    recording::schema::{Header, LockFamily},
    units,
};

/// A class of locks, as it is found again in another recording: by its name and kind, whichever rule named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName {
    /// What it is called.
    pub name: String,
    /// Its kind; none where the flags do not tell.
    pub family: Option<LockFamily>,
    /// Whether it is called after its kind and who asks for it, which is a guess at what is one class.
    pub is_guessed: bool,
}

/// Waits of a recording, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitSum {
    /// How many.
    pub count: u64,
    /// Those of them that have a length.
    pub measured: u64,
    /// The time of these, in nanoseconds.
    pub waited_ns: u64,
}

/// What is asked about waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Waited time, in nanoseconds of a second: a thousand millionth of the tasks that wait on average.
    Waited,
    /// Waits a second.
    Waits,
    /// The mean of those that have a length, in nanoseconds.
    Mean,
}

/// With fewer waits than this in a sample, what one of them did would decide what the mean is.
const FEW_WAITS: u64 = 20;

/// What a recording has of all locks.
#[derive(Clone, Debug, Default)]
pub struct LockRun {
    /// When it began, in seconds since 1970.
    pub started_at_s: f64,
    /// Measured time, in seconds.
    pub seconds: f64,
    /// What ran meanwhile, as far as lockprof started it; empty where it started nothing.
    pub load: String,
    /// What of all waits it looked at, in words. Empty: everything.
    pub only: Vec<String>,
    /// Waits by class, but for those that the tables had no place for.
    pub classes: BTreeMap<LockName, WaitSum>,
    /// The same by who asked; without a name where that is not known.
    pub callers: BTreeMap<(LockName, Option<String>), WaitSum>,
    /// All waits.
    pub all: WaitSum,
    /// Kinds of which nobody knows that there was no wait for a lock that has none in this recording.
    pub unseen: BTreeSet<Option<LockFamily>>,
}

impl LockName {
    fn of(class: &Class) -> Self {
        let is_guessed = matches!(class.named_by, NamedBy::Caller | NamedBy::Kind);
        Self {
            name: if is_guessed {
                as_written(&class.name).to_owned()
            } else {
                class.name.clone()
            },
            family: class.family,
            is_guessed,
        }
    }

    /// With its kind, unless the name has that already.
    #[must_use]
    pub fn titled(&self) -> String {
        if self.is_guessed {
            self.name.clone()
        } else {
            let kind = self.family.map_or("sleeping", LockFamily::name);
            format!("{} ({kind})", self.name)
        }
    }
}

impl WaitSum {
    fn of(waits: &Durations) -> Self {
        Self {
            count: waits.count(),
            measured: waits.measured(),
            waited_ns: waits.total_ns,
        }
    }

    fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.measured = self.measured.saturating_add(other.measured);
        self.waited_ns = self.waited_ns.saturating_add(other.waited_ns);
    }

    /// The number for so many seconds; none where there is none, or of too few waits.
    fn number(&self, measure: Measure, seconds: f64) -> Option<f64> {
        let a_second = |number: u64| (seconds > 0.0).then(|| number as f64 / seconds);
        match measure {
            // Of waits that have no length nobody knows the time.
            Measure::Waited if self.count > 0 && self.measured == 0 => None,
            Measure::Waited => a_second(self.waited_ns),
            Measure::Waits => a_second(self.count),
            Measure::Mean => {
                (self.measured >= FEW_WAITS).then(|| self.waited_ns as f64 / self.measured as f64)
            }
        }
    }
}

/// A number of the recordings of one sample together; none where one of them does not know.
pub(super) fn number(
    runs: &[&LockRun],
    measure: Measure,
    of: impl Fn(&LockRun) -> Option<WaitSum>,
) -> Option<f64> {
    let mut all = WaitSum::default();
    let mut seconds = 0.0;
    for run in runs {
        all.add(&of(run)?);
        seconds += run.seconds;
    }
    all.number(measure, seconds)
}

impl LockRun {
    /// That of a recording of `lockprof locks`.
    pub(super) fn of(profile: &Profile, locks: &Locks) -> Self {
        let header = &profile.header;
        let mut run = Self {
            started_at_s: header.started_at_s,
            seconds: profile.measured_s,
            load: load(header),
            only: only(header).to_vec(),
            unseen: profile.families_unseen(),
            ..Self::default()
        };
        for class in &locks.classes {
            let sum = WaitSum::of(&class.waits);
            run.all.add(&sum);
            if class.class.named_by == NamedBy::Others {
                // Any lock of the kind may be among them.
                run.unseen.insert(class.class.family);
            } else {
                let name = LockName::of(&class.class);
                run.classes.entry(name).or_default().add(&sum);
            }
        }
        for caller in &locks.callers {
            if caller.class.named_by != NamedBy::Others {
                let asks = caller.caller.as_deref();
                let asks = asks.map(|asks| as_written(asks).to_owned());
                let key = (LockName::of(&caller.class), asks);
                let sum = WaitSum::of(&caller.waits);
                run.callers.entry(key).or_default().add(&sum);
            }
        }
        run
    }

    /// The waits for a class that these functions are known to ask for; none where it has none here, and may have
    /// some all the same.
    pub(super) fn class(&self, class: &LockName, callers: &BTreeSet<&str>) -> Option<WaitSum> {
        let known = self.classes.get(class).copied();
        known.or_else(|| {
            self.why_unknown(class, callers)
                .is_none()
                .then(WaitSum::default)
        })
    }

    /// Why nobody knows that there was no wait for a class: a part of a sentence.
    pub(super) fn why_unknown(
        &self,
        class: &LockName,
        callers: &BTreeSet<&str>,
    ) -> Option<&'static str> {
        if self.classes.contains_key(class) {
            return None;
        }
        if self.unseen.contains(&class.family) {
            return Some("a recording without one does not prove that it would have seen one");
        }
        // A lock that is known by who asks for it is known by another name where another function asks more often,
        // or where the kernel tells what it is.
        let may_be = self.callers.keys().any(|(other, caller)| {
            let asks = caller
                .as_deref()
                .is_none_or(|caller| callers.contains(caller));
            other.family == class.family && asks && (class.is_guessed || other.is_guessed)
        });
        may_be.then_some(
            "a recording without one has waits of the same functions for a lock with another name, which may be it",
        )
    }

    /// The waits of one caller for a class; none where nobody knows.
    pub(super) fn caller(
        &self,
        class: &LockName,
        caller: &str,
        callers: &BTreeSet<&str>,
    ) -> Option<WaitSum> {
        let key = (class.clone(), Some(caller.to_owned()));
        if let Some(sum) = self.callers.get(&key) {
            return Some(*sum);
        }
        // Those whose caller is not known may be its.
        if self.callers.contains_key(&(class.clone(), None)) {
            return None;
        }
        self.class(class, callers).map(|_| WaitSum::default())
    }
}

/// A function without what another build's compiler may not have done to it: `rwsem_wake.isra.0`.
fn as_written(function: &str) -> &str {
    function.split('.').next().unwrap_or(function)
}

/// What a recording of `lockprof locks` looked at.
fn only(header: &Header) -> &[String] {
    header.locks.as_ref().map_or(&[], |plan| &plan.only)
}

fn load(header: &Header) -> String {
    let workload = header.workload.as_ref();
    workload.map_or_else(String::new, |workload| workload.command.join(" "))
}

/// What is compared, where it is all locks: those of one process are not those of all, while it has another number in
/// each recording.
pub(super) fn subject(header: &Header) -> String {
    let only: Vec<String> = only(header)
        .iter()
        .map(|words| match words.split_once(' ') {
            Some((what @ ("process" | "task"), _)) => format!("one {what}"),
            _ => words.clone(),
        })
        .collect();
    if only.is_empty() {
        "all contended locks".to_owned()
    } else {
        format!("contended locks, only {}", units::list(&only))
    }
}

impl Measure {
    /// What is asked of these locks, as the subject of a sentence.
    pub(super) fn of(self, locks: &str) -> String {
        match self {
            Self::Waited => format!("waiting for {locks}"),
            Self::Waits => format!("the number of waits for {locks}"),
            Self::Mean => format!("the mean wait for {locks}"),
        }
    }

    /// A key for programs, with the unit.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Waited => "waited_ns_per_s",
            Self::Waits => "waits_per_s",
            Self::Mean => "mean_wait_ns",
        }
    }
}
