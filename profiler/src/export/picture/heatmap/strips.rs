//! The lines beneath the heat map.

use anyhow::Result;

use super::{
    super::{
        axis::{Axis, round_steps},
        canvas::{Canvas, Frame, Look},
        palette::{ACCENT, GRID, QUIET},
    },
    start_s,
};
use crate::{
    profile::{Profile, SeriesPoint},
    units,
};

pub(super) const STRIP_HEIGHT: i32 = 56;
pub(super) const STRIP_GAP: i32 = 34;

/// A line beneath the heat map.
pub(super) struct Strip {
    title: &'static str,
    value: fn(&SeriesPoint, u32) -> Option<f64>,
    format: fn(&Profile, f64) -> String,
    empty: &'static str,
}

/// From top to bottom.
pub(super) const STRIPS: [Strip; 3] = [
    Strip {
        title: "mean hold",
        value: |point, _| point.mean_hold_ns(),
        format: |profile, value| profile.unit().format_round(value),
        empty: "no hold was measured",
    },
    Strip {
        title: "task lives per second",
        value: |point, _| point.per_second(point.lives? as f64),
        format: |_, value| units::without_needless_digits(&units::rate(value)),
        empty: "no reap was measured",
    },
    Strip {
        title: "time stolen by the hypervisor",
        value: SeriesPoint::steal_share,
        format: |_, value| units::without_needless_digits(&units::percent(value)),
        empty: "none was reported",
    },
];

/// Draws a line over time; false where a sentence stands in its place.
pub(super) fn strip(
    canvas: &Canvas<'_>,
    frame: Frame,
    strip: &Strip,
    profile: &Profile,
    time: &Axis,
) -> Result<bool> {
    let cpus = profile.header.kernel.cpus_online;
    canvas.text(strip.title, (frame.left, frame.top - 11), Look::LEFT.bold())?;
    let values: Vec<(&SeriesPoint, f64)> = profile
        .series
        .iter()
        .filter_map(|point| Some((point, (strip.value)(point, cpus)?)))
        .collect();
    let most = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    if most <= 0.0 {
        canvas.outline(frame, GRID)?;
        let middle = (
            (frame.left + frame.right) / 2,
            (frame.top + frame.bottom) / 2,
        );
        canvas.text(strip.empty, middle, Look::CENTER.color(QUIET))?;
        return Ok(false);
    }
    let axis = Axis::linear(0.0, most * 1.08, frame.bottom, frame.top);
    for tick in round_steps(most, 2) {
        let at = axis.pixel(tick);
        canvas.line(vec![(frame.left, at), (frame.right, at)], GRID, 1)?;
        canvas.text(
            &(strip.format)(profile, tick),
            (frame.left - 8, at),
            Look::RIGHT,
        )?;
    }
    canvas.outline(frame, GRID)?;
    let mut run: Vec<(i32, i32)> = Vec::new();
    let mut end_s = f64::NEG_INFINITY;
    for (point, value) in values {
        // An interval without a value is a gap, not a bridge.
        if start_s(point) > end_s + point.seconds / 2.0 && !run.is_empty() {
            canvas.line(std::mem::take(&mut run), ACCENT, 2)?;
        }
        let y = axis.pixel(value);
        run.extend([(time.pixel(start_s(point)), y), (time.pixel(point.at_s), y)]);
        end_s = point.at_s;
    }
    if !run.is_empty() {
        canvas.line(run, ACCENT, 2)?;
    }
    Ok(true)
}
