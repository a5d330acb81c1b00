//! Pictures of the waits for all locks.

pub(super) mod classes;
pub(super) mod over_time;
pub(super) mod waiters;

use super::{
    axis::fitted,
    canvas::{Canvas, Frame, TEXT},
    palette::GRID,
};
use crate::profile::{Locks, Profile};
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
