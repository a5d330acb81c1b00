//! How sure a forecast is: over boots, and over the correction.

use serde::Serialize;

use super::demand::{End, KernelDemands, RoundDemands};

/// With fewer boots of a kernel there is no interval.
pub const LEAST_BOOTS: usize = 5;
/// Draws of boots.
const RESAMPLES: usize = 1000;
/// What the interval leaves out at each end.
const TAIL: f64 = 0.025;

/// From and to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The least.
    pub low: f64,
    /// The most; may be infinite, which JSON writes as null.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies in it.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    fn hull(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

/// A number of a forecast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// From the mean of the boots, with the null hold taken off; may be infinite, which JSON writes as
    /// null.
    pub point: f64,
    /// The least interval that contains, at each end of the correction, the number from the mean of
    /// the boots and the 95 % bootstrap interval over boots. None with fewer than [`LEAST_BOOTS`]
    /// boots of the kernel or of the one that it is compared with.
    pub interval: Option<Interval>,
}

/// What one kernel's numbers are, from the mean demands of all kernels at one end of the correction:
/// one row a kernel, each of any length that does not change.
pub(super) type Statistics = fn(&[RoundDemands], End) -> Vec<Vec<f64>>;

/// Every number with its interval. The first kernel is the one that the others are compared with.
///
/// The correction is one for all kernels: what the profiler adds to a hold it adds in each. Boots are
/// drawn for each kernel apart, with replacement, one fewer than there are: that makes the variance of a
/// draw's mean the one that the mean of the boots has (Hesterberg, "What Teachers Should Know About
/// the Bootstrap", 2015, on narrowness).
pub(super) fn estimates(
    kernels: &[KernelDemands],
    seed: u64,
    statistics: Statistics,
) -> Vec<Vec<Estimate>> {
    let means: Vec<RoundDemands> = kernels
        .iter()
        .map(|kernel| RoundDemands::mean(&kernel.boots.iter().collect::<Vec<_>>()))
        .collect();
    let points = statistics(&means, End::Point);
    let mut hulls: Vec<Vec<Interval>> = points
        .iter()
        .map(|row| {
            row.iter()
                .map(|&at| Interval { low: at, high: at })
                .collect()
        })
        .collect();
    let enough = |kernel: &KernelDemands| kernel.boots.len() >= LEAST_BOOTS;
    let first_has_enough = kernels.first().is_some_and(enough);
    if first_has_enough {
        let draws = draws(kernels, seed);
        for end in End::ALL {
            widen(&mut hulls, &statistics(&means, end));
            let drawn: Vec<Vec<Vec<f64>>> =
                draws.iter().map(|draw| statistics(draw, end)).collect();
            let (low, high) = tails(&drawn, &points);
            widen(&mut hulls, &low);
            widen(&mut hulls, &high);
        }
    }
    let rows = kernels.iter().zip(points).zip(hulls);
    rows.map(|((kernel, points), hulls)| {
        let known = first_has_enough && enough(kernel);
        let row = points.into_iter().zip(hulls);
        row.map(|(point, hull)| Estimate {
            point,
            interval: known.then_some(hull),
        })
        .collect()
    })
    .collect()
}

/// The mean demands of drawn boots, of every kernel, many times.
fn draws(kernels: &[KernelDemands], seed: u64) -> Vec<Vec<RoundDemands>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut draw = |kernel: &KernelDemands| {
        let boots: Vec<&RoundDemands> = (1..kernel.boots.len().max(2))
            .map(|_| &kernel.boots[random.usize(..kernel.boots.len())])
            .collect();
        RoundDemands::mean(&boots)
    };
    (0..RESAMPLES)
        .map(|_| kernels.iter().map(&mut draw).collect())
        .collect()
}

/// Makes each hull contain the value in its place.
fn widen(hulls: &mut [Vec<Interval>], values: &[Vec<f64>]) {
    for (hulls, values) in hulls.iter_mut().zip(values) {
        for (hull, &value) in hulls.iter_mut().zip(values) {
            *hull = hull.hull(Interval {
                low: value,
                high: value,
            });
        }
    }
}

/// What the bootstrap interval begins and ends with, in each place.
fn tails(drawn: &[Vec<Vec<f64>>], shape: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let last = drawn.len().saturating_sub(1);
    // Outwards to a value that was drawn: some are infinite, and nothing lies between.
    let skipped = (last as f64 * TAIL).floor() as usize;
    let (mut lows, mut highs) = (Vec::new(), Vec::new());
    for (kernel, row) in shape.iter().enumerate() {
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for place in 0..row.len() {
            let mut values: Vec<f64> = drawn.iter().map(|draw| draw[kernel][place]).collect();
            values.sort_by(f64::total_cmp);
            low.push(values[skipped]);
            high.push(values[last - skipped]);
        }
        lows.push(low);
        highs.push(high);
    }
    (lows, highs)
}
