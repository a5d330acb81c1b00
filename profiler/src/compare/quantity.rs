//! The numbers that are compared: one value a boot.

use std::collections::BTreeSet;

use lockprof_abi::{Site, Span};

use super::Totals;
use crate::{
    profile::Durations,
    units::{self, TimeUnit},
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
    /// Time waited for the lock, by task lives.
    Waited,
    /// Time waited for the lock by one site, by task lives.
    SiteWaited(Site),
    /// Time that one site waited behind the holds of another, by task lives; none is readers and
    /// hand-over.
    Blame(Site, Option<Site>),
    /// Time waited for another lock, by task lives.
    OtherLock(String),
    /// Time waited for another lock inside the holds of a site, by holds.
    InnerWait(Site, String),
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
        }
    }

    /// A short key for tables and programs: `reap.hold`, `reap.free_pid`.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Throughput => "throughput".to_owned(),
            Self::ProfiledThroughput => "throughput.profiled".to_owned(),
            Self::Work => "work.per_iteration".to_owned(),
            Self::MeanHold => "hold".to_owned(),
            Self::SiteHold(site) => format!("{}.hold", site.name()),
            Self::SpanInHold(site, span) => format!("{}.{}", site.name(), span.name()),
            Self::OwnWork(site) => format!("{}.own_work", site.name()),
            Self::Waited => "wait_per_life".to_owned(),
            Self::SiteWaited(site) => format!("{}.wait_per_life", site.name()),
            Self::Blame(waiter, holder) => {
                format!(
                    "{}.behind.{}",
                    waiter.name(),
                    holder.map_or("readers", Site::name)
                )
            }
            Self::OtherLock(lock) => format!("{lock}.wait_per_life"),
            Self::InnerWait(site, lock) => format!("{}.wait.{lock}", site.name()),
        }
    }

    /// A value of it with its unit.
    #[must_use]
    pub fn format(&self, value: f64, unit: TimeUnit) -> String {
        match self {
            Self::Throughput | Self::ProfiledThroughput => format!("{}/s", units::rate(value)),
            _ if value < 0.0 => format!("-{}", unit.format(-value)),
            _ => unit.format(value),
        }
    }

    /// Its value in one boot; none where it was not measured, or by too few events.
    #[must_use]
    pub fn value(&self, totals: &Totals) -> Option<f64> {
        match self {
            Self::Throughput | Self::ProfiledThroughput => super::statistics::mean(&totals.rates),
            // Of a load that did nothing no iteration was measured.
            Self::Work => super::statistics::mean(&totals.rates)
                .filter(|&rate| rate > 0.0)
                .map(|rate| 1e9 / rate),
            Self::MeanHold => less_null_hold(totals, &totals.all_holds()?),
            Self::SiteHold(site) => less_null_hold(totals, totals.holds.get(site)?),
            Self::SpanInHold(site, span) => Some(span_in_hold(totals, *site, *span)?),
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
                let waits = known_waits(totals)?;
                let waited: u64 = waits.values().map(|wait| wait.total_ns).sum();
                by_lives(totals, waited as f64)
            }
            Self::SiteWaited(site) => {
                let waited = known_waits(totals)?
                    .get(site)
                    .map_or(0, |wait| wait.total_ns);
                by_lives(totals, waited as f64)
            }
            Self::Blame(waiter, holder) => {
                known_waits(totals)?;
                let waited = totals.blame.get(&(*waiter, *holder)).copied();
                by_lives(totals, waited.unwrap_or(0.0))
            }
            Self::OtherLock(lock) => {
                known_waits(totals)?;
                let waits = totals.other_locks.get(lock).copied().unwrap_or_default();
                by_lives(totals, waits.waited_ns)
            }
            Self::InnerWait(site, lock) => {
                let holds = totals
                    .holds
                    .get(site)
                    .filter(|_| totals.inner_waits_known)?;
                let holds = holds.count() as f64;
                let key = (*site, lock.clone());
                let waits = totals.inner_waits.get(&key).copied().unwrap_or_default();
                (holds >= FEW_EVENTS).then(|| waits.waited_ns / holds)
            }
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

fn span_in_hold(totals: &Totals, site: Site, span: Span) -> Option<f64> {
    let holds = totals.holds.get(&site)?.count() as f64;
    let in_holds = totals.spans.get(&(span, Some(site))).copied();
    (holds >= FEW_EVENTS).then(|| in_holds.unwrap_or_default().self_ns / holds)
}

/// The mean, without what the probes themselves add to a hold as far as the null hold tells.
fn less_null_hold(totals: &Totals, holds: &Durations) -> Option<f64> {
    let mean = holds
        .mean_ns()
        .filter(|_| holds.count() as f64 >= FEW_EVENTS)?;
    Some(mean - totals.null_hold_ns().unwrap_or(0.0))
}

fn known_waits(totals: &Totals) -> Option<&std::collections::BTreeMap<Site, Durations>> {
    totals.waits_known.then_some(&totals.waits)
}

fn by_lives(totals: &Totals, value: f64) -> Option<f64> {
    (totals.lives >= FEW_EVENTS).then(|| value / totals.lives)
}
