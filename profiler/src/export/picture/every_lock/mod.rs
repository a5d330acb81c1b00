//! Pictures of the waits for all locks.

pub(super) mod classes;
pub(super) mod over_time;
pub(super) mod waiters;

use super::{
    axis::text_width,
    canvas::{Canvas, Frame, TEXT},
    palette::GRID,
};
use crate::{
    profile::{Locks, Profile},
    text::{shorten_middle, width},
};
use anyhow::Result;
use plotters::style::RGBColor;

/// What was seen, where anything was measured.
fn measured(profile: &Profile) -> Option<&Locks> {
    let locks = profile.locks.as_ref();
    locks.filter(|_| profile.intervals > 0 && profile.waits_known())
}

/// The sentence in the place of a picture of waits, where there is none.
fn no_waits(profile: &Profile) -> String {
    profile.no_waits_for("any lock that was looked at")
}

/// As much of a text as fits so many pixels: its beginning and its end, for either may tell it from others.
fn fitted(text: &str, pixels: i32, size: i32) -> String {
    let letter = text_width("m", size).max(1);
    // The width of a text is rounded once, and that of a letter too: neither may be beyond the pixels.
    let mut columns = usize::try_from(pixels / letter).unwrap_or(0) + 2;
    let mut short = shorten_middle(text, columns);
    while text_width(&short, size) > pixels && columns > 1 && width(&short) > 1 {
        columns -= 1;
        short = shorten_middle(text, columns);
    }
    short
}

/// A small square of a colour, about this height.
fn swatch(canvas: &Canvas<'_>, (left, y): (i32, i32), tint: (RGBColor, f64)) -> Result<()> {
    let half = TEXT / 2;
    let frame = Frame {
        left,
        top: y - half,
        right: left + 2 * half,
        bottom: y + half,
    };
    canvas.tint(frame, tint.0, tint.1)?;
    canvas.outline(frame, GRID)
}
