//! What each kernel changes against the first one, and what was published.

use anyhow::Result;

use super::{
    super::{
        axis::Axis,
        canvas::{Canvas, Frame, Look},
        palette::{BLACK, QUIET, WHITE},
    },
    panel::{Curve, Labels, cpu_axis, tick},
};
use crate::{forecast::Forecast, text::shorten};

/// Ratios of rounds that may be labelled.
const RATIOS: [f64; 23] = [
    1e-4, 1e-3, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0,
    10.0, 20.0, 50.0, 100.0, 1e3, 1e4,
];
/// The axis goes down to here at least: labels have room where nothing is lost.
const ROOM: f64 = 0.75;
/// Labels are no nearer to each other.
const APART: i32 = 18;

pub(super) fn draw(canvas: &Canvas<'_>, forecast: &Forecast, frame: Frame) -> Result<()> {
    let first = forecast.kernels.first().map_or("", |kernel| &kernel.name);
    let title = format!("Change against {}", shorten(first, 24));
    let x = cpu_axis(canvas, frame, &title)?;
    if forecast.kernels.len() < 2 {
        let middle = (
            (frame.left + frame.right) / 2,
            (frame.top + frame.bottom) / 2,
        );
        let text = "There is no other kernel to compare.";
        return canvas.text(text, middle, Look::CENTER.size(14).color(QUIET));
    }
    let y = change_axis(canvas, frame, forecast)?;
    let pixel = |change: f64| y.pixel(1.0 + change);
    let kernels = forecast.kernels.iter().enumerate().skip(1);
    let curves: Vec<Curve> = kernels
        .map(|(kernel, of)| {
            let values = of.curve.iter();
            let values = values.filter_map(|point| Some((point.cpus, point.change?)));
            Curve::new(kernel, values, &x, pixel)
        })
        .collect();
    for curve in &curves {
        curve.draw_band(canvas)?;
    }
    let none = pixel(0.0);
    canvas.line(vec![(frame.left, none), (frame.right, none)], QUIET, 1)?;
    for curve in &curves {
        curve.draw_line(canvas)?;
    }
    let mut labels = Labels::new(frame, &curves);
    let published = || {
        let points = forecast.published.iter();
        points.map(|point| (point, (x.pixel(f64::from(point.cpus)), pixel(point.change))))
    };
    for (_, at) in published() {
        diamond(canvas, at)?;
        labels.mark(at);
    }
    for (point, at) in published() {
        let change = format!("published: {:+.1} %", point.change * 100.0);
        labels.write(canvas, at, &[&change, point.load, point.what], BLACK)?;
    }
    let middle = (frame.top + frame.bottom) / 2;
    let look = Look::CENTER.color(QUIET).upwards();
    let title = format!("{} with as many CPUs", forecast.unit.again());
    canvas.text(&title, (frame.left - 72, middle), look)
}

/// What was measured, and not by the model.
fn diamond(canvas: &Canvas<'_>, (x, y): (i32, i32)) -> Result<()> {
    let around = |radius: i32| {
        [
            (x, y - radius),
            (x + radius, y),
            (x, y + radius),
            (x - radius, y),
        ]
    };
    canvas.area(&around(8), WHITE, 1.0)?;
    canvas.area(&around(6), BLACK, 1.0)
}

/// The axis of changes, with its grid: logarithmic in the ratio, so that twice as many and half as many
/// are as far from none.
fn change_axis(canvas: &Canvas<'_>, frame: Frame, forecast: &Forecast) -> Result<Axis> {
    let curves = forecast.kernels.iter().flat_map(|kernel| &kernel.curve);
    let changes = curves.filter_map(|point| point.change).flat_map(|change| {
        let interval = change.interval;
        [
            interval.map_or(change.point, |interval| interval.low),
            interval.map_or(change.point, |interval| interval.high),
        ]
    });
    let published = forecast.published.iter().map(|point| point.change);
    let (low, high) = changes
        .chain(published)
        .fold((ROOM, 1.2_f64), |(low, high), change| {
            (low.min(1.0 + change), high.max(1.0 + change))
        });
    let [least, .., most] = RATIOS;
    let ratios = || RATIOS.into_iter();
    let low = ratios().rev().find(|&ratio| ratio <= low).unwrap_or(least);
    let high = ratios().find(|&ratio| ratio >= high).unwrap_or(most);
    let axis = Axis::log(low, high, frame.bottom, frame.top);
    // None first: it is always labelled.
    let mut labelled = vec![axis.pixel(1.0)];
    tick(canvas, frame, labelled[0], "0 %")?;
    for ratio in ratios().filter(|ratio| (low..=high).contains(ratio)) {
        let at = axis.pixel(ratio);
        if labelled.iter().all(|other| (other - at).abs() >= APART) {
            tick(
                canvas,
                frame,
                at,
                &format!("{:+} %", ((ratio - 1.0) * 1e4).round() / 100.0),
            )?;
            labelled.push(at);
        }
    }
    Ok(axis)
}
