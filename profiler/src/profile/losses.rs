//! What happened and is not in the numbers.

use std::collections::BTreeMap;

use lockprof_abi::Loss;

use crate::recording::schema::Arrangement;

/// Programs each missed run of which is a lost hold or wait of the target lock.
const TARGET_PROGRAMS: &[&str] = &[
    "lock_requested",
    "lock_acquired",
    "lock_releasing",
    "lock_released",
    "kprobe_lock_requested",
    "kprobe_lock_entered",
    "kretprobe_lock_acquired",
    "kprobe_lock_releasing",
    // In recordings of lockprof 0.1.
    "kprobe_lock_released",
];

/// So many times as much may be lost at random before a run is void: what is left is like what is lost.
const AT_RANDOM: f64 = 10.0;

/// Losses in the measured time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// Those that the programs count, without those that never happened.
    pub counted: BTreeMap<Loss, u64>,
    /// Runs that the kernel refused, by program; none where it does not tell.
    pub missed: BTreeMap<String, Option<u64>>,
    /// Write holds and waits of the target lock that are in the numbers.
    pub target_events: u64,
    /// Those of the target lock that are not. One lost hold may be counted twice, at both its ends.
    pub target_losses: u64,
    /// The share of lost ones above which the run is void.
    pub threshold: f64,
    /// The share of lost ones is above the threshold.
    pub void: bool,
    /// Lines of the recording that could not be written, and why.
    pub not_written: Vec<String>,
}

impl Losses {
    /// Adds those of an interval.
    pub(super) fn add(
        &mut self,
        losses: &BTreeMap<String, u64>,
        missed: BTreeMap<String, Option<u64>>,
    ) {
        for (name, &count) in losses {
            if let Some(loss) = Loss::from_name(name).filter(|_| count > 0) {
                let sum = self.counted.entry(loss).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        for (program, count) in missed {
            let sum = self.missed.entry(program).or_insert(Some(0));
            // What is unknown once is unknown in the sum.
            *sum = sum.zip(count).map(|(sum, count)| sum.saturating_add(count));
        }
    }

    /// Decides whether the run is void.
    ///
    /// A missed run of `lock_released` loses a hold only where no other program has read the clock at its
    /// end: else the next task that asks for the lock on that CPU books it.
    pub(super) fn judge(
        &mut self,
        target_events: u64,
        threshold: f64,
        arrangement: Option<Arrangement>,
    ) {
        let booked_later = matches!(arrangement, Some(Arrangement::Robust | Arrangement::Inside));
        let counted = self.counted.iter().filter(|(loss, _)| loss.is_of_target());
        let missed = TARGET_PROGRAMS
            .iter()
            .filter(|&&program| !(booked_later && program == "lock_released"))
            .filter_map(|&program| *self.missed.get(program)?);
        self.target_losses = counted
            .map(|(_, &count)| count)
            .chain(missed)
            .fold(0, u64::saturating_add);
        self.target_events = target_events;
        self.threshold = threshold;
        let at_random = self.counted.iter().filter(|(loss, _)| loss.is_at_random());
        let at_random: u64 = at_random.map(|(_, &count)| count).sum();
        self.void = self.share_of(self.target_losses.saturating_sub(at_random)) > threshold
            || self.share() > AT_RANDOM * threshold;
    }

    /// Lost events of the target lock as a share of all that happened.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share_of(self.target_losses)
    }

    fn share_of(&self, losses: u64) -> f64 {
        let all = self.target_events.saturating_add(self.target_losses);
        if all == 0 {
            0.0
        } else {
            losses as f64 / all as f64
        }
    }

    /// How many kinds of losses are counted, whether they happened or not.
    #[must_use]
    pub fn kinds_counted(&self) -> usize {
        Loss::COUNT + self.missed.values().flatten().count()
    }

    /// Programs of which the kernel does not tell how many runs it refused.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.missed
            .iter()
            .filter(|(_, count)| count.is_none())
            .map(|(program, _)| program.as_str())
    }

    /// Every loss that happened: its name and how often.
    pub fn happened(&self) -> impl Iterator<Item = (String, u64)> {
        let counted = self
            .counted
            .iter()
            .map(|(loss, &count)| (loss.name().to_owned(), count));
        let missed = self.missed.iter().filter_map(|(program, count)| {
            count
                .filter(|&count| count > 0)
                .map(|count| (format!("missed:{program}"), count))
        });
        counted.chain(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(counted: &[(&str, u64)], missed: &[(&str, Option<u64>)]) -> Losses {
        let mut losses = Losses::default();
        losses.add(
            &counted
                .iter()
                .map(|&(name, count)| (name.to_owned(), count))
                .collect(),
            missed
                .iter()
                .map(|&(name, count)| (name.to_owned(), count))
                .collect(),
        );
        losses
    }

    #[test]
    fn only_losses_of_the_target_make_a_run_void() {
        for (counted, missed, void) in [
            (("hold_without_start", 11), ("lock_acquired", Some(0)), true),
            (
                ("hold_without_start", 10),
                ("lock_acquired", Some(0)),
                false,
            ),
            (("hold_without_start", 5), ("lock_acquired", Some(6)), true),
            (("span_unmatched", 500), ("span_entered", Some(500)), false),
            (
                ("stack_missing", 1),
                ("kprobe_lock_released", Some(500)),
                true,
            ),
            (("stack_missing", 1), ("kprobe_lock_released", None), false),
            (("hold_interrupted", 90), ("lock_acquired", None), false),
            (("hold_interrupted", 90), ("lock_acquired", Some(11)), true),
            (("hold_interrupted", 110), ("lock_acquired", None), true),
        ] {
            let mut losses = losses(&[counted], &[missed]);
            losses.judge(10_000, 0.001, None);
            assert_eq!(losses.void, void, "{counted:?} {missed:?}");
        }
    }

    #[test]
    fn a_hold_that_is_booked_later_is_not_lost() {
        for (arrangement, lost) in [
            (Arrangement::Exit, 3),
            (Arrangement::Robust, 0),
            (Arrangement::Inside, 0),
        ] {
            let mut losses = losses(&[], &[("lock_released", Some(3))]);
            losses.judge(10_000, 0.001, Some(arrangement));
            assert_eq!(losses.target_losses, lost, "{arrangement:?}");
        }
    }

    #[test]
    fn losses_without_events_make_a_run_void() {
        let mut losses = losses(&[("entry_lost", 1)], &[]);
        losses.judge(0, 0.001, None);
        assert!(losses.void);
        let mut none = Losses::default();
        none.judge(0, 0.001, None);
        assert!(!none.void);
    }

    #[test]
    fn what_was_unknown_once_stays_unknown() {
        let mut losses = losses(&[], &[("lock_acquired", None), ("lock_released", Some(1))]);
        let more = [("lock_acquired", Some(2)), ("lock_released", Some(2))];
        losses.add(
            &BTreeMap::new(),
            more.iter()
                .map(|&(name, count)| (name.to_owned(), count))
                .collect(),
        );
        assert_eq!(losses.missed["lock_acquired"], None);
        assert_eq!(losses.missed["lock_released"], Some(3));
        assert_eq!(losses.unknown().collect::<Vec<_>>(), ["lock_acquired"]);
        assert_eq!(
            losses.happened().collect::<Vec<_>>(),
            [("missed:lock_released".to_owned(), 3)]
        );
    }
}
