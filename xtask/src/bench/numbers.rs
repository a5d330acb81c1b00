//! What one observer costs, as all parts of the machine-readable file have it; and what could not be measured.

use anyhow::Result;
use lab::signals;
use serde::{Deserialize, Serialize};

/// What a load costs without and with an observer, in instructions for one iteration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Without.
    pub bare: f64,
    /// What comes on top.
    pub added: f64,
    /// What comes on top by the guest's clock: a mean, with interrupts and the kernel's work meanwhile.
    pub added_by_clock: f64,
    /// Instructions inside holds without it, as counted from outside of the guest.
    #[serde(default)]
    pub bare_in_hold: Option<f64>,
    /// How much of `added` is executed while the lock is held, as counted from outside of the guest.
    pub added_in_hold: Option<f64>,
    /// The difference of `bare + added` between boots, as a share of it.
    pub spread: f64,
}

/// What one observer costs where two CPUs contend for the lock: medians of a CPU's own instructions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContendedCosts {
    /// Its name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Contended holds, the least of a measurement.
    pub holds: u64,
    /// Inside a hold that nobody contended, of the same measurements.
    pub uncontended: Added,
    /// Inside a contended hold.
    pub in_hold: Added,
    /// From the slow path's first instruction, which goes on to call contention_begin, to the one by which
    /// the waiter joins the queue.
    pub to_the_queue: Added,
}

impl Cost {
    /// By how much boots differ, in instructions.
    pub fn differs_by(&self) -> f64 {
        self.spread * (self.bare + self.added)
    }
}

/// Instructions without an observer, and what it adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// Without.
    pub bare: f64,
    /// What comes on top.
    pub added: f64,
    /// The largest difference of two measurements with the observer, in one boot or between boots.
    pub differs_by: f64,
}

impl Added {
    /// With the observer.
    pub fn whole(&self) -> f64 {
        self.bare + self.added
    }
}

/// What one observer leaves of the throughput, as a share: the mean of the logarithms of the rounds'
/// ratios, and its 95 % interval by Student's t.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Its name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// The middle.
    pub share: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// Each round's ratio.
    #[serde(default)]
    pub ratios: Vec<f64>,
}

/// What could not be measured, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotMeasured(pub Vec<(String, String)>);

impl NotMeasured {
    /// Notes what could not be measured.
    pub fn note(&mut self, what: &str, why: &str) {
        self.0.push((what.to_owned(), why.to_owned()));
    }

    /// What was found; where that failed nothing, and a note, so that what else is measured is not lost with it.
    /// An error only where we are to end.
    pub fn or_note<T>(&mut self, what: &str, found: Result<T>) -> Result<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                signals::check()?;
                self.note(what, &first_line(&error));
                Ok(None)
            }
        }
    }
}

/// What failed, and not the end of a guest's console, which comes after it.
pub fn first_line(error: &anyhow::Error) -> String {
    let said = format!("{error:#}");
    said.lines().next().unwrap_or_default().to_owned()
}
