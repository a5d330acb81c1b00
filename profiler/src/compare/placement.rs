//! Where calls happen: inside a hold, or not. This is no statistic: a patch that moves a call out of the
//! hold has moved it or has not.

use std::collections::BTreeSet;

use super::{SMALLEST_CHANGE, Samples, Totals, setting::Instrument};
use crate::{site::Site, span::Span};

/// Where the calls of one span happen on both sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The span.
    pub span: Span,
    /// Of each side.
    pub calls: [Calls; 2],
}

/// Calls of one side, over all its boots.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calls {
    /// Inside any hold of the lock.
    pub in_hold: f64,
    /// Inside the reap's.
    pub in_reap: f64,
    /// Everywhere.
    pub all: f64,
    /// The work that was done, in the unit of the setting.
    pub work: f64,
    /// Write holds of the lock: without any, that a call was in none says nothing.
    pub holds: f64,
    /// Whether any boot probed it: else none of this is known.
    pub probed: bool,
}

impl Placement {
    /// Whether a unit of work has other calls of it inside its holds than before.
    #[must_use]
    pub fn moved(&self) -> bool {
        let [before, after] = self.calls.map(Calls::in_hold_per_unit);
        let both = before.zip(after);
        both.is_some_and(|(before, after)| (before - after).abs() > SMALLEST_CHANGE)
    }
}

/// Whether other calls happen inside a span than before: then its own time has changed by what probing
/// those costs, which falls on it, and says nothing.
#[must_use]
pub fn calls_within_moved(placements: &[Placement], outer: Span) -> bool {
    let inner = outer.contained();
    placements
        .iter()
        .any(|placement| inner.contains(&placement.span) && placement.moved())
}

impl Calls {
    /// All calls; none where nobody looked.
    #[must_use]
    pub fn known(self) -> Option<Self> {
        self.probed.then_some(self)
    }

    /// The share of the calls that happen inside a hold; none without a call, or without a hold.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.all > 0.0 && self.holds > 0.0).then(|| self.in_hold / self.all)
    }

    /// Calls inside a hold by the work that was done; none without any, or without a hold.
    #[must_use]
    pub fn in_hold_per_unit(self) -> Option<f64> {
        (self.work > 0.0 && self.holds > 0.0).then(|| self.in_hold / self.work)
    }

    fn add(&mut self, totals: &Totals, span: Span) {
        // Where it had no probes, nobody knows where it was called.
        let Some(basis) = totals.spans_of.get(&span) else {
            return;
        };
        self.probed = true;
        self.work += basis.work;
        self.holds += basis.holds.values().sum::<f64>();
        for ((_, site), calls) in totals.spans.iter().filter(|((of, _), _)| *of == span) {
            self.all += calls.calls;
            if site.is_some() {
                self.in_hold += calls.calls;
            }
            if *site == Some(Site::REAP) {
                self.in_reap += calls.calls;
            }
        }
    }
}

/// The spans that happen on either side, or that either was to probe and could not, but for the reap itself.
#[must_use]
pub fn placements(instrument: Instrument, sides: [&Samples<'_>; 2]) -> Vec<Placement> {
    let of = |span: Span| {
        sides.map(|side| {
            let mut calls = Calls::default();
            for totals in side.totals(instrument) {
                calls.add(totals, span);
            }
            calls
        })
    };
    let absent = |span: &Span| {
        let mut totals = sides.into_iter().flat_map(|side| side.totals(instrument));
        totals.any(|totals| totals.spans_absent.contains_key(span))
    };
    let all = sides.into_iter().flat_map(|side| side.totals(instrument));
    let spans: BTreeSet<Span> = all.flat_map(Totals::all_spans).collect();
    spans
        .into_iter()
        .filter(|span| !span.encloses_holds())
        .map(|span| Placement {
            span,
            calls: of(span),
        })
        .filter(|placement| {
            let unprobed = placement.calls.iter().any(|calls| !calls.probed);
            let called = placement.calls.iter().any(|calls| calls.all > 0.0);
            called || (unprobed && absent(&placement.span))
        })
        .collect()
}
