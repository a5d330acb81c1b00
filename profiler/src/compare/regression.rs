//! What a script may stop at: something became worse, or nobody can say whether it did.

use super::{
    Better, Comparison, Finding, SMALLEST_CHANGE, Setting, Verdict, boots_needed, measured,
    signed_percent,
};
use crate::units;

/// The limit where none was named: what is smaller gets no verdict.
pub const DEFAULT_LIMIT: f64 = SMALLEST_CHANGE;

/// What became worse by more than a share: throughput and work, holds and waits, as a whole and by site. Their
/// parts are no regressions of their own: a call that moves makes one longer and another shorter.
#[must_use]
pub fn regressions(comparison: &Comparison, more_than: f64) -> Vec<(&Setting, &Finding)> {
    wholes(comparison)
        .filter(|(_, finding)| finding.verdict == Verdict::Worse)
        .filter(|(_, finding)| finding.change.is_none_or(|change| change.abs() > more_than))
        .collect()
}

/// Throughput and work, holds and waits, as a whole and by site.
fn wholes(comparison: &Comparison) -> impl Iterator<Item = (&Setting, &Finding)> {
    comparison.settings.iter().flat_map(|setting| {
        let answers = &setting.answers;
        let wholes = answers.main.iter().chain(&answers.holds);
        let wholes = wholes.chain(&answers.waits);
        wholes.map(|finding| (&answers.setting, finding))
    })
}

/// Why nobody can say whether something became worse; none where that was answered.
#[must_use]
pub fn cannot_judge(comparison: &Comparison) -> Option<String> {
    let sides = [&comparison.before, &comparison.after];
    let [before, after] = sides.map(|side| &side.name);
    let main = || {
        let settings = comparison.settings.iter();
        settings.flat_map(|setting| &setting.answers.main)
    };
    let locks = comparison.settings.iter();
    let mut locks = locks.filter_map(|setting| setting.answers.every_lock.as_ref());
    if let Some(why) = locks.find_map(|locks| locks.all_unknown.as_ref()) {
        return Some(format!(
            "all locks of {after} and {before} cannot be compared ({why})"
        ));
    }
    if main().next().is_none() {
        return Some(format!(
            "{after} and {before} have no number that could be compared"
        ));
    }
    if main().all(|finding| finding.verdict == Verdict::NotAsked) {
        return Some(format!(
            "{after} and {before} were measured on emulated CPUs that share fewer real ones, where \
             throughput and waits show nothing of a kernel"
        ));
    }
    // What one side alone has may have become worse on the other.
    if let Some(why) = measured::unanswered(comparison) {
        return Some(why);
    }
    let few = main().find(|finding| finding.verdict == Verdict::TooFew)?;
    let [old, new] = few.boots();
    Some(format!(
        "{after} and {before} have too few {}s for a verdict about {} ({new} and {old}; it takes at \
         least {} of each)",
        few.sampled.name(),
        few.quantity.describe(),
        boots_needed(few.family)
    ))
}

/// Why nobody can say whether something became worse by more than a limit that was named: it may have, as far as
/// its boots tell. Of a limit of 0 that would be all that is noisy.
#[must_use]
pub fn too_noisy(comparison: &Comparison, limit: f64) -> Option<String> {
    if limit <= 0.0 {
        return None;
    }
    let (setting, finding, interval) = wholes(comparison)
        .filter(|(_, finding)| finding.verdict == Verdict::Noisy)
        .filter_map(|(setting, finding)| Some((setting, finding, finding.interval?)))
        .find(|(_, finding, interval)| match finding.quantity.better() {
            Better::Higher => interval.low < -limit,
            Better::Lower => interval.high > limit,
        })?;
    Some(format!(
        "{} of {} against {} is too noisy for a limit of {} (95 % {} to {}, with {}): it takes more {}s",
        finding.quantity.describe(),
        comparison.after.name,
        comparison.before.name,
        units::percent(limit),
        signed_percent(interval.low),
        signed_percent(interval.high),
        setting.describe(),
        finding.sampled.name()
    ))
}
