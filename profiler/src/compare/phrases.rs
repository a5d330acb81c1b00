//! What sentences about findings are made of.

use super::{
    Better, Comparison, Finding, Quantity, SMALLEST_CHANGE, Setting, Verdict, boots_needed,
};
use crate::units::{self, TimeUnit};

/// From the median of one side to that of the other.
pub(super) fn shift(finding: &Finding) -> Option<f64> {
    Some(finding.after.median? - finding.before.median?)
}

/// Where it was measured, among several settings of one clock: ` on 2 CPUs`, with the load where others have
/// another one.
pub(super) fn place(setting: &Setting, comparison: &Comparison) -> String {
    let settings = comparison.settings.iter();
    let alike: Vec<&Setting> = settings
        .map(|other| &other.answers.setting)
        .filter(|other| other.clock == setting.clock)
        .collect();
    if alike.len() < 2 {
        return String::new();
    }
    let on = format!(" on {}", setting.machine());
    if alike.iter().any(|other| other.load != setting.load) {
        format!(" with {},{on}", setting.load)
    } else {
        on
    }
}

/// One quantity and what came out.
pub(super) fn outcome(finding: &Finding, unit: TimeUnit) -> String {
    let what = finding.quantity.describe();
    let interval = finding.interval.map_or_else(String::new, |interval| {
        format!(
            "{} to {}",
            signed_percent(interval.low),
            signed_percent(interval.high)
        )
    });
    match finding.verdict {
        Verdict::Better | Verdict::Worse => {
            let values = finding.before.median.zip(finding.after.median);
            let values = values.map_or_else(String::new, |(before, after)| {
                let [before, after] =
                    [before, after].map(|value| finding.quantity.format(value, unit));
                // From nothing there is none.
                let interval = if interval.is_empty() {
                    interval
                } else {
                    format!(", 95 % {interval}")
                };
                format!(" ({before} → {after}{interval})")
            });
            format!("{what} {}{values}", changed(finding))
        }
        Verdict::Same => format!(
            "{what} is the same within {}",
            units::percent(SMALLEST_CHANGE)
        ),
        Verdict::Noisy if interval.is_empty() => format!("{what} is too noisy to tell"),
        Verdict::Noisy => format!("{what} is too noisy to tell ({interval})"),
        Verdict::TooFew => {
            let [before, after] = finding.boots();
            format!(
                "{what} has too few {}s for a verdict ({before} and {after}; it takes at least {} of \
                 each)",
                finding.sampled.name(),
                boots_needed(finding.family)
            )
        }
        Verdict::NotAsked => format!("{what} was not asked about"),
    }
}

/// `is 58.3 % shorter`, `rose by 15.2 %`.
fn changed(finding: &Finding) -> String {
    let Some(change) = finding.change else {
        return "appeared".to_owned();
    };
    let size = units::percent(change.abs());
    let word = match (&finding.quantity, finding.quantity.better(), change > 0.0) {
        (Quantity::MeanHold | Quantity::SiteHold(_), _, true) => {
            return format!("is {size} longer");
        }
        (Quantity::MeanHold | Quantity::SiteHold(_), _, false) => {
            return format!("is {size} shorter");
        }
        (_, Better::Higher | Better::Lower, true) => "rose by",
        (_, Better::Higher | Better::Lower, false) => "fell by",
    };
    format!("{word} {size}")
}

/// A share with its sign, of three digits or fewer: `+15.2 %`, `-3.10 %`, `0 %` where it would round to
/// nothing.
#[must_use]
pub fn signed_percent(share: f64) -> String {
    if !share.is_finite() {
        return units::UNKNOWN.to_owned();
    }
    let percent = share * 100.0;
    let digits = match percent.abs() {
        size if size < 0.005 => return "0 %".to_owned(),
        size if size < 9.995 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    format!("{percent:+.digits$} %")
}
