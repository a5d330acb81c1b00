//! What a forecast is about, and what it stands on.

use crate::{known_locks, units, work_unit::WorkUnit};

/// The lock whose holds were measured, and what a round of the network is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The lock.
    pub lock: String,
    /// A round is one of these.
    pub unit: WorkUnit,
    /// Whether the lock's null hold is known, and taken off its holds.
    pub null_hold_known: bool,
    /// Other locks that somebody was seen to wait for, the longest first: their holds were not followed, and what a round
    /// asks of them is unknown.
    pub unknown: Vec<String>,
}

impl Default for Subject {
    fn default() -> Self {
        Self {
            lock: known_locks::DEFAULT_LOCK.to_owned(),
            unit: WorkUnit::TaskLife,
            null_hold_known: true,
            unknown: Vec::new(),
        }
    }
}

impl Subject {
    /// What the forecast stands on, each a sentence; with calls that take locks of their own, or without.
    #[must_use]
    pub fn assumptions(&self, has_calls: bool) -> Vec<String> {
        let (lock, noun) = (&self.lock, self.unit.noun());
        let one = self.unit.one();
        let mut all = vec![
            format!(
                "Closed: there is one task a CPU, and each begins its next {noun} at once."
            ),
            format!(
                "{} visits each lock for its service demand, counted in guest instructions on one CPU; the rest \
                 of the {noun} runs beside the others and waits for nothing.",
                units::capital(one)
            ),
            "Each lock is served first come, first served, and its service times vary as an exponential \
             distribution does. Holds that are all alike wait less about the knee and gain less there: in a \
             simulation 7 % in place of 10 % at 24 CPUs."
                .to_owned(),
            "A hold is as long with many CPUs as with one: no slow-down by cache lines that move between CPUs, by \
             NUMA, or by readers of the lock."
                .to_owned(),
            "An instruction takes the same time inside and outside of holds, and with any number of CPUs."
                .to_owned(),
            "A CPU that waits for a lock takes nothing from the others: no shared hardware threads, no host."
                .to_owned(),
        ];
        if has_calls {
            all.push(format!(
                "Work inside a hold of {lock} belongs to {lock}. A lock that is taken there has only what \
                 is done outside of that hold, and a holder never waits for it: where one does, a kernel with such \
                 work inside has fewer {} than forecast.",
                self.unit.again()
            ));
            all.push(
                "A call counts as a hold of the lock that it guards from its beginning to its end, which is more than \
                 it holds the lock."
                    .to_owned(),
            );
        } else {
            all.push(format!(
                "All that came in a hold of {lock} is work that the lock waits for: other locks that are taken there, \
                 interrupts, and, where the holder may sleep, other tasks."
            ));
        }
        if self.unit == WorkUnit::Iteration {
            all.push(
                "What the kernel's own workers do for the load is a part of its iterations, and grows with them."
                    .to_owned(),
            );
        }
        all.push(
            "A lock whose demand is unknown is never waited for: where one of them is in use all the time first, the \
             forecast is too high."
                .to_owned(),
        );
        all
    }

    /// What an interval of a forecast is.
    #[must_use]
    pub fn intervals(&self) -> String {
        let taken_off = if self.null_hold_known {
            "all, a null hold's part and none of the profiler's cost taken off the holds of every kernel".to_owned()
        } else {
            format!(
                "all and none of what the profiler adds to {} taken off the holds of every kernel, for how much of that \
                 is in them is not known",
                self.unit.one()
            )
        };
        format!(
            "An interval spans the 95 % bootstrap intervals over boots with {taken_off}. It says nothing of how well \
             the model fits the machine."
        )
    }

    /// What the profiler would leave, in words.
    #[must_use]
    pub fn observer(&self) -> String {
        format!(
            "{} with the probes of holds attached over those without, by the model. Each hold is as long there as it was \
             reported, with the null hold in it, and the rest of what was added to {} lies outside of the holds.",
            units::capital(self.unit.several()),
            self.unit.one()
        )
    }
}
