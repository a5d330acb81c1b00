//! The test of Mann and Whitney (Wilcoxon's rank sum): whether one sample tends to be larger than the
//! other, by the order of the values alone.

/// Up to this many pairs of values the distribution is counted out, ties included; beyond it the normal
/// approximation is off by less than a hundredth of the p-value.
const MOST_EXACT_PAIRS: usize = 900;

/// The answer of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankTest {
    /// U of the second sample: the pairs in which its value is larger, ties counted by halves.
    pub u: f64,
    /// The chance of an order at least as one-sided, if the samples were drawn from one distribution:
    /// two-sided.
    pub p: f64,
    /// The effect size: the chance that a value of the second sample is larger than one of the first,
    /// ties counted by halves (Vargha and Delaney's A).
    pub superiority: f64,
}

impl RankTest {
    /// Tests two samples; none where one is empty.
    #[must_use]
    pub fn of(first: &[f64], second: &[f64]) -> Option<Self> {
        if first.is_empty() || second.is_empty() {
            return None;
        }
        let ranks = Ranks::of(first, second);
        let least = second.len() * (second.len() + 1);
        let u = (ranks.doubled_sum - least) as f64 / 2.0;
        let pairs = first.len() * second.len();
        let p = if pairs <= MOST_EXACT_PAIRS {
            ranks.exact_p(second.len())
        } else {
            ranks.approximate_p(first.len(), second.len(), u)
        };
        Some(Self {
            u,
            p: p.min(1.0),
            superiority: u / pairs as f64,
        })
    }
}

/// The smallest two-sided p-value that samples of these sizes can give: that of two samples that do not
/// overlap.
#[must_use]
pub fn smallest_p(first: usize, second: usize) -> f64 {
    // 2 / (n + m over n), factor by factor so that nothing overflows.
    let orders = (1..=first).fold(1.0_f64, |orders, index| {
        orders * (second + index) as f64 / index as f64
    });
    (2.0 / orders).min(1.0)
}

/// Ranks of all values together, doubled so that those of ties are whole.
struct Ranks {
    doubled: Vec<usize>,
    /// Of the second sample.
    doubled_sum: usize,
    /// How many values are equal, for each value that is there more than once.
    ties: Vec<usize>,
}

impl Ranks {
    fn of(first: &[f64], second: &[f64]) -> Self {
        let mut all: Vec<(f64, bool)> = first.iter().map(|&value| (value, false)).collect();
        all.extend(second.iter().map(|&value| (value, true)));
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut ranks = Self {
            doubled: Vec::with_capacity(all.len()),
            doubled_sum: 0,
            ties: Vec::new(),
        };
        for equal in all.chunk_by(|a, b| a.0 == b.0) {
            let before = ranks.doubled.len();
            // Twice the mean of the ranks before + 1 to before + length.
            let rank = 2 * before + equal.len() + 1;
            ranks.doubled.extend(equal.iter().map(|_| rank));
            ranks.doubled_sum += rank * equal.iter().filter(|(_, second)| *second).count();
            if equal.len() > 1 {
                ranks.ties.push(equal.len());
            }
        }
        ranks
    }

    /// Counts, of all ways to choose the second sample, those whose rank sum is at least as far from
    /// the middle.
    fn exact_p(&self, chosen: usize) -> f64 {
        let most: usize = self.doubled.iter().rev().take(chosen).sum();
        // By how many were chosen, and their sum: the number of ways.
        let mut ways = vec![vec![0.0_f64; most + 1]; chosen + 1];
        ways[0][0] = 1.0;
        for &rank in &self.doubled {
            for count in (1..=chosen).rev() {
                let (fewer, more) = ways.split_at_mut(count);
                for sum in rank..=most {
                    more[0][sum] += fewer[count - 1][sum - rank];
                }
            }
        }
        let all: f64 = ways[chosen].iter().sum();
        // Doubled sums have the mean chosen * (n + 1).
        let mean = (chosen * (self.doubled.len() + 1)) as f64;
        let distance = (self.doubled_sum as f64 - mean).abs();
        let sums = ways[chosen].iter().enumerate();
        let as_far = sums.filter(|&(sum, _)| (sum as f64 - mean).abs() >= distance);
        as_far.map(|(_, ways)| ways).sum::<f64>() / all
    }

    /// By the normal distribution, with the variance that ties leave and the continuity correction.
    fn approximate_p(&self, first: usize, second: usize, u: f64) -> f64 {
        let (first, second) = (first as f64, second as f64);
        let all = first + second;
        let ties: f64 = self.ties.iter().map(|&ties| cube_less_itself(ties)).sum();
        let variance = first * second / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
        if variance <= 0.0 {
            return 1.0;
        }
        let distance = ((u - first * second / 2.0).abs() - 0.5).max(0.0);
        libm::erfc(distance / variance.sqrt() / std::f64::consts::SQRT_2)
    }
}

fn cube_less_itself(count: usize) -> f64 {
    let count = count as f64;
    count.powi(3) - count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn close(value: f64, expected: f64, within: f64) {
        assert!(
            (value - expected).abs() <= within,
            "{value}, not {expected}"
        );
    }

    #[test]
    fn samples_apart_have_the_smallest_p() {
        for (first, second) in [(3, 3), (5, 5), (4, 7), (10, 10)] {
            let low: Vec<f64> = (0..first).map(f64::from).collect();
            let high: Vec<f64> = (0..second).map(|index| 100.0 + f64::from(index)).collect();
            let test = RankTest::of(&low, &high).unwrap();
            close(test.p, smallest_p(low.len(), high.len()), 1e-12);
            assert_eq!(test.superiority, 1.0);
            assert_eq!(RankTest::of(&high, &low).unwrap().superiority, 0.0);
        }
        close(smallest_p(5, 5), 2.0 / 252.0, 1e-15);
        assert_eq!(smallest_p(1, 1), 1.0);
        assert!(smallest_p(100, 100) < 1e-50);
    }

    /// The published critical values: the largest U of the smaller side at which the two-sided test
    /// rejects at 5 % (Mann and Whitney 1947, as in every table of them).
    #[test]
    fn critical_values_are_the_published_ones() {
        for (size, critical) in [
            (4, 0),
            (5, 2),
            (6, 5),
            (7, 8),
            (8, 13),
            (10, 23),
            (12, 37),
            (15, 64),
            (20, 127),
        ] {
            let p_at = |u: usize| p_of_u(size, u);
            assert!(p_at(critical) <= 0.05, "{size}: {}", p_at(critical));
            assert!(p_at(critical + 1) > 0.05, "{size}: {}", p_at(critical + 1));
        }
    }

    /// The p-value of two samples of a size, of which the second has this U: from the lowest order,
    /// values of the second are moved up one place after the other.
    fn p_of_u(size: usize, u: usize) -> f64 {
        let mut places: Vec<usize> = (0..size).collect();
        let mut left = u;
        for place in places.iter_mut().rev() {
            let moved = left.min(size);
            *place += moved;
            left -= moved;
        }
        let second: Vec<f64> = places.iter().map(|&place| place as f64).collect();
        let first: Vec<f64> = (0..2 * size)
            .filter(|place| !places.contains(place))
            .map(|place| place as f64)
            .collect();
        let test = RankTest::of(&first, &second).unwrap();
        assert_eq!(test.u, u as f64);
        test.p
    }

    /// R 4.3: wilcox.test(c(0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46), c(1.15, 0.88, 0.90,
    /// 0.74, 1.21)), the example of its manual page, has W = 35 and p = 0.2544 (two-sided).
    #[test]
    fn the_example_of_rs_manual() {
        let x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let y = [1.15, 0.88, 0.90, 0.74, 1.21];
        let test = RankTest::of(&y, &x).unwrap();
        assert_eq!(test.u, 35.0);
        close(test.p, 0.2544, 5e-5);
    }

    #[test]
    fn equal_samples_have_no_effect() {
        let test = RankTest::of(&[1.0; 5], &[1.0; 5]).unwrap();
        assert_eq!((test.p, test.superiority), (1.0, 0.5));
        assert_eq!(RankTest::of(&[], &[1.0]), None);
    }

    /// All ways to choose the second sample, one after the other, by the definition of U.
    fn p_by_enumeration(first: &[f64], second: &[f64]) -> f64 {
        let all = [first, second].concat();
        let u = |chosen: &dyn Fn(usize) -> bool| -> f64 {
            let indices = 0..all.len();
            let pairs = indices
                .filter(|&b| chosen(b))
                .flat_map(|b| (0..all.len()).filter(|&a| !chosen(a)).map(move |a| (a, b)));
            pairs
                .map(|(a, b)| match all[b].total_cmp(&all[a]) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                })
                .sum()
        };
        let middle = (first.len() * second.len()) as f64 / 2.0;
        let distance = (u(&|index| index >= first.len()) - middle).abs();
        let ways =
            (0_u32..1 << all.len()).filter(|ways| ways.count_ones() as usize == second.len());
        let (far, of) = ways.fold((0, 0), |(far, of), ways| {
            let as_far = (u(&|index| ways >> index & 1 == 1) - middle).abs() >= distance;
            (far + u32::from(as_far), of + 1)
        });
        f64::from(far) / f64::from(of)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// The approximation, where both are possible, beside the exact count.
        #[test]
        fn the_approximation_meets_the_exact_count(
            first in prop::collection::vec(0_u8..60, 25..30),
            second in prop::collection::vec(0_u8..60, 25..30),
        ) {
            let [first, second] = [first, second].map(|sample| {
                sample.into_iter().map(f64::from).collect::<Vec<_>>()
            });
            let ranks = Ranks::of(&first, &second);
            let test = RankTest::of(&first, &second).unwrap();
            let approximate = ranks.approximate_p(first.len(), second.len(), test.u);
            prop_assert!((approximate - ranks.exact_p(second.len())).abs() < 0.01);
        }

        /// Which sample is called the first makes no difference but for the sign.
        #[test]
        fn the_test_is_symmetric(
            first in prop::collection::vec(0_u8..10, 1..8),
            second in prop::collection::vec(0_u8..10, 1..8),
        ) {
            let [first, second] = [first, second].map(|sample| {
                sample.into_iter().map(f64::from).collect::<Vec<_>>()
            });
            let there = RankTest::of(&first, &second).unwrap();
            let back = RankTest::of(&second, &first).unwrap();
            prop_assert!((there.p - back.p).abs() < 1e-9);
            if first.len() + second.len() <= 8 {
                prop_assert!((there.p - p_by_enumeration(&first, &second)).abs() < 1e-9);
            }
            prop_assert!((there.superiority + back.superiority - 1.0).abs() < 1e-9);
        }
    }
}
