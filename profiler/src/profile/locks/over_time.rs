//! Waited time by class over a run.

use std::collections::{BTreeMap, HashMap};

use super::{Class, LockKind, Locks, PathWaits};
use crate::{
    recording::{
        parse_address,
        schema::{ContentionInterval, Interval, LockFamily},
    },
    site::Site,
};

/// Stretches of time at most: when there are more, each two neighbours become one.
const MOST_STRETCHES: usize = 120;
/// Locks that a stretch tells apart at most: what was waited for the least is taken together, so that a long
/// run of a machine with many locks needs little memory.
const MOST_LOCKS: usize = 512;

/// A part of the measured time: one interval or several.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Its begin, in seconds since the probes were attached.
    pub from_s: f64,
    /// Its end, in seconds since the probes were attached.
    pub to_s: f64,
    /// For how long waits were measured in it: less than its length where windows without probes are in it.
    pub seconds: f64,
    /// Nanoseconds waited for the locks of each of [`Locks::classes`], in their order. A wait is in the stretch
    /// in which it ended.
    pub by_class: Vec<u64>,
    /// Nanoseconds waited for locks that were too many to be told apart.
    pub rest_ns: u64,
}

impl Stretch {
    /// The tasks that waited at a time on average, of whom so many nanoseconds are.
    #[must_use]
    pub fn tasks(&self, ns: u64) -> f64 {
        if self.seconds > 0.0 {
            ns as f64 / (self.seconds * 1e9)
        } else {
            0.0
        }
    }
}

/// What decides of which class a lock is: its address, its kind, and whether it is none, but all that a table
/// had no place for.
pub(super) type LockKey = (u64, Option<LockFamily>, bool);

/// That of waits.
pub(super) fn key_of(wait: &PathWaits) -> LockKey {
    (
        wait.address,
        LockKind::of(wait.flags).family(),
        wait.is_others,
    )
}

/// None where the address is none, and for waits inside a hold, which are of no class.
pub(super) fn key_of_interval(wait: &ContentionInterval) -> Option<LockKey> {
    let in_hold_of = wait.in_hold_of.as_deref().map(Site::named);
    if in_hold_of.is_some() {
        return None;
    }
    let address = parse_address(&wait.lock)?;
    Some((address, LockKind::of(wait.flags).family(), wait.others))
}

#[derive(Debug)]
struct StretchSum {
    from_s: f64,
    to_s: f64,
    seconds: f64,
    intervals: usize,
    locks: HashMap<LockKey, u64>,
    rest_ns: u64,
}

impl StretchSum {
    fn of(interval: &Interval) -> Self {
        let mut sum = Self {
            from_s: (interval.at_s - interval.seconds).max(0.0),
            to_s: interval.at_s,
            seconds: interval.seconds,
            intervals: 1,
            locks: HashMap::new(),
            rest_ns: 0,
        };
        for wait in &interval.contention {
            if let Some(key) = key_of_interval(wait)
                && wait.waited_ns > 0
            {
                sum.add_lock(key, wait.waited_ns);
            }
        }
        sum.shorten();
        sum
    }

    fn add_lock(&mut self, key: LockKey, ns: u64) {
        let sum = self.locks.entry(key).or_default();
        *sum = sum.saturating_add(ns);
    }

    fn add(&mut self, next: Self) {
        self.from_s = self.from_s.min(next.from_s);
        self.to_s = self.to_s.max(next.to_s);
        self.seconds += next.seconds;
        self.intervals += next.intervals;
        self.rest_ns = self.rest_ns.saturating_add(next.rest_ns);
        for (key, ns) in next.locks {
            self.add_lock(key, ns);
        }
        self.shorten();
    }

    fn shorten(&mut self) {
        if self.locks.len() <= MOST_LOCKS {
            return;
        }
        let mut locks: Vec<(LockKey, u64)> = self.locks.drain().collect();
        // The key makes the choice the same each time.
        locks.sort_by(|(key, ns), (other_key, other_ns)| {
            other_ns.cmp(ns).then_with(|| key.cmp(other_key))
        });
        for (_, ns) in locks.drain(MOST_LOCKS..) {
            self.rest_ns = self.rest_ns.saturating_add(ns);
        }
        self.locks.extend(locks);
    }

    fn finish(self, by_lock: &BTreeMap<LockKey, usize>, classes: usize) -> Stretch {
        let mut by_class = vec![0_u64; classes];
        for (key, ns) in self.locks {
            let class = by_lock.get(&key).and_then(|&class| by_class.get_mut(class));
            if let Some(sum) = class {
                *sum = sum.saturating_add(ns);
            }
        }
        Stretch {
            from_s: self.from_s,
            to_s: self.to_s,
            seconds: self.seconds,
            by_class,
            rest_ns: self.rest_ns,
        }
    }
}

/// Adds up waited time by lock over the intervals of a run.
#[derive(Debug)]
pub struct OverTime {
    stretches: Vec<StretchSum>,
    /// Intervals in a stretch.
    together: usize,
}

impl Default for OverTime {
    fn default() -> Self {
        Self {
            stretches: Vec::new(),
            together: 1,
        }
    }
}

impl OverTime {
    /// Adds an interval.
    pub(in super::super) fn add(&mut self, interval: &Interval) {
        let next = StretchSum::of(interval);
        match self.stretches.last_mut() {
            Some(last) if last.intervals < self.together => last.add(next),
            _ => self.stretches.push(next),
        }
        if self.stretches.len() > MOST_STRETCHES {
            self.halve();
        }
    }

    fn halve(&mut self) {
        self.together *= 2;
        let mut all = std::mem::take(&mut self.stretches).into_iter();
        while let Some(mut stretch) = all.next() {
            if let Some(next) = all.next() {
                stretch.add(next);
            }
            self.stretches.push(stretch);
        }
    }
}

impl Locks {
    /// With the waited time over the run.
    pub(in super::super) fn with_over_time(mut self, over_time: OverTime) -> Self {
        let (by_lock, classes) = (&self.by_lock, self.classes.len());
        let stretches = over_time.stretches.into_iter();
        self.over_time = stretches
            .map(|stretch| stretch.finish(by_lock, classes))
            .collect();
        self
    }

    /// The class of the lock of these waits.
    #[must_use]
    pub fn class_of(&self, wait: &PathWaits) -> Option<&Class> {
        let class = self.classes.get(*self.by_lock.get(&key_of(wait))?)?;
        Some(&class.class)
    }

    /// Of which of [`Self::classes`] each lock is, given the class of each.
    pub(super) fn with_locks(mut self, classes: BTreeMap<LockKey, Class>) -> Self {
        let places: HashMap<&Class, usize> = self
            .classes
            .iter()
            .enumerate()
            .map(|(place, class)| (&class.class, place))
            .collect();
        self.by_lock = classes
            .into_iter()
            .filter_map(|(key, class)| Some((key, *places.get(&class)?)))
            .collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(end: u32, waits: &[(u64, u64)]) -> StretchSum {
        StretchSum {
            from_s: f64::from(end) - 1.0,
            to_s: end.into(),
            seconds: 1.0,
            intervals: 1,
            locks: waits
                .iter()
                .map(|&(lock, ns)| ((lock, None, false), ns))
                .collect(),
            rest_ns: 0,
        }
    }

    #[test]
    fn stretches_are_few_and_lose_nothing() {
        let mut over_time = OverTime::default();
        for end in 1..=1000 {
            let next = interval(end, &[(1, 10), (u64::from(end % 7) + 2, 1)]);
            match over_time.stretches.last_mut() {
                Some(last) if last.intervals < over_time.together => last.add(next),
                _ => over_time.stretches.push(next),
            }
            if over_time.stretches.len() > MOST_STRETCHES {
                over_time.halve();
            }
            assert!(over_time.stretches.len() <= MOST_STRETCHES);
        }
        let stretches = &over_time.stretches;
        assert!(stretches.len() > MOST_STRETCHES / 2, "{}", stretches.len());
        let ends = stretches.windows(2);
        assert!(
            ends.clone()
                .all(|pair| (pair[0].to_s - pair[1].from_s).abs() < 1e-9)
        );
        let waited: u64 = stretches.iter().flat_map(|sum| sum.locks.values()).sum();
        assert_eq!(waited, 11_000);
        let seconds: f64 = stretches.iter().map(|sum| sum.seconds).sum();
        assert!((seconds - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn the_least_waited_for_is_taken_together() {
        let waits: Vec<(u64, u64)> = (1..=MOST_LOCKS as u64 + 3)
            .map(|lock| (lock, lock))
            .collect();
        let mut sum = interval(1, &waits);
        sum.shorten();
        assert_eq!(sum.locks.len(), MOST_LOCKS);
        assert_eq!(sum.rest_ns, 1 + 2 + 3);
    }
}
