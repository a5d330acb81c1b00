//! A forecast: work against CPUs, and what each kernel changes, with the published points.

mod change;
mod legend;
mod panel;
mod rounds;

use anyhow::Result;

use super::{
    HEAD, WIDTH,
    canvas::{Canvas, Frame, Look, draw},
    palette::QUIET,
};
use crate::{
    forecast::{Forecast, LABEL},
    text::shorten,
};

const PLOT_TOP: i32 = 92;
const PLOT_HEIGHT: i32 = 330;
/// From a panel's left edge to its plot: the labels of the axis.
const AXIS: i32 = 78;
const PANEL: i32 = 505;
/// From the plot's bottom to the legend.
const LEGEND_TOP: i32 = 66;

/// A forecast as SVG; without its heading where a page has one. What it is stands in it either way.
///
/// # Errors
///
/// When it cannot be drawn.
pub fn forecast_svg(forecast: &Forecast, heading: bool) -> Result<String> {
    let legend_top = PLOT_TOP + PLOT_HEIGHT + LEGEND_TOP;
    let height = legend_top + legend::height(forecast, heading);
    let cut = if heading { 0 } else { HEAD };
    draw(WIDTH, height, cut, |canvas| {
        if heading {
            head(canvas, forecast)?;
        }
        rounds::draw(canvas, forecast, frame(20))?;
        change::draw(canvas, forecast, frame(20 + PANEL + 30))?;
        legend::draw(canvas, forecast, legend_top, heading)
    })
}

fn head(canvas: &Canvas<'_>, forecast: &Forecast) -> Result<()> {
    let names: Vec<&str> = forecast
        .kernels
        .iter()
        .map(|kernel| kernel.name.as_str())
        .collect();
    let title = format!(
        "forecast of {} against CPUs: {}",
        forecast.unit.several(),
        names.join(", ")
    );
    canvas.text(&shorten(&title, 90), (24, 24), Look::LEFT.size(18).bold())?;
    canvas.text(LABEL, (24, 46), Look::LEFT.color(QUIET))
}

const fn frame(left: i32) -> Frame {
    Frame {
        left: left + AXIS,
        top: PLOT_TOP,
        right: left + PANEL - 30,
        bottom: PLOT_TOP + PLOT_HEIGHT,
    }
}
