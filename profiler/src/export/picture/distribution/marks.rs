//! Percentiles, marked and labelled in place as far as there is room.

use anyhow::Result;

use super::{
    super::{
        axis::{Axis, text_width},
        canvas::{Canvas, Frame, Look, TEXT},
        palette::{BLACK, QUIET, WHITE},
    },
    Curve, points, steps,
};
use crate::{profile::Durations, units::TimeUnit};

/// What is longer than all but so many is the tail.
const TAIL: f64 = 0.01;
/// Percentiles that are marked: their names, and the share that is longer.
pub(super) const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.1), ("p99", 0.01)];
/// Of more curves than this only the tails are labelled in place, and all of the first. As far as there is
/// room; all are in the legend.
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
            .any(|curve| curve.durations.percentile_ns(longer).is_some())
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
    let mut marks: Vec<(i32, i32)> = Vec::new();
    // What no line from a mark to its label may cross.
    let mut drawn: Vec<Frame> = Vec::new();
    for (rank, curve) in curves.iter().enumerate() {
        let points = points(curve.durations, x, y);
        taken.extend(Frame::along(&points));
        for (name, longer) in PERCENTILES {
            let Some(length) = curve.durations.percentile_ns(longer) else {
                continue;
            };
            let Some(at) = on_curve(curve.durations, longer, x, y) else {
                continue;
            };
            canvas.circle(at, 4, WHITE)?;
            canvas.circle(at, 3, curve.style.color)?;
            taken.push(Frame::around(at, 4));
            marks.push(at);
            let is_tail = longer <= TAIL;
            if is_tail || rank == 0 || curves.len() <= FEW_CURVES {
                let text = format!("{name} {}", unit.format(length));
                labels.push((
                    if is_tail { 0 } else { rank + 1 },
                    text,
                    at,
                    curve.style.color,
                ));
            }
        }
    }
    // The right half of a percentile's marks goes to the right of the curves, the others to the left: from
    // without inwards.
    let beside = |at: (i32, i32), on_the_left: bool| {
        let row = marks.iter().filter(|mark| mark.1 == at.1);
        row.filter(|mark| {
            if on_the_left {
                mark.0 < at.0
            } else {
                mark.0 > at.0
            }
        })
        .count()
    };
    // The tails first, which are what one looks for; then the sites in their order.
    labels.sort_by_key(|&(order, _, at, _)| {
        let outside = beside(at, true).min(beside(at, false));
        (order, at.1, outside, at.0)
    });
    let mut labelled: Vec<(i32, i32)> = Vec::new();
    for (order, text, at, color) in labels {
        // Marks upon each other have one label.
        if labelled
            .iter()
            .any(|other| other.1 == at.1 && (other.0 - at.0).abs() < 3)
        {
            continue;
        }
        // With a stripe in the curve's colour.
        let width = text_width(&text, TEXT - 1) + 6;
        // Of two marks that touch, each hides where the line of the other begins.
        let own = Frame::around(at, 5);
        let others = || marks.iter().map(|&mark| Frame::around(mark, 4));
        let free = places(at, width, order == 0, beside(at, false) <= beside(at, true))
            .into_iter()
            .find(|place| {
                let inside = place.left > frame.left
                    && place.right < frame.right
                    && place.top > frame.top
                    && place.bottom < frame.bottom;
                let crosses = |part: &Frame| {
                    drawn.iter().any(|other| other.overlaps(part))
                        || others().any(|mark| mark.overlaps(part) && !part.overlaps(&own))
                };
                inside
                    && taken.iter().all(|other| !other.overlaps(place))
                    && !Frame::along(&leader(at, place)).iter().any(crosses)
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
            labelled.push(at);
        }
    }
    Ok(())
}

/// Where a curve comes down to this share.
fn on_curve(durations: &Durations, share: f64, x: &Axis, y: &Axis) -> Option<(i32, i32)> {
    let steps = steps(durations);
    let falls = |pair: &&[(f64, f64)]| pair[1].1 <= share * (1.0 + 1e-9);
    let &[from, to] = steps.windows(2).find(falls)? else {
        return None;
    };
    let [from, to] = [from, to].map(|(length, share)| (x.pixel(length), y.pixel(share)));
    let height = y.pixel(share);
    let place = f64::from(height - from.1) / f64::from((to.1 - from.1).max(1));
    let right = (f64::from(to.0 - from.0) * place.clamp(0.0, 1.0)).round() as i32;
    Some((from.0 + right, height))
}

/// Where a label may stand: the nearest places first. The curves fall to the right, so there is room above
/// them on the right, and below them on the left; the other side counts as further away.
fn places(at: (i32, i32), width: i32, is_tail: bool, rightmost: bool) -> Vec<Frame> {
    // There is more room about the tails.
    let furthest: i32 = if is_tail { 130 } else { 70 };
    let mut places: Vec<(i32, Frame)> = Vec::new();
    for away in (8..furthest).step_by(16) {
        for dy in (-36..furthest).step_by(4) {
            for on_the_right in [true, false] {
                let left = at.0 + if on_the_right { away } else { -away - width };
                let place = Frame {
                    left,
                    top: at.1 + dy,
                    right: left + width,
                    bottom: at.1 + dy + 15,
                };
                let [_, end] = leader(at, &place);
                let (dx, dy) = (end.0 - at.0, end.1 - at.1);
                let natural = on_the_right == rightmost && (dy < 0) == rightmost;
                let length = dx * dx + dy * dy;
                if length < furthest * furthest {
                    places.push((if natural { length } else { length * 2 }, place));
                }
            }
        }
    }
    places.sort_by_key(|(length, _)| *length);
    places.into_iter().map(|(_, place)| place).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Scale;

    /// A bulk, nothing for more than an octave, and few that are long: no line may slope over what is
    /// empty, and marks lie on the line, in the bucket that their number is from.
    #[test]
    fn marks_lie_on_their_line() {
        for scale in [Scale::Steps, Scale::Octaves] {
            let mut durations = Durations::new(scale);
            for length in (0..115)
                .map(|place| 9_000 + place * 70)
                .chain([17_100, 17_300, 62_617])
            {
                durations.histogram.record(length);
            }
            durations.longest_ns = Some(62_617);
            let x = Axis::log(1e3, 1e5, 0, 400);
            let y = Axis::log(1.0, 1e-3, 0, 300);
            let points = points(&durations, &x, &y);
            for (_, longer) in PERCENTILES {
                let length = durations.percentile_ns(longer).unwrap();
                let at = on_curve(&durations, longer, &x, &y).unwrap();
                let mut buckets = durations.histogram.buckets();
                let (low, high, _) = buckets
                    .find(|&(low, high, _)| (low as f64..high as f64).contains(&length))
                    .unwrap();
                let bucket = x.pixel(low as f64)..=x.pixel(high as f64);
                assert!(bucket.contains(&at.0), "{longer}: {at:?} in {bucket:?}");
                let on_line = points.windows(2).any(|pair| {
                    (pair[0].0..=pair[1].0).contains(&at.0)
                        && (pair[0].1..=pair[1].1).contains(&at.1)
                });
                assert!(on_line, "{longer}: {at:?} on {points:?}");
            }
            // From the bulk's end to the longest: level. Octaves have no gap there.
            if scale == Scale::Steps {
                let [.., bulk, longest, _] = points[..] else {
                    panic!("{points:?}")
                };
                assert_eq!(bulk.1, longest.1, "{points:?}");
                assert!(longest.0 - bulk.0 > 50, "{points:?}");
            }
        }
    }
}
