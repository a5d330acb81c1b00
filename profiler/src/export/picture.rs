//! What the pictures share: a canvas of pixels, scales, texts.

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::{DrawingArea, IntoDrawingArea, PathElement, Rectangle, SVGBackend, Text},
    style::{
        Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{printable, text::shorten};
use crate::{
    profile::Profile,
    recording::schema::{Clock, Tier},
    units,
};

pub(super) const BLACK: RGBColor = RGBColor(26, 26, 26);
pub(super) const QUIET: RGBColor = RGBColor(95, 95, 95);
pub(super) const GRID: RGBColor = RGBColor(222, 222, 222);
pub(super) const WHITE: RGBColor = RGBColor(255, 255, 255);

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
}

/// A picture in the making. Coordinates are pixels, so that every text has a place that was made
/// for it; the white background keeps it legible on a dark page.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws a picture of this size.
pub(super) fn draw(
    width: i32,
    height: i32,
    paint: impl FnOnce(&Canvas<'_>) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut svg = String::new();
    {
        let size = (width.unsigned_abs(), height.unsigned_abs());
        let canvas = Canvas {
            area: SVGBackend::with_string(&mut svg, size).into_drawing_area(),
        };
        canvas.fill(
            Frame {
                left: 0,
                top: 0,
                right: width,
                bottom: height,
            },
            WHITE,
        )?;
        paint(&canvas)?;
        canvas.area.present().map_err(failed)?;
    }
    Ok(svg.into_bytes())
}

/// The backend's error borrows its type from it; its text is all that is of use.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

impl Canvas<'_> {
    pub(super) fn fill(&self, frame: Frame, color: RGBColor) -> Result<()> {
        let corners = [(frame.left, frame.top), (frame.right, frame.bottom)];
        self.area
            .draw(&Rectangle::new(corners, color.filled()))
            .map_err(failed)
    }

    pub(super) fn outline(&self, frame: Frame, color: RGBColor) -> Result<()> {
        let corners = [(frame.left, frame.top), (frame.right, frame.bottom)];
        self.area
            .draw(&Rectangle::new(corners, color.stroke_width(1)))
            .map_err(failed)
    }

    pub(super) fn line(&self, points: Vec<(i32, i32)>, color: RGBColor, width: u32) -> Result<()> {
        let style = ShapeStyle {
            color: color.to_rgba(),
            filled: false,
            stroke_width: width,
        };
        self.area
            .draw(&PathElement::new(points, style))
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
        let circle = plotters::element::Circle::new(center, radius, color.filled());
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
            .draw(&Text::new(printable(text), at, style))
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

    pub(super) const fn upwards(self) -> Self {
        Self {
            upwards: true,
            ..self
        }
    }
}

/// What was measured, in one line of at most so many characters.
pub(super) fn subtitle(profile: &Profile, length: usize) -> String {
    let header = &profile.header;
    let mut parts = Vec::new();
    if profile.void() {
        parts.push("VOID: too many losses".to_owned());
    }
    parts.push(format!("Linux {}", header.kernel.release));
    match header.kernel.cpus_online {
        1 => parts.push("1 CPU".to_owned()),
        cpus => parts.push(format!("{cpus} CPUs")),
    }
    if let Some(workload) = &header.workload {
        let tasks = workload
            .tasks
            .map_or_else(String::new, |tasks| format!(" × {tasks}"));
        parts.push(format!("{}{tasks}", shorten(&workload.name, 60)));
    }
    parts.push(format!("{} measured", units::seconds(profile.measured_s)));
    match header.clock {
        Clock::Hardware => {}
        Clock::EmulatedWall => parts.push("times of an emulated machine".to_owned()),
        Clock::Instructions => parts.push("in guest instructions".to_owned()),
    }
    if header.tier != Tier::Exact {
        let tier = match header.tier {
            Tier::Exact | Tier::Bounded => "bounded tier",
            Tier::WaitOnly => "wait-only tier",
            Tier::Unsupported => "unsupported tier",
        };
        parts.push(tier.to_owned());
    }
    if profile.cut_short {
        parts.push("cut short".to_owned());
    }
    shorten(&parts.join(" · "), length)
}

/// About how wide a text is in pixels: on the safe side, for no font is at hand to measure it.
pub(super) fn text_width(text: &str, size: i32) -> i32 {
    let characters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX / 1000);
    characters.saturating_mul(size) * 6 / 10
}

/// Maps numbers to pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    first: i32,
    last: i32,
    log: bool,
}

impl Axis {
    pub(super) const fn linear(low: f64, high: f64, first: i32, last: i32) -> Self {
        Self {
            low,
            high,
            first,
            last,
            log: false,
        }
    }

    /// From and to must be above 0.
    pub(super) fn log(low: f64, high: f64, first: i32, last: i32) -> Self {
        Self {
            low: low.log10(),
            high: high.log10(),
            first,
            last,
            log: true,
        }
    }

    /// The pixel of a number; numbers beyond the axis are at its end.
    pub(super) fn pixel(&self, value: f64) -> i32 {
        let value = if self.log {
            value.max(f64::MIN_POSITIVE).log10()
        } else {
            value
        };
        let range = self.high - self.low;
        let place = if range != 0.0 {
            ((value - self.low) / range).clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.first + (place * f64::from(self.last - self.first)).round() as i32
    }
}

/// Round numbers from 0 up to a maximum: at most so many steps of 1, 2 or 5 times a power of ten.
pub(super) fn round_steps(maximum: f64, most: u32) -> Vec<f64> {
    if !(maximum > 0.0 && maximum.is_finite()) {
        return vec![0.0];
    }
    let raw = maximum / f64::from(most.max(1));
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= raw * (1.0 - 1e-9))
        .unwrap_or(raw);
    (0..=most)
        .map(|index| f64::from(index) * step)
        .take_while(|value| *value <= maximum * (1.0 + 1e-9))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        assert_eq!(round_steps(10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(round_steps(0.0, 5), [0.0]);
        assert_eq!(round_steps(f64::INFINITY, 5), [0.0]);
        for maximum in [1e-9, 0.3, 7.0, 12.0, 600.0, 1e10] {
            let steps = round_steps(maximum, 6);
            assert!((3..=7).contains(&steps.len()), "{maximum}: {steps:?}");
        }
    }

    #[test]
    fn axes_keep_numbers_on_the_canvas() {
        let axis = Axis::log(1.0, 1e6, 10, 70);
        assert_eq!(axis.pixel(1e3), 40);
        assert_eq!(axis.pixel(0.0), 10);
        assert_eq!(axis.pixel(f64::INFINITY), 70);
        assert_eq!(Axis::linear(0.0, 0.0, 5, 9).pixel(3.0), 5);
    }
}
