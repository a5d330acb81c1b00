//! The axes of a panel: lengths to the right, shares downwards, both logarithmic.

use anyhow::Result;

use super::super::{
    axis::Axis,
    canvas::{Canvas, Frame, Look},
    palette::{GRID, QUIET},
};
use crate::{profile::Durations, units::TimeUnit};

/// The axis of lengths that has room for all of these, with its grid.
pub(in super::super) fn length_axis(
    canvas: &Canvas<'_>,
    frame: Frame,
    all: &[&Durations],
    unit: TimeUnit,
) -> Result<Axis> {
    let lows = all
        .iter()
        .filter_map(|durations| durations.histogram.buckets().next());
    let low = lows.map(|(low, ..)| low).min().unwrap_or(1).max(1) as f64;
    let high = all
        .iter()
        .filter_map(|durations| durations.max_ns())
        .fold(low * 1.5, f64::max);
    let ticks = length_ticks(low, high);
    let (first, last) = match (ticks.first(), ticks.last()) {
        (Some(&first), Some(&last)) => (first, last),
        _ => (low, high),
    };
    let axis = Axis::log(first, last, frame.left, frame.right);
    let room = f64::from(frame.right - frame.left);
    let decades = ticks.iter().filter(|tick| is_decade(**tick)).count();
    // Labels at 1, 2 and 5 where there is room, else at powers of ten, else at every other one.
    let all = ticks.len() as f64 * 52.0 < room;
    let every = if decades as f64 * 52.0 < room { 1 } else { 2 };
    let mut decade = 0;
    for &tick in &ticks {
        let at = axis.pixel(tick);
        let labelled = if is_decade(tick) {
            decade += 1;
            all || (decade - 1) % every == 0
        } else {
            all
        };
        if labelled || is_decade(tick) {
            canvas.line(vec![(at, frame.top), (at, frame.bottom)], GRID, 1)?;
        }
        if labelled {
            canvas.text(
                &unit.format_round(tick),
                (at, frame.bottom + 14),
                Look::CENTER,
            )?;
        }
    }
    let middle = (frame.left + frame.right) / 2;
    let title = match unit {
        TimeUnit::Nanoseconds => "length",
        TimeUnit::Instructions => "length in guest instructions",
    };
    canvas.text(
        title,
        (middle, frame.bottom + 34),
        Look::CENTER.color(QUIET),
    )?;
    Ok(axis)
}

/// 1, 2 and 5 times the powers of ten, from one below the lowest to one above the highest.
fn length_ticks(low: f64, high: f64) -> Vec<f64> {
    let steps = (0..=20).flat_map(|power| [1.0, 2.0, 5.0].map(|f| f * 10_f64.powi(power)));
    let steps: Vec<f64> = steps.collect();
    let first = steps.iter().rposition(|&step| step <= low).unwrap_or(0);
    let last = steps
        .iter()
        .position(|&step| step >= high)
        .unwrap_or(steps.len() - 1);
    steps[first..=last.max(first)].to_vec()
}

fn is_decade(tick: f64) -> bool {
    tick.log10().fract().abs() < 1e-9
}

/// The axis of shares, with its grid, down to one of all.
pub(in super::super) fn share_axis(
    canvas: &Canvas<'_>,
    frame: Frame,
    left: i32,
    title: &str,
    all: &[&Durations],
) -> Result<Axis> {
    let most = all
        .iter()
        .map(|durations| durations.measured())
        .max()
        .unwrap_or(1);
    let decades = (most as f64).log10().ceil().clamp(1.0, 19.0) as i32;
    let axis = Axis::log(1.0, 10_f64.powi(-decades), frame.top, frame.bottom);
    let every = if decades > 10 { 2 } else { 1 };
    for decade in (0..=decades).step_by(every) {
        let at = axis.pixel(10_f64.powi(-decade));
        canvas.line(vec![(frame.left, at), (frame.right, at)], GRID, 1)?;
        canvas.text(&share_label(decade), (frame.left - 6, at), Look::RIGHT)?;
    }
    let text = format!("share of {} at least this long", title.to_lowercase());
    let middle = (frame.top + frame.bottom) / 2;
    canvas.text(
        &text,
        (left + 6, middle),
        Look::CENTER.color(QUIET).upwards(),
    )?;
    Ok(axis)
}

fn share_label(decade: i32) -> String {
    match decade {
        0 => "100 %".to_owned(),
        1 => "10 %".to_owned(),
        2 => "1 %".to_owned(),
        3 => "0.1 %".to_owned(),
        4..=5 => format!("1 in {}k", 10_u64.pow(decade.unsigned_abs() - 3)),
        6..=8 => format!("1 in {}M", 10_u64.pow(decade.unsigned_abs() - 6)),
        _ => format!("1 in 1e{decade}"),
    }
}
