//! The longest waits of a run. Of each row the programs keep its longest wait, and not when that was: so it is known
//! in which interval it ended, and no nearer.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    Class, LockKind, Locks, Person,
    class::process_name,
    over_time::{LockKey, key_of_interval},
};
use crate::{
    profile::{caller_of, symbol_of},
    recording::schema::{Interval, WaiterInterval},
};

/// How many are kept.
const MOST: usize = 32;

/// A wait that was longer than any before it of its lock, caller and call stack.
#[derive(Clone, Debug, PartialEq)]
pub struct LongWait {
    /// Its length.
    pub ns: u64,
    /// The interval in which it ended, in seconds since the probes were attached: its begin, and its end.
    pub ended_in_s: (f64, f64),
    /// The lock's class.
    pub class: Class,
    /// How it was asked for.
    pub kind: LockKind,
    /// The function that asked, where it is known.
    pub caller: Option<String>,
    /// Who waited, and whose process it is; none where no row by task has a wait of this length.
    pub waiter: Option<(Person, Person)>,
    /// The task that had the lock when the wait began, where that was to be seen.
    pub owner: Option<Person>,
    /// Some waits of this task behind this one found the lock read, perhaps this one: then it is one of the readers.
    pub owner_is_hint: bool,
}

/// One that may be among the longest.
#[derive(Debug)]
struct Candidate {
    ns: u64,
    ended_in_s: (f64, f64),
    lock: LockKey,
    flags: u32,
    caller: Option<String>,
    stack: Option<i32>,
    waiter: Option<WaiterInterval>,
}

/// Looks for them over the intervals of a run.
#[derive(Debug, Default)]
pub struct LongWaits(Vec<Candidate>);

impl LongWaits {
    /// Adds an interval; `is_new` says of each of its contended locks that the longest wait is of this interval.
    pub(in super::super) fn add(&mut self, interval: &Interval, is_new: &[bool]) {
        let new = interval.contention.iter().zip(is_new);
        let new = new.filter(|(wait, is_new)| **is_new && !wait.octaves.is_empty());
        for (wait, _) in new {
            let least = self.0.last().filter(|_| self.0.len() >= MOST);
            if least.is_some_and(|least| least.ns >= wait.longest_ns) {
                continue;
            }
            let Some(lock) = key_of_interval(wait) else {
                continue;
            };
            // Both tables have its length, to the nanosecond. Where two rows have it, it is not known whose it was.
            let mut waiters = interval.waiters.iter().filter(|waiter| {
                let is_same = match &waiter.class {
                    Some(_) => waiter.class == wait.name,
                    None => waiter.lock == wait.lock,
                };
                let is_its = waiter.longest_ns == wait.longest_ns && waiter.flags == wait.flags;
                is_same && is_its && !waiter.others
            });
            let waiter = waiters.next().filter(|_| waiters.next().is_none());
            let candidate = Candidate {
                ns: wait.longest_ns,
                ended_in_s: ((interval.at_s - interval.seconds).max(0.0), interval.at_s),
                lock,
                flags: wait.flags,
                caller: wait.caller.clone(),
                stack: wait.stack,
                waiter: waiter.cloned(),
            };
            let place = self.0.partition_point(|other| other.ns >= candidate.ns);
            self.0.insert(place, candidate);
            self.0.truncate(MOST);
        }
    }
}

impl Locks {
    /// With the longest waits of the run.
    pub(in super::super) fn with_long_waits(
        mut self,
        waits: LongWaits,
        stacks: &BTreeMap<i32, Vec<String>>,
    ) -> Self {
        let finished = waits.0.into_iter().filter_map(|wait| {
            let class = self.classes.get(*self.by_lock.get(&wait.lock)?)?;
            let frames = wait.stack.and_then(|stack| stacks.get(&stack));
            let caller = match &wait.caller {
                Some(caller) => Some(symbol_of(caller)),
                None => frames.and_then(|frames| caller_of(frames)),
            };
            let owner = wait.waiter.as_ref().and_then(|row| row.owner.as_ref());
            Some(LongWait {
                ns: wait.ns,
                ended_in_s: wait.ended_in_s,
                class: class.class.clone(),
                kind: LockKind::of(wait.flags),
                caller: caller.map(str::to_owned),
                owner_is_hint: owner.is_some_and(|owner| owner.reader_hints > 0),
                owner: owner.map(|owner| Person::task(&owner.task)),
                waiter: wait.waiter.as_ref().map(|row| {
                    let process = Person {
                        id: row.waiter.tgid,
                        name: process_name(&row.waiter),
                    };
                    (Person::task(&row.waiter), process)
                }),
            })
        });
        let mut longest: Vec<LongWait> = finished.collect();
        longest.sort_by_key(|wait| Reverse(wait.ns));
        self.longest = longest;
        self
    }
}
