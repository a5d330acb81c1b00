//! Recordings of one kernel beside those of another: pure, but for the reading in `read`.
//!
//! A boot is a sample. Numbers are compared only within a [`Setting`] (clock, CPUs, lock, load) and by
//! one [`Instrument`] (tier, probes, detail), and what differs otherwise is said first.

mod answers;
mod demands;
mod difference;
mod differences;
mod distribution;
mod every_lock;
mod family;
mod finding;
mod instruments;
mod lock_run;
mod measured;
mod phrases;
mod placement;
mod quantity;
mod questions;
pub mod read;
mod regression;
pub mod robot;
mod setting;
mod side;
mod totals;
mod verdict;
mod windows;

pub use answers::Answers;
pub use demands::{Demands, demands_of};
pub use difference::Difference;
pub use differences::differences;
pub use distribution::{DistributionPair, QuantilePair};
pub use every_lock::{EveryLock, LEAST_ASKED, LockRow};
pub use finding::{Finding, LEVEL, SMALLEST_CHANGE, Sample, Sampled, Verdict, boots_needed};
pub use instruments::Instruments;
pub use lock_run::{LockName, LockRun, Measure, WaitSum};
pub use phrases::signed_percent;
pub use placement::{Calls, Placement};
pub use quantity::{Better, Quantity, holder_name};
pub use regression::{DEFAULT_LIMIT, cannot_judge, regressions, too_noisy};
pub use setting::{Instrument, Setting, clock_name};
pub use side::{Boot, Samples, Side};
pub use totals::{Basis, SpanTotals, Totals, WaitTotals};
pub use verdict::{answer, sentence};

use questions::Asking;
use thiserror::Error;

use crate::{recording::schema::Clock, statistics::Resampler};

/// The seed of the intervals, so that the same recordings give the same report.
pub(crate) const SEED: u64 = 0x10c4_9f0f;

/// Why sides cannot be compared.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CompareError {
    /// A boot is on two sides.
    #[error(
        "{first} and {second} both have recordings of the boot {boot}: a boot is of one kernel; \
         compare recordings of different boots"
    )]
    SameBoot {
        /// A side.
        first: String,
        /// Another side.
        second: String,
        /// The boot_id.
        boot: String,
    },
    /// Recordings of all locks beside those of one.
    #[error(
        "{} has recordings {}, and {} {}: what `lockprof locks` has recorded is compared with its like alone",
        sides[0].0, sides[0].1, sides[1].0, sides[1].1
    )]
    Mixed {
        /// Each side, and what its recordings are of.
        sides: [(String, String); 2],
    },
    /// A side has nothing that can be used.
    #[error("{side} has no recording that can be used: {}", why.join("; "))]
    NothingUsable {
        /// The side.
        side: String,
        /// Why each recording cannot.
        why: Vec<String>,
    },
}

/// A kernel beside another one.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What is compared with.
    pub before: Side,
    /// What is compared.
    pub after: Side,
    /// What differs beside the patch.
    pub differences: Vec<Difference>,
    /// By setting: those that both sides have.
    pub settings: Vec<SettingComparison>,
}

/// What one setting shows.
#[derive(Clone, Debug)]
pub struct SettingComparison {
    /// What was asked, and answered.
    pub answers: Answers,
    /// Where calls happen.
    pub placements: Vec<Placement>,
    /// Distributions of holds and waits.
    pub distributions: Vec<DistributionPair>,
}

impl Comparison {
    /// Compares two sides.
    ///
    /// # Errors
    /// A boot is on both sides, or a side has nothing.
    pub fn of(before: Side, after: Side) -> Result<Self, CompareError> {
        Self::with(before, after, &mut Resampler::new(SEED))
    }

    /// The same, with intervals drawn by this.
    ///
    /// # Errors
    /// As [`Comparison::of`].
    pub fn with(
        before: Side,
        after: Side,
        resampler: &mut Resampler,
    ) -> Result<Self, CompareError> {
        for side in [&before, &after] {
            if side.boots.is_empty() {
                return Err(CompareError::NothingUsable {
                    side: side.name.clone(),
                    why: side.unused.clone(),
                });
            }
        }
        let of_all_locks = every_lock::is_asked([&before, &after])?;
        // What a machine waits for depends on more than its kernel: recordings of one boot may be compared, as long as
        // none of another one is among them.
        if of_all_locks && every_lock::sampled([&before, &after]) == Sampled::Recording {
            return Ok(Self::of_all_locks(before, after, resampler));
        }
        if let Some(boot) = before.boot_ids().intersection(&after.boot_ids()).next() {
            return Err(CompareError::SameBoot {
                first: before.name.clone(),
                second: after.name.clone(),
                boot: (*boot).to_owned(),
            });
        }
        if of_all_locks {
            return Ok(Self::of_all_locks(before, after, resampler));
        }
        let shared = before.boots.keys();
        let mut samples: Vec<(&Setting, [Samples<'_>; 2])> = shared
            .filter(|setting| after.boots.contains_key(setting))
            .map(|setting| {
                let sides = [&before, &after].map(|side| Samples::of(side, setting));
                (setting, sides)
            })
            .collect();
        // First what repeats best.
        samples.sort_by_key(|(setting, _)| setting.clock != Clock::Instructions);
        let askings: Vec<Asking<'_>> = samples
            .iter()
            .map(|(setting, [before, after])| Asking::new(setting, [before, after]))
            .collect();
        let answers = questions::ask(&askings, resampler);
        let settings = askings
            .into_iter()
            .zip(answers)
            .map(|(asking, answers)| SettingComparison::of(asking, answers, resampler))
            .collect();
        Ok(Self {
            differences: differences(&before, &after),
            settings,
            before,
            after,
        })
    }

    fn of_all_locks(before: Side, after: Side, resampler: &mut Resampler) -> Self {
        let sides = [&before, &after];
        let mut differences = differences(&before, &after);
        differences.extend(every_lock::differences(sides));
        let settings = every_lock::compare(sides, resampler).into_iter();
        let settings = settings.map(|answered| SettingComparison {
            answers: Answers::of_all_locks(answered),
            placements: Vec::new(),
            distributions: Vec::new(),
        });
        Self {
            settings: settings.collect(),
            differences,
            before,
            after,
        }
    }

    /// Whether all locks are compared.
    #[must_use]
    pub fn is_of_all_locks(&self) -> bool {
        let sides = [&self.before, &self.after];
        every_lock::is_asked(sides) == Ok(true)
    }

    /// Every answer, setting by setting.
    pub fn findings(&self) -> impl Iterator<Item = (&Setting, &Finding)> {
        self.settings.iter().flat_map(|setting| {
            let findings = setting.answers.findings();
            findings.map(|finding| (&setting.answers.setting, finding))
        })
    }
}

impl SettingComparison {
    fn of(asking: Asking<'_>, answers: Answers, resampler: &mut Resampler) -> Self {
        let sides = asking.sides();
        Self {
            distributions: distribution::distributions(asking.instruments, sides, resampler),
            placements: asking.placements,
            answers,
        }
    }
}
