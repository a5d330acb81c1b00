//! Durations of one kind: their distribution, their exact sum, and the longest.

use super::{Histogram, Scale};
use crate::units::{TimeUnit, UNKNOWN};

/// Durations of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durations {
    /// Their distribution.
    pub histogram: Histogram,
    /// Their exact sum.
    pub total_ns: u64,
    /// How many more there were, whose lengths are in nothing else here: to look at them closely has
    /// lengthened or shortened them.
    pub sampled: u64,
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
            sampled: 0,
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
            sampled,
            longest_ns,
        } = other;
        self.histogram.merge(histogram);
        self.sampled = self.sampled.saturating_add(*sampled);
        self.total_ns = self.total_ns.saturating_add(*total_ns);
        self.longest_ns = self.longest_ns.max(*longest_ns);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.measured().saturating_add(self.sampled)
    }

    /// How many of them have a length.
    #[must_use]
    pub fn measured(&self) -> u64 {
        self.histogram.count()
    }

    /// Their mean, exactly.
    #[must_use]
    pub fn mean_ns(&self) -> Option<f64> {
        let count = self.measured();
        (count > 0).then(|| self.total_ns as f64 / count as f64)
    }

    /// The duration at or below which this share of them lies; see [`Histogram::quantile_ns`].
    #[must_use]
    pub fn quantile_ns(&self, share: f64) -> Option<f64> {
        Some(self.histogram.quantile_ns(share)?.min(self.max_ns()?))
    }

    /// A percentile by the share that is longer, where there are enough to speak of it: one in a
    /// hundred takes a hundred.
    #[must_use]
    pub fn percentile_ns(&self, longer: f64) -> Option<f64> {
        let enough = self.measured() as f64 * longer >= 1.0 - 1e-9;
        self.quantile_ns(1.0 - longer).filter(|_| enough)
    }

    /// The longest, else the upper end of the last bucket in use: see [`Self::max_is_bound`].
    #[must_use]
    pub fn max_ns(&self) -> Option<f64> {
        let (_, high, _) = self.histogram.buckets().last()?;
        let exact = self.longest_ns.filter(|_| !self.max_is_bound());
        Some(exact.unwrap_or(high - 1) as f64)
    }

    /// Whether the maximum is not known exactly: the longest that was noted, if any, is shorter than
    /// all of the last bucket. What ended between the last reading of one phase and the word to the
    /// programs that the next one begins is counted in the buckets of the next one, and noted among
    /// the longest of the one before.
    #[must_use]
    pub fn max_is_bound(&self) -> bool {
        let last = self.histogram.buckets().last();
        last.is_some_and(|(low, ..)| self.longest_ns.is_none_or(|longest| longest < low))
    }

    /// The longest is at least so long.
    #[must_use]
    pub fn max_at_least_ns(&self) -> Option<u64> {
        let (low, ..) = self.histogram.buckets().last()?;
        Some(self.longest_ns.unwrap_or(0).max(low))
    }

    /// The maximum as a person reads it: `99.5 µs`, or `≤ 131 µs` where it is a bound.
    #[must_use]
    pub fn max_text(&self, unit: TimeUnit) -> String {
        let bound = if self.max_is_bound() { "≤ " } else { "" };
        self.max_ns().map_or_else(
            || UNKNOWN.to_owned(),
            |max| format!("{bound}{}", unit.format(max)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lengths: &[u64], longest_ns: Option<u64>) -> Durations {
        let mut durations = Durations::new(Scale::Steps);
        for &length in lengths {
            durations.histogram.record(length);
        }
        durations.longest_ns = longest_ns;
        durations
    }

    #[test]
    fn a_maximum_that_was_not_noted_is_a_bound() {
        let unit = TimeUnit::Nanoseconds;
        let exact = of(&[50_000, 99_500], Some(99_500));
        assert_eq!(exact.max_text(unit), "99.5 µs");
        assert_eq!(exact.max_at_least_ns(), Some(99_500));
        let counted_only = of(&[50_000, 125_000], Some(99_500));
        assert!(counted_only.max_is_bound());
        assert_eq!(counted_only.max_text(unit), "≤ 131 µs");
        assert!(counted_only.max_at_least_ns().unwrap() > 99_500);
        assert_eq!(of(&[125_000], None).max_text(unit), "≤ 131 µs");
        assert_eq!(of(&[], None).max_text(unit), UNKNOWN);
        assert!(!of(&[], None).max_is_bound());
    }

    #[test]
    fn what_has_no_length_is_counted_and_in_no_mean() {
        let mut all = of(&[100, 300], Some(300));
        all.total_ns = 400;
        let mut sampled = of(&[], None);
        sampled.sampled = 5;
        assert_eq!((sampled.count(), sampled.mean_ns()), (5, None));
        all.merge(&sampled);
        assert_eq!((all.count(), all.measured()), (7, 2));
        assert_eq!(all.mean_ns(), Some(200.0));
    }

    #[test]
    fn a_handful_has_no_percentiles() {
        let lengths: Vec<u64> = (1..=99).map(|length| length * 1000).collect();
        let few = of(&lengths, Some(99_000));
        assert!(few.percentile_ns(0.1).is_some());
        assert_eq!(few.percentile_ns(0.01), None);
        assert_eq!(of(&[7], Some(7)).percentile_ns(0.5), None);
    }
}
