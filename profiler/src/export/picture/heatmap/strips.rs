//! The lines beneath the heat map.

use anyhow::Result;

use super::{
    super::{
        axis::{Axis, round_steps, text_width},
        canvas::{Canvas, Frame, Look, TEXT},
        palette::{ACCENT, GRID, QUIET},
    },
    is_seen, shown, start_s,
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
    /// It is of task lives, which holds of few locks tell.
    is_of_lives: bool,
}

/// Those of a lock, from top to bottom.
pub(super) fn strips(profile: &Profile) -> impl Iterator<Item = &'static Strip> {
    let tells_lives = profile.is_taken_by_each_task();
    STRIPS
        .iter()
        .filter(move |strip| tells_lives || !strip.is_of_lives)
}

static STRIPS: [Strip; 3] = [
    Strip {
        title: "mean hold",
        value: |point, _| point.mean_hold_ns().filter(|_| is_seen(point)),
        format: |profile, value| profile.unit().format_round(value),
        empty: "no hold was measured",
        is_of_lives: false,
    },
    Strip {
        title: "task lives per second",
        value: |point, _| point.per_second(point.lives.filter(|_| is_seen(point))? as f64),
        format: |_, value| units::without_needless_digits(&units::rate(value)),
        empty: "no reap was measured",
        is_of_lives: true,
    },
    Strip {
        title: "time stolen by the hypervisor",
        value: SeriesPoint::steal_share,
        format: |_, value| units::without_needless_digits(&units::percent(value)),
        empty: "none was reported",
        is_of_lives: false,
    },
];

/// What a strip shows of a run.
pub(super) struct Values<'a> {
    strip: &'a Strip,
    values: Vec<(&'a SeriesPoint, f64)>,
    most: f64,
}

impl Values<'_> {
    /// The pixels that it needs: where there is nothing to draw, the line of its title does.
    pub(super) fn height(&self) -> i32 {
        if self.most > 0.0 { STRIP_HEIGHT } else { 0 }
    }
}

/// What there is to draw of a run.
pub(super) fn values<'a>(strip: &'a Strip, profile: &'a Profile) -> Values<'a> {
    let cpus = profile.header.kernel.cpus_online;
    let values: Vec<(&SeriesPoint, f64)> = shown(profile)
        .iter()
        .filter_map(|point| Some((point, (strip.value)(point, cpus)?)))
        .collect();
    let most = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    Values {
        strip,
        values,
        most,
    }
}

/// Draws a line over time; false where there is none to draw.
pub(super) fn strip(
    canvas: &Canvas<'_>,
    frame: Frame,
    values: &Values<'_>,
    profile: &Profile,
    time: &Axis,
) -> Result<bool> {
    let Values {
        strip,
        values,
        most,
    } = values;
    let most = *most;
    canvas.text(strip.title, (frame.left, frame.top - 11), Look::LEFT.bold())?;
    if most <= 0.0 {
        let beside = frame.left + text_width(strip.title, TEXT + 2) + 10;
        let look = Look::LEFT.color(QUIET);
        canvas.text(strip.empty, (beside, frame.top - 11), look)?;
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
    for &(point, value) in values {
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
