//! What holders of a lock did instead of running.

use std::collections::BTreeMap;

use super::callers::{from_caller, symbol_of};
use crate::{
    kernel::sees_holders_leave,
    recording::schema::{Header, OffCpuInterval},
    site::Site,
};

/// Functions of the scheduler, and of what looks at it, between a sleeper and what it sleeps for, by what their names begin with
/// (kernel/sched/core.c, 6.1 to 7.3).
const SCHEDULER: [&str; 9] = [
    "bpf_",
    "__bpf_",
    "__traceiter_",
    "0x",
    "__schedule",
    "schedule",
    "io_schedule",
    "preempt_schedule",
    "__cond_resched",
];

/// Why a holder was not running.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OffBy {
    /// It slept: for what, by the functions that called the scheduler, the innermost first; none where its call stack could
    /// not be taken.
    Sleep(Vec<String>),
    /// Another task was put in its place.
    Preemption,
    /// The table of a CPU had no place for it.
    Unknown,
}

/// Stretches of one site's holds in which the holder was not running, and left in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct OffCpu {
    /// The holder's site; none where the table of a CPU had no place for it.
    pub site: Option<Site>,
    /// Why.
    pub by: OffBy,
    /// How many there were.
    pub stretches: u64,
    /// Of their time what the holder slept, until it was woken.
    pub asleep_ns: u64,
    /// What it could have run, but another task did.
    pub runnable_ns: u64,
    /// The longest, of any phase.
    pub longest_ns: u64,
}

impl OffCpu {
    /// Adds others of the same site, that are told in the same way.
    pub fn add(&mut self, other: &Self) {
        self.stretches = self.stretches.saturating_add(other.stretches);
        self.asleep_ns = self.asleep_ns.saturating_add(other.asleep_ns);
        self.runnable_ns = self.runnable_ns.saturating_add(other.runnable_ns);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }

    /// All of the time.
    #[must_use]
    pub const fn off_ns(&self) -> u64 {
        self.asleep_ns.saturating_add(self.runnable_ns)
    }
}

/// Whether anybody looked.
pub(super) fn is_looked_at(header: &Header) -> bool {
    let mut probes = header.attach.probes.iter();
    probes.any(|probe| sees_holders_leave(&probe.program) && probe.absent.is_none())
}

/// What is added up.
#[derive(Debug, Default)]
pub(super) struct OffCpuSum(BTreeMap<(Option<Site>, bool, Option<i32>), OffCpu>);

impl OffCpuSum {
    pub(super) fn add(&mut self, entry: OffCpuInterval) {
        let site = entry.site.as_deref().map(Site::named);
        let off = OffCpu {
            site,
            by: match (site, entry.preempted) {
                (None, _) => OffBy::Unknown,
                (Some(_), true) => OffBy::Preemption,
                // In which functions is told by the stack.
                (Some(_), false) => OffBy::Sleep(Vec::new()),
            },
            stretches: entry.stretches,
            asleep_ns: entry.asleep_ns,
            runnable_ns: entry.runnable_ns,
            longest_ns: entry.longest_ns,
        };
        self.0
            .entry((site, entry.preempted, entry.stack))
            .and_modify(|sum| sum.add(&off))
            .or_insert(off);
    }

    /// By site and what was slept for, the most time first. Stacks that differ in the scheduler's frames alone are one.
    pub(super) fn finish(self, stacks: &BTreeMap<i32, Vec<String>>) -> Vec<OffCpu> {
        let mut sums: BTreeMap<(Option<Site>, OffBy), OffCpu> = BTreeMap::new();
        for ((site, _, stack), mut off) in self.0 {
            if let Some(frames) = stack.and_then(|stack| stacks.get(&stack)) {
                off.by = OffBy::Sleep(path(frames));
            }
            sums.entry((site, off.by.clone()))
                .and_modify(|sum| sum.add(&off))
                .or_insert(off);
        }
        let mut all: Vec<OffCpu> = sums.into_values().collect();
        all.sort_by_key(|off| std::cmp::Reverse(off.off_ns()));
        all
    }
}

/// The functions behind the scheduler's, the innermost first; where one of them waits for a lock, from who asked for
/// that.
fn path(frames: &[String]) -> Vec<String> {
    let is_of_scheduler = |frame: &String| {
        let symbol = symbol_of(frame);
        SCHEDULER.iter().any(|start| symbol.starts_with(start))
    };
    let inner = frames.iter().take_while(|frame| is_of_scheduler(frame));
    let behind = &frames[inner.count()..];
    let asked = from_caller(behind);
    let shown = if asked.is_empty() { behind } else { asked };
    shown
        .iter()
        .map(|frame| symbol_of(frame).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(site: Option<&str>, stack: Option<i32>, asleep_ns: u64) -> OffCpuInterval {
        OffCpuInterval {
            site: site.map(str::to_owned),
            preempted: false,
            stack,
            stretches: 1,
            asleep_ns,
            runnable_ns: 5,
            longest_ns: asleep_ns + 5,
        }
    }

    #[test]
    fn stacks_that_differ_in_the_scheduler_alone_are_one() {
        let stack = |frames: &[&str]| frames.iter().map(|&frame| frame.to_owned()).collect();
        let stacks = BTreeMap::from([
            (
                1,
                stack(&[
                    "bpf_prog_1_x+0x4",
                    "__schedule+0x3",
                    "schedule+0x2",
                    "msleep+0x9",
                    "a+0x1",
                ]),
            ),
            (
                2,
                stack(&["__schedule+0x7", "schedule+0x2", "msleep+0x9", "a+0x1"]),
            ),
        ]);
        let mut sum = OffCpuSum::default();
        for entry in [
            entry(Some("a"), Some(1), 10),
            entry(Some("a"), Some(2), 30),
            entry(Some("a"), None, 1),
            entry(None, None, 2),
            OffCpuInterval {
                preempted: true,
                ..entry(Some("a"), None, 0)
            },
        ] {
            sum.add(entry);
        }
        let found = sum.finish(&stacks);
        let slept = OffBy::Sleep(vec!["msleep".to_owned(), "a".to_owned()]);
        assert_eq!(found[0].by, slept);
        assert_eq!(
            (found[0].stretches, found[0].asleep_ns, found[0].longest_ns),
            (2, 40, 35)
        );
        let others: Vec<&OffBy> = found[1..].iter().map(|off| &off.by).collect();
        assert_eq!(
            others,
            [
                &OffBy::Unknown,
                &OffBy::Sleep(Vec::new()),
                &OffBy::Preemption
            ]
        );
    }
}
