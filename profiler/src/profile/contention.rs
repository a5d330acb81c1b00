//! Waits for all locks, by lock and by who asked for it.

use std::collections::{BTreeMap, HashMap};

use lockprof_abi::{
    LCB_F_MUTEX, LCB_F_PERCPU, LCB_F_READ, LCB_F_RT, LCB_F_SPIN, LCB_F_WRITE, Site,
};

use super::{
    Classify, Durations, Histogram, Scale,
    callers::{caller_of, is_release_task, symbol_of},
};
use crate::recording::{parse_address, schema::ContentionInterval};

/// What kind of lock a wait was for, as far as the tracepoint's flags tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKind {
    /// A spinning lock that one holds.
    Spin,
    /// A spinning lock that many read, to read.
    SpinRead,
    /// A spinning lock that many read, to write.
    SpinWrite,
    /// A mutex.
    Mutex,
    /// A sleeping lock that many read, to read.
    SleepRead,
    /// A sleeping lock that many read, to write.
    SleepWrite,
    /// A lock of a real-time kernel.
    RealTime,
    /// A reader-writer lock with a part on each CPU.
    PerCpu,
    /// The flags say nothing: a semaphore, or a mutex of an older kernel.
    Sleep,
}

impl LockKind {
    /// By the tracepoint's LCB_F_ flags.
    #[must_use]
    pub fn of(flags: u32) -> Self {
        let has = |flag| flags & flag != 0;
        // A mutex that is waited for by spinning has both flags, so the order matters.
        if has(LCB_F_MUTEX) {
            Self::Mutex
        } else if has(LCB_F_PERCPU) {
            Self::PerCpu
        } else if has(LCB_F_RT) {
            Self::RealTime
        } else {
            match (has(LCB_F_SPIN), has(LCB_F_READ), has(LCB_F_WRITE)) {
                (true, true, _) => Self::SpinRead,
                (true, false, true) => Self::SpinWrite,
                (true, false, false) => Self::Spin,
                (false, true, _) => Self::SleepRead,
                (false, false, true) => Self::SleepWrite,
                (false, false, false) => Self::Sleep,
            }
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spin => "spinlock",
            Self::SpinRead => "rwlock:R",
            Self::SpinWrite => "rwlock:W",
            Self::Mutex => "mutex",
            Self::SleepRead => "rwsem:R",
            Self::SleepWrite => "rwsem:W",
            Self::RealTime => "rt lock",
            Self::PerCpu => "pcpu-sem",
            Self::Sleep => "sleeping",
        }
    }

    /// Whether who waits does so on the CPU.
    #[must_use]
    pub const fn spins(self) -> bool {
        matches!(self, Self::Spin | Self::SpinRead | Self::SpinWrite)
    }
}

/// Waits for one lock by one caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Contention {
    /// The lock's address.
    pub address: u64,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// What kind of lock it is.
    pub kind: LockKind,
    /// The function that asked for it, where that is known.
    pub caller: Option<String>,
    /// The site of the hold of the target lock inside which the waits happened.
    pub in_hold_of: Option<Site>,
    /// Whether it is the target lock.
    pub is_target: bool,
    /// No lock, but all of this kind that the tables had no place for.
    pub is_others: bool,
    /// The waits. The longest may be one of the warm-up's.
    pub waits: Durations,
}

impl Contention {
    /// The lock's name, else its address.
    #[must_use]
    pub fn lock(&self) -> String {
        if self.is_others {
            return "others".to_owned();
        }
        self.name
            .clone()
            .unwrap_or_else(|| format!("{:#x}", self.address))
    }
}

/// Waits for one lock by one caller, or by one call stack.
#[derive(Clone, Debug, PartialEq)]
pub struct PathWaits {
    /// The lock's address.
    pub address: u64,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// The tracepoint's LCB_F_ flags.
    pub flags: u32,
    /// The return address into the function that asked for it, as in a call stack, where it was found
    /// without one.
    pub caller: Option<String>,
    /// The call stack, in [`Profile::stacks`](super::Profile::stacks).
    pub stack: Option<i32>,
    /// The site of the hold of the target lock inside which the waits happened.
    pub in_hold_of: Option<Site>,
    /// No lock, but all that the tables had no place for.
    pub is_others: bool,
    /// The waits; those of a stack of a spinning lock are samples, and have no lengths.
    pub waits: Durations,
}

impl PathWaits {
    /// Who waited, innermost first, as far as it is known: the call stack, or the caller alone.
    pub(super) fn frames<'a>(&'a self, stacks: &'a BTreeMap<i32, Vec<String>>) -> &'a [String] {
        match self.stack.and_then(|stack| stacks.get(&stack)) {
            Some(frames) => frames,
            None => self.caller.as_slice(),
        }
    }

    /// The function that asked for the lock.
    #[must_use]
    pub fn caller<'a>(&'a self, stacks: &'a BTreeMap<i32, Vec<String>>) -> Option<&'a str> {
        match &self.caller {
            Some(caller) => Some(symbol_of(caller)),
            None => caller_of(self.frames(stacks)),
        }
    }
}

/// What tells the entries of a recording apart: the lock, the flags, the caller, the stack, the hold;
/// whether it is no lock, but all others.
type Key = (u64, u32, Option<String>, Option<i32>, Option<Site>, bool);

/// Adds up the waits of the intervals.
#[derive(Debug, Default)]
pub(super) struct ContentionSum {
    entries: HashMap<Key, (Option<String>, Durations)>,
}

impl ContentionSum {
    pub(super) fn add(&mut self, interval: ContentionInterval) {
        let Some(address) = parse_address(&interval.lock) else {
            return;
        };
        let in_hold_of = interval.in_hold_of.as_deref().and_then(Site::from_name);
        let ContentionInterval {
            flags,
            caller,
            stack,
            others,
            ..
        } = interval;
        let (name, waits) = self
            .entries
            .entry((address, flags, caller, stack, in_hold_of, others))
            .or_insert_with(|| (None, Durations::new(Scale::Octaves)));
        waits.add(&interval.octaves, interval.waited_ns);
        waits.sampled = waits.sampled.saturating_add(interval.sampled);
        waits.longest_ns = waits.longest_ns.max(Some(interval.longest_ns));
        if interval.name.is_some() {
            *name = interval.name;
        }
    }

    /// The most waited time first.
    pub(super) fn finish(self) -> Vec<PathWaits> {
        let mut entries: Vec<(Key, (Option<String>, Durations))> =
            self.entries.into_iter().collect();
        // The key makes the order the same each time.
        entries.sort_by(|(key, (_, waits)), (other_key, (_, other_waits))| {
            let longer = other_waits.total_ns.cmp(&waits.total_ns);
            longer.then_with(|| key.cmp(other_key))
        });
        entries
            .into_iter()
            .map(|(key, (name, mut waits))| {
                let (address, flags, caller, stack, in_hold_of, is_others) = key;
                waits.longest_ns = longest_of_phase(&waits.histogram, waits.longest_ns);
                PathWaits {
                    address,
                    name,
                    flags,
                    caller,
                    stack,
                    in_hold_of,
                    is_others,
                    waits,
                }
            })
            .collect()
    }
}

/// A contended lock's longest wait is kept since the attach; one that is longer than every bucket
/// of the measured time is the warm-up's, and is not known to be ours.
fn longest_of_phase(histogram: &Histogram, longest_ns: Option<u64>) -> Option<u64> {
    let (_, high, _) = histogram.buckets().last()?;
    longest_ns.filter(|&longest| longest < high)
}

/// The waits by lock and caller, the most waited time first.
pub(super) fn by_caller(
    entries: &[PathWaits],
    stacks: &BTreeMap<i32, Vec<String>>,
    target: Option<u64>,
) -> Vec<Contention> {
    let mut groups = BTreeMap::new();
    for entry in entries {
        let kind = LockKind::of(entry.flags);
        let caller = entry.caller(stacks);
        let key = (
            entry.address,
            kind,
            caller,
            entry.in_hold_of,
            entry.is_others,
        );
        groups
            .entry(key)
            .and_modify(|group: &mut Contention| group.waits.merge(&entry.waits))
            .or_insert_with(|| Contention {
                address: entry.address,
                name: entry.name.clone(),
                kind,
                caller: caller.map(str::to_owned),
                in_hold_of: entry.in_hold_of,
                is_target: Some(entry.address) == target,
                is_others: entry.is_others,
                waits: entry.waits.clone(),
            });
    }
    let mut all: Vec<Contention> = groups.into_values().collect();
    all.sort_by_key(|group| std::cmp::Reverse(group.waits.total_ns));
    all
}

/// The target lock by its waits, where its address was never learned otherwise: the spinning lock
/// for which release_task itself waited to write; if some callers are wrong so that it is more than
/// one, the one with the most waits.
pub(super) fn target_by_callers(
    entries: &[PathWaits],
    stacks: &BTreeMap<i32, Vec<String>>,
) -> Option<u64> {
    let mut waits: BTreeMap<u64, u64> = BTreeMap::new();
    for entry in entries {
        if LockKind::of(entry.flags) == LockKind::SpinWrite
            && entry.caller(stacks).is_some_and(is_release_task)
        {
            let count = waits.entry(entry.address).or_default();
            *count = count.saturating_add(entry.waits.count());
        }
    }
    waits
        .into_iter()
        .max_by_key(|&(_, count)| count)
        .map(|(address, _)| address)
}

/// The waits for the target lock by site.
pub(super) fn target_by_site(
    entries: &[PathWaits],
    stacks: &BTreeMap<i32, Vec<String>>,
    target: u64,
    classify: Classify,
) -> BTreeMap<Site, Durations> {
    let mut sites: BTreeMap<Site, Durations> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.address == target) {
        let writer = entry.flags & LCB_F_WRITE != 0;
        // The caller before the stack: of samples and of all others it is the same.
        let frames = match entry.caller.as_slice() {
            [] => entry.frames(stacks),
            caller => caller,
        };
        let site = match frames {
            [] if writer => Site::Unknown,
            [] => Site::ReadOther,
            frames => classify(frames, writer),
        };
        sites
            .entry(site)
            .and_modify(|waits| waits.merge(&entry.waits))
            .or_insert_with(|| entry.waits.clone());
    }
    sites
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_flags() {
        for (flags, kind) in [
            (LCB_F_SPIN, LockKind::Spin),
            (LCB_F_SPIN | LCB_F_WRITE, LockKind::SpinWrite),
            (LCB_F_SPIN | LCB_F_READ, LockKind::SpinRead),
            (LCB_F_MUTEX, LockKind::Mutex),
            (LCB_F_MUTEX | LCB_F_SPIN, LockKind::Mutex),
            (LCB_F_READ, LockKind::SleepRead),
            (LCB_F_WRITE, LockKind::SleepWrite),
            (LCB_F_PERCPU | LCB_F_READ, LockKind::PerCpu),
            (LCB_F_RT | LCB_F_WRITE, LockKind::RealTime),
            (0, LockKind::Sleep),
        ] {
            assert_eq!(LockKind::of(flags), kind, "{flags:#x}");
        }
    }

    #[test]
    fn a_longest_wait_of_the_warm_up_is_not_taken() {
        let mut histogram = Histogram::new(Scale::Octaves);
        histogram.record(1000);
        assert_eq!(longest_of_phase(&histogram, Some(1000)), Some(1000));
        assert_eq!(longest_of_phase(&histogram, Some(5000)), None);
    }
}
