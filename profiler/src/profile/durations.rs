//! Durations of one kind: their distribution, their exact sum, and the longest.

use super::{Histogram, Scale};

/// Durations of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durations {
    /// Their distribution.
    pub histogram: Histogram,
    /// Their exact sum.
    pub total_ns: u64,
    /// The longest, where it is known exactly.
    pub longest_ns: Option<u64>,
}

impl Durations {
    /// Without any.
    #[must_use]
    pub fn new(scale: Scale) -> Self {
        Self {
            histogram: Histogram::new(scale),
            total_ns: 0,
            longest_ns: None,
        }
    }

    /// Adds buckets as a recording has them, and their sum.
    pub fn add(&mut self, pairs: &[u32], total_ns: u64) {
        self.histogram.add_pairs(pairs);
        self.total_ns = self.total_ns.saturating_add(total_ns);
    }

    /// Adds durations of the same scale.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            histogram,
            total_ns,
            longest_ns,
        } = other;
        self.histogram.merge(histogram);
        self.total_ns = self.total_ns.saturating_add(*total_ns);
        self.longest_ns = self.longest_ns.max(*longest_ns);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.count()
    }

    /// Their mean, exactly.
    #[must_use]
    pub fn mean_ns(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.total_ns as f64 / count as f64)
    }

    /// The duration at or below which this share of them lies; see [`Histogram::quantile_ns`].
    #[must_use]
    pub fn quantile_ns(&self, share: f64) -> Option<f64> {
        Some(self.histogram.quantile_ns(share)?.min(self.max_ns()?))
    }

    /// The longest, else the upper end of the last bucket in use.
    #[must_use]
    pub fn max_ns(&self) -> Option<f64> {
        let (low, high, _) = self.histogram.buckets().last()?;
        // A longest that is shorter than the last bucket was read a moment before it.
        Some(
            self.longest_ns
                .filter(|&longest| longest >= low)
                .unwrap_or(high - 1) as f64,
        )
    }
}
