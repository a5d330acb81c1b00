//! Which questions are asked of two kernels, and in which order.
//!
//! A question about a part is asked only where the one about the whole was answered by yes: about sites
//! where the mean hold changed, about the spans of a site where its hold did. If the kernels do not
//! differ, the main questions alone decide whether there is any verdict at all, and Holm's correction,
//! over both clocks at once, keeps the chance of that at the level; and a few boots can answer, which they
//! could not if all questions were asked at once.

use std::collections::BTreeSet;

use super::{
    Answers, Finding, Instruments, Placement, Quantity, Samples, Setting,
    family::{decide, drawn, family},
    measured::unlike_spans,
    placement::{calls_within_moved, placements},
    quantity::spans_of,
    setting::Instrument,
};
use crate::{
    known_locks, recording::schema::Clock, site::Site, span::Span, statistics::Resampler,
    work_unit::WorkUnit,
};

/// Asks everything in every setting.
///
/// The main questions of all settings in which holds or waits were measured are asked together, for a verdict
/// in one of them is a verdict about the kernels; what cannot be one is not asked. Those of settings with the
/// load alone, which a forecast is held against, are asked together too.
#[must_use]
pub fn ask(askings: &[Asking<'_>], resampler: &mut Resampler) -> Vec<Answers> {
    let mut main: Vec<Vec<Finding>> = askings
        .iter()
        .map(|asking| drawn(asking.main(), resampler))
        .collect();
    for probed in [true, false] {
        let of_these = askings.iter().zip(&mut main);
        let of_these = of_these.filter(|(asking, _)| asking.instruments.probed.is_some() == probed);
        let (mut asked, mut others) = (Vec::new(), Vec::new());
        for (asking, findings) in of_these {
            for finding in findings {
                let family = if finding.quantity.is_judged_in(asking.setting) {
                    &mut asked
                } else {
                    &mut others
                };
                family.push(finding);
            }
        }
        decide(asked, true);
        decide(others, false);
    }
    askings
        .iter()
        .zip(main)
        .map(|(asking, main)| asking.further(main, resampler))
        .collect()
}

/// The sites that findings are about, in their order.
fn sites(findings: &[Finding]) -> Vec<Site> {
    let sites = findings
        .iter()
        .filter_map(|finding| match finding.quantity {
            Quantity::SiteHold(site) | Quantity::SiteWaited(site) => Some(site),
            _ => None,
        });
    sites.collect()
}

/// What can be asked in one setting.
#[derive(Debug)]
pub struct Asking<'a> {
    setting: &'a Setting,
    sides: [&'a Samples<'a>; 2],
    /// By which instruments.
    pub instruments: Instruments,
    /// Where calls happen on both sides.
    pub placements: Vec<Placement>,
}

impl<'a> Asking<'a> {
    /// Finds the instruments that both sides have.
    #[must_use]
    pub fn new(setting: &'a Setting, sides: [&'a Samples<'a>; 2]) -> Self {
        let instruments = Instruments::common(sides[0], sides[1]);
        Self {
            setting,
            sides,
            instruments,
            placements: instruments
                .spans
                .map(|instrument| placements(instrument, sides))
                .unwrap_or_default(),
        }
    }

    /// Both sides' boots.
    #[must_use]
    pub const fn sides(&self) -> [&'a Samples<'a>; 2] {
        self.sides
    }

    /// Asks on, from what became of the main questions.
    fn further(&self, main: Vec<Finding>, resampler: &mut Resampler) -> Answers {
        let changed = |findings: &[Finding], quantity: &Quantity| {
            findings
                .iter()
                .any(|finding| finding.quantity == *quantity && finding.is_rejected())
        };
        let hold = changed(&main, &Quantity::MeanHold);
        let waited = changed(&main, &Quantity::Waited);
        let holds = family(self.holds(), hold, resampler);
        let mut parts = Vec::new();
        for site in sites(&holds) {
            let asked = changed(&holds, &Quantity::SiteHold(site));
            let mut of_site = drawn(self.parts(site), resampler);
            let (distorted, plain): (Vec<&mut Finding>, Vec<&mut Finding>) = of_site
                .iter_mut()
                .partition(|finding| self.is_distorted(&finding.quantity));
            decide(plain, asked);
            decide(distorted, false);
            parts.extend(of_site);
        }
        let waits = family(self.waits(), waited, resampler);
        let mut blame = Vec::new();
        for site in sites(&waits) {
            let asked = changed(&waits, &Quantity::SiteWaited(site));
            blame.extend(family(self.blame(site), asked, resampler));
        }
        let mut called_locks = drawn(self.called_locks(), resampler);
        let (unseen, seen): (Vec<&mut Finding>, Vec<&mut Finding>) = called_locks
            .iter_mut()
            .partition(|finding| finding.is_empty());
        decide(seen, (hold || waited) && !self.setting.shares_cpus());
        decide(unseen, false);
        Answers {
            setting: self.setting.clone(),
            boots: self.sides.map(|side| side.boots.len()),
            instruments: self.instruments,
            waits_proved: self.waits_proved(),
            null_holds_known: self.null_holds_known(),
            locks: family(self.locks(&called_locks), false, resampler),
            profiled: family(self.profiled(), false, resampler),
            main,
            holds,
            parts,
            waits,
            blame,
            called_locks,
            every_lock: None,
        }
    }

    /// The main questions.
    fn main(&self) -> Vec<Finding> {
        let instructions = self.setting.clock == Clock::Instructions;
        let bare = if instructions {
            Quantity::Work
        } else {
            Quantity::Throughput
        };
        let mut findings: Vec<Finding> = self
            .finding(bare, self.instruments.bare)
            .into_iter()
            .collect();
        findings.extend(self.finding(Quantity::MeanHold, self.instruments.holds));
        if !instructions {
            findings.extend(self.finding(Quantity::Waited, self.instruments.waits));
        }
        findings
    }

    fn waits_proved(&self) -> bool {
        let totals = self.instruments.waits.into_iter();
        let mut totals = totals.flat_map(|instrument| self.totals(instrument));
        totals.all(|totals| totals.waits_proved)
    }

    fn null_holds_known(&self) -> bool {
        let totals = self.instruments.holds.into_iter();
        let mut totals = totals.flat_map(|instrument| self.totals(instrument));
        totals.all(|totals| totals.null_hold_ns().is_some())
    }

    /// Whether a part's own time changes by nothing but the probes of calls that have left it: a part of what
    /// probing a call costs falls on what is around it.
    fn is_distorted(&self, part: &Quantity) -> bool {
        match *part {
            Quantity::SpanInHold(_, span) => calls_within_moved(&self.placements, span),
            Quantity::OwnWork(site) => {
                let seen = self.spans_seen(site);
                let mut placements = self.placements.iter();
                placements.any(|placement| seen.contains(&placement.span) && placement.moved())
            }
            _ => false,
        }
    }

    /// Where work goes that leaves a hold: the locks that calls take for themselves. Those that nobody waited
    /// for, too, for that is an answer.
    fn called_locks(&self) -> Vec<Finding> {
        let Some(instrument) = self.instruments.waits else {
            return Vec::new();
        };
        // They are called in the holds of a lock that each task takes.
        if self.setting.clock == Clock::Instructions || self.setting.unit != WorkUnit::TaskLife {
            return Vec::new();
        }
        let known = known_locks::spans_of(&self.setting.lock).iter();
        let locks = known.filter_map(|known| known.own_lock);
        let locks: BTreeSet<&str> = locks.collect();
        locks
            .into_iter()
            .map(|lock| Quantity::OtherLock(lock.to_owned()))
            .filter_map(|quantity| Finding::of(quantity, instrument, self.sides))
            .collect()
    }

    fn holds(&self) -> Vec<Finding> {
        let Some(instrument) = self.instruments.holds else {
            return Vec::new();
        };
        let writers: BTreeSet<Site> = self
            .totals(instrument)
            .flat_map(|totals| totals.holds.keys().copied())
            .filter(|site| site.is_writer())
            .collect();
        writers
            .into_iter()
            .filter_map(|site| self.finding(Quantity::SiteHold(site), self.instruments.holds))
            .collect()
    }

    /// The spans that either side has in the holds of a site.
    fn spans_seen(&self, site: Site) -> BTreeSet<Span> {
        let instrument = self.instruments.spans.into_iter();
        instrument
            .flat_map(|instrument| self.totals(instrument))
            .flat_map(|totals| spans_of(totals, site))
            .collect()
    }

    fn parts(&self, site: Site) -> Vec<Finding> {
        let Some(instrument) = self.instruments.spans else {
            return Vec::new();
        };
        let mut spans = self.spans_seen(site);
        let unlike = unlike_spans(instrument, self.sides);
        let unlike = &unlike & &spans;
        // Around a call that one side alone has probed are its probes, or the call itself.
        spans.retain(|&span| !span.contained().iter().any(|inner| unlike.contains(inner)));
        let rest = unlike.is_empty().then_some(Quantity::OwnWork(site));
        let with_waits = self.instruments.waits.map(|_| instrument);
        let inner: BTreeSet<String> = with_waits
            .into_iter()
            .flat_map(|instrument| self.totals(instrument))
            .flat_map(|totals| totals.inner_waits.keys())
            .filter(|(of, _)| *of == site)
            .map(|(_, lock)| lock.clone())
            .collect();
        if spans.is_empty() && inner.is_empty() {
            // The whole hold is the only part.
            return Vec::new();
        }
        let spans = spans
            .into_iter()
            .map(|span| Quantity::SpanInHold(site, span));
        let inner = inner
            .into_iter()
            .map(|lock| Quantity::InnerWait(site, lock));
        spans
            .chain(rest)
            .chain(inner)
            .filter_map(|quantity| self.finding(quantity, Some(instrument)))
            .collect()
    }

    fn waits(&self) -> Vec<Finding> {
        let Some(instrument) = self.instruments.waits else {
            return Vec::new();
        };
        let sites: BTreeSet<Site> = self
            .totals(instrument)
            .flat_map(|totals| totals.waits.keys().copied())
            .collect();
        sites
            .into_iter()
            .filter_map(|site| self.finding(Quantity::SiteWaited(site), Some(instrument)))
            .collect()
    }

    fn blame(&self, waiter: Site) -> Vec<Finding> {
        let Some(instrument) = self.instruments.waits else {
            return Vec::new();
        };
        let holders: BTreeSet<Option<Site>> = self
            .totals(instrument)
            .flat_map(|totals| totals.blame.keys())
            .filter(|(of, _)| *of == waiter)
            .map(|&(_, holder)| holder)
            .collect();
        holders
            .into_iter()
            .filter_map(|holder| self.finding(Quantity::Blame(waiter, holder), Some(instrument)))
            .collect()
    }

    /// All other locks than those that calls take for themselves.
    fn locks(&self, called: &[Finding]) -> Vec<Finding> {
        let Some(instrument) = self.instruments.waits else {
            return Vec::new();
        };
        let locks: BTreeSet<&String> = self
            .totals(instrument)
            .flat_map(|totals| totals.other_locks.keys())
            .collect();
        locks
            .into_iter()
            .map(|lock| Quantity::OtherLock(lock.clone()))
            .filter(|quantity| called.iter().all(|finding| finding.quantity != *quantity))
            .filter_map(|quantity| self.finding(quantity, Some(instrument)))
            .collect()
    }

    fn profiled(&self) -> Vec<Finding> {
        let quantity = Quantity::ProfiledThroughput;
        self.finding(quantity, self.instruments.probed)
            .into_iter()
            .collect()
    }

    fn totals(&self, instrument: Instrument) -> impl Iterator<Item = &super::Totals> {
        self.sides
            .into_iter()
            .flat_map(move |side| side.totals(instrument))
    }

    /// None where there is nothing to see on either side.
    fn finding(&self, quantity: Quantity, instrument: Option<Instrument>) -> Option<Finding> {
        let finding = Finding::of(quantity, instrument?, self.sides)?;
        (!finding.is_empty()).then_some(finding)
    }
}
