//! The picture of BENCHMARKS.md: what each observer adds to one pair, and how much of it inside the
//! hold.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoDrawingArea, PathElement, Rectangle, SVGBackend, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, TextStyle};

use super::results::{KernelCosts, ObserverCosts};

const BLACK: RGBColor = RGBColor(26, 26, 26);
const QUIET: RGBColor = RGBColor(95, 95, 95);
const GRID: RGBColor = RGBColor(222, 222, 222);
const WHITE: RGBColor = RGBColor(255, 255, 255);
/// Okabe and Ito's blue, and a lighter one of the same hue: what is inside the hold, and the rest.
const INSIDE: RGBColor = RGBColor(0, 114, 178);
const OUTSIDE: RGBColor = RGBColor(153, 199, 225);

const WIDTH: i32 = 960;
const LABELS: i32 = 400;
const RIGHT: i32 = WIDTH - 70;
const TOP: i32 = 84;
const ROW: i32 = 26;
const BAR: i32 = 16;
const TEXT: i32 = 13;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws it.
pub fn draw(costs: &KernelCosts) -> Result<String> {
    let mut rows = costs.observers.iter().collect::<Vec<_>>();
    rows.sort_by(|a, b| a.pair.added.total_cmp(&b.pair.added));
    let most = rows.last().map_or(1.0, |row| row.pair.added.max(1.0));
    let height = TOP + ROW * i32::try_from(rows.len())? + 46;
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let title = "Instructions that an observer adds to one uncontended lock and unlock";
        text(&area, title, (24, 24), 18, BLACK, HPos::Left)?;
        let about = format!(
            "tasklist_lock, Linux {}, one CPU, instruction clock",
            costs.release
        );
        text(&area, &about, (24, 46), TEXT, QUIET, HPos::Left)?;
        legend(&area)?;
        axis(&area, most, height - 40)?;
        for (index, row) in rows.iter().enumerate() {
            bar(&area, row, most, TOP + ROW * i32::try_from(index)?)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn legend(area: &Area<'_>) -> Result<()> {
    for (at, color, label) in [
        (LABELS, INSIDE, "while the lock is held"),
        (LABELS + 180, OUTSIDE, "outside of the hold"),
    ] {
        rectangle(area, [(at, 62), (at + 12, 74)], color)?;
        text(area, label, (at + 18, 68), TEXT, BLACK, HPos::Left)?;
    }
    Ok(())
}

fn axis(area: &Area<'_>, most: f64, bottom: i32) -> Result<()> {
    let step = round_step(most / 5.0);
    let mut value = 0.0;
    while value <= most {
        let x = place(value, most);
        let line = PathElement::new(vec![(x, TOP - 4), (x, bottom)], GRID.stroke_width(1));
        area.draw(&line).map_err(failed)?;
        text(
            area,
            &format!("{value:.0}"),
            (x, bottom + 12),
            TEXT,
            QUIET,
            HPos::Center,
        )?;
        value += step;
    }
    Ok(())
}

fn bar(area: &Area<'_>, row: &ObserverCosts, most: f64, top: i32) -> Result<()> {
    let middle = top + ROW / 2;
    let (low, high) = (middle - BAR / 2, middle + BAR / 2);
    text(
        area,
        &row.what,
        (LABELS - 10, middle),
        TEXT,
        BLACK,
        HPos::Right,
    )?;
    let end = place(row.pair.added, most);
    let inside = place(row.pair.added_in_hold.unwrap_or(0.0), most).min(end);
    rectangle(area, [(LABELS, low), (inside, high)], INSIDE)?;
    rectangle(area, [(inside, low), (end, high)], OUTSIDE)?;
    let number = format!("{:.0}", row.pair.added.max(0.0));
    text(area, &number, (end + 6, middle), TEXT, BLACK, HPos::Left)
}

/// Where a number of instructions is.
fn place(value: f64, most: f64) -> i32 {
    LABELS + (value.clamp(0.0, most) / most * f64::from(RIGHT - LABELS)).round() as i32
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(about: f64) -> f64 {
    let power = 10_f64.powf(about.max(1.0).log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|factor| factor * power >= about);
    factor.unwrap_or(10.0) * power
}

fn rectangle(area: &Area<'_>, corners: [(i32, i32); 2], color: RGBColor) -> Result<()> {
    area.draw(&Rectangle::new(corners, color.filled()))
        .map_err(failed)
}

fn text(
    area: &Area<'_>,
    words: &str,
    at: (i32, i32),
    size: i32,
    color: RGBColor,
    side: HPos,
) -> Result<()> {
    let style = TextStyle::from(("sans-serif", size).into_font())
        .color(&color)
        .pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(words.to_owned(), at, style))
        .map_err(failed)
}

/// The backend's error borrows its type from it; its text is all that is of use.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

#[cfg(test)]
mod tests {
    use super::super::results::Cost;
    use super::*;

    #[test]
    fn bars_are_sorted_and_end_at_their_numbers() {
        let row = |what: &str, added| ObserverCosts {
            what: what.to_owned(),
            pair: Cost {
                added,
                added_in_hold: Some(added / 2.0),
                ..Cost::default()
            },
            ..ObserverCosts::default()
        };
        let costs = KernelCosts {
            observers: vec![row("second", 3474.0), row("first", 317.0)],
            ..KernelCosts::default()
        };
        let svg = draw(&costs).unwrap();
        assert!(svg.find("first").unwrap() < svg.find("second").unwrap());
        assert!(svg.contains("3474") && svg.contains("317"));
        assert_eq!(place(3474.0, 3474.0), RIGHT);
        assert_eq!([7.0, 63.0, 700.0].map(round_step), [10.0, 100.0, 1000.0]);
    }
}
