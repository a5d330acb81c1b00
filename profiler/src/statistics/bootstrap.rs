//! Intervals by resampling.

use super::describe::median_in;

/// Resamples of each interval.
const RESAMPLES: usize = 2000;
/// The share of resamples that lies in an interval.
const CONFIDENCE: f64 = 0.95;

/// Where a number lies, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a number lies in it.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Whether all of it lies in another one.
    #[must_use]
    pub fn is_within(self, low: f64, high: f64) -> bool {
        low <= self.low && self.high <= high
    }
}

/// Draws resamples. The same seed draws the same.
#[derive(Debug)]
pub struct Resampler {
    random: fastrand::Rng,
    resamples: usize,
}

impl Resampler {
    /// Begins with a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_resamples(seed, RESAMPLES)
    }

    /// Begins with a seed; so many resamples make an interval.
    #[must_use]
    pub fn with_resamples(seed: u64, resamples: usize) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            resamples: resamples.max(1),
        }
    }

    /// The change from the median of the first sample to that of the second, as a share of the first:
    /// the interval between the percentiles of resamples of both (Efron's percentile bootstrap). None
    /// with fewer than two values in a sample, or where a median is not above 0.
    pub fn change(&mut self, first: &[f64], second: &[f64]) -> Option<Interval> {
        self.interval_of(first, second, |first, second| {
            (first > 0.0).then(|| second / first - 1.0)
        })
    }

    /// The difference of the medians.
    pub fn difference(&mut self, first: &[f64], second: &[f64]) -> Option<Interval> {
        self.interval_of(first, second, |first, second| Some(second - first))
    }

    fn interval_of(
        &mut self,
        first: &[f64],
        second: &[f64],
        statistic: impl Fn(f64, f64) -> Option<f64>,
    ) -> Option<Interval> {
        if first.len() < 2 || second.len() < 2 {
            return None;
        }
        let mut drawn = [vec![0.0; first.len()], vec![0.0; second.len()]];
        let mut values = Vec::with_capacity(self.resamples);
        for _ in 0..self.resamples {
            let [of_first, of_second] = &mut drawn;
            let medians = (
                self.median_of(first, of_first),
                self.median_of(second, of_second),
            );
            let (Some(first), Some(second)) = medians else {
                return None;
            };
            values.push(statistic(first, second)?);
        }
        values.sort_by(f64::total_cmp);
        let outside = ((1.0 - CONFIDENCE) / 2.0 * self.resamples as f64) as usize;
        Some(Interval {
            low: values[outside],
            high: values[self.resamples - 1 - outside],
        })
    }

    fn median_of(&mut self, sample: &[f64], drawn: &mut [f64]) -> Option<f64> {
        for value in drawn.iter_mut() {
            *value = sample[self.random.usize(..sample.len())];
        }
        median_in(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_the_same_for_a_seed() {
        let (first, second) = (
            [10.0, 11.0, 12.0, 9.0, 10.5],
            [20.0, 22.0, 19.0, 21.0, 20.5],
        );
        let interval = Resampler::new(7).change(&first, &second).unwrap();
        assert_eq!(Resampler::new(7).change(&first, &second), Some(interval));
        // The change of the medians, 10.5 to 20.5.
        assert!(interval.contains(20.5 / 10.5 - 1.0));
        // No resample's median leaves its sample.
        assert!(interval.is_within(19.0 / 12.0 - 1.0, 22.0 / 9.0 - 1.0));
        assert!(interval.low > 0.5);
    }

    #[test]
    fn no_interval_of_one_value_or_of_nothing() {
        let mut resampler = Resampler::new(1);
        assert_eq!(resampler.change(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(resampler.change(&[0.0, 0.0], &[1.0, 2.0]), None);
        let difference = resampler.difference(&[0.0, 0.0], &[1.0, 1.0]).unwrap();
        assert_eq!((difference.low, difference.high), (1.0, 1.0));
    }

    /// Of 400 pairs of samples from one normal-like distribution, about 95 % of the intervals contain no
    /// difference; the percentile bootstrap of a median is known to be a little wide of that.
    #[test]
    fn intervals_cover_what_they_promise() {
        let mut random = fastrand::Rng::with_seed(42);
        let mut draw = || (0..12).map(|_| random.f64()).sum::<f64>() + 94.0;
        let mut resampler = Resampler::new(3);
        let covered = (0..400)
            .filter(|_| {
                let first: Vec<f64> = (0..10).map(|_| draw()).collect();
                let second: Vec<f64> = (0..10).map(|_| draw()).collect();
                resampler.change(&first, &second).unwrap().contains(0.0)
            })
            .count();
        assert!((370..=398).contains(&covered), "{covered} of 400");
    }
}
