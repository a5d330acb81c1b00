//! Lengths of holds and waits on both sides, and how each quantile changed: a row a site.

use anyhow::Result;

use super::{
    super::{
        HEAD,
        axis::{Axis, round_steps_between},
        canvas::{Canvas, Frame, Look, TEXT},
        distribution::{length_axis, points, share_axis},
        palette::{GRID, KERNELS, QUIET},
    },
    Subject, kernels,
};
use crate::{
    compare::{DistributionPair, QuantilePair, signed_percent},
    recording::schema::Kind,
    units::{self, TimeUnit},
};

const LEFT: i32 = 20;
const KERNELS_TOP: i32 = HEAD + 14;
const ROWS_TOP: i32 = HEAD + 44;
const ROW: i32 = 300;
const PLOT_TOP: i32 = 24;
const PLOT_HEIGHT: i32 = 200;
const AXIS: i32 = 78;
const PANEL: i32 = 505;
/// The change that an axis shows at least, to both sides of none.
const LEAST: f64 = 0.05;
/// The change beyond which an axis does not go: a quantile that is so much longer is cut off.
const MOST: f64 = 3.0;

/// The height of the picture; none without a distribution on both sides.
pub(super) fn height(subject: Subject<'_>) -> Option<i32> {
    let rows = i32::try_from(subject.setting.distributions.len()).ok()?;
    (rows > 0).then_some(ROWS_TOP + rows * ROW)
}

/// Two panels a site and kind.
pub(super) fn draw(canvas: &Canvas<'_>, subject: Subject<'_>) -> Result<()> {
    kernels(canvas, subject.names, LEFT + AXIS, KERNELS_TOP)?;
    let unit = TimeUnit::of(subject.setting.answers.setting.clock);
    let mut top = ROWS_TOP;
    for pair in &subject.setting.distributions {
        let frame = |left: i32| Frame {
            left: left + AXIS,
            top: top + PLOT_TOP,
            right: left + PANEL - 30,
            bottom: top + PLOT_TOP + PLOT_HEIGHT,
        };
        lengths(canvas, frame(LEFT), pair, unit)?;
        changes(canvas, frame(LEFT + PANEL + 30), pair)?;
        top += ROW;
    }
    Ok(())
}

const fn kind(pair: &DistributionPair) -> &'static str {
    match pair.kind {
        Kind::Hold => "holds",
        Kind::Wait => "waits",
    }
}

/// Both distributions, complementary cumulative.
fn lengths(
    canvas: &Canvas<'_>,
    frame: Frame,
    pair: &DistributionPair,
    unit: TimeUnit,
) -> Result<()> {
    let title = format!("{} {}", pair.site.name(), kind(pair));
    let above = (frame.left, frame.top - 13);
    canvas.text(&title, above, Look::LEFT.size(14).bold())?;
    let [before, after] = &pair.all;
    let counts = format!(
        "{} and {}",
        units::count(before.count()),
        units::count(after.count())
    );
    let beside = (frame.right, frame.top - 13);
    canvas.text(&counts, beside, Look::RIGHT.color(QUIET))?;
    let all = [before, after];
    let x = length_axis(canvas, frame, &all, unit)?;
    let y = share_axis(canvas, frame, frame.left - AXIS, kind(pair), &all)?;
    canvas.outline(frame, QUIET)?;
    for (durations, color) in all.into_iter().zip(KERNELS) {
        let points = points(durations, &x, &y);
        let end = points.last().copied();
        canvas.line(points, color, 2)?;
        if let Some(end) = end {
            canvas.circle(end, 2, color)?;
        }
    }
    Ok(())
}

/// The change of each quantile, with its interval.
fn changes(canvas: &Canvas<'_>, frame: Frame, pair: &DistributionPair) -> Result<()> {
    let above = (frame.left, frame.top - 13);
    canvas.text(
        "change by quantile, with 95 % intervals",
        above,
        Look::LEFT.color(QUIET),
    )?;
    let middle = (frame.top + frame.bottom) / 2;
    if pair.quantiles.is_empty() {
        let text = "There are too few for a quantile of each boot.";
        let center = ((frame.left + frame.right) / 2, middle);
        return canvas.text(text, center, Look::CENTER.color(QUIET));
    }
    let (low, high) = range(&pair.quantiles);
    let y = Axis::linear(low, high, frame.bottom, frame.top);
    for tick in round_steps_between(low, high, 6) {
        let at = y.pixel(tick);
        canvas.line(vec![(frame.left, at), (frame.right, at)], GRID, 1)?;
        let text = units::without_needless_digits(&signed_percent(tick));
        canvas.text(&text, (frame.left - 6, at), Look::RIGHT)?;
    }
    let none = y.pixel(0.0);
    canvas.line(vec![(frame.left, none), (frame.right, none)], QUIET, 1)?;
    canvas.outline(frame, GRID)?;
    let steps = i32::try_from(pair.quantiles.len()).unwrap_or(1) + 1;
    let mut curve = Vec::new();
    for (quantile, step) in pair.quantiles.iter().zip(1..) {
        let x = frame.left + (frame.right - frame.left) * step / steps;
        let at = (x, y.pixel(quantile.change));
        if let Some(interval) = quantile.interval {
            let [low, high] = [interval.low, interval.high].map(|end| y.pixel(end));
            canvas.line(vec![(x, low), (x, high)], KERNELS[1], 2)?;
            for end in [low, high] {
                canvas.line(vec![(x - 4, end), (x + 4, end)], KERNELS[1], 2)?;
            }
        }
        canvas.circle(at, 4, KERNELS[1])?;
        curve.push(at);
        let name = percentile(quantile.share);
        let below = (x, frame.bottom + 14);
        canvas.text(&name, below, Look::CENTER.size(TEXT - 1))?;
    }
    canvas.line(curve, KERNELS[1], 1)?;
    let center = ((frame.left + frame.right) / 2, frame.bottom + 34);
    canvas.text("quantile", center, Look::CENTER.color(QUIET))
}

/// Room for all points, for none, and for intervals as far as the axis goes.
fn range(quantiles: &[QuantilePair]) -> (f64, f64) {
    let (mut low, mut high) = (-LEAST, LEAST);
    for quantile in quantiles {
        let ends = quantile
            .interval
            .map(|interval| [interval.low, interval.high]);
        for value in ends.into_iter().flatten().chain([quantile.change]) {
            low = low.min(value);
            high = high.max(value.min(MOST));
        }
    }
    let room = (high - low) * 0.05;
    (low - room, high + room)
}

/// `p50`, `p99.9`.
fn percentile(share: f64) -> String {
    let percent = (share * 1000.0).round() / 10.0;
    format!("p{percent}")
}
