//! What was not proved to be seen: sentences for beside the numbers.

use std::collections::BTreeSet;

use super::{
    super::{Known, Profile},
    what,
};
use crate::{
    recording::schema::{LockFamily, Proves},
    units,
};

/// A sentence for each reason.
fn not_proved(all: impl IntoIterator<Item = (Proves, Known)>) -> Vec<String> {
    let mut by_reason: Vec<(String, Vec<String>)> = Vec::new();
    for (proves, known) in all {
        let why = match known {
            Known::Proved | Known::Untried => continue,
            Known::Dead { why, .. } | Known::NotProved { why } => why,
        };
        match by_reason.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, others)) => others.push(what(proves)),
            None => by_reason.push((why, vec![what(proves)])),
        }
    }
    let sentences = by_reason.into_iter().map(|(why, what)| {
        let what = units::list(&what);
        format!("Whether all {what} were seen: that is not proved ({why}).")
    });
    sentences.collect()
}

impl Profile {
    /// What was not proved to be seen in this run, where that was tried: a sentence for each reason.
    #[must_use]
    pub fn not_proved(&self) -> Vec<String> {
        let families = LockFamily::ALL.into_iter();
        let waits = families
            .filter(|_| self.waits_known())
            // Of those it is said in any case.
            .filter(|family| *family != LockFamily::Spinlock)
            .map(Proves::Waits);
        let holds = self.measures_holds().then_some(Proves::Holds);
        let all = holds.into_iter().chain(waits);
        let all = all.map(|proves| (proves, self.proof(proves)));
        not_proved(all.chain(self.missed_controls(|_| true)))
    }

    /// The same of the sites, and of waits for the lock, where none was seen: it belongs beside the sites' numbers.
    #[must_use]
    pub fn sites_not_proved(&self) -> Vec<String> {
        let no_waits = self.target_waits_known() && self.waits_seen().0 == 0;
        not_proved(self.missed_controls(|proves| match proves {
            Proves::Site(_) => true,
            Proves::ContendedHolds => no_waits,
            _ => false,
        }))
    }

    /// The same of calls of which only some were seen when they were tried.
    #[must_use]
    pub fn spans_not_proved(&self) -> Vec<String> {
        not_proved(self.missed_controls(|proves| {
            matches!(proves, Proves::Span(_)) && self.controls.seen_in_part(proves)
        }))
    }

    /// Families of locks of which nobody can say that nobody waited for one that was not seen; none is for those whose
    /// flags do not tell. Of spinlocks the first waiter is silent in every recording: they are among these where the
    /// others are, too.
    #[must_use]
    pub fn families_unseen(&self) -> BTreeSet<Option<LockFamily>> {
        let unseen = LockFamily::ALL.into_iter().filter(|&family| {
            if family == LockFamily::Spinlock {
                self.spinlock_waits_invisible().is_some() || self.lost_of_family(family).is_some()
            } else {
                !self.absence_of_family(family).is_none()
            }
        });
        unseen.map(Some).chain([None]).collect()
    }

    /// Controls of the lock's holds that were made and not seen.
    fn missed_controls(&self, which: impl Fn(Proves) -> bool) -> Vec<(Proves, Known)> {
        // Of another lock nobody makes any.
        if !self.measures_holds() || !self.sites_are_known() {
            return Vec::new();
        }
        let mut missed = self.controls.missed();
        missed.retain(|(proves, _)| {
            !matches!(proves, Proves::Holds | Proves::Waits(_)) && which(*proves)
        });
        missed
    }
}
