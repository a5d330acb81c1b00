//! Waits for all locks, by lock and by who asked for it.

mod kind;

use std::collections::{BTreeMap, HashMap};

use lockprof_abi::LCB_F_READ;

pub use self::kind::LockKind;

use super::{
    Classify, Durations, Histogram, Scale,
    callers::{caller_of, is_release_task, is_unnamed, symbol_of},
    waits_from_contention,
};
use crate::{
    known_locks::has_sites,
    recording::{
        parse_address,
        schema::{ContentionInterval, Header},
    },
    site::Site,
};

/// Where a lock lies. What is waited for may be a part of it: on PREEMPT_RT the rt_mutex that is eight bytes
/// into a reader-writer lock (include/linux/rwbase_rt.h, 5.15 to 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockRange {
    start: u64,
    bytes: u64,
}

impl LockRange {
    /// Of a recording's target, where its address is known.
    pub(super) fn of_target(header: &Header) -> Option<Self> {
        let start = parse_address(header.lock.address.as_ref()?)?;
        // Recordings that do not say how long it is.
        let bytes = header.lock.bytes.unwrap_or(1);
        Some(Self { start, bytes })
    }

    /// Of a lock whose length is not known.
    pub(super) const fn at(start: u64) -> Self {
        Self { start, bytes: 1 }
    }

    /// Whether an address lies in it.
    pub(super) const fn contains(self, address: u64) -> bool {
        address.wrapping_sub(self.start) < self.bytes
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
    /// The waits. The longest is known where the programs kept it in the measured time.
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
    /// What its address is in by the kernel's slab caches.
    pub object: Option<String>,
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

/// None where the lock's address is none.
fn key(interval: &ContentionInterval) -> Option<Key> {
    let in_hold_of = interval.in_hold_of.as_deref().map(Site::named);
    Some((
        parse_address(&interval.lock)?,
        interval.flags,
        interval.caller.clone(),
        interval.stack,
        in_hold_of,
        interval.others,
    ))
}

/// The longest waits since the attach, over all of a recording: the programs keep nothing else, so that whether
/// one happened in an interval is known only from all intervals before it, those that are in no number included.
#[derive(Debug, Default)]
pub(super) struct LongestWaits(HashMap<Key, u64>);

impl LongestWaits {
    /// Of each entry of an interval, whether its longest wait is of this interval.
    pub(super) fn new_ones(&mut self, entries: &[ContentionInterval]) -> Vec<bool> {
        entries
            .iter()
            .map(|entry| {
                let Some(key) = key(entry) else { return false };
                let before = self.0.entry(key).or_default();
                let is_new = entry.longest_ns > *before;
                *before = entry.longest_ns.max(*before);
                is_new
            })
            .collect()
    }
}

/// What is added up of one entry.
#[derive(Debug)]
struct EntrySum {
    name: Option<String>,
    object: Option<String>,
    waits: Durations,
    /// The longest since the attach, as known after the intervals that were added.
    longest_ns: u64,
    /// It is of one of these intervals.
    is_of_these: bool,
}

/// Adds up the waits of the intervals.
#[derive(Debug, Default)]
pub(super) struct ContentionSum {
    entries: HashMap<Key, EntrySum>,
}

impl ContentionSum {
    /// Adds an entry of an interval; `is_new` says that its longest wait is of this interval.
    pub(super) fn add(&mut self, interval: ContentionInterval, is_new: bool) {
        let Some(key) = key(&interval) else {
            return;
        };
        let sum = self.entries.entry(key).or_insert_with(|| EntrySum {
            name: None,
            object: None,
            waits: Durations::new(Scale::Octaves),
            longest_ns: 0,
            is_of_these: false,
        });
        sum.waits.add(&interval.octaves, interval.waited_ns);
        sum.waits.sampled = sum.waits.sampled.saturating_add(interval.sampled);
        // Where nothing ended but samples, the longest is of another interval, and hides none of this one.
        if interval.longest_ns > sum.longest_ns && !interval.octaves.is_empty() {
            (sum.longest_ns, sum.is_of_these) = (interval.longest_ns, is_new);
        }
        if interval.name.is_some() {
            sum.name = interval.name;
        }
        if sum.object.is_none() {
            sum.object = interval.object;
        }
    }

    /// The most waited time first.
    pub(super) fn finish(self) -> Vec<PathWaits> {
        let mut entries: Vec<(Key, EntrySum)> = self.entries.into_iter().collect();
        // The key makes the order the same each time.
        entries.sort_by(|(key, sum), (other_key, other_sum)| {
            let longer = other_sum.waits.total_ns.cmp(&sum.waits.total_ns);
            longer.then_with(|| key.cmp(other_key))
        });
        entries
            .into_iter()
            .map(|(key, sum)| {
                let (address, flags, caller, stack, in_hold_of, is_others) = key;
                let longest_ns = sum.is_of_these.then_some(sum.longest_ns);
                let (name, object, mut waits) = (sum.name, sum.object, sum.waits);
                waits.longest_ns = longest_of_phase(&waits.histogram, longest_ns);
                // Whenever that was, none is longer.
                waits.at_most_ns = Some(sum.longest_ns).filter(|&ns| ns > 0);
                PathWaits {
                    address,
                    name,
                    object,
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

/// One that is longer than every bucket of the measured time was counted elsewhere.
fn longest_of_phase(histogram: &Histogram, longest_ns: Option<u64>) -> Option<u64> {
    let (_, high, _) = histogram.buckets().last()?;
    longest_ns.filter(|&longest| longest < high)
}

/// The waits by lock and caller, the most waited time first.
pub(super) fn by_caller(
    entries: &[PathWaits],
    stacks: &BTreeMap<i32, Vec<String>>,
    target: Option<LockRange>,
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
                is_target: !entry.is_others
                    && target.is_some_and(|target| target.contains(entry.address)),
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

/// Whether waits of this kind for the target lock are told by site: in the tiers that follow holds those of
/// whom they follow, where there are only waits all of the lock whose sites are known.
pub(super) fn target_told_by_site(header: &Header, kind: LockKind) -> bool {
    if waits_from_contention(header) {
        return has_sites(&header.lock.name);
    }
    match kind {
        LockKind::SpinWrite => true,
        LockKind::SpinRead | LockKind::SleepRead => header.readers,
        _ => false,
    }
}

/// The waits for the target lock by site.
pub(super) fn target_by_site(
    entries: &[PathWaits],
    stacks: &BTreeMap<i32, Vec<String>>,
    target: LockRange,
    classify: Classify,
) -> BTreeMap<Site, Durations> {
    let mut sites: BTreeMap<Site, Durations> = BTreeMap::new();
    let of_target = |entry: &&PathWaits| !entry.is_others && target.contains(entry.address);
    for entry in entries.iter().filter(of_target) {
        // A writer's wait for the rt_mutex in a lock of PREEMPT_RT has no flag that says so, a reader's has
        // (kernel/locking/rwbase_rt.c, 5.19 to 7.3).
        let writer = entry.flags & LCB_F_READ == 0;
        // The caller before the stack: of samples and of all others it is the same.
        let frames = match entry.caller.as_slice() {
            [] => entry.frames(stacks),
            caller => caller,
        };
        let site = match frames {
            // Functions without names may be any; of none this is true, too.
            frames if !frames.iter().all(|frame| is_unnamed(frame)) => classify(frames, writer),
            _ if writer => Site::UNKNOWN,
            _ => Site::READ_OTHER,
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
    fn a_longest_wait_that_is_in_no_bucket_is_not_taken() {
        let mut histogram = Histogram::new(Scale::Octaves);
        histogram.record(1000);
        assert_eq!(longest_of_phase(&histogram, Some(1000)), Some(1000));
        assert_eq!(longest_of_phase(&histogram, Some(5000)), None);
    }
}
