//! Every boot as a point: how far the kernels are apart, and how far the boots of one are.

use anyhow::Result;

use super::{
    super::{
        axis::{Axis, range_of, round_steps_between},
        canvas::{Canvas, Frame, Look, TEXT},
        palette::{BLACK, GRID, KERNELS, QUIET},
    },
    Subject, kernels,
};
use crate::{
    compare::{Finding, LockRow, Quantity, Verdict, signed_percent},
    export::picture::HEAD,
    text::shorten,
    units::TimeUnit,
};

const LEFT: i32 = 24;
const KERNELS_TOP: i32 = HEAD + 14;
const PANELS_TOP: i32 = HEAD + 40;
const COLUMNS: usize = 3;
const PANEL: i32 = 350;
const PANEL_HEIGHT: i32 = 220;
/// From a panel's top to its plot, from its left edge to it, and the plot's height.
const PLOT_TOP: i32 = 46;
const AXIS: i32 = 76;
const PLOT_HEIGHT: i32 = 140;
/// An axis shows at least this share of what it is about.
const LEAST: f64 = 0.1;
/// Most panels: main questions first, then holds and waits by site.
const MOST: usize = 12;

/// The height of the picture; none without any number.
pub(super) fn height(subject: Subject<'_>) -> Option<i32> {
    let rows = i32::try_from(findings(subject).len().div_ceil(COLUMNS)).ok()?;
    (rows > 0).then_some(PANELS_TOP + rows * PANEL_HEIGHT + 8)
}

/// A panel a quantity.
pub(super) fn draw(canvas: &Canvas<'_>, subject: Subject<'_>) -> Result<()> {
    kernels(canvas, subject.names, LEFT, KERNELS_TOP)?;
    let unit = TimeUnit::of(subject.setting.answers.setting.clock);
    for (index, finding) in findings(subject).into_iter().enumerate() {
        let place = |number: usize| i32::try_from(number).unwrap_or(0);
        let left = LEFT + place(index % COLUMNS) * PANEL;
        let top = PANELS_TOP + place(index / COLUMNS) * PANEL_HEIGHT;
        panel(canvas, (left, top), finding, unit)?;
    }
    Ok(())
}

/// What is drawn: not the null hold, which is taken off the others.
fn findings(subject: Subject<'_>) -> Vec<&Finding> {
    let answers = &subject.setting.answers;
    let all = answers.main.iter().chain(&answers.holds);
    let waits = answers
        .waits
        .iter()
        .filter(|finding| finding.verdict.is_change());
    let every_lock = answers.every_lock.iter();
    let classes = every_lock.flat_map(|locks| &locks.classes);
    all.chain(waits)
        .chain(classes.filter_map(LockRow::finding))
        .filter(|finding| finding.quantity != Quantity::SiteHold(crate::site::Site::SETSID))
        .take(MOST)
        .collect()
}

fn panel(
    canvas: &Canvas<'_>,
    (left, top): (i32, i32),
    finding: &Finding,
    unit: TimeUnit,
) -> Result<()> {
    let frame = Frame {
        left: left + AXIS,
        top: top + PLOT_TOP,
        right: left + PANEL - 26,
        bottom: top + PLOT_TOP + PLOT_HEIGHT,
    };
    let title = shorten(&finding.quantity.describe(), 38);
    canvas.text(&title, (left, top + 8), Look::LEFT.size(13).bold())?;
    canvas.text(&outcome(finding), (left, top + 27), Look::LEFT.color(QUIET))?;
    let sides = [&finding.before, &finding.after];
    let values: Vec<f64> = sides
        .iter()
        .flat_map(|sample| sample.values.iter().copied())
        .collect();
    let (low, high) = range_of(&values, LEAST);
    let y = Axis::linear(low, high, frame.bottom, frame.top);
    for tick in round_steps_between(low, high, 4) {
        let at = y.pixel(tick);
        canvas.line(vec![(frame.left, at), (frame.right, at)], GRID, 1)?;
        let text = label(finding, tick, unit);
        canvas.text(&text, (frame.left - 6, at), Look::RIGHT.size(TEXT - 1))?;
    }
    canvas.outline(frame, GRID)?;
    let column = (frame.right - frame.left) / 2;
    for (side, (sample, color)) in sides.into_iter().zip(KERNELS).enumerate() {
        let left = frame.left + column * i32::try_from(side).unwrap_or(0) + 16;
        let room = column - 32;
        if let Some(median) = sample.median {
            let at = y.pixel(median);
            canvas.line(vec![(left - 6, at), (left + room + 6, at)], color, 2)?;
        }
        // In the order of the boots, so that a drift can be seen.
        let steps = i32::try_from(sample.values.len()).unwrap_or(i32::MAX) + 1;
        for (&value, step) in sample.values.iter().zip(1..) {
            let x = left + room * step / steps;
            canvas.circle((x, y.pixel(value)), 4, color)?;
        }
        let text = sample
            .median
            .map_or_else(String::new, |median| finding.quantity.format(median, unit));
        let middle = left + room / 2;
        canvas.text(
            &text,
            (middle, frame.bottom + 13),
            Look::CENTER.size(TEXT - 1).color(BLACK),
        )?;
    }
    Ok(())
}

/// A tick of an axis, without digits that its neighbours have too.
fn label(finding: &Finding, tick: f64, unit: TimeUnit) -> String {
    let text = finding.quantity.format(tick, unit);
    crate::units::without_needless_digits(&text)
}

/// `-63.1 %: better`.
fn outcome(finding: &Finding) -> String {
    let word = match finding.verdict {
        Verdict::NotAsked => "no verdict".to_owned(),
        Verdict::Noisy => "too noisy to tell".to_owned(),
        Verdict::TooFew => format!("too few {}s for a verdict", finding.sampled.name()),
        verdict => verdict.word().to_owned(),
    };
    match finding.change {
        Some(change) => format!("{}: {word}", signed_percent(change)),
        None => word,
    }
}
