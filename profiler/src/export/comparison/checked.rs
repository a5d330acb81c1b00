//! The forecast beside what was measured where the recordings have it: how wrong the model is.

use super::{
    super::content::{Emphasis, Grid, Section, Topic},
    grids::range,
};
use crate::{
    compare::{Comparison, Finding, Quantity, SEED, Sample, Setting, signed_percent},
    forecast::Forecast,
    recording::schema::Clock,
    statistics::{Interval, Resampler},
    units::{self, UNKNOWN, count_of},
};

/// Locks that are named at most.
const MOST_LOCKS: usize = 3;

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
            let shared = one.setting.shares_cpus();
            let machine = count_of(cpus as usize, if shared { "shared CPU" } else { "CPU" });
            changes.row([
                if several {
                    format!("{machine}, {}", comparison.after.name)
                } else {
                    machine
                },
                signed_percent(model.point),
                signed_percent(change),
                range(interval),
                if shared {
                    UNKNOWN.to_owned()
                } else {
                    let inside = interval.is_some_and(|interval| interval.contains(model.point));
                    points(model.point - change) + within(inside)
                },
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
        format!(
            "How many more {} the kernel has than the one it is compared with. The forecast is for \
             as many real CPUs. Shared CPUs are emulated by fewer real ones: locks then wait for CPUs that \
             are not running, which says nothing of the kernel or the model, so that no error is given. ~: \
             the forecast lies inside of what was measured, whose boots differ by so much.",
            forecast.unit.several()
        ),
        Emphasis::Quiet,
    );
    if let Some(sentence) = unknown_locks(forecast, comparisons) {
        section.sentence(sentence, Emphasis::Plain);
    }
    if !scales.rows.is_empty() {
        section.grid(scales);
        section.sentence(
            format!(
                "{} per second, in those of the same kernel on one CPU, with 95 % bootstrap \
                 intervals over boots.",
                units::capital(forecast.unit.several())
            ),
            Emphasis::Quiet,
        );
    }
    section
}

/// Locks that were waited for by the wall clock and that the model knows nothing of.
fn unknown_locks(forecast: &Forecast, comparisons: &[Comparison]) -> Option<String> {
    let modelled = |lock: &str| {
        let mut kernels = forecast.kernels.iter();
        kernels.any(|kernel| kernel.locks.iter().any(|known| known.name == lock))
    };
    let mut waited: Vec<(&str, f64)> = Vec::new();
    let settings = comparisons
        .iter()
        .flat_map(|comparison| &comparison.settings);
    for finding in settings.flat_map(|setting| setting.answers.findings()) {
        let Quantity::OtherLock(lock) = &finding.quantity else {
            continue;
        };
        let most = [&finding.before, &finding.after]
            .into_iter()
            .filter_map(|sample| sample.median)
            .fold(0.0, f64::max);
        if most > 0.0 && !modelled(lock) {
            match waited.iter_mut().find(|(known, _)| known == lock) {
                Some((_, known)) => *known = known.max(most),
                None => waited.push((lock, most)),
            }
        }
    }
    waited.sort_by(|a, b| b.1.total_cmp(&a.1));
    let locks: Vec<String> = waited
        .into_iter()
        .take(MOST_LOCKS)
        .map(|(lock, ns)| {
            format!(
                "{lock} ({} {})",
                units::nanoseconds(ns),
                forecast.unit.one()
            )
        })
        .collect();
    (!locks.is_empty()).then(|| {
        format!(
            "Waited for there, and not in the model, for the instruction clock shows no demand on them: \
             {}. Where one of them is in use all the time first, the forecast is too high.",
            locks.join(", ")
        )
    })
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
    let side = |one: &Measured<'_>| -> Sample {
        let finding = one.throughput;
        let sample = if kernel == 0 {
            &finding.before
        } else {
            &finding.after
        };
        sample.clone()
    };
    let name = if kernel == 0 {
        &comparison.before.name
    } else {
        &comparison.after.name
    };
    let Some(alone) = all.iter().find(|one| one.setting.cpus == 1).map(side) else {
        return;
    };
    let Some(model_alone) = forecast.at(kernel, 1).map(|point| point.rounds.point) else {
        return;
    };
    let mut resampler = Resampler::new(SEED);
    let comparable = |one: &&Measured<'_>| one.setting.cpus > 1 && !one.setting.shares_cpus();
    for one in all.iter().filter(comparable) {
        let several = side(one);
        let rates = several.median.zip(alone.median);
        let Some((model, (rate, rate_alone))) = forecast.at(kernel, one.setting.cpus).zip(rates)
        else {
            continue;
        };
        let (model, rate) = (model.rounds.point / model_alone, rate / rate_alone);
        let interval = resampler.change(&alone.values, &several.values);
        let inside = interval.is_some_and(|interval| interval.contains(model - 1.0));
        grid.row([
            name.clone(),
            one.setting.cpus.to_string(),
            format!("{model:.2}"),
            interval.map_or_else(
                || format!("{rate:.2}"),
                |Interval { low, high }| format!("{rate:.2} ({:.2}-{:.2})", 1.0 + low, 1.0 + high),
            ),
            signed_percent(model / rate - 1.0) + within(inside),
        ]);
    }
}

/// The mark of an error that the noise of what was measured explains.
const fn within(inside: bool) -> &'static str {
    if inside { " ~" } else { "" }
}

/// A difference of two shares.
fn points(difference: f64) -> String {
    format!("{:+.1} points", difference * 100.0)
}
