//! Who waited, and for whom.

use std::collections::BTreeMap;

use super::{Class, Locks, class::process_name, commands::Commands, waits::Waits};
use crate::{
    recording::schema::{Owner, Task, WaiterInterval},
    units,
};

/// A task, a process or a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    /// The task's or process's number; 0 of a cgroup.
    pub id: u32,
    /// Its name with that number: `mmload 6712`; a cgroup's path.
    pub name: String,
}

impl Person {
    /// A task by its name and number.
    pub(super) fn task(task: &Task) -> Self {
        Self {
            id: task.pid,
            name: format!("{} {}", known(&task.comm), task.pid),
        }
    }
}

/// Who waited.
#[derive(Clone, Debug, PartialEq)]
pub struct WhoWaits {
    /// Who.
    pub who: Person,
    /// The process of a task.
    pub process: Option<Person>,
    /// The class that they waited the longest for, and how long.
    pub most: (Class, u64),
    /// Their waits.
    pub waits: Waits,
}

/// Who was waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitedFor {
    /// The class of the lock.
    pub class: Class,
    /// The process that had it.
    pub owner: Person,
    /// The tasks of it that did.
    pub tasks: usize,
    /// The waits.
    pub waits: Waits,
    /// The time of those of them by tasks of the same process.
    pub own_ns: u64,
    /// What the owner did when they began: on a CPU, ready, asleep.
    pub states: [u64; 3],
    /// Waits that found the lock read: the owner is one of its readers.
    pub reader_hints: u64,
}

/// Who waited for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The waiting process.
    pub waiter: Person,
    /// The process that had the lock; none where that was not to be seen.
    pub owner: Option<Person>,
    /// The waits.
    pub waits: Waits,
}

#[derive(Default)]
struct PersonSum {
    process: Option<Person>,
    name: String,
    classes: BTreeMap<Class, u64>,
    waits: Waits,
}

#[derive(Default)]
struct OwnerSum {
    name: String,
    tasks: BTreeMap<u32, ()>,
    waits: Waits,
    own_ns: u64,
    states: [u64; 3],
    reader_hints: u64,
}

/// What is added up.
#[derive(Default)]
pub(super) struct People {
    tasks: BTreeMap<u32, PersonSum>,
    processes: BTreeMap<u32, PersonSum>,
    commands: Commands,
    cgroups: BTreeMap<String, PersonSum>,
    owners: BTreeMap<(Class, u32), OwnerSum>,
    pairs: BTreeMap<(u32, Option<u32>), Waits>,
    names: BTreeMap<u32, String>,
    pub(super) without_place: Waits,
}

impl People {
    pub(super) fn add(&mut self, class: Class, waiter: WaiterInterval) {
        let mut waits = Waits::default();
        waits.add_waiter(&waiter);
        self.commands.add(&class, &waiter);
        let task = &waiter.waiter;
        let process = Person {
            id: task.tgid,
            name: process_name(task),
        };
        self.name(task);
        let sum = |sum: &mut PersonSum, name: String, process: Option<Person>| {
            sum.name = name;
            sum.process = process;
            let of_class = sum.classes.entry(class.clone()).or_default();
            *of_class = of_class.saturating_add(waits.waited_ns);
            sum.waits.add(&waits);
        };
        sum(
            self.tasks.entry(task.pid).or_default(),
            Person::task(task).name,
            Some(process.clone()),
        );
        sum(
            self.processes.entry(task.tgid).or_default(),
            process.name,
            None,
        );
        let cgroup = self.cgroups.entry(waiter.cgroup.clone()).or_default();
        sum(cgroup, waiter.cgroup.clone(), None);
        let owner = waiter.owner.as_ref();
        let pair = (task.tgid, owner.map(|owner| owner.task.tgid));
        self.pairs.entry(pair).or_default().add(&waits);
        if let Some(owner) = owner {
            self.name(&owner.task);
            self.add_owner(class, owner, &waits, owner.task.tgid == task.tgid);
        }
    }

    /// Keeps a process's name: the best that is known.
    fn name(&mut self, task: &Task) {
        let is_leader = task.pid == task.tgid || task.process.is_some();
        let name = process_name(task);
        if is_leader || !self.names.contains_key(&task.tgid) {
            self.names.insert(task.tgid, name);
        }
    }

    fn add_owner(&mut self, class: Class, owner: &Owner, waits: &Waits, is_own: bool) {
        let sum = self.owners.entry((class, owner.task.tgid)).or_default();
        sum.name = process_name(&owner.task);
        sum.tasks.insert(owner.task.pid, ());
        sum.waits.add(waits);
        if is_own {
            sum.own_ns = sum.own_ns.saturating_add(waits.waited_ns);
        }
        let states = [owner.on_cpu, owner.runnable, owner.asleep];
        for (sum, state) in sum.states.iter_mut().zip(states) {
            *sum = sum.saturating_add(state.into());
        }
        sum.reader_hints = sum.reader_hints.saturating_add(owner.reader_hints.into());
    }

    /// Everything in its order.
    pub(super) fn finish(self) -> Locks {
        let names = self.names;
        let person = |id: u32| Person {
            id,
            name: names.get(&id).cloned().unwrap_or_else(|| id.to_string()),
        };
        let mut owners: Vec<WaitedFor> = self
            .owners
            .into_iter()
            .map(|((class, id), sum)| WaitedFor {
                class,
                owner: Person {
                    id,
                    name: names.get(&id).cloned().unwrap_or(sum.name),
                },
                tasks: sum.tasks.len(),
                waits: sum.waits,
                own_ns: sum.own_ns,
                states: sum.states,
                reader_hints: sum.reader_hints,
            })
            .collect();
        owners.sort_by_key(|owner| std::cmp::Reverse(owner.waits.waited_ns));
        let mut pairs: Vec<Pair> = self
            .pairs
            .into_iter()
            .map(|((waiter, owner), waits)| Pair {
                waiter: person(waiter),
                owner: owner.map(person),
                waits,
            })
            .collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.waits.waited_ns));
        Locks {
            tasks: finish(self.tasks),
            processes: finish(self.processes),
            commands: self.commands.finish(),
            cgroups: finish(self.cgroups.into_values().map(|sum| (0, sum))),
            owners,
            pairs,
            without_place: self.without_place,
            ..Locks::default()
        }
    }
}

fn finish(sums: impl IntoIterator<Item = (u32, PersonSum)>) -> Vec<WhoWaits> {
    let mut all: Vec<WhoWaits> = sums
        .into_iter()
        .filter_map(|(id, sum)| {
            let most = sum.classes.into_iter().max_by_key(|(_, ns)| *ns)?;
            Some(WhoWaits {
                who: Person { id, name: sum.name },
                process: sum.process,
                most,
                waits: sum.waits,
            })
        })
        .collect();
    all.sort_by_key(|who| std::cmp::Reverse(who.waits.waited_ns));
    all
}

/// A name, or a dash where it is not known.
fn known(comm: &str) -> &str {
    if comm.is_empty() {
        units::UNKNOWN
    } else {
        comm
    }
}
