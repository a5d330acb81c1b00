//! What intervals have of who waited for whom, and of what owners did, added up: a long recording needs little memory.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::recording::schema::{OwnerSample, SampledBy, WaiterInterval};

/// Adds up who waited for whom over intervals.
#[derive(Debug, Default)]
pub struct WaiterSum(BTreeMap<(String, u32, u32, u32), WaiterInterval>);

impl WaiterSum {
    /// Adds what an interval has of one task, lock and owner.
    pub(in super::super) fn add(&mut self, waiter: WaiterInterval) {
        let owner = waiter.owner.as_ref().map_or(0, |owner| owner.task.pid);
        let key = (waiter.lock.clone(), waiter.waiter.pid, owner, waiter.flags);
        match self.0.entry(key) {
            Entry::Vacant(place) => {
                place.insert(waiter);
            }
            Entry::Occupied(mut sum) => add(sum.get_mut(), waiter),
        }
    }

    /// All of them.
    pub(in super::super) fn finish(self) -> Vec<WaiterInterval> {
        self.0.into_values().collect()
    }
}

fn add(sum: &mut WaiterInterval, other: WaiterInterval) {
    sum.waits = sum.waits.saturating_add(other.waits);
    sum.waited_ns = sum.waited_ns.saturating_add(other.waited_ns);
    sum.longest_ns = sum.longest_ns.max(other.longest_ns);
    if let Some(sampled) = other.sampled {
        let all = sum.sampled.unwrap_or(0);
        sum.sampled = Some(all.saturating_add(sampled));
    }
    if let (Some(sum), Some(other)) = (&mut sum.owner, other.owner) {
        sum.on_cpu = sum.on_cpu.saturating_add(other.on_cpu);
        sum.runnable = sum.runnable.saturating_add(other.runnable);
        sum.asleep = sum.asleep.saturating_add(other.asleep);
        sum.reader_hints = sum.reader_hints.saturating_add(other.reader_hints);
        sum.cpu = other.cpu;
    }
}

/// What tells samples apart: the lock, how it was waited for, how it was seen and whether as a hint, the owner, its
/// state and its stack.
type SampleKey = (String, u32, SampledBy, bool, u32, char, Vec<String>);

/// Adds up what owners were seen to do over intervals.
#[derive(Debug, Default)]
pub struct SampleSum(BTreeMap<SampleKey, OwnerSample>);

impl SampleSum {
    /// Adds a sample of an interval.
    pub(in super::super) fn add(&mut self, sample: OwnerSample) {
        let key = (
            sample.lock.clone(),
            sample.flags,
            sample.by,
            sample.reader_hint,
            sample.owner.pid,
            sample.state,
            sample.stack.clone(),
        );
        let seen = sample.seen;
        let sum = self.0.entry(key);
        sum.and_modify(|sum| sum.seen = sum.seen.saturating_add(seen))
            .or_insert(sample);
    }

    /// All of them.
    pub(in super::super) fn finish(self) -> Vec<OwnerSample> {
        self.0.into_values().collect()
    }
}
