//! What a hold is spent on, by site and to scale: calls, what is called inside them, waits for other
//! locks, and the holder's own work.

use anyhow::Result;
use plotters::style::RGBColor;

use super::{
    HEAD, Picture, Setting,
    axis::{Axis, round_steps, text_width},
    canvas::{Canvas, Frame, Look, TEXT},
    palette::{BLACK, GRID, QUIET, WHITE, style_of},
    sheet,
};
use crate::{
    profile::{Anatomy, Part, Profile, What, anatomies},
    units::{self, TimeUnit},
};

const LEFT: i32 = 24;
const RIGHT: i32 = 1056;
/// The scale and the null hold stand above the sites.
const SCALE_TOP: i32 = HEAD + 12;
const SITES_TOP: i32 = HEAD + 92;
/// From a site's top to its bar, the two rows of a bar, and from there to the list of parts.
const BAR_TOP: i32 = 16;
const OUTER: i32 = 34;
const INNER: i32 = 22;
const LIST_TOP: i32 = 16;
const LIST_ROW: i32 = 19;
const LIST_COLUMNS: usize = 3;
/// Between two sites.
const GAP: i32 = 26;
/// A site with less of the held time does not set the scale.
const SCALE_SHARE: f64 = 0.01;
/// How much of the site's colour its parts have: calls by rank, the own work, waits.
const TINTS: [f64; 7] = [0.62, 0.5, 0.4, 0.32, 0.26, 0.21, 0.17];
const OWN_WORK: f64 = 0.08;
const WAIT: f64 = 0.35;

/// One line of the list under a bar.
struct Item<'a> {
    part: &'a Part,
    tint: (RGBColor, f64),
    /// In how many other parts it is.
    depth: usize,
}

/// Why there is nothing to draw, if there is nothing.
pub(super) fn absence(profile: &Profile) -> Option<String> {
    if profile.holds_known() && profile.spans_not_reached() {
        return Some("The run ended before its first window of spans.".to_owned());
    }
    scale(&anatomies(profile)).is_none().then(|| {
        let none = profile.no_holds();
        none.unwrap_or_else(|| "No hold was seen in the windows of spans.".to_owned())
    })
}

/// The holds of each site, taken apart.
pub(super) fn draw(profile: &Profile, setting: Setting) -> Result<String> {
    let sites = anatomies(profile);
    let scale = scale(&sites).unwrap_or(Axis::linear(0.0, 1.0, LEFT, RIGHT));
    let heights: Vec<i32> = sites.iter().map(|site| height(site) + GAP).collect();
    let bottom = SITES_TOP + heights.iter().sum::<i32>();
    sheet(
        profile,
        setting,
        Picture::Anatomy.title(),
        bottom,
        |canvas| {
            axis(canvas, &scale, profile)?;
            let mut top = SITES_TOP;
            for (site, height) in sites.iter().zip(heights) {
                self::site(canvas, top, site, &scale, profile.unit())?;
                top += height;
            }
            Ok(())
        },
    )
}

/// Lengths of one hold to pixels: as long as the longest mean of the sites that matter.
fn scale(sites: &[Anatomy]) -> Option<Axis> {
    let all: u64 = sites
        .iter()
        .fold(0, |sum, site| sum.saturating_add(site.total_ns));
    let matter = |site: &&Anatomy| site.total_ns as f64 >= SCALE_SHARE * all as f64;
    let longest = sites.iter().filter(matter).map(mean).fold(0.0, f64::max);
    (longest > 0.0).then(|| Axis::linear(0.0, longest, LEFT, RIGHT))
}

fn mean(site: &Anatomy) -> f64 {
    site.total_ns as f64 / site.holds as f64
}

/// The scale of all bars, and the null hold on it.
fn axis(canvas: &Canvas<'_>, scale: &Axis, profile: &Profile) -> Result<()> {
    let unit = profile.unit();
    let y = SCALE_TOP + 16;
    let windows = match profile.span_windows {
        Some(_) => " in windows with the probes of spans",
        None => "",
    };
    let note = format!(
        "mean of all holds of a site{windows}, to one scale; beneath each the own time of its parts: \
         they add up to the hold"
    );
    canvas.text(&note, (LEFT, SCALE_TOP), Look::LEFT.color(QUIET))?;
    canvas.line(vec![(LEFT, y), (RIGHT, y)], QUIET, 1)?;
    let mut free_from = LEFT;
    for tick in round_steps(scale.high(), 8) {
        let at = scale.pixel(tick);
        canvas.line(vec![(at, y), (at, y + 5)], QUIET, 1)?;
        let text = unit.format_round(tick);
        let half = text_width(&text, TEXT) / 2;
        let middle = at.clamp(LEFT + half, RIGHT - half);
        if middle - half >= free_from {
            canvas.text(&text, (middle, y + 14), Look::CENTER)?;
            free_from = middle + half + 8;
        }
    }
    let null = Frame {
        left: LEFT,
        top: y + 30,
        right: LEFT,
        bottom: y + 42,
    };
    let Some(null_hold) = profile.null_hold() else {
        let text = "The null hold was not measured.";
        return canvas.text(text, (LEFT, y + 36), Look::LEFT.color(QUIET));
    };
    let right = scale.pixel(null_hold.mean_ns).max(LEFT + 1);
    let bar = Frame { right, ..null };
    canvas.tint(bar, BLACK, 0.4)?;
    let text = format!(
        "null hold {}: the shortest that there is, and mostly the probes' own time",
        unit.format(null_hold.mean_ns)
    );
    let width = text_width(&text, TEXT);
    // Beside the bar; on it where that is too long.
    let at = (right + 8).min(RIGHT - width).max(LEFT + 8);
    canvas.text(&text, (at, y + 36), Look::LEFT.color(QUIET))
}

fn height(site: &Anatomy) -> i32 {
    let rows = items(site).len().div_ceil(LIST_COLUMNS);
    let excess = i32::from(site.excess_ns > 0);
    let list = LIST_ROW * (i32::try_from(rows).unwrap_or(0) + excess);
    if is_whole(site) {
        BAR_TOP + OUTER
    } else {
        BAR_TOP + OUTER + INNER + LIST_TOP + list
    }
}

/// Whether there is nothing but the holder's own work: then the bar says it all.
fn is_whole(site: &Anatomy) -> bool {
    matches!(
        site.parts.as_slice(),
        [Part {
            what: What::OwnWork,
            ..
        }]
    )
}

/// All parts, each followed by those inside it.
fn items<'a>(site: &'a Anatomy) -> Vec<Item<'a>> {
    let color = style_of(site.site).color;
    let mut rank = 0;
    let mut all = Vec::new();
    let mut add = |part: &'a Part, depth| {
        let tint = match part.what {
            What::Span(_) => {
                rank += 1;
                (color, TINTS[(rank - 1).min(TINTS.len() - 1)])
            }
            What::InnerWait(_) => (BLACK, WAIT),
            What::OwnWork => (color, OWN_WORK),
        };
        all.push(Item { part, tint, depth });
    };
    for part in &site.parts {
        add(part, 0);
        for inner in &part.inside {
            add(inner, 1);
            for innermost in &inner.inside {
                add(innermost, 2);
            }
        }
    }
    all
}

fn site(canvas: &Canvas<'_>, top: i32, site: &Anatomy, scale: &Axis, unit: TimeUnit) -> Result<()> {
    let name = site.site.name();
    canvas.text(name, (LEFT, top), Look::LEFT.size(14).bold())?;
    let mean = mean(site);
    let cut_off = mean > scale.high() * (1.0 + 1e-9);
    let note = format!(
        "{} a hold, {}{}",
        unit.format(mean),
        units::count_of(site.holds as usize, "hold"),
        if cut_off {
            ": longer than the scale, cut off at its end"
        } else {
            ""
        }
    );
    // Bold letters are wider.
    let beside = LEFT + text_width(name, 16) + 14;
    canvas.text(&note, (beside, top), Look::LEFT.color(QUIET))?;
    let bar_top = top + BAR_TOP;
    let items = items(site);
    let per_hold = |ns: u64| ns as f64 / site.holds as f64;
    let (mut outer_at, mut inner_at) = (0.0, 0.0);
    for item in &items {
        let length = per_hold(item.part.ns);
        let inner_row = (bar_top + OUTER, bar_top + OUTER + INNER);
        let (from, (frame_top, frame_bottom)) = match item.depth {
            0 => (outer_at, (bar_top, bar_top + OUTER)),
            1 => (inner_at, inner_row),
            // At the end of what it is in: a third row would be for waits alone.
            _ => (inner_at - length, inner_row),
        };
        match item.depth {
            0 => {
                inner_at = outer_at;
                outer_at += length;
            }
            1 => inner_at += length,
            _ => {}
        }
        let frame = Frame {
            left: scale.pixel(from),
            top: frame_top,
            right: scale.pixel(from + length),
            bottom: frame_bottom,
        };
        segment(canvas, frame, item, &unit.format(length))?;
    }
    let style = style_of(site.site);
    let bar = Frame {
        left: LEFT,
        top: bar_top,
        right: scale.pixel(outer_at),
        bottom: bar_top + OUTER,
    };
    canvas.outline(bar, style.color)?;
    if is_whole(site) {
        return Ok(());
    }
    list(
        canvas,
        bar_top + OUTER + INNER + LIST_TOP,
        site,
        &items,
        unit,
    )
}

fn segment(canvas: &Canvas<'_>, frame: Frame, item: &Item<'_>, length: &str) -> Result<()> {
    if frame.right <= frame.left {
        return Ok(());
    }
    // On white first: a nested part may lie over another.
    canvas.fill(frame, WHITE)?;
    canvas.tint(frame, item.tint.0, item.tint.1)?;
    canvas.line(
        vec![(frame.right, frame.top), (frame.right, frame.bottom)],
        WHITE,
        1,
    )?;
    let room = frame.right - frame.left - 8;
    let name = name(item.part);
    let middle = (frame.left + frame.right) / 2;
    let y = (frame.top + frame.bottom) / 2;
    let size = TEXT - 1;
    if item.depth == 0 && text_width(&name, size).max(text_width(length, size)) <= room {
        canvas.text(&name, (middle, y - 7), Look::CENTER.size(size))?;
        canvas.text(length, (middle, y + 8), Look::CENTER.size(size))?;
    } else if item.depth > 0 && text_width(&name, size) <= room {
        canvas.text(&name, (middle, y), Look::CENTER.size(size))?;
    }
    Ok(())
}

/// Every part with its numbers, since most are too short to have them beside.
fn list(
    canvas: &Canvas<'_>,
    top: i32,
    site: &Anatomy,
    items: &[Item<'_>],
    unit: TimeUnit,
) -> Result<()> {
    let rows = items.len().div_ceil(LIST_COLUMNS).max(1);
    let column = (RIGHT - LEFT) / i32::try_from(LIST_COLUMNS).unwrap_or(1);
    for (index, item) in items.iter().enumerate() {
        let place = |number: usize| i32::try_from(number).unwrap_or(0);
        let left = LEFT + column * place(index / rows);
        let y = top + LIST_ROW * place(index % rows);
        let swatch = Frame {
            left,
            top: y - 6,
            right: left + 12,
            bottom: y + 6,
        };
        canvas.tint(swatch, item.tint.0, item.tint.1)?;
        canvas.outline(swatch, GRID)?;
        let inside = "↳ ".repeat(item.depth);
        // Without what is inside, which has a line of its own: the lines add up to the hold.
        let own_ns = item.part.own_ns() as f64;
        let share = own_ns / site.total_ns as f64;
        let name = super::shorten(&format!("{inside}{}", name(item.part)), 27);
        canvas.text(&name, (left + 18, y), Look::LEFT)?;
        let length = unit.format(own_ns / site.holds as f64);
        canvas.text(&length, (left + 262, y), Look::RIGHT)?;
        canvas.text(&units::percent(share), (left + 326, y), Look::RIGHT)?;
    }
    if site.excess_ns > 0 {
        let text = format!(
            "{} of calls were read before or after the holds that they are in, and cut off.",
            unit.format(site.excess_ns as f64)
        );
        let y = top + LIST_ROW * i32::try_from(rows).unwrap_or(0);
        canvas.text(&text, (LEFT, y), Look::LEFT.color(QUIET))?;
    }
    Ok(())
}

fn name(part: &Part) -> String {
    match &part.what {
        What::Span(span) => span.name().to_owned(),
        What::InnerWait(lock) => format!("wait for {lock}"),
        What::OwnWork => "own work".to_owned(),
    }
}
