//! What a lock is called, and by which rule.

use std::collections::{BTreeMap, HashMap};

use lockprof_abi::LockClass;

use super::super::{LockKind, PathWaits, contention::LockRange};
use crate::{
    recording::{
        parse_address,
        schema::{AddressSource, Header, LockFamily, Task, WaiterInterval},
    },
    units,
};

/// A class of locks: all that are the same member of structures of one type, or as near to that as can be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    /// What it is called.
    pub name: String,
    /// Its kind, as in [`LockFamily`]; none where the flags do not tell.
    pub family: Option<LockFamily>,
    /// Why it is called that.
    pub named_by: NamedBy,
}

impl Class {
    /// Its name with its kind, unless the name has that already.
    #[must_use]
    pub fn titled(&self) -> String {
        match self.named_by {
            NamedBy::Caller | NamedBy::Kind => self.name.clone(),
            _ => format!("{} ({})", self.name, self.kind()),
        }
    }

    /// Its kind in words.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.family.map_or("sleeping", LockFamily::name)
    }
}

/// The rule that has named a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamedBy {
    /// The kernel has a symbol for the lock, or for what it is in, or of what leads there: memory nodes.
    Symbol,
    /// It is a member of a structure that the waiting task points to, or of the same of another task, by that task's own
    /// waits or by its slab cache.
    Member,
    /// It is in an object of one of the kernel's slab caches.
    Slab,
    /// It is tasklist_lock, by who waited for it.
    Learned,
    /// Nothing but its kind and who asks for it is known.
    Caller,
    /// Not even who asks for it.
    Kind,
    /// It is none, but all that the tables had no place for.
    Others,
}

impl NamedBy {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Symbol => "symbol",
            Self::Member => "task",
            Self::Slab => "slab",
            Self::Learned => "learned",
            Self::Caller => "caller",
            Self::Kind => "kind",
            Self::Others => "others",
        }
    }

    /// What it means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Symbol => {
                "a symbol of the kernel is at its address or shortly before it, or leads to what it is in"
            }
            Self::Member => {
                "it is a member of a structure of the task that waits, or of another one's"
            }
            Self::Slab => {
                "it is in an object of a slab cache: by the object's type, or the cache and the offset in it"
            }
            Self::Learned => "by who waited for it",
            Self::Caller => "what it is is not known: its kind, and who asks for it most",
            Self::Kind => "neither what it is nor who asks for it is known",
            Self::Others => "all that a table had no place for",
        }
    }
}

/// What is known of each lock.
pub(super) struct Naming<'a> {
    target: Option<(LockRange, &'a str, NamedBy)>,
    /// Locks that some task knew as a member of its own structures, by address; and the task.
    members: HashMap<u64, (LockClass, Task)>,
    /// Who asked the most for a lock, by address.
    callers: HashMap<u64, String>,
    /// Names of locks that have one, by address.
    names: HashMap<u64, String>,
    /// What locks are in by the kernel's slab caches, by address.
    objects: HashMap<u64, String>,
}

impl<'a> Naming<'a> {
    pub(super) fn new(
        header: &'a Header,
        waits: &[&PathWaits],
        stacks: &BTreeMap<i32, Vec<String>>,
        target: Option<LockRange>,
        waiters: &[WaiterInterval],
    ) -> Self {
        let mut by_caller: HashMap<u64, BTreeMap<&str, (u64, u64)>> = HashMap::new();
        let mut names = HashMap::new();
        let mut objects = HashMap::new();
        for wait in waits.iter().filter(|wait| !wait.is_others) {
            if let Some(caller) = wait.caller(stacks) {
                let callers = by_caller.entry(wait.address).or_default();
                let (time, count) = callers.entry(caller).or_default();
                *time = time.saturating_add(wait.waits.total_ns);
                *count = count.saturating_add(wait.waits.count());
            }
            if let Some(name) = &wait.name {
                names.insert(wait.address, name.clone());
            }
            if let Some(object) = &wait.object {
                objects.insert(wait.address, object.clone());
            }
        }
        let callers = by_caller.into_iter().filter_map(|(address, callers)| {
            let (caller, _) = callers.into_iter().max_by_key(|(_, most)| *most)?;
            Some((address, caller.to_owned()))
        });
        let mut members = HashMap::new();
        for waiter in waiters {
            let class = waiter.class.as_deref().and_then(LockClass::from_name);
            if let (Some(class), Some(address)) = (class, parse_address(&waiter.lock)) {
                members.insert(address, (class, waiter.waiter.clone()));
            }
        }
        let learned = match header.lock.address_source {
            AddressSource::Kallsyms => NamedBy::Symbol,
            _ => NamedBy::Learned,
        };
        Self {
            target: target.map(|range| (range, header.lock.name.as_str(), learned)),
            members,
            callers: callers.collect(),
            names,
            objects,
        }
    }

    /// The class of the lock of these waits.
    pub(super) fn of_waits(&self, wait: &PathWaits) -> Class {
        let family = LockKind::of(wait.flags).family();
        if wait.is_others {
            return Class {
                name: "others".to_owned(),
                family,
                named_by: NamedBy::Others,
            };
        }
        if let Some(class) = LockClass::from_key(wait.address) {
            return member_class(class, family);
        }
        self.of_address(wait.address, family)
    }

    /// The class of the lock that a task waited for.
    pub(super) fn of_waiter(&self, waiter: &WaiterInterval) -> Class {
        let family = LockKind::of(waiter.flags).family();
        if let Some(class) = waiter.class.as_deref().and_then(LockClass::from_name) {
            return member_class(class, family);
        }
        self.of_flags(&waiter.lock, waiter.flags)
    }

    /// The class of a lock of which only the address and the flags of who waited for it are known.
    pub(super) fn of_flags(&self, lock: &str, flags: u32) -> Class {
        self.of_address(
            parse_address(lock).unwrap_or(0),
            LockKind::of(flags).family(),
        )
    }

    fn of_address(&self, address: u64, family: Option<LockFamily>) -> Class {
        if let Some((range, name, named_by)) = self.target
            && range.contains(address)
        {
            return Class {
                name: name.to_owned(),
                family,
                named_by,
            };
        }
        if let Some(name) = self.names.get(&address) {
            return Class {
                name: variable(name).to_owned(),
                family,
                named_by: NamedBy::Symbol,
            };
        }
        // Of another task's structure: that task has waited for it too.
        if let Some((class, _)) = self.members.get(&address) {
            return member_class(*class, family);
        }
        if let Some(object) = self.objects.get(&address) {
            // What other tasks know as a member of their own structures.
            let class = LockClass::ALL
                .into_iter()
                .find(|class| class.member() == object);
            return class.map_or_else(
                || Class {
                    name: object.clone(),
                    family,
                    named_by: NamedBy::Slab,
                },
                |class| member_class(class, family),
            );
        }
        let kind = family.map_or("lock", LockFamily::name);
        match self.callers.get(&address) {
            Some(caller) => Class {
                name: format!("{kind} of {caller}"),
                family,
                named_by: NamedBy::Caller,
            },
            None => Class {
                name: format!("{kind} of an unknown caller"),
                family,
                named_by: NamedBy::Kind,
            },
        }
    }

    /// The locks that a task knew as members of its own structures, by address.
    pub(super) fn members(&self) -> BTreeMap<u64, LockClass> {
        let members = self.members.iter();
        members
            .map(|(&address, (class, _))| (address, *class))
            .collect()
    }

    /// Whether the programs have the waits for the locks of a class in one row.
    pub(super) fn is_summed_up(&self, wait: &PathWaits) -> bool {
        LockClass::from_key(wait.address).is_some()
    }

    /// What tells a lock apart in its class.
    pub(super) fn member(&self, address: u64, name: Option<&str>) -> String {
        if let Some(name) = name {
            return name.to_owned();
        }
        match self.members.get(&address) {
            Some((_, task)) => process_name(task),
            None => format!("{address:#x}"),
        }
    }

    /// The process in whose structures a lock is, by the lock's address.
    pub(super) fn process(&self, lock: &str) -> String {
        parse_address(lock).map_or_else(
            || units::UNKNOWN.to_owned(),
            |address| self.member(address, None),
        )
    }
}

fn member_class(class: LockClass, family: Option<LockFamily>) -> Class {
    Class {
        name: class.name().to_owned(),
        family,
        named_by: NamedBy::Member,
    }
}

/// A process by its name and number: `mmload 6712`.
pub(super) fn process_name(task: &Task) -> String {
    let name = task.process.as_ref().unwrap_or(&task.comm);
    format!("{name} {}", task.tgid)
}

/// Variables whose locks have an everyday name.
const EVERYDAY: &[(&str, &str)] = &[
    // struct rq begins with its lock (kernel/sched/sched.h, 5.19 to 7.3).
    ("runqueues", "rq lock"),
];

/// The variable of a name like `futex_queues+0x40` or `runqueues, CPU 1`, by its everyday name where it has one.
fn variable(name: &str) -> &str {
    let symbol = name.split(['+', ',']).next().unwrap_or(name);
    let everyday = EVERYDAY.iter().find(|(variable, _)| *variable == symbol);
    everyday.map_or(symbol, |(_, everyday)| everyday)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_variable_in_front() {
        for (name, of) in [
            ("tasklist_lock", "tasklist_lock"),
            ("futex_queues+0x40", "futex_queues"),
            ("runqueues, CPU 1", "rq lock"),
            ("timer_bases+0x40, CPU 11", "timer_bases"),
            ("clash_lock [clash]+0x8", "clash_lock [clash]"),
        ] {
            assert_eq!(variable(name), of);
        }
    }
}
