//! What is known of the probes' sight, by the controls of a recording.

use crate::recording::schema::{
    Calibration, Control, Died, Footer, HoldsControl, Interval, Misses, Proof, Proves,
};

/// Whether the probes were seen to see something.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// They saw it whenever it was tried: that nothing was seen is because nothing happened.
    Proved,
    /// They did not see it though it happened.
    Dead {
        /// The cause, as far as it was found: a part of a sentence.
        why: String,
        /// When they were found dead, in seconds since the probes were attached, where they had been proved
        /// before.
        at_s: Option<f64>,
    },
    /// It could not be made to happen here.
    NotProved {
        /// Why: a part of a sentence.
        why: String,
    },
    /// Nothing was tried: a recording of an older version, or one without probes.
    Untried,
}

impl Known {
    /// Whether absence can be spoken of.
    #[must_use]
    pub const fn is_proved(&self) -> bool {
        matches!(self, Self::Proved)
    }
}

/// The controls of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Controls {
    /// In the order in which they were made, with the time in seconds since the probes were attached of those
    /// that were made in the measured time or after it.
    made: Vec<(Option<f64>, Control)>,
    /// The daemon's own null holds in all intervals.
    holds: Option<HoldsControl>,
    misses: Misses,
    died: Option<Died>,
}

impl Controls {
    /// Adds those that were made before the measured time.
    pub fn add_calibration(&mut self, calibration: &Calibration) {
        self.make(None, &calibration.controls);
    }

    /// Adds those of an interval.
    pub fn add_interval(&mut self, interval: &Interval) {
        self.make(Some(interval.at_s), &interval.controls);
        let Some(control) = interval.control.filter(|control| control.done > 0) else {
            return;
        };
        let holds = self.holds.get_or_insert(HoldsControl { done: 0, seen: 0 });
        holds.done = holds.done.saturating_add(control.done);
        holds.seen = holds.seen.saturating_add(control.seen);
        if let Some(at_s) = self.misses.add(control, interval.at_s) {
            self.died.get_or_insert_with(|| Died {
                at_s,
                proves: Proves::Holds,
                why: "null holds were not seen any more".to_owned(),
            });
        }
    }

    /// Adds those that were made last.
    pub fn add_footer(&mut self, footer: &Footer) {
        self.make(Some(footer.attached_s), &footer.controls);
        if footer.died.is_some() {
            self.died.clone_from(&footer.died);
        }
    }

    /// Adds some. Of probes that are dead the daemon says so in the footer, which a recording that was cut short does
    /// not have.
    fn make(&mut self, at_s: Option<f64>, controls: &[Control]) {
        for control in controls {
            if control.outcome == Proof::Dead {
                self.died.get_or_insert_with(|| Died {
                    at_s: at_s.unwrap_or(0.0),
                    proves: control.proves,
                    why: control.why.clone().unwrap_or_default(),
                });
            }
            self.made.push((at_s, control.clone()));
        }
    }

    /// Those that were tried and not seen, or only some of them: in the order in which they were made first. What is
    /// not tried for some reason is none of them.
    pub(super) fn missed(&self) -> Vec<(Proves, Known)> {
        let mut all: Vec<(Proves, Known)> = Vec::new();
        for control in self.made() {
            let proves = control.proves;
            let known = self.proof(proves);
            let missed = control.done > control.seen && !known.is_proved();
            if missed && all.iter().all(|(other, _)| *other != proves) {
                all.push((proves, known));
            }
        }
        all
    }

    /// Whether some of these were seen when they were tried, and not enough to prove anything.
    pub(super) fn seen_in_part(&self, proves: Proves) -> bool {
        let mut of_it = self.made().filter(|control| control.proves == proves);
        !self.proof(proves).is_proved()
            && of_it.any(|control| (1..control.done).contains(&control.seen))
    }

    /// Those that were made, in their order.
    pub fn made(&self) -> impl Iterator<Item = &Control> {
        self.made.iter().map(|(_, control)| control)
    }

    /// The daemon's own null holds in all intervals, where it made any.
    #[must_use]
    pub const fn holds(&self) -> Option<HoldsControl> {
        self.holds
    }

    /// That the probes stopped seeing, and when: the run is void.
    #[must_use]
    pub const fn died(&self) -> Option<&Died> {
        self.died.as_ref()
    }

    /// What is known of the probes' sight of this.
    #[must_use]
    pub fn proof(&self, proves: Proves) -> Known {
        let mut known = if self.made.is_empty() {
            Known::Untried
        } else {
            Known::NotProved {
                why: "it was not tried in this run".to_owned(),
            }
        };
        for (at_s, control) in &self.made {
            if control.proves != proves {
                continue;
            }
            let why = control.why.clone().unwrap_or_default();
            match control.outcome {
                Proof::Proved => known = Known::Proved,
                Proof::Dead => return Known::Dead { why, at_s: *at_s },
                // What was proved once stays so where it could not be tried again.
                Proof::NotProved if known.is_proved() => {}
                Proof::NotProved => known = Known::NotProved { why },
            }
        }
        let by_holds = matches!(
            proves,
            Proves::Holds | Proves::Site(_) | Proves::Span(_) | Proves::ContendedHolds
        );
        match &self.died {
            Some(died)
                if known.is_proved()
                    && (died.proves == proves || (by_holds && died.proves == Proves::Holds)) =>
            {
                Known::Dead {
                    why: died.why.clone(),
                    at_s: Some(died.at_s),
                }
            }
            _ => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{site::Site, span::Span};

    use super::*;
    use crate::recording::schema::LockFamily;

    fn control(proves: Proves, outcome: Proof) -> Control {
        Control {
            proves,
            outcome,
            done: 10,
            seen: if outcome == Proof::Proved { 10 } else { 0 },
            why: (outcome != Proof::Proved).then(|| "of this cause".to_owned()),
        }
    }

    fn controls(before: &[Control]) -> Controls {
        let mut controls = Controls::default();
        controls.add_calibration(&Calibration {
            null_hold: None,
            run_time: Vec::new(),
            controls: before.to_vec(),
        });
        controls
    }

    const MUTEX: Proves = Proves::Waits(LockFamily::Mutex);

    #[test]
    fn what_was_not_tried_is_not_proved() {
        assert_eq!(controls(&[]).proof(MUTEX), Known::Untried);
        let holds = controls(&[control(Proves::Holds, Proof::Proved)]);
        assert_eq!(holds.proof(Proves::Holds), Known::Proved);
        assert!(matches!(holds.proof(MUTEX), Known::NotProved { .. }));
    }

    #[test]
    fn a_cause_is_handed_on() {
        let span = Proves::Span(Span::FREE_PID);
        let controls = controls(&[control(MUTEX, Proof::NotProved), control(span, Proof::Dead)]);
        let why = "of this cause".to_owned();
        assert_eq!(controls.proof(MUTEX), Known::NotProved { why: why.clone() });
        assert_eq!(controls.proof(span), Known::Dead { why, at_s: None });
    }

    #[test]
    fn null_holds_that_are_missed_end_what_was_proved_of_holds_and_not_of_waits() {
        let fork = Proves::Site(Site::FORK);
        let proved = [Proves::Holds, fork, MUTEX].map(|proves| control(proves, Proof::Proved));
        let mut controls = controls(&proved);
        // The first of these is a single interval, whose holds may be lost on their own.
        for (at_s, seen) in [(0.5, 0), (1.0, 10), (2.0, 0), (3.0, 0)] {
            controls.add_interval(&Interval {
                at_s,
                control: Some(HoldsControl { done: 10, seen }),
                ..Interval::default()
            });
        }
        for proves in [Proves::Holds, fork] {
            let Known::Dead { at_s, .. } = controls.proof(proves) else {
                panic!("{proves:?} is dead");
            };
            assert_eq!(at_s, Some(2.0));
        }
        assert_eq!(controls.proof(MUTEX), Known::Proved);
    }
}
