//! Counts of durations by bucket, and what can be said from them.

use lockprof_abi::{
    BUCKETS, RELATIVE_ERROR, WAIT_OCTAVES, bucket_high_ns, bucket_low_ns, bucket_of,
};

/// How finely a histogram tells durations apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The buckets of the ABI: eight to an octave.
    Steps,
    /// One bucket to an octave: contended locks other than the target.
    Octaves,
}

impl Scale {
    const fn buckets(self) -> usize {
        match self {
            Self::Steps => BUCKETS,
            Self::Octaves => WAIT_OCTAVES,
        }
    }

    const fn low_ns(self, bucket: usize) -> u64 {
        match self {
            Self::Steps => bucket_low_ns(bucket),
            // Octave 0 has 0 too, which nobody waits for.
            Self::Octaves => 1 << bucket,
        }
    }

    const fn high_ns(self, bucket: usize) -> u64 {
        match self {
            Self::Steps => bucket_high_ns(bucket),
            Self::Octaves => 2 << bucket,
        }
    }

    /// A quantile is at most this fraction away from the exact one.
    ///
    /// In a bucket from `low` to `high` the value that is nowhere further away, as a fraction, is
    /// `2 low high / (low + high)`; its error is `(high - low) / (high + low)`, which is largest in
    /// the first bucket of an octave.
    #[must_use]
    pub const fn relative_error(self) -> f64 {
        match self {
            Self::Steps => RELATIVE_ERROR,
            Self::Octaves => 1.0 / 3.0,
        }
    }
}

/// Counts of durations by bucket. The last bucket also has what is longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    scale: Scale,
    counts: Vec<u64>,
}

impl Histogram {
    /// Without any duration.
    #[must_use]
    pub fn new(scale: Scale) -> Self {
        Self {
            scale,
            counts: vec![0; scale.buckets()],
        }
    }

    /// How finely it tells durations apart.
    #[must_use]
    pub const fn scale(&self) -> Scale {
        self.scale
    }

    /// Counts one duration.
    pub fn record(&mut self, duration_ns: u64) {
        let bucket = match self.scale {
            Scale::Steps => bucket_of(duration_ns),
            Scale::Octaves => (duration_ns.max(1).ilog2() as usize).min(self.scale.buckets() - 1),
        };
        self.add(bucket, 1);
    }

    /// Adds to a bucket; one that does not exist is the last.
    pub fn add(&mut self, bucket: usize, count: u64) {
        let bucket = bucket.min(self.counts.len() - 1);
        self.counts[bucket] = self.counts[bucket].saturating_add(count);
    }

    /// Adds buckets as a recording has them: bucket, count, bucket, count, …
    pub fn add_pairs(&mut self, pairs: &[u32]) {
        for &[bucket, count] in pairs.as_chunks::<2>().0 {
            self.add(bucket as usize, count.into());
        }
    }

    /// Adds the durations of another histogram of the same scale.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.scale, other.scale);
        for (bucket, &count) in other.counts.iter().enumerate() {
            self.add(bucket, count);
        }
    }

    /// How many durations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().copied().fold(0, u64::saturating_add)
    }

    /// The buckets that have durations: the lowest in them, the lowest above them, how many.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let scale = self.scale;
        let used = self
            .counts
            .iter()
            .copied()
            .enumerate()
            .filter(|&(_, count)| count > 0);
        used.map(move |(bucket, count)| (scale.low_ns(bucket), scale.high_ns(bucket), count))
    }

    /// The duration below or at which this share of all lies (the nearest rank), at most
    /// [`Scale::relative_error`] away from the exact one. Where the bucket is so narrow that the
    /// bound allows it, the place within the bucket follows the rank. No bound holds for durations
    /// beyond the last bucket.
    #[must_use]
    pub fn quantile_ns(&self, share: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = (share.clamp(0.0, 1.0) * total as f64).ceil().max(1.0) as u64;
        let mut before = 0_u64;
        for (low, high, count) in self.buckets() {
            if before.saturating_add(count) >= rank {
                let place = ((rank - before) as f64 - 0.5) / count as f64;
                return Some(self.within(low, high, place));
            }
            before = before.saturating_add(count);
        }
        None
    }

    /// For each bucket that has durations, two points: its lowest and the share of all that is as
    /// long, and the lowest above it and the share that is as long as that, which is 0 after the last.
    /// Between buckets nothing is lost.
    #[must_use]
    pub fn complementary_cumulative(&self) -> Vec<(u64, f64)> {
        let total = self.count();
        let share = |left: u64| left as f64 / total as f64;
        let mut left = total;
        self.buckets()
            .flat_map(|(low, high, count)| {
                let first = (low, share(left));
                left = left.saturating_sub(count);
                [first, (high, share(left))]
            })
            .collect()
    }

    fn within(&self, low: u64, high: u64, place: f64) -> f64 {
        let (low, last) = (low as f64, (high - 1) as f64);
        let error = self.scale.relative_error();
        let value = low + (last - low) * place;
        // In this order: in a wide bucket both bounds are almost the same.
        value
            .min(low * (1.0 + error))
            .max(last * (1.0 - error))
            .clamp(low, last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(durations: &[u64], scale: Scale) -> Histogram {
        let mut histogram = Histogram::new(scale);
        durations
            .iter()
            .for_each(|&duration| histogram.record(duration));
        histogram
    }

    /// Durations of every magnitude alike.
    fn durations() -> impl Strategy<Value = Vec<u64>> {
        let duration = (0_u32..38, any::<u64>()).prop_map(|(bits, noise)| {
            let low = 1_u64 << bits;
            (low + noise % low) - u64::from(bits == 0)
        });
        prop::collection::vec(duration, 1..200)
    }

    #[test]
    fn nothing_has_no_quantile() {
        let empty = Histogram::new(Scale::Steps);
        assert_eq!(empty.quantile_ns(0.5), None);
        assert_eq!(empty.count(), 0);
        assert!(empty.complementary_cumulative().is_empty());
    }

    #[test]
    fn short_durations_are_exact() {
        let histogram = of(&[0, 1, 2, 3, 7, 15], Scale::Steps);
        assert_eq!(histogram.quantile_ns(0.0), Some(0.0));
        assert_eq!(histogram.quantile_ns(0.5), Some(2.0));
        assert_eq!(histogram.quantile_ns(1.0), Some(15.0));
    }

    #[test]
    fn what_does_not_fit_is_in_the_last_bucket() {
        let mut histogram = of(&[u64::MAX], Scale::Steps);
        histogram.add(usize::MAX, u64::MAX);
        histogram.add(0, u64::MAX);
        assert_eq!(histogram.count(), u64::MAX);
        assert!(histogram.quantile_ns(0.5).is_some());
    }

    #[test]
    fn the_share_that_is_as_long_starts_with_all_and_falls() {
        let points = of(&[1, 1, 4, 100], Scale::Steps).complementary_cumulative();
        let bucket = [
            (1, 1.0),
            (2, 0.5),
            (4, 0.5),
            (5, 0.25),
            (96, 0.25),
            (104, 0.0),
        ];
        assert_eq!(points, bucket);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_stated_error(
            mut values in durations(), share in 0.0..=1.0, octaves in any::<bool>(),
        ) {
            let scale = if octaves { Scale::Octaves } else { Scale::Steps };
            let estimate = of(&values, scale).quantile_ns(share).unwrap();
            values.sort_unstable();
            let rank = ((share * values.len() as f64).ceil() as usize).max(1);
            let shortest = u64::from(octaves);
            let exact = values[rank - 1].max(shortest) as f64;
            prop_assert!((estimate - exact).abs() <= exact * scale.relative_error() + 1e-6,
                "{estimate} for {exact}");
        }

        #[test]
        fn quantiles_do_not_fall(values in durations(), a in 0.0..=1.0, b in 0.0..=1.0) {
            let histogram = of(&values, Scale::Steps);
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(histogram.quantile_ns(low) <= histogram.quantile_ns(high));
        }

        #[test]
        fn merging_is_concatenation(left in durations(), right in durations()) {
            let mut merged = of(&left, Scale::Steps);
            merged.merge(&of(&right, Scale::Steps));
            let both: Vec<u64> = left.into_iter().chain(right).collect();
            prop_assert_eq!(merged, of(&both, Scale::Steps));
        }

        #[test]
        fn pairs_are_the_buckets(values in durations()) {
            let histogram = of(&values, Scale::Steps);
            let pairs: Vec<u32> = histogram.counts.iter().enumerate()
                .filter(|&(_, &count)| count > 0)
                .flat_map(|(bucket, &count)| [bucket as u32, count as u32])
                .collect();
            let mut again = Histogram::new(Scale::Steps);
            again.add_pairs(&pairs);
            prop_assert_eq!(again, histogram);
        }
    }
}
