//! The daemon's heartbeat: what it says to the programs and to the guard while it lives.
//!
//! It is beaten by the loop that reads the counters, writes the recording and answers signals, with a timer of
//! its own, and not by a thread of its own: a thread would go on beating for a daemon that is stuck, whose
//! probes cost the machine time although nobody keeps what they count. Nothing that the loop does between
//! two beats takes as long as a stretch between beats may last; what does (links that change) has a
//! [`Patience`] of its own or happens elsewhere.

use std::time::Duration;

use super::{cost::monotonic_ns, progress::Progress};
use crate::{
    guard::{Guard, Patience},
    offspring::Mark,
    probe::programs::Programs,
    recording::RecordingWriter,
};

/// Between two beats.
pub const BEAT: Duration = Duration::from_secs(1);
/// How long after a beat the programs still begin anything.
const AWAKE: Duration = Duration::from_secs(10);

/// What it means that there is no guard.
const WITHOUT_GUARD: &str = "so a lockprof that is stopped will stay attached, and do nothing; and of one that is \
                             killed the load may go on";

/// The heart, while something is attached or a load runs.
#[derive(Debug, Default)]
pub struct Heart {
    guard: Option<Guard>,
}

impl Heart {
    /// With a guard. A machine that has no room for one is measured all the same: programs without a beat do
    /// nothing.
    #[must_use]
    pub fn guarded(recording: &RecordingWriter, load: &Mark, progress: &Progress) -> Self {
        let guard = Guard::start(recording, load)
            .inspect_err(|error| {
                progress.say(&format!("{error:#}; {WITHOUT_GUARD}"));
            })
            .ok();
        Self { guard }
    }

    /// Says, once, that somebody has killed the guard. It is not started again: what is killed twice is killed for a
    /// reason, and the programs need no guard to do nothing.
    pub fn miss_guard(&mut self, progress: &Progress) {
        if self.guard.as_ref().is_some_and(Guard::has_ended) {
            self.guard = None;
            progress.say(&format!("its guard was killed; {WITHOUT_GUARD}"));
        }
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

    /// Nothing is attached, and so nothing is wrong with a daemon that is silent.
    pub fn attach_nothing(&self) {
        if let Some(guard) = &self.guard {
            guard.tell(Patience::Unlimited);
        }
    }

    /// Nothing is attached any more: there is nothing to guard.
    pub fn rest(&mut self) {
        self.guard = None;
    }
}
