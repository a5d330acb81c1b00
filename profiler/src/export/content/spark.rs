//! Distributions in a few characters, on one logarithmic scale for all rows of a table.

use crate::{profile::Durations, units::TimeUnit};

/// Characters of a sparkline.
const CELLS: usize = 16;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The scale that the rows of a table share.
#[derive(Clone, Copy, Debug)]
pub(super) struct SparkScale {
    low_ns: f64,
    high_ns: f64,
}

impl SparkScale {
    /// From the shortest to the longest of all; none where there is none.
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Durations>) -> Option<Self> {
        let bounds = all.filter_map(|durations| {
            let (low, ..) = durations.histogram.buckets().next()?;
            Some((low.max(1) as f64, durations.max_ns()?))
        });
        let (low_ns, high_ns) = bounds.fold((f64::INFINITY, 0.0_f64), |sum, (low, high)| {
            (sum.0.min(low), sum.1.max(high))
        });
        low_ns.is_finite().then(|| Self {
            low_ns,
            high_ns: high_ns.max(low_ns * 2.0),
        })
    }

    /// One character for each part of the scale: the higher, the more of the durations are there. A
    /// part with any has a bar.
    pub(super) fn line(&self, durations: &Durations) -> String {
        let range = (self.high_ns / self.low_ns).ln();
        let mut cells = [0_u64; CELLS];
        for (low, high, count) in durations.histogram.buckets() {
            // A bucket's middle, as far as one can speak of it on this scale.
            let middle = ((low.max(1) as f64) * (high as f64)).sqrt();
            let place = (middle.min(self.high_ns) / self.low_ns).ln() / range;
            let cell = ((place.max(0.0) * CELLS as f64) as usize).min(CELLS - 1);
            cells[cell] = cells[cell].saturating_add(count);
        }
        let most = cells.iter().copied().max().unwrap_or(0);
        let bar = |&count: &u64| match count {
            0 => ' ',
            _ => BARS[((count as f64 / most as f64 * 8.0).ceil() as usize).clamp(1, 8) - 1],
        };
        cells.iter().map(bar).collect()
    }

    /// What the ends of the lines are.
    pub(super) fn legend(&self, unit: TimeUnit) -> String {
        format!(
            "{} to {}",
            unit.format(self.low_ns),
            unit.format(self.high_ns)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Scale;

    fn durations(lengths: &[u64]) -> Durations {
        let mut all = Durations::new(Scale::Steps);
        for &length in lengths {
            all.histogram.record(length);
            all.total_ns += length;
        }
        all
    }

    #[test]
    fn rows_share_a_scale_and_every_duration_is_seen() {
        let (short, long) = (durations(&[100; 50]), durations(&[100, 100_000]));
        let scale = SparkScale::of([&short, &long].into_iter()).expect("some");
        assert_eq!(scale.line(&short).trim_end(), "█");
        let line = scale.line(&long);
        assert_eq!(line.chars().count(), CELLS);
        assert!(line.starts_with('█') && line.ends_with('█'), "{line:?}");
        let many = durations(&[vec![100; 1000], vec![100_000]].concat());
        assert!(scale.line(&many).ends_with('▁'));
    }

    #[test]
    fn one_duration_and_none() {
        let one = durations(&[7]);
        let scale = SparkScale::of([&one].into_iter()).expect("some");
        assert_eq!(scale.line(&one).trim(), "█");
        assert!(SparkScale::of([&durations(&[])].into_iter()).is_none());
    }
}
