//! What pictures are drawn on: pixels, so that every text has a place that was made for it.

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::{DrawingArea, IntoDrawingArea, PathElement, Polygon, Rectangle, SVGBackend, Text},
    style::{
        Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::palette::{BLACK, SiteStyle, WHITE};
use crate::text::printable;

/// The size of ordinary text, in pixels.
pub(super) const TEXT: i32 = 12;

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Frame {
    pub(super) const fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    /// A square about a point.
    pub(super) const fn around(at: (i32, i32), radius: i32) -> Self {
        Self {
            left: at.0 - radius,
            top: at.1 - radius,
            right: at.0 + radius,
            bottom: at.1 + radius,
        }
    }

    /// Small frames along a curve.
    pub(super) fn along(points: &[(i32, i32)]) -> Vec<Self> {
        let mut all = Vec::new();
        for pair in points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let steps = ((to.0 - from.0).abs().max((to.1 - from.1).abs()) / 5).max(1);
            for step in 0..=steps {
                let at = (
                    from.0 + (to.0 - from.0) * step / steps,
                    from.1 + (to.1 - from.1) * step / steps,
                );
                all.push(Self::around(at, 2));
            }
        }
        all
    }
}

/// A picture in the making. Coordinates are pixels, and need no room for the head of the sheet
/// where it has none.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    /// Pixels that are cut off at the top.
    cut: i32,
}

/// Draws a picture of this size, without so many pixels at the top.
pub(super) fn draw(
    width: i32,
    height: i32,
    cut: i32,
    paint: impl FnOnce(&Canvas<'_>) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let size = (width.unsigned_abs(), (height - cut).unsigned_abs());
        let canvas = Canvas {
            area: SVGBackend::with_string(&mut svg, size).into_drawing_area(),
            cut,
        };
        // Legible on a dark page too.
        canvas.fill(
            Frame {
                left: 0,
                top: cut,
                right: width,
                bottom: height,
            },
            WHITE,
        )?;
        paint(&canvas)?;
        canvas.area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// The backend's error borrows its type from it; its text is all that is of use.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

impl Canvas<'_> {
    fn place(&self, at: (i32, i32)) -> (i32, i32) {
        (at.0, at.1 - self.cut)
    }

    fn corners(&self, frame: Frame) -> [(i32, i32); 2] {
        [(frame.left, frame.top), (frame.right, frame.bottom)].map(|at| self.place(at))
    }

    pub(super) fn fill(&self, frame: Frame, color: RGBColor) -> Result<()> {
        self.tint(frame, color, 1.0)
    }

    /// Fills with a colour through which the background shows: 0 is none of it, 1 is all.
    pub(super) fn tint(&self, frame: Frame, color: RGBColor, opacity: f64) -> Result<()> {
        let style = color.mix(opacity).filled();
        self.area
            .draw(&Rectangle::new(self.corners(frame), style))
            .map_err(failed)
    }

    /// Fills what lies within the points.
    pub(super) fn area(&self, points: &[(i32, i32)], color: RGBColor, opacity: f64) -> Result<()> {
        let points: Vec<(i32, i32)> = points.iter().map(|&at| self.place(at)).collect();
        self.area
            .draw(&Polygon::new(points, color.mix(opacity).filled()))
            .map_err(failed)
    }

    pub(super) fn outline(&self, frame: Frame, color: RGBColor) -> Result<()> {
        let style = color.stroke_width(1);
        self.area
            .draw(&Rectangle::new(self.corners(frame), style))
            .map_err(failed)
    }

    /// A small square by which a site is known: hollow where its line is dashed.
    pub(super) fn swatch(&self, frame: Frame, style: SiteStyle) -> Result<()> {
        self.fill(frame, style.color)?;
        if style.dashed {
            let rim = (frame.right - frame.left) / 4;
            let hollow = Frame {
                left: frame.left + rim,
                top: frame.top + rim,
                right: frame.right - rim,
                bottom: frame.bottom - rim,
            };
            self.fill(hollow, WHITE)?;
        }
        Ok(())
    }

    pub(super) fn line(&self, points: Vec<(i32, i32)>, color: RGBColor, width: u32) -> Result<()> {
        // What is drawn afterwards cannot draw a line without a length.
        if points.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(());
        }
        let style = ShapeStyle {
            color: color.to_rgba(),
            filled: false,
            stroke_width: width,
        };
        self.area
            .draw(&PathElement::new(
                points
                    .into_iter()
                    .map(|at| self.place(at))
                    .collect::<Vec<_>>(),
                style,
            ))
            .map_err(failed)
    }

    /// A line of dashes along the points.
    pub(super) fn dashes(&self, points: &[(i32, i32)], color: RGBColor, width: u32) -> Result<()> {
        for dash in dashes(points) {
            self.line(dash, color, width)?;
        }
        Ok(())
    }

    pub(super) fn circle(&self, center: (i32, i32), radius: i32, color: RGBColor) -> Result<()> {
        let circle = plotters::element::Circle::new(self.place(center), radius, color.filled());
        self.area.draw(&circle).map_err(failed)
    }

    pub(super) fn text(&self, text: &str, at: (i32, i32), look: Look) -> Result<()> {
        let style = if look.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        // plotters divides the size by this when it writes SVG.
        let font = ("sans-serif", f64::from(look.size) * 1.24, style).into_font();
        let font = if look.upwards {
            font.transform(FontTransform::Rotate270)
        } else {
            font
        };
        let style = TextStyle::from(font)
            .color(&look.color)
            .pos(Pos::new(look.h, look.v));
        self.area
            .draw(&Text::new(printable(text), self.place(at), style))
            .map_err(failed)
    }
}

/// How a text looks and which of its points is the one that is given.
#[derive(Clone, Copy)]
pub(super) struct Look {
    size: i32,
    color: RGBColor,
    bold: bool,
    upwards: bool,
    h: HPos,
    v: VPos,
}

impl Look {
    /// Ordinary text that begins at its point.
    pub(super) const LEFT: Self = Self {
        size: TEXT,
        color: BLACK,
        bold: false,
        upwards: false,
        h: HPos::Left,
        v: VPos::Center,
    };
    /// Ordinary text that ends at its point.
    pub(super) const RIGHT: Self = Self {
        h: HPos::Right,
        ..Self::LEFT
    };
    /// Ordinary text about its point.
    pub(super) const CENTER: Self = Self {
        h: HPos::Center,
        ..Self::LEFT
    };

    pub(super) const fn size(self, size: i32) -> Self {
        Self { size, ..self }
    }

    pub(super) const fn color(self, color: RGBColor) -> Self {
        Self { color, ..self }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    /// The same about its point.
    pub(super) const fn centered(self) -> Self {
        Self {
            h: HPos::Center,
            ..self
        }
    }

    pub(super) const fn upwards(self) -> Self {
        Self {
            upwards: true,
            ..self
        }
    }
}

/// Cuts a line into dashes of seven pixels with gaps of four.
fn dashes(points: &[(i32, i32)]) -> Vec<Vec<(i32, i32)>> {
    const DASH: f64 = 7.0;
    const GAP: f64 = 4.0;
    let mut all = Vec::new();
    let mut dash: Vec<(i32, i32)> = points.first().copied().into_iter().collect();
    let (mut drawing, mut left) = (true, DASH);
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
        let length = dx.hypot(dy);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let at = (
                from.0 + (dx * done / length).round() as i32,
                from.1 + (dy * done / length).round() as i32,
            );
            if drawing {
                dash.push(at);
                all.push(std::mem::take(&mut dash));
            } else {
                dash = vec![at];
            }
            drawing = !drawing;
            left = if drawing { DASH } else { GAP };
        }
        left -= length - done;
        if drawing {
            dash.push(to);
        }
    }
    if dash.len() > 1 {
        all.push(dash);
    }
    all
}
