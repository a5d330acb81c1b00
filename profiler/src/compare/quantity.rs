//! The numbers that are compared: one value a boot.

use std::collections::BTreeSet;

use super::{Basis, LockName, LockRun, Measure, Setting, Totals, lock_run::number};
use crate::{
    known_locks,
    profile::Durations,
    site::Site,
    span::Span,
    statistics,
    units::{self, TimeUnit},
    work_unit::WorkUnit,
};

/// With fewer events in a boot than this, what one of them did would decide.
const FEW_EVENTS: f64 = 20.0;

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Iterations a second of the load, with nothing attached.
    Throughput,
    /// The same while it is profiled.
    ProfiledThroughput,
    /// CPU work of an iteration of the load with nothing attached, on the instruction clock.
    Work,
    /// The mean hold over all writers, less the null hold.
    MeanHold,
    /// The mean hold of one site, less the null hold.
    SiteHold(Site),
    /// Own time of a span in the holds of a site, by holds.
    SpanInHold(Site, Span),
    /// What is left of the mean hold of a site without its spans, less the null hold.
    OwnWork(Site),
    /// Time waited for the lock, by the work that was done.
    Waited,
    /// Time waited for the lock by one site, by the work that was done.
    SiteWaited(Site),
    /// Time that one site waited behind the holds of another, by the work that was done; none is
    /// readers and hand-over.
    Blame(Site, Option<Site>),
    /// Time waited for another lock, by the work that was done.
    OtherLock(String),
    /// Time waited for another lock inside the holds of a site, by holds.
    InnerWait(Site, String),
    /// Waits for all locks, in recordings of `lockprof locks`.
    AllLocks(Measure),
    /// Those for a class of them.
    LockClass(LockName, Measure),
    /// Those of one caller for a class.
    LockCaller(LockName, String, Measure),
    /// Those for all classes that have no row of their own.
    OtherClasses(Measure),
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More of it.
    Higher,
    /// Less of it.
    Lower,
}

impl Quantity {
    /// Which way is better.
    #[must_use]
    pub const fn better(&self) -> Better {
        match self {
            Self::Throughput | Self::ProfiledThroughput => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// Whether a change of it as a whole would be one of the kernel in this setting, and not of who emulates it.
    #[must_use]
    pub fn is_judged_in(&self, setting: &Setting) -> bool {
        let of_holds = matches!(self, Self::MeanHold | Self::Work);
        of_holds || !setting.shares_cpus()
    }

    /// In words, as the subject of a sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Throughput => "throughput".to_owned(),
            Self::ProfiledThroughput => "throughput while profiled".to_owned(),
            Self::Work => "the work of an iteration".to_owned(),
            Self::MeanHold => "the mean hold".to_owned(),
            Self::SiteHold(site) => format!("the mean {} hold", site.name()),
            Self::SpanInHold(site, span) => format!("{} in the {} hold", span.name(), site.name()),
            Self::OwnWork(site) => format!("the rest of the {} hold", site.name()),
            Self::Waited => "waiting for the lock".to_owned(),
            Self::SiteWaited(site) => format!("waiting by {}", site.name()),
            Self::Blame(waiter, holder) => {
                format!("{} behind {}", waiter.name(), holder_name(*holder))
            }
            Self::OtherLock(lock) => format!("waiting for {lock}"),
            Self::InnerWait(site, lock) => {
                format!("waiting for {lock} in the {} hold", site.name())
            }
            Self::AllLocks(measure) => measure.of("locks"),
            Self::LockClass(class, measure) => measure.of(&class.titled()),
            Self::LockCaller(class, caller, measure) => {
                format!("{} by {caller}", measure.of(&class.titled()))
            }
            Self::OtherClasses(measure) => measure.of("the other classes"),
        }
    }

    /// A short key for tables and programs, where waiting is divided by this: `reap.hold`, `reap.free_pid`.
    #[must_use]
    pub fn key(&self, unit: WorkUnit) -> String {
        let unit = unit.key();
        match self {
            Self::Throughput => "throughput".to_owned(),
            Self::ProfiledThroughput => "throughput.profiled".to_owned(),
            Self::Work => "work.per_iteration".to_owned(),
            Self::MeanHold => "hold".to_owned(),
            Self::SiteHold(site) => format!("{}.hold", site.name()),
            Self::SpanInHold(site, span) => format!("{}.{}", site.name(), span.name()),
            Self::OwnWork(site) => format!("{}.own_work", site.name()),
            Self::Waited => format!("wait_per_{unit}"),
            Self::SiteWaited(site) => format!("{}.wait_per_{unit}", site.name()),
            Self::Blame(waiter, holder) => {
                format!(
                    "{}.behind.{}",
                    waiter.name(),
                    holder.map_or("readers", Site::name)
                )
            }
            Self::OtherLock(lock) => format!("{lock}.wait_per_{unit}"),
            Self::InnerWait(site, lock) => format!("{}.wait.{lock}", site.name()),
            Self::AllLocks(measure) => format!("all.{}", measure.key()),
            Self::LockClass(class, measure) => format!("{}.{}", class.titled(), measure.key()),
            Self::LockCaller(class, caller, measure) => {
                format!("{}.by.{caller}.{}", class.titled(), measure.key())
            }
            Self::OtherClasses(measure) => format!("others.{}", measure.key()),
        }
    }

    /// A value of it with its unit.
    #[must_use]
    pub fn format(&self, value: f64, unit: TimeUnit) -> String {
        match self {
            Self::Throughput | Self::ProfiledThroughput => format!("{}/s", units::rate(value)),
            _ if value < 0.0 => format!("-{}", self.format(-value, unit)),
            _ => match self.measure() {
                Some(Measure::Waited) => format!("{}/s", unit.format(value)),
                Some(Measure::Waits) => format!("{}/s", units::rate(value)),
                Some(Measure::Mean) | None => unit.format(value),
            },
        }
    }

    /// What is asked about waits for all locks, or some of them.
    #[must_use]
    pub const fn measure(&self) -> Option<Measure> {
        match self {
            Self::AllLocks(measure)
            | Self::LockClass(_, measure)
            | Self::LockCaller(_, _, measure)
            | Self::OtherClasses(measure) => Some(*measure),
            _ => None,
        }
    }

    /// Its value in one boot; none where it was not measured, or by too few events.
    #[must_use]
    pub fn value(&self, totals: &Totals) -> Option<f64> {
        match self {
            Self::Throughput | Self::ProfiledThroughput => statistics::mean(&totals.rates),
            // Of a load that did nothing no iteration was measured.
            Self::Work => statistics::mean(&totals.rates)
                .filter(|&rate| rate > 0.0)
                .map(|rate| 1e9 / rate),
            Self::MeanHold => less_null_hold(totals, &totals.all_holds()?),
            Self::SiteHold(site) => less_null_hold(totals, totals.holds.get(site)?),
            Self::SpanInHold(site, span) => span_in_hold(totals, *site, *span),
            Self::OwnWork(site) => {
                let hold = less_null_hold(totals, totals.holds.get(site)?)?;
                let spans = spans_of(totals, *site);
                let in_spans: f64 = spans
                    .into_iter()
                    .filter_map(|span| span_in_hold(totals, *site, span))
                    .sum();
                Some(hold - in_spans)
            }
            Self::Waited => {
                let waited: u64 = totals.waits.values().map(|wait| wait.total_ns).sum();
                by_work(&totals.waits_of, waited as f64)
            }
            Self::SiteWaited(site) => {
                let waited = totals.waits.get(site).map_or(0, |wait| wait.total_ns);
                by_work(&totals.waits_of, waited as f64)
            }
            Self::Blame(waiter, holder) => {
                let waited = totals.blame.get(&(*waiter, *holder)).copied();
                by_work(&totals.waits_of, waited.unwrap_or(0.0))
            }
            Self::OtherLock(lock) => {
                // The locks that calls take for themselves are spinlocks.
                let mut called = known_locks::spans().filter_map(|known| known.own_lock);
                let invisible = totals.hides_spinlock_waits() && called.any(|own| own == lock);
                match totals.other_locks.get(lock) {
                    Some(waits) => by_work(&totals.other_locks_of, waits.waited_ns),
                    None if invisible => None,
                    None => by_work(&totals.other_locks_of, 0.0),
                }
            }
            Self::InnerWait(site, lock) => {
                let key = (*site, lock.clone());
                let waits = totals.inner_waits.get(&key).copied().unwrap_or_default();
                by_holds(&totals.inner_waits_of, *site, waits.waited_ns)
            }
            Self::AllLocks(measure) => {
                let runs: Vec<&LockRun> = totals.every_lock.iter().collect();
                number(&runs, *measure, |run| Some(run.all))
            }
            // It takes all recordings to know whether one would have had some.
            Self::LockClass(..) | Self::LockCaller(..) | Self::OtherClasses(_) => None,
        }
    }
}

/// The holder of a blamed wait.
#[must_use]
pub fn holder_name(holder: Option<Site>) -> &'static str {
    holder.map_or(crate::recording::schema::READERS_AND_HANDOVER, |site| {
        site.name()
    })
}

/// The spans that were ever seen in the holds of a site.
#[must_use]
pub fn spans_of(totals: &Totals, site: Site) -> BTreeSet<Span> {
    let spans = totals.spans.iter();
    spans
        .filter(|((_, of), span)| *of == Some(site) && span.in_hold_ns > 0.0)
        .map(|((span, _), _)| *span)
        .collect()
}

/// None where the span had no probes: no calls were seen, however many there were.
fn span_in_hold(totals: &Totals, site: Site, span: Span) -> Option<f64> {
    let basis = totals.spans_of.get(&span)?;
    let in_holds = totals.spans.get(&(span, Some(site))).copied();
    by_holds(basis, site, in_holds.unwrap_or_default().self_ns)
}

/// The mean, without what the probes themselves add to a hold as far as the null hold tells.
fn less_null_hold(totals: &Totals, holds: &Durations) -> Option<f64> {
    let mean = holds
        .mean_ns()
        .filter(|_| holds.count() as f64 >= FEW_EVENTS)?;
    Some(mean - totals.null_hold_ns().unwrap_or(0.0))
}

fn by_work(basis: &Basis, value: f64) -> Option<f64> {
    let enough = match basis.unit {
        WorkUnit::TaskLife | WorkUnit::Iteration => basis.work >= FEW_EVENTS,
        WorkUnit::Second => basis.work > 0.0,
    };
    enough.then(|| value / basis.work)
}

fn by_holds(basis: &Basis, site: Site, value: f64) -> Option<f64> {
    let holds = *basis.holds.get(&site)?;
    (holds >= FEW_EVENTS).then(|| value / holds)
}
