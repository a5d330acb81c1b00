//! Work against CPUs, and where the first lock of each kernel saturates.

use anyhow::Result;

use super::{
    super::{
        axis::Axis,
        canvas::{Canvas, Frame, Look},
        palette::{QUIET, WHITE},
    },
    panel::{Curve, Labels, cpu_axis, style, tick},
};
use crate::{
    forecast::{Forecast, KernelForecast, MOST_CPUS},
    text::shorten,
    units,
};

pub(super) fn draw(canvas: &Canvas<'_>, forecast: &Forecast, frame: Frame) -> Result<()> {
    let first = forecast.kernels.first().map_or("", |kernel| &kernel.name);
    let unit = forecast.unit.again();
    let title = format!(
        "{}, in those of {} on one CPU",
        units::capital(unit),
        shorten(first, 18)
    );
    let x = cpu_axis(canvas, frame, &title)?;
    let y = rounds_axis(canvas, frame, forecast)?;
    let curves: Vec<Curve> = forecast
        .kernels
        .iter()
        .enumerate()
        .map(|(kernel, of)| {
            let values = of.curve.iter().map(|point| (point.cpus, point.rounds));
            Curve::new(kernel, values, &x, |rounds| y.pixel(rounds))
        })
        .collect();
    for curve in &curves {
        curve.draw_band(canvas)?;
    }
    // As many rounds as CPUs, as far as the axis goes.
    let most = y.end().min(f64::from(MOST_CPUS));
    let ideal = [(x.pixel(1.0), y.pixel(1.0)), (x.pixel(most), y.pixel(most))];
    canvas.dashes(&ideal, QUIET, 1)?;
    for curve in &curves {
        curve.draw_line(canvas)?;
    }
    let mut labels = Labels::new(frame, &curves);
    for part in Frame::along(&ideal) {
        labels.take(part);
    }
    let marks: Vec<_> = forecast
        .kernels
        .iter()
        .enumerate()
        .filter_map(|(kernel, of)| saturation(of, &x, &y).map(|at| (kernel, of, at)))
        .collect();
    for &(kernel, _, at) in &marks {
        canvas.circle(at, 5, WHITE)?;
        canvas.circle(at, 4, style(kernel).0)?;
        labels.mark(at);
    }
    for (kernel, of, at) in marks {
        if let Some(lock) = of.locks.first() {
            let knee = lock.knee_cpus.point;
            // Of few CPUs a part of one is worth a word.
            let digits = usize::from(knee < 10.0);
            let cpus = format!("saturates at {knee:.digits$} CPUs");
            let lines = [&*shorten(&lock.name, 24), &cpus];
            labels.write(canvas, at, &lines, style(kernel).0)?;
        }
    }
    let title = format!("{unit} per second, relative");
    let middle = (frame.top + frame.bottom) / 2;
    let look = Look::CENTER.color(QUIET).upwards();
    canvas.text(&title, (frame.left - 72, middle), look)
}

/// The axis of rounds, with its grid: in steps of two, as the CPUs are.
fn rounds_axis(canvas: &Canvas<'_>, frame: Frame, forecast: &Forecast) -> Result<Axis> {
    let rounds = forecast.kernels.iter().flat_map(|kernel| &kernel.curve);
    let (low, high) = rounds.fold((1.0_f64, 2.0_f64), |(low, high), point| {
        let interval = point.rounds.interval;
        let least = interval.map_or(point.rounds.point, |interval| interval.low);
        let most = interval.map_or(point.rounds.point, |interval| interval.high);
        (low.min(least), high.max(most))
    });
    // A little less than one is no step of its own.
    let first = (low * 1.2).log2().floor().clamp(-20.0, 0.0) as i32;
    let last = high.log2().ceil().clamp(1.0, 30.0) as i32;
    let axis = Axis::log(2_f64.powi(first), 2_f64.powi(last), frame.bottom, frame.top);
    // Every other one, where there are too many for their labels.
    let step = if last - first > 16 { 2 } else { 1 };
    for power in (first..=last).rev().step_by(step) {
        let label = match power {
            0.. => format!("{}", 2_f64.powi(power)),
            _ => format!("1/{}", 2_f64.powi(-power)),
        };
        tick(canvas, frame, axis.pixel(2_f64.powi(power)), &label)?;
    }
    Ok(axis)
}

/// The place on a kernel's curve at which its first lock saturates, where it is on the axis.
fn saturation(kernel: &KernelForecast, x: &Axis, y: &Axis) -> Option<(i32, i32)> {
    let knee = kernel.locks.first()?.knee_cpus.point;
    let after = kernel
        .curve
        .iter()
        .position(|point| f64::from(point.cpus) >= knee)?;
    let (from, to) = (
        kernel.curve.get(after.checked_sub(1)?)?,
        &kernel.curve[after],
    );
    let log = |cpus: u32| f64::from(cpus).ln();
    let part = (knee.ln() - log(from.cpus)) / (log(to.cpus) - log(from.cpus));
    let rounds = (from.rounds.point.ln() * (1.0 - part) + to.rounds.point.ln() * part).exp();
    Some((x.pixel(knee), y.pixel(rounds)))
}
