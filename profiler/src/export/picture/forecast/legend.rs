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
    export::content::{cpus_text, forecast_cells},
    forecast::{Forecast, KernelForecast, LABEL, PublishedPoint},
    text::shorten,
};

const ROW: i32 = 18;
/// Where the columns begin.
const COLUMNS: [i32; 6] = [56, 300, 440, 600, 740, 870];
const HEADERS: [&str; 6] = [
    "kernel",
    "limited by",
    "saturates at (CPUs)",
    "95 % in use at",
    "then limited by",
    "at (CPUs)",
];
const DIAMONDS: &str =
    "Diamonds: published by others, who measured another load on another machine:";

pub(super) fn height(forecast: &Forecast, heading: bool) -> i32 {
    let rows = 1 + forecast.kernels.len() + notes(forecast, heading).len();
    i32::try_from(rows).unwrap_or(0) * ROW + 24
}

/// What the picture is, where no heading says so, and how to read it.
fn notes(forecast: &Forecast, heading: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !heading {
        notes.push(LABEL.to_owned());
    }
    notes.push(format!(
        "Bands: the bootstrap interval over boots, with all{}none of the profiler's own cost taken off. None where there \
         are too few boots.",
        if forecast.null_hold_known {
            ", a part and "
        } else {
            " and with "
        }
    ));
    let dashed = format!("Dashed: as many {} as CPUs.", forecast.unit.again());
    if forecast.kernels.len() < 2 || forecast.published.is_empty() {
        notes.push(dashed);
    } else {
        notes.push(format!("{dashed} {DIAMONDS}"));
        notes.extend(forecast.published.iter().map(PublishedPoint::describe));
    }
    notes
}

pub(super) fn draw(
    canvas: &Canvas<'_>,
    forecast: &Forecast,
    top: i32,
    heading: bool,
) -> Result<()> {
    let one_limits = forecast
        .kernels
        .iter()
        .all(|kernel| kernel.next_limit.is_none());
    let columns = if one_limits { 4 } else { COLUMNS.len() };
    for (header, left) in HEADERS.iter().zip(COLUMNS).take(columns) {
        canvas.text(header, (left, top), Look::LEFT.color(QUIET))?;
    }
    let mut middle = top;
    for (kernel, of) in forecast.kernels.iter().enumerate() {
        middle += ROW;
        line(canvas, vec![(24, middle), (48, middle)], style(kernel))?;
        for (cell, left) in cells(of).iter().zip(COLUMNS) {
            canvas.text(cell, (left, middle), Look::LEFT)?;
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
    let mut cells = vec![shorten(&kernel.name, 32)];
    if let Some(lock) = kernel.locks.first() {
        cells.push(shorten(&lock.name, 18));
        cells.extend(forecast_cells(lock));
    }
    if let Some(next) = &kernel.next_limit {
        cells.push(shorten(&next.lock, 18));
        cells.push(cpus_text(next.knee_cpus));
    }
    cells
}
