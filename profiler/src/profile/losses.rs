//! What happened and is not in the numbers.

use std::collections::BTreeMap;

use lockprof_abi::Loss;

use crate::{
    recording::schema::{Arrangement, WindowKind},
    span::is_program_of_span,
    units,
};

/// Programs each missed run of which is a lost hold or wait of the target lock. Those of a lock that is followed by
/// task are none: they run with every lock of its kind, and the programs count the target's holds that they lost by that.
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

/// Whether each missed run of a program is a lost hold or wait of the target lock, as far as anybody knows.
fn is_of_target(program: &str) -> bool {
    TARGET_PROGRAMS.contains(&program)
}

/// So many times as much may be lost at random before a run is void: what is left is like what is lost.
pub(super) const AT_RANDOM: f64 = 10.0;

/// Losses in the measured time: all of them, judged by the kind of windows that lost most of the lock's events, for
/// what is shown is of one kind, and what another has seen makes up for nothing.
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
    /// How many of those no program has counted: holds of fork that the kernel's own count of tasks proves.
    pub uncounted: u64,
    /// The kind of windows that these are of, where it is not that of the numbers of holds and waits.
    pub judged_of: Option<WindowKind>,
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
        let missed = self
            .missed
            .iter()
            .filter(|(program, _)| is_of_target(program))
            .filter(|&(program, _)| !(booked_later && program == "lock_released"))
            .filter_map(|(_, &count)| count);
        self.target_losses = counted
            .map(|(_, &count)| count)
            .chain(missed)
            .fold(self.uncounted, u64::saturating_add);
        self.target_events = target_events;
        self.threshold = threshold;
        let at_random = self.counted.iter().filter(|(loss, _)| loss.is_at_random());
        let at_random: u64 = at_random.map(|(_, &count)| count).sum();
        self.void = self.share_of(self.target_losses.saturating_sub(at_random)) > threshold
            || self.share() > AT_RANDOM * threshold;
    }

    /// All losses together, told by those of `main`, or of the windows of spans where these lost more.
    pub(super) fn together<'a>(
        all: impl Iterator<Item = &'a Self>,
        main: &Self,
        spans: Option<&Self>,
    ) -> Self {
        let worse = spans.filter(|spans| (spans.void, spans.share()) > (main.void, main.share()));
        let mut sum = Self {
            counted: BTreeMap::new(),
            missed: BTreeMap::new(),
            judged_of: worse.map(|_| WindowKind::Spans),
            ..worse.unwrap_or(main).clone()
        };
        for losses in all {
            for (&loss, &count) in &losses.counted {
                let sum = sum.counted.entry(loss).or_default();
                *sum = sum.saturating_add(count);
            }
            sum.add(&BTreeMap::new(), losses.missed.clone());
        }
        sum
    }

    /// Of some kinds of losses, those that happened: how many, and which.
    pub(super) fn some(&self, kinds: &[Loss]) -> Lost {
        let counted = kinds
            .iter()
            .filter_map(|loss| Some((loss.name().to_owned(), *self.counted.get(loss)?)));
        Lost::default().and(counted)
    }

    /// Losses of the lock's events: which, and how often.
    pub(super) fn lost_of_target(&self) -> Lost {
        let kinds: Vec<Loss> = Loss::ALL
            .iter()
            .copied()
            .filter(|loss| loss.is_of_target())
            .collect();
        let refused = self.refused(is_of_target);
        self.some(&kinds).with(refused)
    }

    /// How many holds are known to be lost, at most: each of the target's losses may be one, and each run that was
    /// refused of any program that has to do with holds.
    pub(super) fn holds_known_to_be_lost(&self) -> u64 {
        let refused = self
            .refused(|program| !is_program_of_span(program) && !program.starts_with("contention_"));
        let lost = self.some(&[Loss::HoldOverwritten]).with(refused);
        let of_target = self.counted.iter().filter(|(loss, _)| loss.is_of_target());
        let of_target = of_target.map(|(_, &count)| count);
        of_target.fold(lost.count, u64::saturating_add)
    }

    /// Runs that the kernel refused of some programs: how many, and of which.
    pub(super) fn refused(&self, which: impl Fn(&str) -> bool) -> Lost {
        let missed = self.missed.iter().filter(|(program, _)| which(program));
        let missed = missed
            .filter_map(|(program, &count)| Some((format!("refused runs of {program}"), count?)));
        Lost::default().and(missed.filter(|&(_, count)| count > 0))
    }

    /// What is missing, as a part of a sentence.
    #[must_use]
    pub fn missing(&self) -> String {
        let share = units::percent(self.share());
        let (mut of, mut proof) = (String::new(), String::new());
        if self.judged_of == Some(WindowKind::Spans) {
            of = " in the windows of spans".to_owned();
        }
        if self.uncounted > 0 {
            proof = format!(
                ": by the kernel's own count of tasks at least {} were created whose forks were not seen",
                units::count(self.uncounted)
            );
        }
        format!("{share} of the lock's events{of} are missing{proof}")
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

    /// Whether the kernel does not tell how many runs it refused of a program each of which is a lost hold or
    /// wait of the target lock.
    #[must_use]
    pub fn unknown_of_target(&self) -> bool {
        self.unknown().any(is_of_target)
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

/// Some of the losses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// How many.
    pub(super) count: u64,
    names: Vec<String>,
}

impl Lost {
    /// And these.
    pub(super) fn and(mut self, more: impl IntoIterator<Item = (String, u64)>) -> Self {
        for (name, count) in more {
            self.count = self.count.saturating_add(count);
            self.names.push(format!("{name}: {}", units::count(count)));
        }
        self
    }

    /// Both.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.count = self.count.saturating_add(other.count);
        self.names.extend(other.names);
        self
    }

    /// Whether they are more than a share of them and of what was seen.
    pub(super) fn is_more_than(&self, share: f64, seen: u64) -> bool {
        let all = self.count.saturating_add(seen);
        all > 0 && self.count as f64 > share * all as f64
    }

    /// Where both of two say the same twice, the one that says more.
    pub(super) fn or(self, other: Self) -> Self {
        if other.count > self.count {
            other
        } else {
            self
        }
    }

    /// As a part of a sentence: `8 were lost (wait_unclaimed: 8)`, and what they are, one or many, where the sentence
    /// has not said it.
    pub(super) fn text(&self, what: Option<[&str; 2]>) -> String {
        let count = units::count(self.count);
        let were = if self.count == 1 { "was" } else { "were" };
        let what = what.map_or_else(String::new, |[one, many]| {
            format!(" {}", if self.count == 1 { one } else { many })
        });
        format!("{count}{what} {were} lost ({})", self.names.join(", "))
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
            // With other mutexes: of the target's the programs would count a loss, too.
            (
                ("stack_missing", 1),
                ("mutex_acquired_lock", Some(500)),
                false,
            ),
            (("stack_missing", 1), ("mutex_released", Some(11)), false),
            (("hold_switched", 11), ("mutex_released", Some(11)), true),
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
