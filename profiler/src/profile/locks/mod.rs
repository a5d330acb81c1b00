//! All contended locks of the machine, by class, by who waited, and by who had them.

mod class;
mod commands;
mod doing;
mod longest;
mod over_time;
mod people;
mod sum;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

pub use class::{Class, NamedBy};
pub use commands::{Behind, CommandWaits};
pub use doing::Doing;
pub use longest::{LongWait, LongWaits};
pub use over_time::{OverTime, Stretch};
pub use people::{Pair, Person, WaitedFor, WhoWaits};
pub use waits::Waits;

use lockprof_abi::LockClass;

use class::Naming;
use over_time::{LockKey, key_of};
use people::People;
pub(super) use sum::{SampleSum, WaiterSum};

use super::{Durations, LockKind, PathWaits, contention::LockRange};
use crate::recording::schema::{Header, OwnerSample, WaiterInterval};

/// What `lockprof locks` has seen. Each list has the most waited time first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Locks {
    /// By class.
    pub classes: Vec<ClassWaits>,
    /// By class and who asked.
    pub callers: Vec<CallerWaits>,
    /// By waiting task.
    pub tasks: Vec<WhoWaits>,
    /// By waiting process.
    pub processes: Vec<WhoWaits>,
    /// By the waiting process's name.
    pub commands: Vec<CommandWaits>,
    /// By the waiting task's cgroup.
    pub cgroups: Vec<WhoWaits>,
    /// By class and the process that had the lock.
    pub owners: Vec<WaitedFor>,
    /// By waiting process and the process that had the lock.
    pub pairs: Vec<Pair>,
    /// Classes of locks that are members of a task's structures, by address.
    pub members: BTreeMap<u64, LockClass>,
    /// What owners were seen to do while others waited, what was seen most often first.
    pub doing: Vec<Doing>,
    /// Waits that the tables of who waits for whom had no place for.
    pub without_place: Waits,
    /// Waited time by class over the measured time, in its order.
    pub over_time: Vec<Stretch>,
    /// The longest waits, the longest first.
    pub longest: Vec<LongWait>,
    /// The place of each lock's class in [`Self::classes`].
    by_lock: BTreeMap<LockKey, usize>,
}

/// The waits for the locks of a class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassWaits {
    /// The class.
    pub class: Class,
    /// Its locks that were waited for, by what tells them apart: an address, a symbol, a process. The most waited
    /// time first.
    pub members: Vec<Member>,
    /// The waits.
    pub waits: Durations,
}

/// A lock of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What tells it apart in its class.
    pub name: String,
    /// Its waits.
    pub waits: Waits,
}

/// The waits for the locks of a class by one caller.
#[derive(Clone, Debug, PartialEq)]
pub struct CallerWaits {
    /// The class.
    pub class: Class,
    /// How it was asked for.
    pub kind: LockKind,
    /// The function, where it is known.
    pub caller: Option<String>,
    /// The waits.
    pub waits: Durations,
}

impl Locks {
    /// Groups the waits of a run.
    pub(super) fn of(
        header: &Header,
        waits: &[PathWaits],
        stacks: &BTreeMap<i32, Vec<String>>,
        target: Option<LockRange>,
        waiters: Vec<WaiterInterval>,
        samples: Vec<OwnerSample>,
    ) -> Self {
        let waits: Vec<&PathWaits> = waits
            .iter()
            .filter(|wait| wait.in_hold_of.is_none())
            .collect();
        let naming = Naming::new(header, &waits, stacks, target, &waiters);
        let mut classes: BTreeMap<Class, (Durations, BTreeMap<String, Waits>)> = BTreeMap::new();
        let mut callers: BTreeMap<(Class, LockKind, Option<String>), Durations> = BTreeMap::new();
        let mut by_lock = BTreeMap::new();
        for wait in &waits {
            let class = naming.of_waits(wait);
            by_lock.insert(key_of(wait), class.clone());
            let caller = wait.caller(stacks).map(str::to_owned);
            let kind = LockKind::of(wait.flags);
            merge(&mut callers, (class.clone(), kind, caller), &wait.waits);
            let (sum, members) = classes
                .entry(class)
                .or_insert_with(|| (empty_like(&wait.waits), BTreeMap::new()));
            sum.merge(&wait.waits);
            // Of a class that the programs sum up, the members are in the other table.
            if !wait.is_others && !naming.is_summed_up(wait) {
                let name = naming.member(wait.address, wait.name.as_deref());
                members.entry(name).or_default().add_durations(&wait.waits);
            }
        }
        let members = naming.members();
        let doing = doing::of(samples, &naming);
        let mut people = People::default();
        for waiter in waiters {
            if waiter.others {
                people.without_place.add_waiter(&waiter);
                continue;
            }
            let class = naming.of_waiter(&waiter);
            if waiter.class.is_some() {
                let name = naming.process(&waiter.lock);
                let members = classes.get_mut(&class).map(|(_, members)| members);
                if let Some(members) = members {
                    members.entry(name).or_default().add_waiter(&waiter);
                }
            }
            people.add(class, waiter);
        }
        let mut all: Vec<ClassWaits> = classes
            .into_iter()
            .map(|(class, (waits, members))| {
                let members = members.into_iter();
                let mut members: Vec<Member> = members
                    .map(|(name, waits)| Member { name, waits })
                    .collect();
                members.sort_by_key(|member| std::cmp::Reverse(member.waits.waited_ns));
                ClassWaits {
                    class,
                    members,
                    waits,
                }
            })
            .collect();
        all.sort_by_key(|class| std::cmp::Reverse(class.waits.total_ns));
        let mut callers: Vec<CallerWaits> = callers
            .into_iter()
            .map(|((class, kind, caller), waits)| CallerWaits {
                class,
                kind,
                caller,
                waits,
            })
            .collect();
        callers.sort_by_key(|caller| std::cmp::Reverse(caller.waits.total_ns));
        Self {
            classes: all,
            callers,
            members,
            doing,
            ..people.finish()
        }
        .with_locks(by_lock)
    }

    /// The time of all waits.
    #[must_use]
    pub fn waited_ns(&self) -> u64 {
        let classes = self.classes.iter();
        classes.fold(0, |sum, class| sum.saturating_add(class.waits.total_ns))
    }

    /// All waits.
    #[must_use]
    pub fn count(&self) -> u64 {
        let classes = self.classes.iter();
        classes.fold(0, |sum, class| sum.saturating_add(class.waits.count()))
    }

    /// The waits of a class of which it was seen who had the lock, and how many of these processes there were.
    #[must_use]
    pub fn owned(&self, class: &Class) -> (Waits, usize) {
        let of_class = self.owners.iter().filter(|owner| owner.class == *class);
        let mut waits = Waits::default();
        let mut processes = BTreeSet::new();
        for owner in of_class {
            waits.add(&owner.waits);
            processes.insert(owner.owner.id);
        }
        (waits, processes.len())
    }
}

fn merge<K: Ord>(sums: &mut BTreeMap<K, Durations>, key: K, waits: &Durations) {
    sums.entry(key)
        .and_modify(|sum| sum.merge(waits))
        .or_insert_with(|| waits.clone());
}

fn empty_like(waits: &Durations) -> Durations {
    Durations::new(waits.histogram.scale())
}
