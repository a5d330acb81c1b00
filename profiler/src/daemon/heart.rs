//! The daemon's heartbeat: what it says to the programs and to the guard while it lives.
//!
//! It is beaten by the loop that reads the counters, writes the recording and answers signals, with a timer of
//! its own, and not by a thread of its own: a thread would go on beating for a daemon that is stuck, whose
//! probes cost the machine time although nobody keeps what they count. Nothing that the loop does between
//! two beats takes as long as a stretch between beats may last; what does (links that change) has a
//! [`Patience`] of its own or happens elsewhere.

use std::{path::Path, time::Duration};

use super::{cost::monotonic_ns, progress::Progress};
use crate::{
    guard::{Guard, Patience},
    probe::programs::Programs,
};

/// Between two beats.
pub const BEAT: Duration = Duration::from_secs(1);
/// How long after a beat the programs still begin anything.
const AWAKE: Duration = Duration::from_secs(10);

/// The heart, while something is attached.
#[derive(Debug, Default)]
pub struct Heart {
    guard: Option<Guard>,
}

impl Heart {
    /// With a guard. A machine that has no room for one is measured all the same: programs without a beat
    /// do nothing.
    #[must_use]
    pub fn guarded(recording: &Path, progress: &Progress) -> Self {
        let guard = Guard::start(recording)
            .inspect_err(|error| {
                progress.say(&format!(
                    "{error:#}; so a lockprof that is stopped will stay attached, and do nothing"
                ));
            })
            .ok();
        Self { guard }
    }

    /// Lives, and goes on.
    pub fn beat(&self, programs: &Programs) {
        self.beat_for(programs, Patience::Measuring);
    }

    /// Lives, and may be silent for so long.
    pub fn beat_for(&self, programs: &Programs, patience: Patience) {
        programs
            .cpus
            .keep_awake_until(monotonic_ns().saturating_add(AWAKE.as_nanos() as u64));
        if let Some(guard) = &self.guard {
            guard.tell(patience);
        }
    }

    /// Nothing is attached any more: there is nothing to guard.
    pub fn rest(&mut self) {
        self.guard = None;
    }
}
