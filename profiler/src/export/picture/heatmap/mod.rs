//! CPU × time: for which share of the time each CPU held the lock. Beneath, on the same axis of
//! time, what tells a slow lock from a busy hypervisor.

mod strips;

use anyhow::Result;

use self::strips::{STRIP_GAP, Values, strip, strips, values};
use super::{
    Picture, Setting,
    axis::{Axis, round_steps},
    canvas::{Canvas, Frame, Look},
    palette::{LEVELS, QUIET, WHITE, heat},
    sheet,
};
use crate::{
    profile::{Profile, SeriesPoint, Stage},
    units,
};

const LEFT: i32 = 100;
const RIGHT: i32 = 960;
const TOP: i32 = 92;
/// Rows and columns of cells at most: beyond them, CPUs and intervals are taken together.
const MOST_ROWS: usize = 128;
const MOST_COLUMNS: usize = 200;

/// Intervals that share a column, and what each row held in it; none where nobody looked.
struct Column {
    from_s: f64,
    to_s: f64,
    rows: Option<Vec<f64>>,
}

/// Why there is nothing to draw, if there is nothing.
pub(super) fn absence(profile: &Profile) -> Option<String> {
    if profile.series.is_empty() {
        Some("The recording has no interval.".to_owned())
    } else if profile.holds_known() {
        None
    } else {
        profile.no_holds()
    }
}

/// The share of time that the lock is held, CPU × time, and lines over the same time beneath.
pub(super) fn draw(profile: &Profile, setting: Setting) -> Result<String> {
    let cpus = cpus(profile);
    let group = cpus.div_ceil(MOST_ROWS).max(1);
    let rows = cpus.div_ceil(group);
    let row_height = (360 / i32::try_from(rows.max(1)).unwrap_or(1)).clamp(3, 30);
    let bottom = TOP + row_height * i32::try_from(rows).unwrap_or(0);
    let map = Frame {
        left: LEFT,
        top: TOP,
        right: RIGHT,
        bottom: bottom.max(TOP + 60),
    };
    let strips: Vec<Values<'_>> = strips(profile)
        .map(|strip| values(strip, profile))
        .collect();
    let strips_height: i32 = strips
        .iter()
        .map(|values| values.height() + STRIP_GAP)
        .sum();
    let height = map.bottom + strips_height + 56;
    let title = Picture::Heatmap.title();
    sheet(profile, setting, title, height, |canvas| {
        let time = time_axis(profile);
        let columns = columns(profile, rows, group);
        let drawn = cells(canvas, map, &columns, &time, profile, group)?;
        if drawn {
            let dashed = warm_up(canvas, map, profile, &time)?;
            let notes = [
                dashed.then(|| format!("dashed: the {} ends", profile.before_measured())),
                (profile.header.windows.is_some())
                    .then(|| "blank: without the probes of holds, or with more".to_owned()),
            ];
            let notes: Vec<String> = notes.into_iter().flatten().collect();
            if !notes.is_empty() {
                let look = Look::RIGHT.color(QUIET);
                canvas.text(&notes.join("; "), (map.right, map.top - 14), look)?;
            }
        }
        let mut top = map.bottom + STRIP_GAP;
        for values in &strips {
            let frame = Frame {
                top,
                bottom: top + values.height(),
                ..map
            };
            if strip(canvas, frame, values, profile, &time)? {
                warm_up(canvas, frame, profile, &time)?;
            }
            top = frame.bottom + STRIP_GAP;
        }
        time_labels(canvas, top - STRIP_GAP, profile, &time)
    })
}

/// CPUs that have a row: all that were online, and any beyond that did something.
fn cpus(profile: &Profile) -> usize {
    let seen = profile
        .series
        .iter()
        .flat_map(|point| &point.cpus)
        .map(|cpu| cpu.cpu + 1);
    seen.fold(profile.header.kernel.cpus_online, u32::max)
        .max(1) as usize
}

fn start_s(point: &SeriesPoint) -> f64 {
    (point.at_s - point.seconds).max(0.0)
}

/// Without what came after the measured time, when the load was ending: all else would be small
/// beside it.
fn shown(profile: &Profile) -> &[SeriesPoint] {
    let all = &profile.series;
    let last = all.iter().rposition(SeriesPoint::is_of_run);
    last.map_or(all, |last| &all[..=last])
}

/// From the first interval's start to the last one's end.
fn time_axis(profile: &Profile) -> Axis {
    let first = shown(profile).first().map_or(0.0, start_s);
    let last = shown(profile).last().map_or(0.0, |point| point.at_s);
    Axis::linear(first, last.max(first + 1e-3), LEFT, RIGHT)
}

/// Whether holds were seen in an interval as they are in the results: in windows of spans they are longer.
fn is_seen(point: &SeriesPoint) -> bool {
    matches!(point.stage, Stage::WarmUp | Stage::Measured) && point.holds.is_some()
}

fn columns(profile: &Profile, rows: usize, group: usize) -> Vec<Column> {
    let together = shown(profile).len().div_ceil(MOST_COLUMNS).max(1);
    shown(profile)
        .chunks(together)
        .map(|points| {
            let seen = || points.iter().filter(|point| is_seen(point));
            let seconds: f64 = seen().map(|point| point.seconds).sum();
            let mut held = vec![0.0; rows];
            for point in seen() {
                for cpu in &point.cpus {
                    if let Some(row) = held.get_mut(cpu.cpu as usize / group)
                        && seconds > 0.0
                    {
                        *row += cpu.held * point.seconds / seconds;
                    }
                }
            }
            Column {
                from_s: points.first().map_or(0.0, start_s),
                to_s: points.last().map_or(0.0, |point| point.at_s),
                rows: seen().next().map(|_| held),
            }
        })
        .collect()
}

/// Draws the cells; false where a sentence stands in their place.
fn cells(
    canvas: &Canvas<'_>,
    map: Frame,
    columns: &[Column],
    time: &Axis,
    profile: &Profile,
    group: usize,
) -> Result<bool> {
    let seen = || columns.iter().filter_map(|column| column.rows.as_ref());
    let rows = seen().next().map_or(0, Vec::len);
    let most = seen().flatten().copied().fold(0.0, f64::max);
    let look = Look::LEFT.size(14).bold();
    canvas.text(
        "Share of time that each CPU held the lock",
        (map.left, map.top - 16),
        look,
    )?;
    if most <= 0.0 {
        let sentence = if rows == 0 {
            "No window with the probes of holds was reached.".to_owned()
        } else {
            let none = profile.no_holds();
            none.unwrap_or_else(|| "No hold was seen in these intervals.".to_owned())
        };
        canvas.text(&sentence, (map.left, map.top + 16), Look::LEFT.color(QUIET))?;
        return Ok(false);
    }
    canvas.fill(map, heat(0))?;
    let cpu = Axis::linear(0.0, rows as f64, map.top, map.bottom);
    for row in 0..rows {
        let mut run: Option<(f64, f64, usize)> = None;
        for column in columns {
            let level = column.rows.as_ref().map(|rows| level(rows[row] / most));
            match (&mut run, level) {
                (Some((_, to, same)), Some(level)) if *same == level => *to = column.to_s,
                _ => {
                    cell(canvas, row, run, &cpu, time)?;
                    run = level.map(|level| (column.from_s, column.to_s, level));
                }
            }
        }
        cell(canvas, row, run, &cpu, time)?;
    }
    unseen(canvas, map, columns, time)?;
    canvas.outline(map, QUIET)?;
    cpu_labels(canvas, map, rows, group, profile)?;
    scale(canvas, map, most)?;
    Ok(true)
}

/// Leaves the page's own colour where nobody looked: what is not known is no level.
fn unseen(canvas: &Canvas<'_>, map: Frame, columns: &[Column], time: &Axis) -> Result<()> {
    let stretches = columns.chunk_by(|a, b| a.rows.is_none() == b.rows.is_none());
    for stretch in stretches {
        if let (Some(first), Some(last)) = (stretch.first(), stretch.last())
            && first.rows.is_none()
        {
            let left = time.pixel(first.from_s);
            let right = time.pixel(last.to_s).max(left + 1);
            canvas.fill(Frame { left, right, ..map }, WHITE)?;
        }
    }
    Ok(())
}

/// Intervals of one row that have one colour.
fn cell(
    canvas: &Canvas<'_>,
    row: usize,
    run: Option<(f64, f64, usize)>,
    cpu: &Axis,
    time: &Axis,
) -> Result<()> {
    let Some((from, to, level)) = run.filter(|(.., level)| *level > 0) else {
        return Ok(());
    };
    let left = time.pixel(from);
    let frame = Frame {
        left,
        top: cpu.pixel(row as f64),
        right: time.pixel(to).max(left + 1),
        bottom: cpu.pixel(row as f64 + 1.0),
    };
    canvas.fill(frame, heat(level))
}

/// 0 for nothing alone: what held the lock at all is to be seen.
fn level(share_of_most: f64) -> usize {
    ((share_of_most * LEVELS as f64).ceil().max(0.0) as usize).min(LEVELS)
}

fn cpu_labels(
    canvas: &Canvas<'_>,
    map: Frame,
    rows: usize,
    group: usize,
    profile: &Profile,
) -> Result<()> {
    let fit = usize::try_from((map.bottom - map.top) / 16)
        .unwrap_or(1)
        .max(1);
    let every = [1, 2, 4, 8, 16, 32, 64, 128]
        .into_iter()
        .find(|step| rows.div_ceil(*step) <= fit);
    let axis = Axis::linear(0.0, rows as f64, map.top, map.bottom);
    for row in (0..rows).step_by(every.unwrap_or(rows.max(1))) {
        let first = row * group;
        let last = (first + group - 1).min(cpus(profile) - 1);
        let text = if group == 1 {
            format!("CPU {first}")
        } else {
            format!("CPU {first}–{last}")
        };
        let at = (map.left - 8, axis.pixel(row as f64 + 0.5));
        canvas.text(&text, at, Look::RIGHT)?;
    }
    Ok(())
}

/// What the colours mean, at the right.
fn scale(canvas: &Canvas<'_>, map: Frame, most: f64) -> Result<()> {
    let height = (map.bottom - map.top).min(160);
    let bar = Frame {
        left: map.right + 20,
        top: map.top,
        right: map.right + 36,
        bottom: map.top + height,
    };
    let axis = Axis::linear(0.0, LEVELS as f64 + 1.0, bar.bottom, bar.top);
    for level in 0..=LEVELS {
        let frame = Frame {
            top: axis.pixel(level as f64 + 1.0),
            bottom: axis.pixel(level as f64),
            ..bar
        };
        canvas.fill(frame, heat(level))?;
    }
    canvas.outline(bar, QUIET)?;
    canvas.text(
        &units::percent(most),
        (bar.right + 6, bar.top + 6),
        Look::LEFT,
    )?;
    if height >= 80 {
        let middle = (bar.top + bar.bottom) / 2;
        canvas.text(
            &units::percent(most / 2.0),
            (bar.right + 6, middle),
            Look::LEFT,
        )?;
    }
    canvas.text("0 %", (bar.right + 6, bar.bottom - 6), Look::LEFT)
}

fn time_labels(canvas: &Canvas<'_>, bottom: i32, profile: &Profile, time: &Axis) -> Result<()> {
    let first = shown(profile).first().map_or(0.0, start_s);
    let last = shown(profile).last().map_or(0.0, |point| point.at_s);
    for tick in round_steps(last, 10)
        .into_iter()
        .filter(|tick| *tick >= first)
    {
        let at = time.pixel(tick);
        canvas.line(vec![(at, bottom), (at, bottom + 5)], QUIET, 1)?;
        canvas.text(&seconds_label(tick), (at, bottom + 16), Look::CENTER)?;
    }
    let middle = (LEFT + RIGHT) / 2;
    let text = "time since the probes were attached";
    canvas.text(text, (middle, bottom + 36), Look::CENTER.color(QUIET))
}

fn seconds_label(seconds: f64) -> String {
    units::without_needless_digits(&format!("{seconds:.3} s"))
}

/// Marks the end of the warm-up in a frame, where there was one.
fn warm_up(canvas: &Canvas<'_>, frame: Frame, profile: &Profile, time: &Axis) -> Result<bool> {
    let Some(end) = profile
        .series
        .iter()
        .take_while(|point| point.stage == Stage::WarmUp)
        .last()
    else {
        return Ok(false);
    };
    let at = time.pixel(end.at_s);
    canvas.dashes(&[(at, frame.top), (at, frame.bottom)], QUIET, 1)?;
    Ok(true)
}
