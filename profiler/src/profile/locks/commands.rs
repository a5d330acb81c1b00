//! Who waited, and for whom, by the names of processes: of a thousand short-lived ones no row of its own tells much.

use std::collections::{BTreeMap, BTreeSet};

use super::{Class, waits::Waits};
use crate::{
    recording::schema::{Task, WaiterInterval},
    units,
};

/// The waits of all processes of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandWaits {
    /// The name.
    pub name: String,
    /// Processes of this name that waited.
    pub processes: usize,
    /// The class that they waited the longest for, and how long.
    pub most: (Class, u64),
    /// Their waits.
    pub waits: Waits,
    /// Whom they waited for, the most waited time first.
    pub behind: Vec<Behind>,
}

/// Of the waits of processes of one name those behind some others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The name of the processes that had the lock; none where that was not to be seen.
    pub owner: Option<String>,
    /// It was the waiting process itself, by another of its tasks.
    pub is_own: bool,
    /// Processes that had it.
    pub processes: usize,
    /// The waits.
    pub waits: Waits,
}

#[derive(Default)]
struct Sum {
    processes: BTreeSet<u32>,
    classes: BTreeMap<Class, u64>,
    waits: Waits,
    behind: BTreeMap<(Option<String>, bool), (BTreeSet<u32>, Waits)>,
}

/// Adds them up.
#[derive(Default)]
pub(super) struct Commands(BTreeMap<String, Sum>);

impl Commands {
    pub(super) fn add(&mut self, class: &Class, waiter: &WaiterInterval) {
        let mut waits = Waits::default();
        waits.add_waiter(waiter);
        let sum = self.0.entry(command(&waiter.waiter)).or_default();
        sum.processes.insert(waiter.waiter.tgid);
        let of_class = sum.classes.entry(class.clone()).or_default();
        *of_class = of_class.saturating_add(waits.waited_ns);
        sum.waits.add(&waits);
        let owner = waiter.owner.as_ref().map(|owner| &owner.task);
        let is_own = owner.is_some_and(|owner| owner.tgid == waiter.waiter.tgid);
        let behind = sum.behind.entry((owner.map(command), is_own));
        let (owners, behind) = behind.or_default();
        owners.extend(owner.map(|owner| owner.tgid));
        behind.add(&waits);
    }

    pub(super) fn finish(self) -> Vec<CommandWaits> {
        let mut all: Vec<CommandWaits> = self
            .0
            .into_iter()
            .filter_map(|(name, sum)| {
                let most = sum.classes.into_iter().max_by_key(|(_, ns)| *ns)?;
                let behind = sum.behind.into_iter();
                let mut behind: Vec<Behind> = behind
                    .map(|((owner, is_own), (owners, waits))| Behind {
                        owner,
                        is_own,
                        processes: owners.len(),
                        waits,
                    })
                    .collect();
                behind.sort_by_key(|behind| std::cmp::Reverse(behind.waits.waited_ns));
                Some(CommandWaits {
                    name,
                    processes: sum.processes.len(),
                    most,
                    waits: sum.waits,
                    behind,
                })
            })
            .collect();
        all.sort_by_key(|command| std::cmp::Reverse(command.waits.waited_ns));
        all
    }
}

/// The name of a task's process: its own, where that of the process is not known.
fn command(task: &Task) -> String {
    let name = task.process.as_ref().unwrap_or(&task.comm);
    if name.is_empty() {
        units::UNKNOWN.to_owned()
    } else {
        name.clone()
    }
}
