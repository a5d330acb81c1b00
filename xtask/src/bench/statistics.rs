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
}
