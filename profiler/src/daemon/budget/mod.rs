//! What measuring may cost the machine on average, what it is expected to cost, and what follows.

mod announcement;
mod costs;
mod decision;
mod foresight;
mod keeper;
mod prediction;
mod rates;

pub use announcement::announce;
pub use costs::{Costs, Speed};
pub use decision::{Decision, MIN_SHARE, MeasuredEffect, decide};
pub use foresight::{Counted, Foresight};
pub use keeper::Keeper;
pub use prediction::{Expected, Predicted, predict};
pub use rates::{Rates, Seen, Tally, Waits};

use std::str::FromStr;

/// `--budget`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Whatever it costs.
    Off,
    /// At most this share of what the machine does, on average.
    Share(f64),
}

impl Budget {
    /// The share, where there is a limit.
    #[must_use]
    pub const fn share(self) -> Option<f64> {
        match self {
            Self::Off => None,
            Self::Share(share) => Some(share),
        }
    }
}

impl FromStr for Budget {
    type Err = String;

    /// Per cent, with or without the sign; or `off`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "off" {
            return Ok(Self::Off);
        }
        let number = text.strip_suffix('%').unwrap_or(text).trim_end();
        let percent: f64 = number
            .parse()
            .map_err(|_error| "per cent, such as 1% or 0.5, or off".to_owned())?;
        if percent > 0.0 && percent <= 100.0 {
            Ok(Self::Share(percent / 100.0))
        } else {
            Err("above 0 and at most 100 per cent, or off".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_per_cent_or_off() {
        for (text, expected) in [
            ("1%", Budget::Share(0.01)),
            ("1", Budget::Share(0.01)),
            ("0.5 %", Budget::Share(0.005)),
            (" 100% ", Budget::Share(1.0)),
            ("off", Budget::Off),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "%", "0", "-1%", "101", "NaN", "inf", "1 %%", "none"] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }
}
