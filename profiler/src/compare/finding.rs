//! One quantity of two kernels beside each other, and what may be said about it.

use serde::Serialize;

use super::{Quantity, Samples, quantity::Better, setting::Instrument};
use crate::statistics::{
    Interval, RankTest, Resampler, mean, median, relative_deviation, smallest_p,
};

/// The chance of a false verdict that is accepted, over a whole family of questions.
pub const LEVEL: f64 = 0.05;
/// A smaller change than this gets no verdict: nobody would act on it.
pub const SMALLEST_CHANGE: f64 = 0.01;

/// A quantity on both sides.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is.
    pub quantity: Quantity,
    /// How it was measured, on both sides.
    pub instrument: Instrument,
    /// Its value in each boot of the first side.
    pub before: Sample,
    /// Of the second.
    pub after: Sample,
    /// From the median of the first side to that of the second, as a share of the first.
    pub change: Option<f64>,
    /// Where the change lies, with 95 % confidence.
    pub interval: Option<Interval>,
    /// The test, uncorrected.
    pub test: Option<RankTest>,
    /// The p-value, corrected for the questions that were asked with this one; none where the question
    /// was not asked, since the one above it was not answered.
    pub corrected_p: Option<f64>,
    /// How many questions were asked together, this one among them.
    pub family: usize,
    /// What a value is of.
    pub sampled: Sampled,
    /// What may be said.
    pub verdict: Verdict,
}

/// What a sample is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampled {
    /// One boot, however many recordings it has: gains vary between boots more than within one.
    #[default]
    Boot,
    /// One recording, all being of one boot: what differs between boots is in none of them.
    Recording,
}

impl Sampled {
    /// The word for one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Recording => "recording",
        }
    }
}

/// The values of one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// One a boot, in the order of the boots.
    pub values: Vec<f64>,
    /// Their median.
    pub median: Option<f64>,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their standard deviation as a share of the mean.
    pub deviation: Option<f64>,
}

/// What may be said about a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It changed for the better.
    Better,
    /// It changed for the worse.
    Worse,
    /// It is the same within 1 %: all of the interval is.
    Same,
    /// It may have changed or not: the boots differ too much.
    Noisy,
    /// So few boots cannot show a change, however large.
    TooFew,
    /// The question above it was answered by no, so this one was not asked.
    NotAsked,
}

impl Verdict {
    /// Whether there is a change.
    #[must_use]
    pub const fn is_change(self) -> bool {
        matches!(self, Self::Better | Self::Worse)
    }

    /// In a column of a table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::Same => "same",
            Self::Noisy => "noisy",
            Self::TooFew => "few",
            Self::NotAsked => "",
        }
    }
}

impl Sample {
    fn of(samples: &Samples<'_>, quantity: &Quantity, instrument: Instrument) -> Self {
        Self::new(
            samples
                .totals(instrument)
                .filter_map(|totals| quantity.value(totals))
                .collect(),
        )
    }

    pub(super) fn new(values: Vec<f64>) -> Self {
        Self {
            median: median(&values),
            mean: mean(&values),
            deviation: relative_deviation(&values),
            values,
        }
    }
}

impl Finding {
    /// Puts both sides beside each other; none where one of them has no value. No verdict yet: that
    /// depends on what else is asked.
    #[must_use]
    pub fn of(
        quantity: Quantity,
        instrument: Instrument,
        [before, after]: [&Samples<'_>; 2],
    ) -> Option<Self> {
        let before = Sample::of(before, &quantity, instrument);
        let after = Sample::of(after, &quantity, instrument);
        Self::between(quantity, instrument, [before, after])
    }

    /// The same of values that are known.
    pub(super) fn between(
        quantity: Quantity,
        instrument: Instrument,
        [before, after]: [Sample; 2],
    ) -> Option<Self> {
        let (old, new) = before.median.zip(after.median)?;
        // A share of what is not above 0 says nothing.
        let change = (old > 0.0).then(|| new / old - 1.0);
        Some(Self {
            change,
            interval: None,
            test: RankTest::of(&before.values, &after.values),
            corrected_p: None,
            family: 1,
            sampled: Sampled::Boot,
            verdict: Verdict::NotAsked,
            quantity,
            instrument,
            before,
            after,
        })
    }

    /// Draws the interval.
    pub fn draw_interval(&mut self, resampler: &mut Resampler) {
        self.interval = resampler.change(&self.before.values, &self.after.values);
    }

    /// Boots of both sides.
    #[must_use]
    pub fn boots(&self) -> [usize; 2] {
        [self.before.values.len(), self.after.values.len()]
    }

    /// Whether the test rejects that there is no difference.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.corrected_p.is_some_and(|p| p <= LEVEL)
    }

    /// Whether there was anything to see on either side.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let values = self.before.values.iter().chain(&self.after.values);
        values.into_iter().all(|&value| value == 0.0)
    }

    /// Whether all of the interval is within the smallest change: to be told without a test. An interval
    /// from fewer boots than could show a change is none of 95 %.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let enough = self.boots().into_iter().min() >= Some(boots_needed(1));
        enough
            && self
                .interval
                .is_some_and(|interval| interval.is_within(-SMALLEST_CHANGE, SMALLEST_CHANGE))
    }

    /// Decides, as one of a family of so many questions.
    pub fn decide(&mut self, corrected_p: f64, family: usize) {
        self.corrected_p = Some(corrected_p);
        self.family = family;
        let [before, after] = self.boots();
        let change = self.change.unwrap_or_else(|| {
            // From nothing to something is more than any share.
            let new = self.after.median.unwrap_or(0.0) - self.before.median.unwrap_or(0.0);
            if new == 0.0 {
                0.0
            } else {
                new.signum() * f64::INFINITY
            }
        });
        self.verdict = if corrected_p <= LEVEL && change.abs() >= SMALLEST_CHANGE {
            match (self.quantity.better(), change > 0.0) {
                (Better::Higher, true) | (Better::Lower, false) => Verdict::Better,
                (Better::Higher, false) | (Better::Lower, true) => Verdict::Worse,
            }
        } else if self.is_same() {
            Verdict::Same
        } else if smallest_p(before, after) * family as f64 > LEVEL {
            Verdict::TooFew
        } else {
            Verdict::Noisy
        };
    }
}

/// How many boots of each side it takes for so many questions at once to be answered at all.
#[must_use]
pub fn boots_needed(family: usize) -> usize {
    (1..)
        .find(|&boots| smallest_p(boots, boots) * family.max(1) as f64 <= LEVEL)
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_needed_follow_from_the_test() {
        // 2 / (8 over 4) is 0.029, 2 / (10 over 5) is 0.0079, 2 / (12 over 6) is 0.0022.
        assert_eq!(boots_needed(1), 4);
        assert_eq!(boots_needed(2), 5);
        assert_eq!(boots_needed(6), 5);
        assert_eq!(boots_needed(7), 6);
    }
}
