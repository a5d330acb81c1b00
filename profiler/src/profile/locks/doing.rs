//! What owners of locks were seen to do while others waited.

use std::collections::{BTreeMap, BTreeSet};

use super::{Class, class::Naming};
use crate::recording::schema::{OwnerSample, SampledBy};

/// What owners of the locks of a class were seen to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doing {
    /// The class.
    pub class: Class,
    /// The owners' name: that of their process.
    pub owner: String,
    /// How it was seen.
    pub by: SampledBy,
    /// Whether the lock was read, so that the owner is one of its readers, perhaps one that has it no more.
    pub reader_hint: bool,
    /// How many threads it was.
    pub threads: usize,
    /// The letter for their state: `R` runs or is ready to, `D` and `S` sleep (proc_pid_stat(5)).
    pub state: char,
    /// Their call stack where they slept: the innermost frame first.
    pub stack: Vec<String>,
    /// How often it was seen.
    pub seen: u64,
}

/// What tells rows apart: class, owner, how it was seen and whether as a hint, state, stack.
type Key = (Class, String, SampledBy, bool, char, Vec<String>);

/// Adds up samples.
pub(super) fn of(samples: Vec<OwnerSample>, naming: &Naming<'_>) -> Vec<Doing> {
    let mut sums: BTreeMap<Key, (u64, BTreeSet<u32>)> = BTreeMap::new();
    for sample in samples {
        let class = naming.of_flags(&sample.lock, sample.flags);
        let owner = sample.owner.process.unwrap_or(sample.owner.comm);
        let key = (
            class,
            owner,
            sample.by,
            sample.reader_hint,
            sample.state,
            sample.stack,
        );
        let (seen, threads) = sums.entry(key).or_default();
        *seen = seen.saturating_add(sample.seen);
        threads.insert(sample.owner.pid);
    }
    let sums = sums.into_iter();
    let mut all: Vec<Doing> = sums
        .map(
            |((class, owner, by, reader_hint, state, stack), (seen, threads))| Doing {
                class,
                owner,
                by,
                reader_hint,
                threads: threads.len(),
                state,
                stack,
                seen,
            },
        )
        .collect();
    all.sort_by_key(|doing| std::cmp::Reverse(doing.seen));
    all
}
