//! The kernels, their locks, and what the picture is.

use anyhow::Result;

use super::{
    super::{
        canvas::{Canvas, Look},
        palette::QUIET,
    },
    panel::{line, style},
};
use crate::{
    export::{content::forecast_cells, text::shorten},
    forecast::{Forecast, KernelForecast, LABEL, PublishedPoint},
};

const ROW: i32 = 18;
/// Where the columns begin.
const COLUMNS: [i32; 6] = [56, 240, 400, 560, 700, 830];
const HEADERS: [&str; 6] = [
    "kernel",
    "limited by",
    "saturates at (CPUs)",
    "95 % in use at",
    "then limited by",
    "at (CPUs)",
];
const NOTES: [&str; 2] = [
    "Bands: the bootstrap interval over boots, with all, a part and none of the profiler's own cost taken off. \
     None where there are too few boots.",
    "Dashed: as many lives as CPUs. Diamonds: published by others, who measured another load on another machine:",
];

pub(super) fn height(forecast: &Forecast, heading: bool) -> i32 {
    let rows = 1 + forecast.kernels.len() + notes(forecast, heading).count();
    i32::try_from(rows).unwrap_or(0) * ROW + 24
}

/// What the picture is, where no heading says so, and how to read it.
fn notes(forecast: &Forecast, heading: bool) -> impl Iterator<Item = String> {
    let label = (!heading).then_some(LABEL);
    let published = forecast.published.iter().map(PublishedPoint::describe);
    let notes = label.into_iter().chain(NOTES).map(str::to_owned);
    notes.chain(published)
}

pub(super) fn draw(
    canvas: &Canvas<'_>,
    forecast: &Forecast,
    top: i32,
    heading: bool,
) -> Result<()> {
    for (header, left) in HEADERS.iter().zip(COLUMNS) {
        canvas.text(header, (left, top), Look::LEFT.color(QUIET))?;
    }
    let mut middle = top;
    for (kernel, of) in forecast.kernels.iter().enumerate() {
        middle += ROW;
        line(canvas, vec![(24, middle), (48, middle)], style(kernel))?;
        for (cell, left) in cells(of).iter().zip(COLUMNS) {
            canvas.text(&shorten(cell, 24), (left, middle), Look::LEFT)?;
        }
    }
    middle += ROW / 2;
    for note in notes(forecast, heading) {
        middle += ROW;
        canvas.text(&note, (24, middle), Look::LEFT.color(QUIET))?;
    }
    Ok(())
}

fn cells(kernel: &KernelForecast) -> Vec<String> {
    let mut cells = vec![kernel.name.clone()];
    if let Some(lock) = kernel.locks.first() {
        cells.push(lock.name.clone());
        cells.extend(forecast_cells(lock));
    }
    if let Some(next) = &kernel.next_limit {
        cells.push(next.lock.clone());
        cells.push(format!("{:.1}", next.knee_cpus));
    }
    cells
}
