//! Classes of locks by waited time: a bar for each, divided by who asked.

use std::collections::BTreeMap;

use anyhow::Result;
use plotters::style::RGBColor;

use super::{
    super::{
        HEAD, Picture, Setting,
        axis::{Axis, text_width},
        canvas::{Canvas, Frame, Look, TEXT},
        palette::{ACCENT, GREY, GRID, QUIET, WHITE},
        sheet,
    },
    fitted, measured, no_waits, swatch,
};
use crate::{
    profile::{ClassWaits, Durations, Locks, Profile},
    units::{self, TimeUnit, UNKNOWN},
};

/// Bars at most; all beyond them have one together.
const MOST: usize = 12;
/// Callers of a class that are told apart at most.
const MOST_CALLERS: usize = 3;
/// Their tints, and that of all others.
const TINTS: [(RGBColor, f64); MOST_CALLERS] = [(ACCENT, 0.95), (ACCENT, 0.6), (ACCENT, 0.3)];
const REST: (RGBColor, f64) = (GREY, 0.3);

const LEFT: i32 = 24;
const BAR: i32 = 344;
const BAR_END: i32 = 800;
/// The right edges of the numbers.
const WAITED: i32 = 896;
const SHARE: i32 = 972;
const WAITS: i32 = 1056;
const TOP: i32 = HEAD + 34;
const ROW: i32 = 50;
const THICK: i32 = 18;

/// Part of a bar.
struct Segment {
    name: String,
    ns: u64,
    tint: (RGBColor, f64),
}

/// A bar and what stands beside it.
struct Row {
    name: String,
    ns: u64,
    /// Whether any of the waits has a length.
    has_length: bool,
    count: u64,
    segments: Vec<Segment>,
}

/// Why there is nothing to draw, if there is nothing.
pub(in super::super) fn absence(profile: &Profile) -> Option<String> {
    let seen = measured(profile).is_some_and(|locks| !locks.classes.is_empty());
    (!seen).then(|| no_waits(profile))
}

/// The bars.
pub(in super::super) fn draw(profile: &Profile, setting: Setting) -> Result<String> {
    let rows = profile.locks.as_ref().map_or_else(Vec::new, rows);
    let height = TOP + ROW * i32::try_from(rows.len()).unwrap_or(0) + 8;
    let title = Picture::Classes.title();
    sheet(profile, setting, title, height, |canvas| {
        let all = rows
            .iter()
            .fold(0, |sum: u64, row| sum.saturating_add(row.ns));
        let most = rows.iter().map(|row| row.ns).max().unwrap_or(0).max(1);
        let scale = Axis::linear(0.0, most as f64, BAR, BAR_END);
        let quiet = Look::LEFT.color(QUIET);
        let y = TOP - 20;
        canvas.text("class of locks", (LEFT, y), quiet)?;
        canvas.text("time waited, by who asked", (BAR, y), quiet)?;
        for (text, right) in [("waited", WAITED), ("share", SHARE), ("waits", WAITS)] {
            canvas.text(text, (right, y), Look::RIGHT.color(QUIET))?;
        }
        for (row, index) in rows.iter().zip(0..) {
            paint(canvas, TOP + ROW * index, row, all, &scale, profile.unit())?;
        }
        Ok(())
    })
}

fn paint(
    canvas: &Canvas<'_>,
    top: i32,
    row: &Row,
    all: u64,
    scale: &Axis,
    unit: TimeUnit,
) -> Result<()> {
    let y = top + THICK / 2;
    // Bold letters are wider.
    let name = fitted(&row.name, (BAR - LEFT - 12) * 9 / 10, TEXT);
    canvas.text(&name, (LEFT, y), Look::LEFT.bold())?;
    let known = row.has_length.then_some(row.ns);
    let waited = unit.format_or_unknown(known.map(|ns| ns as f64));
    canvas.text(&waited, (WAITED, y), Look::RIGHT)?;
    let share = known.filter(|_| all > 0).map_or_else(
        || UNKNOWN.to_owned(),
        |ns| units::percent(ns as f64 / all as f64),
    );
    canvas.text(&share, (SHARE, y), Look::RIGHT)?;
    canvas.text(&units::count(row.count), (WAITS, y), Look::RIGHT)?;
    let mut from = 0.0;
    for segment in &row.segments {
        let to = from + segment.ns as f64;
        let frame = Frame {
            left: scale.pixel(from),
            top,
            right: scale.pixel(to),
            bottom: top + THICK,
        };
        if frame.right > frame.left {
            canvas.tint(frame, segment.tint.0, segment.tint.1)?;
            // In what is only a few pixels wide it would be a hole.
            if frame.right - frame.left >= 4 {
                let edge = vec![(frame.right, frame.top), (frame.right, frame.bottom)];
                canvas.line(edge, WHITE, 1)?;
            }
        }
        from = to;
    }
    // What was waited for at all is to be seen.
    let bar = Frame {
        left: BAR,
        top,
        right: scale.pixel(row.ns as f64).max(BAR + 1),
        bottom: top + THICK,
    };
    if row.segments.is_empty() {
        canvas.tint(bar, REST.0, REST.1)?;
        return canvas.outline(bar, GREY);
    }
    if row.ns > 0 {
        canvas.outline(bar, ACCENT)?;
    } else {
        canvas.outline(bar, GRID)?;
    }
    legend(canvas, top + THICK + 12, row)
}

/// Who asked, under the bar.
fn legend(canvas: &Canvas<'_>, y: i32, row: &Row) -> Result<()> {
    const SIZE: i32 = TEXT - 1;
    const SWATCH: i32 = 18;
    // Underlines and wide letters are longer than a text's width by its letters.
    const GAP: i32 = 22;
    let shares: Vec<String> = row
        .segments
        .iter()
        .map(|segment| units::percent(segment.ns as f64 / row.ns.max(1) as f64))
        .collect();
    let taken = shares
        .iter()
        .map(|share| SWATCH + text_width(share, SIZE) + SIZE + GAP);
    let room = WAITS - BAR - taken.sum::<i32>();
    let names: Vec<i32> = row
        .segments
        .iter()
        .map(|segment| text_width(&segment.name, SIZE))
        .collect();
    let longest = longest_that_fits(&names, room);
    let mut left = BAR;
    for (segment, share) in row.segments.iter().zip(&shares) {
        swatch(canvas, (left, y), segment.tint)?;
        let name = fitted(&segment.name, longest, SIZE);
        let text = if row.ns > 0 {
            format!("{name} {share}")
        } else {
            name
        };
        let look = Look::LEFT.size(SIZE).color(QUIET);
        canvas.text(&text, (left + SWATCH, y), look)?;
        left += SWATCH + text_width(&text, SIZE) + GAP;
    }
    Ok(())
}

/// How long a name may be, so that all fit the room and no more than needed is cut off.
fn longest_that_fits(names: &[i32], room: i32) -> i32 {
    let longest = names.iter().copied().max().unwrap_or(0);
    let all = |cut: i32| names.iter().map(|name| (*name).min(cut)).sum::<i32>();
    (0..=longest)
        .rev()
        .find(|&cut| all(cut) <= room)
        .unwrap_or(0)
}

fn rows(locks: &Locks) -> Vec<Row> {
    let shown = locks.classes.iter().take(MOST);
    let mut rows: Vec<Row> = shown
        .map(|class| Row {
            name: class.class.titled(),
            ns: class.waits.total_ns,
            has_length: has_length(&class.waits),
            count: class.waits.count(),
            segments: segments(locks, class),
        })
        .collect();
    let rest = locks.classes.get(MOST..).unwrap_or_default();
    if !rest.is_empty() {
        let sum = |number: fn(&Durations) -> u64| {
            let numbers = rest.iter().map(|class| number(&class.waits));
            numbers.fold(0, u64::saturating_add)
        };
        rows.push(Row {
            name: match rest.len() {
                1 => "1 other class".to_owned(),
                several => format!("{} other classes", units::count(several as u64)),
            },
            ns: sum(|waits| waits.total_ns),
            has_length: rest.iter().any(|class| has_length(&class.waits)),
            count: sum(Durations::count),
            segments: Vec::new(),
        });
    }
    rows
}

fn has_length(waits: &Durations) -> bool {
    waits.known_total_ns().is_some()
}

/// Who asked for the locks of a class: the most waited time first, and all others.
fn segments(locks: &Locks, class: &ClassWaits) -> Vec<Segment> {
    // One may ask in several ways, to read and to write.
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for caller in locks
        .callers
        .iter()
        .filter(|caller| caller.class == class.class)
    {
        let name = caller.caller.as_deref().unwrap_or("an unknown caller");
        let sum = by_name.entry(name).or_default();
        *sum = sum.saturating_add(caller.waits.total_ns);
    }
    let mut callers: Vec<(&str, u64)> = by_name.into_iter().collect();
    callers.sort_by_key(|&(_, ns)| std::cmp::Reverse(ns));
    // One alone is not called the others.
    let shown = if callers.len() == MOST_CALLERS + 1 {
        MOST_CALLERS + 1
    } else {
        MOST_CALLERS.min(callers.len())
    };
    let (shown, rest) = callers.split_at(shown);
    let mut segments: Vec<Segment> = shown
        .iter()
        .enumerate()
        .map(|(place, &(name, ns))| Segment {
            name: name.to_owned(),
            ns,
            tint: TINTS.get(place).copied().unwrap_or(REST),
        })
        .collect();
    if !rest.is_empty() {
        segments.push(Segment {
            name: format!("{} others", rest.len()),
            ns: rest.iter().fold(0, |sum, (_, ns)| sum.saturating_add(*ns)),
            tint: REST,
        });
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_long_is_cut() {
        assert_eq!(longest_that_fits(&[10, 20, 90], 200), 90);
        assert_eq!(longest_that_fits(&[10, 20, 90], 80), 50);
        assert_eq!(longest_that_fits(&[90, 10, 90], 70), 30);
        assert_eq!(longest_that_fits(&[], 70), 0);
    }
}
