//! Percentiles, marked and labelled in place as far as there is room.

use anyhow::Result;

use super::{
    super::{
        axis::{Axis, text_width},
        canvas::{Canvas, Frame, Look, TEXT},
        palette::{BLACK, QUIET, WHITE},
    },
    Curve, points,
};
use crate::{profile::Durations, units::TimeUnit};

/// Percentiles that are marked: their names, and the share that is longer.
pub(super) const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.1), ("p99", 0.01)];
/// Up to so many curves three are labelled in place, as far as there is room; else one. All are in
/// the legend.
const FEW_CURVES: usize = 6;

/// Lines at the percentiles, under everything else, with their names beside the plot.
pub(super) fn lines(
    canvas: &Canvas<'_>,
    frame: Frame,
    curves: &[Curve<'_>],
    y: &Axis,
) -> Result<()> {
    for (name, longer) in PERCENTILES {
        if curves
            .iter()
            .any(|curve| resolved(curve.durations, longer).is_some())
        {
            let at = y.pixel(longer);
            canvas.dashes(&[(frame.left, at), (frame.right, at)], QUIET, 1)?;
            canvas.text(
                name,
                (frame.right + 5, at),
                Look::LEFT.size(TEXT - 1).color(QUIET),
            )?;
        }
    }
    Ok(())
}

/// Marks on the curves, and labels beside them.
pub(super) fn percentiles(
    canvas: &Canvas<'_>,
    frame: Frame,
    curves: &[Curve<'_>],
    unit: TimeUnit,
    x: &Axis,
    y: &Axis,
) -> Result<()> {
    // What no label may cover: curves, marks, and the labels before it.
    let mut taken: Vec<Frame> = Vec::new();
    let mut labels = Vec::new();
    // What no line from a mark to its label may cross.
    let mut drawn: Vec<Frame> = Vec::new();
    let labelled = if curves.len() <= FEW_CURVES { 3 } else { 1 };
    for (rank, curve) in curves.iter().enumerate() {
        taken.extend(Frame::along(&points(curve.durations, x, y)));
        for (name, longer) in PERCENTILES {
            let Some(length) = resolved(curve.durations, longer) else {
                continue;
            };
            let at = (x.pixel(length), y.pixel(longer));
            canvas.circle(at, 4, WHITE)?;
            canvas.circle(at, 3, curve.style.color)?;
            taken.push(Frame::around(at, 4));
            if rank < labelled {
                labels.push((
                    format!("{name} {}", unit.format(length)),
                    at,
                    curve.style.color,
                ));
            }
        }
    }
    // The rightmost of a percentile goes to the right of the curves, the others to the left.
    labels.sort_by_key(|(_, at, _)| (at.1, at.0));
    let rightmost: Vec<bool> = (0..labels.len())
        .map(|index| {
            labels
                .get(index + 1)
                .is_none_or(|next| next.1.1 != labels[index].1.1)
        })
        .collect();
    for ((text, at, color), rightmost) in labels.into_iter().zip(rightmost) {
        // With a stripe in the curve's colour.
        let width = text_width(&text, TEXT - 1) + 6;
        let free = places(at, width, rightmost).find(|place| {
            let inside = place.left > frame.left
                && place.right < frame.right
                && place.top > frame.top
                && place.bottom < frame.bottom;
            let leader = Frame::along(&leader(at, place));
            inside
                && taken.iter().all(|other| !other.overlaps(place))
                && leader
                    .iter()
                    .all(|part| drawn.iter().all(|other| !other.overlaps(part)))
        });
        if let Some(place) = free {
            let middle = (place.top + place.bottom) / 2;
            let leader = leader(at, &place);
            taken.extend(Frame::along(&leader));
            drawn.push(place);
            canvas.line(leader.to_vec(), color, 1)?;
            canvas.fill(place, WHITE)?;
            canvas.fill(
                Frame {
                    right: place.left + 3,
                    ..place
                },
                color,
            )?;
            let look = Look::LEFT.size(TEXT - 1).color(BLACK);
            canvas.text(&text, (place.left + 6, middle), look)?;
            taken.push(place);
        }
    }
    Ok(())
}

/// Where a label may stand: the nearest places first. The curves fall to the right, so there is
/// room above them on the right, and below them on the left.
fn places(at: (i32, i32), width: i32, rightmost: bool) -> impl Iterator<Item = Frame> {
    (0..9).flat_map(move |step| {
        let away = 8 + step * 16;
        let right = [(away, -20), (away, -36), (away, -8)];
        let left = [(-away - width, 4), (-away - width, 20), (-away - width, 36)];
        let [first, second] = if rightmost {
            [right, left]
        } else {
            [left, right]
        };
        first.into_iter().chain(second).map(move |(dx, dy)| {
            let (left, top) = (at.0 + dx, at.1 + dy);
            Frame {
                left,
                top,
                right: left + width,
                bottom: top + 15,
            }
        })
    })
}

/// From a mark to the nearer side of its label.
fn leader(at: (i32, i32), place: &Frame) -> [(i32, i32); 2] {
    let side = if place.left > at.0 {
        place.left
    } else {
        place.right
    };
    [at, (side, (place.top + place.bottom) / 2)]
}

/// A percentile, where there are enough to speak of it: one in a hundred takes a hundred.
pub(super) fn resolved(durations: &Durations, longer: f64) -> Option<f64> {
    let enough = durations.count() as f64 * longer >= 1.0 - 1e-9;
    durations.quantile_ns(1.0 - longer).filter(|_| enough)
}
