//! What both panels have: CPUs to the right, and curves with their intervals.

use anyhow::Result;
use plotters::style::RGBColor;

use super::super::{
    axis::{Axis, text_width},
    canvas::{Canvas, Frame, Look, TEXT},
    palette::{BLACK, GRID, KERNELS, QUIET, WHITE},
};
use crate::forecast::{Estimate, MOST_CPUS};

/// How much of a band's colour is seen.
const BAND: f64 = 0.18;
/// The height of a label.
const LABEL: i32 = 14;

/// A kernel's colour, and whether another one has it too and this one is dashed.
pub(super) fn style(kernel: usize) -> (RGBColor, bool) {
    (KERNELS[kernel % KERNELS.len()], kernel >= KERNELS.len())
}

pub(super) fn line(
    canvas: &Canvas<'_>,
    points: Vec<(i32, i32)>,
    (color, dashed): (RGBColor, bool),
) -> Result<()> {
    if dashed {
        canvas.dashes(&points, color, 2)
    } else {
        canvas.line(points, color, 2)
    }
}

/// The title of a panel, and its axis of CPUs with the grid.
pub(super) fn cpu_axis(canvas: &Canvas<'_>, frame: Frame, title: &str) -> Result<Axis> {
    canvas.text(
        title,
        (frame.left, frame.top - 16),
        Look::LEFT.size(14).bold(),
    )?;
    let axis = Axis::log(1.0, f64::from(MOST_CPUS), frame.left, frame.right);
    for cpus in (0..=MOST_CPUS.ilog2()).map(|power| 1_u32 << power) {
        let at = axis.pixel(f64::from(cpus));
        canvas.line(vec![(at, frame.top), (at, frame.bottom)], GRID, 1)?;
        canvas.text(&cpus.to_string(), (at, frame.bottom + 14), Look::CENTER)?;
    }
    let middle = (frame.left + frame.right) / 2;
    canvas.text(
        "CPUs",
        (middle, frame.bottom + 34),
        Look::CENTER.color(QUIET),
    )?;
    Ok(axis)
}

/// A line across the panel with its label beside it.
pub(super) fn tick(canvas: &Canvas<'_>, frame: Frame, at: i32, label: &str) -> Result<()> {
    canvas.line(vec![(frame.left, at), (frame.right, at)], GRID, 1)?;
    canvas.text(label, (frame.left - 6, at), Look::RIGHT)
}

/// A kernel's curve in pixels.
pub(super) struct Curve {
    pub(super) kernel: usize,
    pub(super) points: Vec<(i32, i32)>,
    /// Around the interval, where there is one.
    pub(super) band: Vec<(i32, i32)>,
}

impl Curve {
    pub(super) fn new(
        kernel: usize,
        values: impl Iterator<Item = (u32, Estimate)>,
        x: &Axis,
        y: impl Fn(f64) -> i32,
    ) -> Self {
        let (mut points, mut lows, mut highs) = (Vec::new(), Vec::new(), Vec::new());
        for (cpus, value) in values {
            let at = x.pixel(f64::from(cpus));
            points.push((at, y(value.point)));
            if let Some(interval) = value.interval {
                lows.push((at, y(interval.low)));
                highs.push((at, y(interval.high)));
            }
        }
        let band = lows.into_iter().chain(highs.into_iter().rev()).collect();
        Self {
            kernel,
            points,
            band,
        }
    }

    pub(super) fn draw_band(&self, canvas: &Canvas<'_>) -> Result<()> {
        if self.band.is_empty() {
            return Ok(());
        }
        canvas.area(&self.band, style(self.kernel).0, BAND)
    }

    pub(super) fn draw_line(&self, canvas: &Canvas<'_>) -> Result<()> {
        line(canvas, self.points.clone(), style(self.kernel))
    }
}

/// Labels beside their marks, none over another, over a curve, or over the edge of the panel.
pub(super) struct Labels {
    frame: Frame,
    taken: Vec<Frame>,
    /// Labels and marks, which no line to another label may cross.
    drawn: Vec<Frame>,
}

impl Labels {
    pub(super) fn new(frame: Frame, curves: &[Curve]) -> Self {
        let taken = curves.iter().flat_map(|curve| {
            let edges = Frame::along(&curve.band);
            Frame::along(&curve.points).into_iter().chain(edges)
        });
        Self {
            frame,
            taken: taken.collect(),
            drawn: Vec::new(),
        }
    }

    /// Nothing may be written there.
    pub(super) fn take(&mut self, part: Frame) {
        self.taken.push(part);
    }

    /// Nothing may be written over a mark.
    pub(super) fn mark(&mut self, at: (i32, i32)) {
        self.taken.push(Frame::around(at, 6));
        self.drawn.push(Frame::around(at, 5));
    }

    /// Writes lines of text as near to the mark as there is room; where there is none, the mark has no
    /// label.
    pub(super) fn write(
        &mut self,
        canvas: &Canvas<'_>,
        at: (i32, i32),
        lines: &[&str],
        color: RGBColor,
    ) -> Result<()> {
        let size = TEXT - 1;
        let width = lines
            .iter()
            .map(|line| text_width(line, size))
            .max()
            .unwrap_or(0)
            + 8;
        let height = LABEL * i32::try_from(lines.len()).unwrap_or(1);
        let place = self
            .places(at, width, height)
            .find(|place| self.is_free(at, place));
        let Some(place) = place else {
            return Ok(());
        };
        let leader = leader(at, &place);
        self.taken.extend(Frame::along(&leader));
        canvas.line(leader.to_vec(), color, 1)?;
        canvas.fill(place, WHITE)?;
        let stripe = Frame {
            right: place.left + 3,
            ..place
        };
        canvas.fill(stripe, color)?;
        for (line, top) in lines.iter().zip((place.top..).step_by(LABEL as usize)) {
            let look = Look::LEFT.size(size).color(BLACK);
            canvas.text(line, (place.left + 6, top + LABEL / 2), look)?;
        }
        self.taken.push(place);
        self.drawn.push(place);
        Ok(())
    }

    fn is_free(&self, at: (i32, i32), place: &Frame) -> bool {
        let inside = place.left > self.frame.left
            && place.right < self.frame.right
            && place.top > self.frame.top
            && place.bottom < self.frame.bottom;
        let own = Frame::around(at, 5);
        let others = || self.drawn.iter().filter(|other| !other.overlaps(&own));
        inside
            && self.taken.iter().all(|other| !other.overlaps(place))
            && Frame::along(&leader(at, place))
                .iter()
                .all(|part| others().all(|other| !other.overlaps(part)))
    }

    /// Where a label may stand, the nearest places first, moved into the panel from its sides.
    fn places(&self, at: (i32, i32), width: i32, height: i32) -> impl Iterator<Item = Frame> {
        let room = (self.frame.left + 3, self.frame.right - width - 3);
        (0..22).flat_map(move |step| {
            let away = 10 + step * 8;
            let (right, left) = (at.0 + 14, at.0 - 14 - width);
            let (below, above) = (at.1 + away, at.1 - away - height);
            let middle = at.1 - height / 2;
            [
                (at.0 + away, middle),
                (right, below),
                (at.0 - width / 2, below),
                (left, above),
                (at.0 - away - width, middle),
                (at.0 - width / 2, above),
                (left, below),
                (right, above),
            ]
            .map(|(left, top)| {
                let left = left.min(room.1).max(room.0);
                Frame {
                    left,
                    top,
                    right: left + width,
                    bottom: top + height,
                }
            })
        })
    }
}

/// From a mark to the nearest point of its label.
fn leader(at: (i32, i32), place: &Frame) -> [(i32, i32); 2] {
    let end = (
        at.0.clamp(place.left, place.right - 8),
        at.1.clamp(place.top, place.bottom),
    );
    [at, end]
}
