//! How long holds and waits are, by site: the share that is at least as long, on two logarithmic
//! axes, so that both the bulk and one in a million can be read off.

mod axes;
mod marks;

use anyhow::Result;

pub(super) use self::axes::{length_axis, share_axis};
use self::marks::PERCENTILES;

use super::{
    Picture, Setting,
    axis::{Axis, fitted, text_width},
    canvas::{Canvas, Frame, Look, TEXT},
    palette::{QUIET, SiteStyle, style_of},
    sentence, sheet,
};
use crate::{
    profile::{Durations, Profile, Scale},
    site::Site,
    units::{self, TimeUnit, UNKNOWN},
};

const PLOT_TOP: i32 = 92;
const PLOT_HEIGHT: i32 = 330;
/// From a panel's left edge to its plot: the labels of the axis.
const AXIS: i32 = 78;
const PANEL: i32 = 505;
/// Between two panels.
const GAP: i32 = 30;
/// From the plot's bottom to the first row of the legend.
const LEGEND_TOP: i32 = 74;
const LEGEND_ROW: i32 = 18;
/// From the legend's left edge to the names of the sites.
const LEGEND_NAMES: i32 = 36;
/// The right edges of the legend's columns of numbers, from its left edge: as is comfortable, and as far from long names as
/// the numbers let them be.
const COLUMNS: [[i32; 5]; 2] = [[178, 260, 342, 424, 505], [241, 307, 373, 439, 505]];
/// Between a name and its count.
const BESIDE: i32 = 8;

/// Characters of a sentence in the place of curves that fit a panel.
const PANEL_SENTENCE: usize = 56;

/// One line of a panel.
struct Curve<'a> {
    site: Site,
    style: SiteStyle,
    durations: &'a Durations,
}

/// Why there is nothing to draw, if there is nothing.
pub(super) fn absence(profile: &Profile) -> Option<String> {
    let seen = |durations: &Option<Durations>| {
        durations
            .as_ref()
            .is_some_and(|durations| durations.count() > 0)
    };
    let mut sites = profile.sites.iter();
    if sites.any(|site| seen(&site.hold) || seen(&site.wait)) {
        None
    } else {
        let sentences = profile.no_holds().into_iter().chain(profile.no_waits());
        let sentences: Vec<String> = sentences.collect();
        Some(if sentences.is_empty() {
            "The waits that were seen are in the table.".to_owned()
        } else {
            sentences.join(" ")
        })
    }
}

/// Complementary cumulative distributions of holds and waits. In a page, which says what was not measured, the other
/// one has the room of both.
pub(super) fn draw(profile: &Profile, setting: Setting) -> Result<String> {
    let holds = curves(profile, |site| site.hold.as_ref());
    let waits = curves(profile, |site| site.wait.as_ref());
    let rows = i32::try_from(holds.len().max(waits.len())).unwrap_or(0);
    let legend = if rows > 0 {
        LEGEND_TOP + rows * LEGEND_ROW
    } else {
        LEGEND_TOP / 2
    };
    let height = PLOT_TOP + PLOT_HEIGHT + legend + 12;
    let title = Picture::Distribution.title();
    sheet(profile, setting, title, height, |canvas| {
        let unit = profile.unit();
        let hold_less = profile.no_holds().unwrap_or_default();
        let wait_less = profile.no_waits();
        let wait_less =
            wait_less.unwrap_or_else(|| "Those that were seen are in the table.".to_owned());
        let (first, second) = ((20, PANEL), (20 + PANEL + GAP, PANEL));
        let both = (20, 2 * PANEL + GAP);
        match (setting, profile.holds_known(), profile.waits_known()) {
            (Setting::OnPage, true, false) => {
                panel(canvas, both, "Holds", &holds, unit, &hold_less)
            }
            (Setting::OnPage, false, true) => {
                panel(canvas, both, "Waits", &waits, unit, &wait_less)
            }
            _ => {
                panel(canvas, first, "Holds", &holds, unit, &hold_less)?;
                panel(canvas, second, "Waits", &waits, unit, &wait_less)
            }
        }
    })
}

fn curves<'a>(
    profile: &'a Profile,
    which: fn(&crate::profile::SiteProfile) -> Option<&Durations>,
) -> Vec<Curve<'a>> {
    let sites = profile.sites.iter();
    sites
        .filter_map(|site| {
            let durations = which(site).filter(|durations| durations.measured() > 0)?;
            Some(Curve {
                site: site.site,
                style: style_of(site.site),
                durations,
            })
        })
        .collect()
}

fn panel(
    canvas: &Canvas<'_>,
    (left, width): (i32, i32),
    title: &str,
    curves: &[Curve<'_>],
    unit: TimeUnit,
    empty: &str,
) -> Result<()> {
    let frame = Frame {
        left: left + AXIS,
        top: PLOT_TOP,
        right: left + width - 30,
        bottom: PLOT_TOP + PLOT_HEIGHT,
    };
    canvas.text(
        title,
        (frame.left, frame.top - 16),
        Look::LEFT.size(14).bold(),
    )?;
    if curves
        .iter()
        .any(|curve| curve.durations.histogram.scale() == Scale::Octaves)
    {
        let note = "lengths are within a third";
        canvas.text(
            note,
            (frame.right, frame.top - 15),
            Look::RIGHT.color(QUIET),
        )?;
    }
    if curves.is_empty() {
        let middle = (
            (frame.left + frame.right) / 2,
            (frame.top + frame.bottom) / 2,
        );
        return sentence(canvas, empty, middle, PANEL_SENTENCE);
    }
    let all: Vec<&Durations> = curves.iter().map(|curve| curve.durations).collect();
    let x = length_axis(canvas, frame, &all, unit)?;
    let y = share_axis(canvas, frame, left, title, &all)?;
    marks::lines(canvas, frame, curves, &y)?;
    canvas.outline(frame, QUIET)?;
    for curve in curves {
        let points = points(curve.durations, &x, &y);
        if curve.style.dashed {
            canvas.dashes(&points, curve.style.color, 2)?;
        } else {
            canvas.line(points.clone(), curve.style.color, 2)?;
        }
        if let Some(&end) = points.last() {
            canvas.circle(end, 2, curve.style.color)?;
        }
    }
    marks::percentiles(canvas, frame, curves, unit, &x, &y)?;
    legend(canvas, left, frame.bottom + LEGEND_TOP, curves, unit)
}

/// The curve as lengths and shares: it falls where there are durations, is level where there are none, and
/// ends at the longest, which is one of all.
fn steps(durations: &Durations) -> Vec<(f64, f64)> {
    let steps = durations.histogram.complementary_cumulative().into_iter();
    let mut steps: Vec<(f64, f64)> = steps
        .filter(|&(_, share)| share > 0.0)
        .map(|(length, share)| (length as f64, share))
        .collect();
    let last = durations.histogram.buckets().last();
    if let Some((max, (_, high, _))) = durations.max_ns().zip(last) {
        let one = 1.0 / durations.measured() as f64;
        steps.push((max.min(high as f64), one));
        steps.push((max, one));
    }
    steps
}

/// The curve in pixels.
pub(super) fn points(durations: &Durations, x: &Axis, y: &Axis) -> Vec<(i32, i32)> {
    let steps = steps(durations).into_iter();
    let mut points: Vec<(i32, i32)> = steps
        .map(|(length, share)| (x.pixel(length), y.pixel(share)))
        .collect();
    points.dedup();
    points
}

fn legend(
    canvas: &Canvas<'_>,
    left: i32,
    top: i32,
    curves: &[Curve<'_>],
    unit: TimeUnit,
) -> Result<()> {
    let rows = curves.iter().map(|curve| {
        let count = units::count(curve.durations.count());
        (curve.site.name(), text_width(&count, TEXT))
    });
    let rows: Vec<(&str, i32)> = rows.collect();
    let room = |columns: [i32; 5], count: i32| columns[0] - count - BESIDE - LEGEND_NAMES;
    let [comfortable, close] = COLUMNS;
    let fits = |&(name, count): &(&str, i32)| text_width(name, TEXT) <= room(comfortable, count);
    let edges = if rows.iter().all(fits) {
        comfortable
    } else {
        close
    };
    let columns = edges.map(|edge| left + edge);
    for (title, at) in ["count", "p50", "p90", "p99", "longest"]
        .into_iter()
        .zip(columns)
    {
        canvas.text(
            title,
            (at, top - LEGEND_ROW),
            Look::RIGHT.size(TEXT - 1).color(QUIET),
        )?;
    }
    for (row, (curve, (name, count))) in curves.iter().zip(rows).enumerate() {
        let y = top + LEGEND_ROW * i32::try_from(row).unwrap_or(0);
        let swatch = [(left + 4, y), (left + 28, y)];
        if curve.style.dashed {
            canvas.dashes(&swatch, curve.style.color, 3)?;
        } else {
            canvas.line(swatch.to_vec(), curve.style.color, 3)?;
        }
        let name = fitted(name, room(edges, count), TEXT);
        canvas.text(&name, (left + LEGEND_NAMES, y), Look::LEFT)?;
        let [p50, p90, p99] = PERCENTILES.map(|(_, longer)| curve.durations.percentile_ns(longer));
        let length = |length: Option<f64>| {
            length.map_or_else(|| UNKNOWN.to_owned(), |length| unit.format(length))
        };
        let cells = [
            units::count(curve.durations.count()),
            length(p50),
            length(p90),
            length(p99),
            curve.durations.max_text(unit),
        ];
        for (cell, at) in cells.into_iter().zip(columns) {
            canvas.text(&cell, (at, y), Look::RIGHT)?;
        }
    }
    Ok(())
}
