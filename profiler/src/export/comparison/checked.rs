//! The forecast beside what was measured where the recordings have it: how wrong the model is.

use super::super::content::{Emphasis, Grid, Section, Topic};
use crate::{
    compare::{Comparison, Finding, Quantity, Setting, signed_percent},
    forecast::Forecast,
    recording::schema::Clock,
    units::UNKNOWN,
};

/// Throughput with nothing attached, in one setting.
struct Measured<'a> {
    setting: &'a Setting,
    throughput: &'a Finding,
}

/// The change that was forecast beside the one that was measured, for each number of CPUs; and how far
/// each kernel scales.
pub(super) fn checked(forecast: &Forecast, comparisons: &[Comparison]) -> Section {
    let mut section = Section::new(Topic::Forecast, "The forecast beside what was measured");
    let mut changes = Grid::new(&["machine"], &["forecast", "measured", "95 %", "off by"]);
    let mut scales = Grid::new(&["kernel"], &["CPUs", "forecast", "measured", "off by"]);
    let several = comparisons.len() > 1;
    for (comparison, kernel) in comparisons.iter().zip(1..) {
        let mut all = measured(comparison);
        all.sort_by_key(|measured| measured.setting.cpus);
        for one in &all {
            let cpus = one.setting.cpus;
            let point = forecast.at(kernel, cpus);
            let model = point.and_then(|point| point.change);
            let Some((model, change)) = model.zip(one.throughput.change) else {
                continue;
            };
            let interval = one.throughput.interval;
            changes.row([
                if several {
                    format!("{cpus} CPUs, {}", comparison.after.name)
                } else {
                    format!("{cpus} CPUs")
                },
                signed_percent(model.point),
                signed_percent(change),
                interval.map_or_else(
                    || UNKNOWN.to_owned(),
                    |interval| {
                        let [low, high] = [interval.low, interval.high].map(signed_percent);
                        let bare = |text: &str| text.trim_end_matches(" %").to_owned();
                        format!("{} … {}", bare(&low), bare(&high))
                    },
                ),
                points(model.point - change),
            ]);
        }
        if kernel == 1 {
            scale(&mut scales, forecast, 0, comparison, &all);
        }
        scale(&mut scales, forecast, kernel, comparison, &all);
    }
    if changes.rows.is_empty() {
        return section;
    }
    section.grid(changes);
    section.sentence(
        "How many more task lives the kernel has than the one it is compared with. The forecast is for \
         as many real CPUs; an emulated machine may share fewer between its own, and its lock then \
         waits for CPUs that are not running: what it is off by is the model's error and that.",
        Emphasis::Quiet,
    );
    if !scales.rows.is_empty() {
        section.grid(scales);
        section.sentence(
            "Task lives per second, in those of the same kernel on one CPU.",
            Emphasis::Quiet,
        );
    }
    section
}

/// What was measured by a clock that ticks for all CPUs.
fn measured(comparison: &Comparison) -> Vec<Measured<'_>> {
    let settings = comparison.settings.iter();
    settings
        .filter(|setting| setting.answers.setting.clock != Clock::Instructions)
        .filter_map(|setting| {
            Some(Measured {
                setting: &setting.answers.setting,
                throughput: setting.answers.finding(&Quantity::Throughput)?,
            })
        })
        .collect()
}

/// How far one kernel scales, where it was measured on one CPU too.
fn scale(
    grid: &mut Grid,
    forecast: &Forecast,
    kernel: usize,
    comparison: &Comparison,
    all: &[Measured<'_>],
) {
    let side = |finding: &Finding| {
        let sample = if kernel == 0 {
            &finding.before
        } else {
            &finding.after
        };
        sample.median
    };
    let name = if kernel == 0 {
        &comparison.before.name
    } else {
        &comparison.after.name
    };
    let on_one = all.iter().find(|one| one.setting.cpus == 1);
    let Some(alone) = on_one.and_then(|one| side(one.throughput)) else {
        return;
    };
    let Some(model_alone) = forecast.at(kernel, 1).map(|point| point.lives.point) else {
        return;
    };
    for one in all.iter().filter(|one| one.setting.cpus > 1) {
        let model = forecast.at(kernel, one.setting.cpus);
        let Some((model, rate)) = model.zip(side(one.throughput)) else {
            continue;
        };
        let (model, rate) = (model.lives.point / model_alone, rate / alone);
        grid.row([
            name.clone(),
            one.setting.cpus.to_string(),
            format!("{model:.2}"),
            format!("{rate:.2}"),
            signed_percent(model / rate - 1.0),
        ]);
    }
}

/// A difference of two shares.
fn points(difference: f64) -> String {
    format!("{:+.1} points", difference * 100.0)
}
