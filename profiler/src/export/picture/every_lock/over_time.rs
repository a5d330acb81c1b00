//! Waited time by class of locks over a run: how many tasks wait at a time.

use anyhow::Result;
use plotters::style::RGBColor;

use super::{
    super::{
        HEAD, Picture, Setting,
        axis::{Axis, round_steps, text_width},
        canvas::{Canvas, Frame, Look, TEXT},
        palette::{GREY, GRID, KERNELS, QUIET, WHITE},
        sheet,
    },
    fitted, measured, no_waits, swatch,
};
use crate::{
    profile::{Locks, Profile, Stretch},
    units,
};

const LEFT: i32 = 84;
const RIGHT: i32 = 1056;
const TOP: i32 = HEAD + 36;
const HEIGHT: i32 = 240;
/// Between the plot and what the colours mean.
const LEGEND: i32 = 70;
const LEGEND_ROW: i32 = 20;
const LEGEND_COLUMNS: usize = 2;
/// How strong colours are: the grid shows through. What is no class is not to catch the eye.
const OPACITY: f64 = 0.85;
const REST: f64 = 0.4;

/// An area: a class, or all that have none of their own.
struct Area {
    name: String,
    color: RGBColor,
    opacity: f64,
    /// Places in the list of classes.
    classes: Vec<usize>,
    /// With what was too much to be told apart.
    with_rest: bool,
}

impl Area {
    fn ns(&self, stretch: &Stretch) -> u64 {
        let classes = self
            .classes
            .iter()
            .filter_map(|&place| stretch.by_class.get(place));
        let rest = if self.with_rest { stretch.rest_ns } else { 0 };
        classes.fold(rest, |sum, &ns| sum.saturating_add(ns))
    }

    fn all_ns(&self, locks: &Locks) -> u64 {
        let stretches = locks.over_time.iter().map(|stretch| self.ns(stretch));
        stretches.fold(0, u64::saturating_add)
    }
}

/// From the bottom to the top.
fn areas(locks: &Locks) -> Vec<Area> {
    let waited = |place: usize| {
        let mut stretches = locks.over_time.iter();
        stretches.any(|stretch| stretch.by_class.get(place).is_some_and(|&ns| ns > 0))
    };
    let places: Vec<usize> = (0..locks.classes.len())
        .filter(|&place| waited(place))
        .collect();
    let (own, others) = places.split_at(places.len().min(KERNELS.len()));
    let mut areas: Vec<Area> = own
        .iter()
        .zip(KERNELS)
        .filter_map(|(&place, color)| {
            Some(Area {
                name: locks.classes.get(place)?.class.titled(),
                color,
                opacity: OPACITY,
                classes: vec![place],
                with_rest: false,
            })
        })
        .collect();
    let has_rest = locks.over_time.iter().any(|stretch| stretch.rest_ns > 0);
    if !others.is_empty() || has_rest {
        areas.push(Area {
            name: "all others".to_owned(),
            color: GREY,
            opacity: REST,
            classes: others.to_vec(),
            with_rest: true,
        });
    }
    areas
}

/// Why there is nothing to draw, if there is nothing.
pub(in super::super) fn absence(profile: &Profile) -> Option<String> {
    let seen = measured(profile).is_some_and(|locks| !areas(locks).is_empty());
    (!seen).then(|| no_waits(profile))
}

/// The areas, each on the one before it.
pub(in super::super) fn draw(profile: &Profile, setting: Setting) -> Result<String> {
    let empty = Locks::default();
    let locks = profile.locks.as_ref().unwrap_or(&empty);
    let areas = areas(locks);
    let frame = Frame {
        left: LEFT,
        top: TOP,
        right: RIGHT,
        bottom: TOP + HEIGHT,
    };
    let rows = i32::try_from(areas.len().div_ceil(LEGEND_COLUMNS)).unwrap_or(0);
    let height = frame.bottom + LEGEND + LEGEND_ROW * rows;
    let title = Picture::WaitsOverTime.title();
    sheet(profile, setting, title, height, |canvas| {
        plot(canvas, frame, locks, &areas)?;
        legend(canvas, frame.bottom + LEGEND, locks, &areas)
    })
}

fn plot(canvas: &Canvas<'_>, frame: Frame, locks: &Locks, areas: &[Area]) -> Result<()> {
    let stretches = &locks.over_time;
    let first = stretches.first().map_or(0.0, |stretch| stretch.from_s);
    let last = stretches.last().map_or(first, |stretch| stretch.to_s);
    let time = Axis::linear(first, last.max(first + 1e-3), frame.left, frame.right);
    let tasks = |stretch: &Stretch, areas: &[Area]| {
        let waited = areas.iter().map(|area| area.ns(stretch));
        stretch.tasks(waited.fold(0, u64::saturating_add))
    };
    let most = stretches
        .iter()
        .map(|stretch| tasks(stretch, areas))
        .fold(0.0, f64::max);
    let level = Axis::linear(0.0, (most * 1.05).max(1e-9), frame.bottom, frame.top);
    let look = Look::LEFT.color(QUIET);
    let text = "tasks that wait, on average; a wait is in the interval in which it ended";
    canvas.text(text, (frame.left, frame.top - 18), look)?;
    if is_interrupted(stretches) {
        let at = (frame.right, frame.top - 18);
        canvas.text("blank: without probes", at, Look::RIGHT.color(QUIET))?;
    }
    for tick in round_steps(level.high(), 5) {
        let y = level.pixel(tick);
        canvas.line(vec![(frame.left, y), (frame.right, y)], GRID, 1)?;
        canvas.text(&tasks_label(tick), (frame.left - 8, y), Look::RIGHT)?;
    }
    for unbroken in stretches.chunk_by(|before, after| !is_gap(before, after)) {
        // Where the area begins, over each stretch.
        let mut floor: Vec<u64> = vec![0; unbroken.len()];
        for area in areas {
            let ceiling: Vec<u64> = unbroken
                .iter()
                .zip(&floor)
                .map(|(stretch, &floor)| floor.saturating_add(area.ns(stretch)))
                .collect();
            let edge = |heights: &[u64]| -> Vec<(i32, i32)> {
                let steps = unbroken.iter().zip(heights);
                steps
                    .flat_map(|(stretch, &ns)| {
                        let y = level.pixel(stretch.tasks(ns));
                        [
                            (time.pixel(stretch.from_s), y),
                            (time.pixel(stretch.to_s), y),
                        ]
                    })
                    .collect()
            };
            let (top, mut bottom) = (edge(&ceiling), edge(&floor));
            bottom.reverse();
            // A polygon without a height would be a line, or none.
            if ceiling != floor {
                let mut outline = top.clone();
                outline.extend(bottom);
                canvas.area(&outline, area.color, area.opacity)?;
                canvas.line(top, WHITE, 1)?;
            }
            floor = ceiling;
        }
    }
    canvas.line(
        vec![(frame.left, frame.bottom), (frame.right, frame.bottom)],
        QUIET,
        1,
    )?;
    for tick in round_steps(last, 10)
        .into_iter()
        .filter(|tick| *tick >= first)
    {
        let at = time.pixel(tick);
        canvas.line(vec![(at, frame.bottom), (at, frame.bottom + 5)], QUIET, 1)?;
        let text = units::without_needless_digits(&format!("{tick:.3} s"));
        canvas.text(&text, (at, frame.bottom + 16), Look::CENTER)?;
    }
    let middle = i32::midpoint(frame.left, frame.right);
    let text = "time since the probes were attached";
    canvas.text(text, (middle, frame.bottom + 36), Look::CENTER.color(QUIET))
}

/// Whether nothing was measured between two stretches, for long enough to be seen.
fn is_gap(before: &Stretch, after: &Stretch) -> bool {
    after.from_s - before.to_s > 0.01 * (after.to_s - after.from_s).max(1e-6)
}

/// Whether there are times without probes: between stretches, or in one.
fn is_interrupted(stretches: &[Stretch]) -> bool {
    stretches.windows(2).any(|pair| is_gap(&pair[0], &pair[1]))
}

/// As few digits as tell tasks apart.
fn tasks_label(tasks: f64) -> String {
    let digits = if tasks > 0.0 {
        (1.0 - tasks.log10().floor()).clamp(0.0, 9.0) as usize
    } else {
        0
    };
    let text = format!("{tasks:.digits$}");
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

/// What the colours mean, and the share of each.
fn legend(canvas: &Canvas<'_>, top: i32, locks: &Locks, areas: &[Area]) -> Result<()> {
    let all = areas.iter().map(|area| area.all_ns(locks));
    let all = all.fold(0, u64::saturating_add).max(1);
    let rows = areas.len().div_ceil(LEGEND_COLUMNS).max(1);
    let column = (RIGHT - LEFT) / i32::try_from(LEGEND_COLUMNS).unwrap_or(1);
    for (index, area) in areas.iter().enumerate() {
        let place = |number: usize| i32::try_from(number).unwrap_or(0);
        let left = LEFT + column * place(index / rows);
        let y = top + LEGEND_ROW * place(index % rows) - LEGEND_ROW / 2;
        swatch(canvas, (left, y), (area.color, area.opacity))?;
        let share = units::percent(area.all_ns(locks) as f64 / all as f64);
        let room = column - 30 - text_width(&share, TEXT) - 30;
        let text = format!("{} {share}", fitted(&area.name, room, TEXT));
        canvas.text(&text, (left + 18, y), Look::LEFT)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_tasks_have_few_digits() {
        let labels = [0.0, 0.0005, 0.02, 0.5, 1.0, 12.0, 600.0].map(tasks_label);
        assert_eq!(labels, ["0", "0.0005", "0.02", "0.5", "1", "12", "600"]);
    }
}
