//! Call stacks of a few waiters, and what they stand for.
//!
//! To walk a stack takes longer than most holds that are spun for, so only every so many of those waits of a
//! CPU are walked, and those are in no length; of those that are slept for one in a while, whose length is known.
//! But the caller of every wait is known: so a stack is not scaled by how many waits there are to a sample, but
//! stands for its share of what its caller has waited.

use std::collections::BTreeMap;

use super::{LockKind, PathWaits, symbol_of};
use crate::site::Site;

/// How many waits were looked at closely, and what that told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Spinning waits.
    pub spinning: u64,
    /// Those of them of which a sample was taken: they are in counts, and in no length.
    pub taken: u64,
    /// Sleeping waits whose caller is known without a walk.
    pub sleeping: u64,
    /// Those of them of which the call stack was walked as well.
    pub walked: u64,
    /// Samples whose caller was found in both ways: by some words of the stack, as of every wait, and by
    /// the walk.
    pub checked: u64,
    /// Those of them where the two differ.
    pub wrong: u64,
}

impl Samples {
    /// Adds what an interval says.
    pub(super) const fn add(&mut self, checked: u64, wrong: u64) {
        self.checked = self.checked.saturating_add(checked);
        self.wrong = self.wrong.saturating_add(wrong);
    }

    /// Counts waits.
    pub(super) fn count(&mut self, waits: &[PathWaits]) {
        for entry in waits {
            let count = entry.waits.count();
            if LockKind::of(entry.flags).spins() {
                self.spinning = self.spinning.saturating_add(count);
                self.taken = self.taken.saturating_add(entry.waits.sampled);
            } else if entry.caller.is_some() {
                let walked = if entry.stack.is_some() { count } else { 0 };
                self.sleeping = self.sleeping.saturating_add(count);
                self.walked = self.walked.saturating_add(walked);
            }
        }
    }

    /// The share of checked callers that were wrong; none where none was checked.
    #[must_use]
    pub fn wrong_share(&self) -> Option<f64> {
        (self.checked > 0).then(|| self.wrong as f64 / self.checked as f64)
    }
}

/// Waited time by the way on which a lock was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitPath<'a> {
    /// Of which waits.
    pub of: &'a PathWaits,
    /// Who waited, the innermost frame first; empty where it is not known.
    pub frames: &'a [String],
    /// The time.
    pub waited_ns: u64,
}

/// What is waited for by one caller: lock, flags, caller, hold.
type Caller<'a> = (u64, u32, &'a str, Option<Site>);

/// The waited time by call path. Where the stacks of a caller are samples, its time is theirs: by what was waited on
/// them where their lengths are known, else by their number. Without one it is the caller's alone.
#[must_use]
pub fn wait_paths<'a>(
    waits: &'a [PathWaits],
    stacks: &'a BTreeMap<i32, Vec<String>>,
) -> Vec<WaitPath<'a>> {
    let mut samples: BTreeMap<Caller<'_>, Vec<(&[String], u64)>> = BTreeMap::new();
    for entry in waits {
        let frames = entry.stack.and_then(|stack| stacks.get(&stack));
        let weight = if LockKind::of(entry.flags).spins() {
            entry.waits.sampled
        } else {
            entry.waits.total_ns
        };
        if let (Some(caller), Some(frames)) = (caller(entry), frames)
            && weight > 0
        {
            let of_caller = samples.entry(caller).or_default();
            of_caller.push((frames, weight));
        }
    }
    let mut paths = Vec::new();
    for entry in waits.iter().filter(|entry| entry.waits.total_ns > 0) {
        let path = |frames, waited_ns| WaitPath {
            of: entry,
            frames,
            waited_ns,
        };
        // Who has slept on a stack that was walked has waited on that one.
        let of_caller = caller(entry).filter(|_| entry.stack.is_none());
        match of_caller.and_then(|caller| samples.get(&caller)) {
            Some(samples) => {
                let weights: Vec<u64> = samples.iter().map(|&(_, weight)| weight).collect();
                let shares = shares(entry.waits.total_ns, &weights);
                paths.extend(
                    samples
                        .iter()
                        .zip(shares)
                        .map(|(&(frames, _), waited_ns)| path(frames, waited_ns)),
                );
            }
            None => paths.push(path(entry.frames(stacks), entry.waits.total_ns)),
        }
    }
    paths
}

/// Whose time is divided among samples.
fn caller(entry: &PathWaits) -> Option<Caller<'_>> {
    let caller = entry.caller.as_deref().map(symbol_of)?;
    Some((entry.address, entry.flags, caller, entry.in_hold_of))
}

/// A time in parts by weight, which add up to it.
fn shares(total_ns: u64, weights: &[u64]) -> Vec<u64> {
    let all: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    let mut before: u128 = 0;
    let up_to = |weight: u128| (u128::from(total_ns) * weight / all.max(1)) as u64;
    weights
        .iter()
        .map(|&weight| {
            let from = up_to(before);
            before += u128::from(weight);
            up_to(before) - from
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Durations, Scale};
    use lockprof_abi::{LCB_F_MUTEX, LCB_F_SPIN};

    fn waits(caller: Option<&str>, stack: Option<i32>, total_ns: u64, sampled: u64) -> PathWaits {
        let mut waits = Durations::new(Scale::Octaves);
        if total_ns > 0 {
            waits.histogram.record(total_ns);
        }
        waits.total_ns = total_ns;
        waits.sampled = sampled;
        PathWaits {
            address: 64,
            name: None,
            object: None,
            flags: LCB_F_SPIN,
            caller: caller.map(str::to_owned),
            stack,
            in_hold_of: None,
            is_others: false,
            waits,
        }
    }

    /// Each path's outermost frame, and its time.
    fn outermost<'a>(paths: &[WaitPath<'a>]) -> Vec<(Option<&'a str>, u64)> {
        let of = |path: &WaitPath<'a>| (path.frames.last().map(String::as_str), path.waited_ns);
        paths.iter().map(of).collect()
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        assert_eq!(shares(10, &[1, 1, 1]), [3, 3, 4]);
        assert_eq!(shares(u64::MAX, &[u64::MAX, 0]), [u64::MAX, 0]);
        assert_eq!(shares(5, &[]), Vec::<u64>::new());
    }

    #[test]
    fn samples_divide_the_time_of_their_caller_alone() {
        let frames = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let stacks: BTreeMap<i32, Vec<String>> = BTreeMap::from([
            (1, frames(&["_raw_spin_lock+0x1", "f+0x2", "a+0x3"])),
            (2, frames(&["_raw_spin_lock+0x1", "f+0x2", "b+0x3"])),
        ]);
        let all = [
            // Two places in one function.
            waits(Some("f+0x2"), None, 900, 0),
            waits(Some("f+0x8"), None, 100, 0),
            waits(Some("f+0x2"), Some(1), 0, 3),
            waits(Some("f+0x2"), Some(2), 0, 1),
            waits(Some("g+0x2"), None, 50, 0),
            waits(None, None, 7, 0),
        ];
        let expected = [
            (Some("a+0x3"), 675),
            (Some("b+0x3"), 225),
            (Some("a+0x3"), 75),
            (Some("b+0x3"), 25),
            (Some("g+0x2"), 50),
            (None, 7),
        ];
        assert_eq!(outermost(&wait_paths(&all, &stacks)), expected);
        let mut samples = Samples::default();
        samples.count(&all);
        assert_eq!((samples.spinning, samples.taken), (8, 4));
        assert_eq!(samples.wrong_share(), None);
        samples.add(4, 1);
        assert_eq!(samples.wrong_share(), Some(0.25));
    }

    #[test]
    fn who_slept_on_a_walked_stack_keeps_that_time() {
        let frames = |name: &str| vec!["mutex_lock+0x1".to_owned(), name.to_owned()];
        let stacks = BTreeMap::from([(1, frames("f+0x2")), (2, frames("f+0x3"))]);
        let asleep = |stack, total_ns| PathWaits {
            flags: LCB_F_MUTEX,
            ..waits(Some("f+0x2"), stack, total_ns, 0)
        };
        let all = [asleep(None, 100), asleep(Some(1), 30), asleep(Some(2), 10)];
        let expected = [
            (Some("f+0x2"), 75),
            (Some("f+0x3"), 25),
            (Some("f+0x2"), 30),
            (Some("f+0x3"), 10),
        ];
        assert_eq!(outermost(&wait_paths(&all, &stacks)), expected);
        let mut samples = Samples::default();
        samples.count(&all);
        assert_eq!((samples.sleeping, samples.walked), (3, 2));
        assert_eq!((samples.spinning, samples.taken), (0, 0));
    }
}
