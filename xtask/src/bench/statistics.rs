//! Means, spreads and intervals.

/// The mean; 0 of nothing.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}

/// The difference of the largest and the smallest, as a share of their mean.
pub fn relative_spread(values: &[f64]) -> f64 {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = mean(values.iter().copied());
    if mean == 0.0 {
        0.0
    } else {
        (largest - smallest) / mean
    }
}

/// The median; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => 0.0,
        (middle, 0) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (middle, _) => sorted[middle],
    }
}

/// A mean and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean.
    pub middle: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the value is at least this; `None` where the interval has it inside.
    pub fn is_at_least(self, bound: f64) -> Option<bool> {
        match (self.low >= bound, self.high < bound) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// The geometric mean of some ratios, and its 95 % interval by Student's t on their logarithms. One
/// ratio has no interval: it reaches from nothing to everything.
pub fn ratio_interval(ratios: &[f64]) -> Interval {
    let logarithms = ratios.iter().map(|ratio| ratio.ln()).collect::<Vec<_>>();
    let middle = mean(logarithms.iter().copied());
    let Some(freedom) = ratios.len().checked_sub(2) else {
        return Interval {
            middle: middle.exp(),
            low: 0.0,
            high: f64::INFINITY,
        };
    };
    let count = ratios.len() as f64;
    let squares = logarithms.iter().map(|value| (value - middle).powi(2));
    let error = (squares.sum::<f64>() / (count - 1.0) / count).sqrt();
    let reach = error * T_975.get(freedom).copied().unwrap_or(LAST_T_975);
    Interval {
        middle: middle.exp(),
        low: (middle - reach).exp(),
        high: (middle + reach).exp(),
    }
}

/// Student's t, 97.5 %, for 1 to 10 degrees of freedom; the value of the last one is above those of
/// more.
const T_975: [f64; 10] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, LAST_T_975,
];
const LAST_T_975: f64 = 2.228;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_shares_of_the_mean() {
        assert_eq!(mean([].into_iter()), 0.0);
        assert_eq!(mean([1.0, 3.0].into_iter()), 2.0);
        assert_eq!(relative_spread(&[1.0, 3.0, 2.0]), 1.0);
        assert_eq!(relative_spread(&[]), 0.0);
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn intervals_of_ratios_are_students() {
        // Logarithms -0.1, 0 and 0.1: deviation 0.1, error 0.1 / sqrt(3), t with two degrees 4.303.
        let ratios = [-0.1_f64, 0.0, 0.1].map(f64::exp);
        let interval = ratio_interval(&ratios);
        let reach = 4.303 * 0.1 / 3.0_f64.sqrt();
        assert!((interval.middle - 1.0).abs() < 1e-9);
        assert!((interval.low.ln() + reach).abs() < 1e-9);
        assert!((interval.high.ln() - reach).abs() < 1e-9);
        assert_eq!(ratio_interval(&[0.5]).high, f64::INFINITY);
    }

    #[test]
    fn an_interval_around_the_bound_says_nothing() {
        let interval = ratio_interval(&[0.97, 0.98]);
        assert_eq!(interval.is_at_least(0.975), None);
        assert_eq!(interval.is_at_least(1.2), Some(false));
        assert_eq!(interval.is_at_least(0.5), Some(true));
    }
}
