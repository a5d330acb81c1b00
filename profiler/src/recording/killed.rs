//! The ending of a recording whose daemon was killed by its guard.

use serde::{Deserialize, Serialize};

/// Why the guard killed the daemon. It writes this in the place of a footer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Killed {
    /// For how long the daemon had given no sign of life, in seconds.
    pub silent_s: u64,
    /// It was stopped, by a signal; else it was stuck, or got no CPU.
    pub stopped: bool,
}

impl Killed {
    /// What happened, as a part of a sentence.
    #[must_use]
    pub fn sentence(self) -> String {
        let why = if self.stopped {
            "it had been stopped"
        } else {
            "it had been stuck, or without a CPU,"
        };
        format!(
            "lockprof was killed by its guard: {why} for {} s",
            self.silent_s
        )
    }
}
