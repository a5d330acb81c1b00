//! Why there is no forecast.

use thiserror::Error;

/// Numbers that no forecast can be made from.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ForecastError {
    /// No kernel was given.
    #[error("a forecast needs the demands of at least one kernel")]
    NoKernels,
    /// A kernel without a boot.
    #[error("kernel {kernel:?} has no boot to forecast from: record it on the instruction clock")]
    NoBoots {
        /// The kernel.
        kernel: String,
    },
    /// A number that is negative, not a number, too large, or zero where it may not be.
    #[error("{what} is {value}, and must be {expected}")]
    BadNumber {
        /// What it is of.
        what: String,
        /// The number.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// Low, point and high are not in this order.
    #[error("the demand on {lock} is not in order: low {low}, point {point}, high {high}")]
    Unordered {
        /// The lock.
        lock: String,
        /// With everything subtracted.
        low: f64,
        /// Corrected.
        point: f64,
        /// Not corrected.
        high: f64,
    },
    /// The locks alone take longer than a round.
    #[error(
        "the locks of a round take {demand:.0}, and the whole round {round:.0}: the demands and the round \
         are not of the same load"
    )]
    DemandsExceedRound {
        /// The sum of the demands.
        demand: f64,
        /// All work of a round.
        round: f64,
    },
    /// A lock twice in one boot.
    #[error("{lock} has two demands in one boot")]
    LockTwice {
        /// The lock.
        lock: String,
    },
    /// A kernel's boots have different locks.
    #[error("boot {boot} of kernel {kernel:?} has other locks than its first boot")]
    LocksDiffer {
        /// The kernel.
        kernel: String,
        /// The boot, counted from 1.
        boot: usize,
    },
    /// Nothing that could limit a kernel.
    #[error("kernel {kernel:?} has no lock with a demand, so nothing limits it")]
    NoDemand {
        /// The kernel.
        kernel: String,
    },
    /// The null hold is as long as the holds that it is subtracted from.
    #[error(
        "the holds of a round take {holds:.0}, and as many null holds {null_holds:.0}: nothing is left \
         of them"
    )]
    NullHoldTooLong {
        /// The time of a round's holds.
        holds: f64,
        /// The time of as many null holds.
        null_holds: f64,
    },
    /// One of the above, of this boot.
    #[error("boot {boot} of kernel {kernel:?}: {source}")]
    OfBoot {
        /// The kernel.
        kernel: String,
        /// The boot, counted from 1.
        boot: usize,
        /// What is wrong.
        source: Box<ForecastError>,
    },
}

/// More instructions than a round has, so that no sum of them is without bound.
const MOST: f64 = 1e15;

/// A number that must be finite and not negative.
pub(super) fn not_negative(what: impl FnOnce() -> String, value: f64) -> Result<(), ForecastError> {
    if (0.0..=MOST).contains(&value) {
        return Ok(());
    }
    Err(ForecastError::BadNumber {
        what: what(),
        value,
        expected: "from 0 to 1e15",
    })
}

/// A number of instructions of which there must be at least one.
pub(super) fn at_least_one(what: &str, value: f64) -> Result<(), ForecastError> {
    if (1.0..=MOST).contains(&value) {
        return Ok(());
    }
    Err(ForecastError::BadNumber {
        what: what.to_owned(),
        value,
        expected: "from 1 to 1e15 guest instructions",
    })
}
