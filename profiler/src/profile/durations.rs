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
    /// None is longer than this, where more is known than the last bucket and the sum tell.
    pub at_most_ns: Option<u64>,
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
            at_most_ns: None,
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
            at_most_ns: _,
        } = other;
        let exact = self.exact_max_ns().max(other.exact_max_ns());
        let longest_possible = self.exact_or_bound_ns().max(other.exact_or_bound_ns());
        // Of durations that are all counted elsewhere it is no more than that.
        let noted = self.longest_ns.max(*longest_ns);
        self.histogram.merge(histogram);
        self.sampled = self.sampled.saturating_add(*sampled);
        self.total_ns = self.total_ns.saturating_add(*total_ns);
        self.longest_ns = match (exact, longest_possible) {
            (_, None) => noted,
            // One whose longest is not known may have had a longer one.
            (exact, Some(longest)) => exact.filter(|&exact| exact >= longest),
        };
        self.at_most_ns = longest_possible;
    }

    /// Their sum; none where all that there are have no length.
    #[must_use]
    pub fn known_total_ns(&self) -> Option<u64> {
        (self.measured() > 0 || self.sampled == 0).then_some(self.total_ns)
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

    /// The longest, else what it is at most, by the last bucket in use and by their sum: see
    /// [`Self::max_is_bound`].
    #[must_use]
    pub fn max_ns(&self) -> Option<f64> {
        self.exact_or_bound_ns().map(|ns| ns as f64)
    }

    fn exact_or_bound_ns(&self) -> Option<u64> {
        self.exact_max_ns().or_else(|| self.bound_ns())
    }

    /// The longest, where it is known exactly: because it was noted, or because it is the only one.
    fn exact_max_ns(&self) -> Option<u64> {
        let (low, high, _) = self.histogram.buckets().last()?;
        let alone = (self.measured() == 1).then_some(self.total_ns);
        let alone = alone.filter(|only| (low..high).contains(only));
        // One that is too long for their sum is not among them.
        let by_sum = self.bound_by_sum_ns().unwrap_or(u64::MAX);
        let noted = self.longest_ns;
        alone.or_else(|| noted.filter(|noted| (low..=by_sum).contains(noted)))
    }

    /// No duration is longer than this.
    fn bound_ns(&self) -> Option<u64> {
        let (low, high, _) = self.histogram.buckets().last()?;
        let by_sum = self.bound_by_sum_ns().unwrap_or(u64::MAX);
        let noted = self.at_most_ns.filter(|&noted| noted >= low);
        Some(by_sum.min(noted.unwrap_or(u64::MAX)).min(high - 1))
    }

    /// Nor than this: of the exact sum all others have at least the lower ends of their buckets. None where the sum
    /// is too small for them, since it was read at another moment.
    fn bound_by_sum_ns(&self) -> Option<u64> {
        let (low, ..) = self.histogram.buckets().last()?;
        let least = self.histogram.buckets();
        let least = least.map(|(low, _, count)| low.saturating_mul(count));
        let spare_ns = (self.total_ns).checked_sub(least.fold(0, u64::saturating_add))?;
        Some(low.saturating_add(spare_ns))
    }

    /// Whether the maximum is not known exactly: none was noted, or the longest that was is shorter than
    /// all of the last bucket. What ended between the last reading of one phase and the word to the
    /// programs that the next one begins is counted in the buckets of the next one, and noted among
    /// the longest of the one before.
    #[must_use]
    pub fn max_is_bound(&self) -> bool {
        self.measured() > 0 && self.exact_max_ns().is_none()
    }

    /// The longest is at least so long.
    #[must_use]
    pub fn max_at_least_ns(&self) -> Option<u64> {
        let (low, ..) = self.histogram.buckets().last()?;
        Some(self.exact_max_ns().unwrap_or(low))
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
    fn a_sum_bounds_the_longest() {
        let unit = TimeUnit::Nanoseconds;
        let summed = |lengths: &[u64]| Durations {
            total_ns: lengths.iter().sum(),
            ..of(lengths, None)
        };
        // The only one is known without being noted.
        assert_eq!(summed(&[1613]).max_text(unit), "1.61 µs");
        assert!(!summed(&[1613]).max_is_bound());
        let two = summed(&[1024, 125_000]);
        assert_eq!((two.max_ns(), two.max_is_bound()), (Some(125_000.0), true));
        // What was noted is too long to be one of them.
        let mut noted = two.clone();
        noted.longest_ns = Some(126_000);
        assert_eq!(noted.max_text(unit), two.max_text(unit));
    }

    #[test]
    fn a_longest_that_is_not_known_may_be_the_longest_of_all() {
        let known = of(&[50_000, 125_000], Some(125_000));
        let merged = |mut first: Durations, second: &Durations| {
            first.merge(second);
            (first.max_ns(), first.max_is_bound())
        };
        let unknown = of(&[124_000, 124_000], None);
        assert_eq!(merged(known.clone(), &unknown), (Some(131_071.0), true));
        assert_eq!(merged(unknown, &known), (Some(131_071.0), true));
        // What is surely shorter changes nothing, and neither does nothing.
        let shorter = of(&[50_000, 60_000], None);
        assert_eq!(merged(shorter, &known), (Some(125_000.0), false));
        assert_eq!(merged(of(&[], None), &known), (Some(125_000.0), false));
        assert_eq!(merged(of(&[], Some(7)), &known), (Some(125_000.0), false));
    }

    #[test]
    fn a_noted_bound_is_narrower_than_its_bucket() {
        let mut bounded = of(&[124_000, 124_000], None);
        bounded.at_most_ns = Some(124_300);
        assert_eq!(bounded.max_text(TimeUnit::Nanoseconds), "≤ 124 µs");
        // So that one which is longer is known to be the longest of both.
        let mut known = of(&[50_000, 125_000], Some(125_000));
        known.merge(&bounded);
        assert_eq!(
            (known.max_ns(), known.max_is_bound()),
            (Some(125_000.0), false)
        );
        // One that is too small for what was counted is none.
        bounded.at_most_ns = Some(100);
        assert_eq!(bounded.max_ns(), Some(131_071.0));
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
