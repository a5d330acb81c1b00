//! What the holds of a site are spent on, before and after, to one scale.

use anyhow::Result;
use plotters::style::RGBColor;

use super::{
    super::{
        HEAD,
        axis::{Axis, round_steps, text_width},
        canvas::{Canvas, Frame, Look, TEXT},
        palette::{BLACK, GRID, QUIET, WHITE, style_of},
    },
    Subject,
};
use crate::{
    compare::{Answers, Finding, Quantity, signed_percent},
    site::Site,
    text::shorten,
    units::TimeUnit,
};

const LEFT: i32 = 24;
const RIGHT: i32 = 1056;
/// From where bars are drawn: to the left stand the kernels' names.
const BARS: i32 = 210;
const SCALE_TOP: i32 = HEAD + 12;
const SITES_TOP: i32 = HEAD + 66;
const BAR_TOP: i32 = 18;
const BAR: i32 = 34;
const BAR_GAP: i32 = 6;
const LIST_TOP: i32 = 18;
const LIST_ROW: i32 = 19;
const LIST_COLUMNS: usize = 2;
const GAP: i32 = 26;
/// How much of the site's colour its parts have: by rank, then what is left, then waits.
const TINTS: [f64; 7] = [0.66, 0.52, 0.41, 0.32, 0.26, 0.21, 0.17];
const REST: f64 = 0.08;
const WAIT: f64 = 0.35;

/// One part of the holds of a site on both sides.
struct Part<'a> {
    finding: &'a Finding,
    name: String,
    tint: (RGBColor, f64),
    values: [f64; 2],
}

/// A site with parts.
struct Holds<'a> {
    site: Site,
    parts: Vec<Part<'a>>,
}

impl Holds<'_> {
    fn length(&self, side: usize) -> f64 {
        self.parts.iter().map(|part| part.values[side]).sum()
    }

    fn height(&self) -> i32 {
        let rows = i32::try_from(self.parts.len().div_ceil(LIST_COLUMNS)).unwrap_or(0);
        BAR_TOP + 2 * BAR + BAR_GAP + LIST_TOP + rows * LIST_ROW
    }
}

/// The height of the picture; none where no hold was taken apart on both sides.
pub(super) fn height(subject: Subject<'_>) -> Option<i32> {
    let sites = sites(&subject.setting.answers);
    let heights = sites.iter().map(|holds| holds.height() + GAP);
    (!sites.is_empty()).then_some(SITES_TOP + heights.sum::<i32>())
}

/// Two bars a site, and their parts in numbers.
pub(super) fn draw(canvas: &Canvas<'_>, subject: Subject<'_>) -> Result<()> {
    let answers = &subject.setting.answers;
    let unit = TimeUnit::of(answers.setting.clock);
    let sites = sites(answers);
    let longest = sites
        .iter()
        .flat_map(|holds| [0, 1].map(|side| holds.length(side)))
        .fold(0.0, f64::max);
    let scale = Axis::linear(0.0, longest, BARS, RIGHT);
    axis(canvas, &scale, unit)?;
    let mut top = SITES_TOP;
    for holds in &sites {
        // Where the holds are from the same runs, there is no other length to tell.
        let instruments = answers.instruments;
        let hold = (instruments.holds != instruments.spans)
            .then(|| answers.finding(&Quantity::SiteHold(holds.site)))
            .flatten();
        site(canvas, top, (holds, hold), subject.names, &scale, unit)?;
        top += holds.height() + GAP;
    }
    Ok(())
}

/// The sites with more than one part, their parts by length; what is left comes last.
fn sites(answers: &Answers) -> Vec<Holds<'_>> {
    let mut all: Vec<Holds<'_>> = Vec::new();
    for finding in &answers.parts {
        let (site, name) = match &finding.quantity {
            Quantity::SpanInHold(site, span) => (*site, span.name().to_owned()),
            Quantity::OwnWork(site) => (*site, "the rest".to_owned()),
            Quantity::InnerWait(site, lock) => (*site, format!("wait for {lock}")),
            _ => continue,
        };
        let value = |median: Option<f64>| median.unwrap_or(0.0).max(0.0);
        let part = Part {
            finding,
            name,
            tint: (style_of(site).color, REST),
            values: [finding.before.median, finding.after.median].map(value),
        };
        match all.iter_mut().find(|holds| holds.site == site) {
            Some(holds) => holds.parts.push(part),
            None => all.push(Holds {
                site,
                parts: vec![part],
            }),
        }
    }
    for holds in &mut all {
        let is_rest = |part: &Part<'_>| matches!(part.finding.quantity, Quantity::OwnWork(_));
        let longest = |part: &Part<'_>| part.values[0].max(part.values[1]);
        holds.parts.sort_by(|a, b| {
            let order = longest(b).total_cmp(&longest(a));
            is_rest(a).cmp(&is_rest(b)).then(order)
        });
        let mut rank = 0;
        for part in &mut holds.parts {
            part.tint = match part.finding.quantity {
                Quantity::InnerWait(..) => (BLACK, WAIT),
                Quantity::SpanInHold(..) => {
                    rank += 1;
                    (part.tint.0, TINTS[(rank - 1).min(TINTS.len() - 1)])
                }
                _ => part.tint,
            };
        }
    }
    all.retain(|holds| holds.length(0) + holds.length(1) > 0.0);
    all.sort_by(|a, b| b.length(0).total_cmp(&a.length(0)));
    all
}

fn axis(canvas: &Canvas<'_>, scale: &Axis, unit: TimeUnit) -> Result<()> {
    let note = "one hold: medians over boots, null hold taken off";
    canvas.text(note, (LEFT, SCALE_TOP), Look::LEFT.color(QUIET))?;
    let y = SCALE_TOP + 16;
    canvas.line(vec![(BARS, y), (RIGHT, y)], QUIET, 1)?;
    let mut free_from = LEFT;
    for tick in round_steps(scale.high(), 8) {
        let at = scale.pixel(tick);
        canvas.line(vec![(at, y), (at, y + 5)], QUIET, 1)?;
        let text = unit.format_round(tick);
        let half = text_width(&text, TEXT) / 2;
        let middle = at.min(RIGHT - half);
        if middle - half >= free_from {
            canvas.text(&text, (middle, y + 14), Look::CENTER)?;
            free_from = middle + half + 8;
        }
    }
    Ok(())
}

/// How long the hold is when only its ends are probed: what the bars are longer, the probes of the
/// calls cost.
fn without_span_probes(hold: Option<&Finding>, unit: TimeUnit) -> String {
    let values = hold.and_then(|finding| finding.before.median.zip(finding.after.median));
    values.map_or_else(String::new, |(before, after)| {
        let [before, after] = [before, after].map(|value| unit.format(value));
        format!("{before} → {after} without the probes of its calls, which lengthen what is below")
    })
}

fn site(
    canvas: &Canvas<'_>,
    top: i32,
    (holds, hold): (&Holds<'_>, Option<&Finding>),
    names: [&str; 2],
    scale: &Axis,
    unit: TimeUnit,
) -> Result<()> {
    let name = holds.site.name();
    canvas.text(name, (LEFT, top), Look::LEFT.size(14).bold())?;
    let note = without_span_probes(hold, unit);
    canvas.text(&note, (BARS, top), Look::LEFT.color(QUIET))?;
    for (side, name) in names.into_iter().enumerate() {
        let bar_top = top + BAR_TOP + i32::try_from(side).unwrap_or(0) * (BAR + BAR_GAP);
        let middle = bar_top + BAR / 2;
        canvas.text(&shorten(name, 24), (LEFT, middle - 8), Look::LEFT)?;
        let length = unit.format(holds.length(side));
        canvas.text(&length, (LEFT, middle + 8), Look::LEFT.color(QUIET))?;
        let mut from = 0.0;
        for part in &holds.parts {
            let to = from + part.values[side];
            let frame = Frame {
                left: scale.pixel(from),
                top: bar_top,
                right: scale.pixel(to),
                bottom: bar_top + BAR,
            };
            segment(canvas, frame, part, &unit.format(part.values[side]))?;
            from = to;
        }
        let bar = Frame {
            left: BARS,
            top: bar_top,
            right: scale.pixel(from),
            bottom: bar_top + BAR,
        };
        canvas.outline(bar, style_of(holds.site).color)?;
    }
    let list_top = top + BAR_TOP + 2 * BAR + BAR_GAP + LIST_TOP;
    list(canvas, list_top, holds, unit)
}

fn segment(canvas: &Canvas<'_>, frame: Frame, part: &Part<'_>, length: &str) -> Result<()> {
    if frame.right <= frame.left {
        return Ok(());
    }
    canvas.tint(frame, part.tint.0, part.tint.1)?;
    canvas.line(
        vec![(frame.right, frame.top), (frame.right, frame.bottom)],
        WHITE,
        1,
    )?;
    let size = TEXT - 1;
    let room = frame.right - frame.left - 8;
    if text_width(&part.name, size).max(text_width(length, size)) > room {
        return Ok(());
    }
    let middle = (frame.left + frame.right) / 2;
    let y = (frame.top + frame.bottom) / 2;
    canvas.text(&part.name, (middle, y - 7), Look::CENTER.size(size))?;
    canvas.text(length, (middle, y + 8), Look::CENTER.size(size))
}

/// Every part with its numbers: name, before, after, change.
fn list(canvas: &Canvas<'_>, top: i32, holds: &Holds<'_>, unit: TimeUnit) -> Result<()> {
    let rows = holds.parts.len().div_ceil(LIST_COLUMNS).max(1);
    let column = (RIGHT - LEFT) / i32::try_from(LIST_COLUMNS).unwrap_or(1);
    for (index, part) in holds.parts.iter().enumerate() {
        let place = |number: usize| i32::try_from(number).unwrap_or(0);
        let left = LEFT + column * place(index / rows);
        let y = top + LIST_ROW * place(index % rows);
        let swatch = Frame {
            left,
            top: y - 6,
            right: left + 12,
            bottom: y + 6,
        };
        canvas.tint(swatch, part.tint.0, part.tint.1)?;
        canvas.outline(swatch, GRID)?;
        canvas.text(&shorten(&part.name, 28), (left + 18, y), Look::LEFT)?;
        let [before, after] = part.values.map(|value| unit.format(value));
        canvas.text(&before, (left + 300, y), Look::RIGHT)?;
        canvas.text("→", (left + 312, y), Look::CENTER.color(QUIET))?;
        canvas.text(&after, (left + 390, y), Look::RIGHT)?;
        if let Some(change) = part.finding.change {
            canvas.text(&signed_percent(change), (left + 460, y), Look::RIGHT)?;
        }
    }
    Ok(())
}
