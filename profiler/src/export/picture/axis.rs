//! From numbers to pixels.

use crate::text::{shorten_middle, width};

/// About how wide a text is in pixels: on the safe side, for no font is at hand to measure it.
///
/// What takes two columns of a terminal is as wide as it is high in most fonts.
pub(super) fn text_width(text: &str, size: i32) -> i32 {
    let columns = i32::try_from(width(text)).unwrap_or(i32::MAX / 1000);
    columns.saturating_mul(size) * 6 / 10
}

/// As much of a text as fits so many pixels: its beginning and its end, for either may tell it from others.
pub(super) fn fitted(text: &str, pixels: i32, size: i32) -> String {
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

    /// The number at the end of a linear axis.
    pub(super) const fn high(&self) -> f64 {
        self.high
    }

    /// The number at the end of the axis.
    pub(super) fn end(&self) -> f64 {
        if self.log {
            10_f64.powf(self.high)
        } else {
            self.high
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

/// The ends of an axis for these numbers: at least this share of their middle apart, so that noise is
/// not drawn as if it were a change.
pub(super) fn range_of(values: &[f64], least: f64) -> (f64, f64) {
    let (low, high) = values
        .iter()
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
    if low > high {
        return (0.0, 1.0);
    }
    // Where one is less than half of the other, from nothing: then lengths can be compared.
    if low >= 0.0 && low < high * 0.5 {
        return (0.0, high * 1.05);
    }
    let middle = f64::midpoint(low, high);
    let half = ((high - low) * 0.55)
        .max(middle.abs() * least / 2.0)
        .max(f64::MIN_POSITIVE);
    (middle - half, middle + half)
}

/// Round numbers between two others: at most so many, in steps of 1, 2 or 5 times a power of ten.
pub(super) fn round_steps_between(low: f64, high: f64, most: u32) -> Vec<f64> {
    let [_, step, ..] = round_steps(high - low, most)[..] else {
        return vec![low];
    };
    let first = (low / step).ceil();
    (0..=most)
        .map(|index| (first + f64::from(index)) * step)
        .take_while(|value| *value <= high + step * 1e-9)
        .collect()
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
    fn steps_between_lie_between() {
        assert_eq!(round_steps_between(95.0, 105.0, 4), [95.0, 100.0, 105.0]);
        assert_eq!(round_steps_between(-0.4, 0.25, 4), [-0.4, -0.2, 0.0, 0.2]);
        for (low, high) in [(1234.0, 1240.0), (-1e9, 3e9), (0.0, 1e-6)] {
            let steps = round_steps_between(low, high, 5);
            assert!((2..=6).contains(&steps.len()), "{steps:?}");
            assert!(steps.iter().all(|step| (low..=high).contains(step)));
        }
    }

    #[test]
    fn noise_does_not_fill_an_axis() {
        let (low, high) = range_of(&[1000.0, 1001.0], 0.1);
        assert!(low < 951.0 && high > 1050.0, "{low} {high}");
        let (low, high) = range_of(&[1000.0, 1500.0], 0.1);
        assert!(low < 1000.0 && low > 900.0 && high > 1500.0 && high < 1600.0);
        assert_eq!(range_of(&[1000.0, 3000.0], 0.1), (0.0, 3150.0));
        assert_eq!(range_of(&[], 0.1), (0.0, 1.0));
        assert_eq!(range_of(&[f64::NAN], 0.1), (0.0, 1.0));
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
