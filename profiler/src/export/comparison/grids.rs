//! What the tables of a comparison share.

use super::super::content::{Column, Grid};
use crate::{
    compare::{Finding, Sample, signed_percent},
    statistics::Interval,
    units::{TimeUnit, UNKNOWN},
};

/// The headers of what both kernels have: their names would be too wide for a mail.
pub(super) const SIDES: [&str; 2] = ["before", "after"];

pub(super) fn median(sample: &Sample, finding: &Finding, unit: TimeUnit) -> String {
    sample.median.map_or_else(
        || UNKNOWN.to_owned(),
        |median| finding.quantity.format(median, unit),
    )
}

pub(super) fn change(finding: &Finding) -> String {
    finding
        .change
        .map_or_else(|| UNKNOWN.to_owned(), signed_percent)
}

/// An interval of shares in percent: `-70.3 … -69.5`.
pub(super) fn range(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || UNKNOWN.to_owned(),
        |interval| {
            let [low, high] = [interval.low, interval.high].map(signed_percent);
            let bare = |text: &str| text.trim_end_matches(" %").to_owned();
            format!("{} … {}", bare(&low), bare(&high))
        },
    )
}

pub(super) fn probability(p: f64) -> String {
    if p < 0.0005 {
        "<.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

pub(super) fn chance(finding: &Finding) -> String {
    finding.test.map_or_else(
        || UNKNOWN.to_owned(),
        |test| format!("{:.2}", test.superiority),
    )
}

/// A table of both values, their difference where there is room, and the change.
pub(super) fn sides_and_change(texts: &[&str]) -> Grid {
    Grid::new(texts, &SIDES)
        .and("difference", Column::Derived)
        .and("change", Column::Number)
}

/// Texts, then both values, their difference and the change.
pub(super) fn pair(mut texts: Vec<String>, finding: &Finding, unit: TimeUnit) -> Vec<String> {
    let values = finding.before.median.zip(finding.after.median);
    let difference = values.map_or_else(
        || UNKNOWN.to_owned(),
        |(before, after)| {
            let difference = after - before;
            let is_nothing = difference.abs() < before.abs().max(after.abs()) * 0.0005;
            let shown = if is_nothing { 0.0 } else { difference };
            finding.quantity.format(shown, unit)
        },
    );
    texts.push(median(&finding.before, finding, unit));
    texts.push(median(&finding.after, finding, unit));
    texts.push(difference);
    texts.push(change(finding));
    texts
}

/// How far the medians are apart.
pub(super) fn shift(finding: &Finding) -> f64 {
    let values = finding.before.median.zip(finding.after.median);
    values.map_or(0.0, |(before, after)| (after - before).abs())
}
