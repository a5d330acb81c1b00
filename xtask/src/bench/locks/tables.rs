//! The section of BENCHMARKS.md about `lockprof locks`.

use std::fmt::Write as _;

use super::results::{KernelWaits, Memory, OnHost, PerRun, WaitObserver};
use super::script::{BPFTRACE_ALL, BPFTRACE_LOCK};
use super::{
    EMPTY, LOCKS, LOCKS_NO_STACKS, PERF_CALLERS, PERF_LOCKS, PERF_OWNERS, PERF_TASKS, WAIT,
    WAIT_NO_STACKS,
};
use crate::bench::contention_tables::added;
use crate::bench::pieces::{measured_with, mebibytes, not_measured, table};
use crate::bench::results::{ContendedCosts, Results, Throughput};

/// By which share of what is added two measurements of it may differ.
const AGREE_WITHIN: f64 = 0.5;

/// The section, where something was measured.
pub fn section(text: &mut String, results: &Results) {
    let (in_guest, sizes, on_host) = (
        &results.locks_in_guest,
        &results.locks_memory,
        &results.locks_on_host,
    );
    if in_guest.is_empty() && sizes.is_none() && on_host.is_none() {
        return;
    }
    text.push_str(
        "\n## All contended locks\n\nWhat `lockprof locks` costs, beside others that look at every lock.\n",
    );
    for part in in_guest {
        kernel(text, &part.found);
        not_measured(text, &part.found.not_measured);
        measured_with(text, &part.with);
    }
    if let Some(part) = sizes {
        memory(text, &part.found);
        measured_with(text, &part.with);
    }
    if let Some(part) = on_host {
        host(text, &part.found);
        not_measured(text, &part.found.not_measured);
        measured_with(text, &part.with);
    }
}

fn kernel(text: &mut String, waits: &KernelWaits) {
    let _ = write!(
        text,
        "\n### {}, Linux {}: instructions of a wait\n",
        waits.kernel, waits.release
    );
    if !waits.sleeping.is_empty() {
        let _ = write!(
            text,
            "\nOne CPU whose clock counts its instructions, and six tasks in two processes that wait for \
             their mmap_lock (`mmap --tasks 6 --threads-each 3`). How long the kernel says that programs run \
             (`kernel.bpf_stats_enabled`) is in instructions then, for everybody's programs alike; means of two \
             seconds after a second of the same, so that rows that are made once are not in them. What the kernel's \
             own two readings of the clock take is in the first row, and in all others; so is an interrupt that came \
             while a program ran. Behind ± stands by how much {} boots with different seeds differ.\n\n",
            waits.boots
        );
        text.push_str(&table(
            &[
                "observer",
                "tells waits apart by",
                "on contention_begin",
                "on contention_end",
                "a wait",
                "without what the first row has",
                "waits",
            ],
            sleeping_rows(&waits.sleeping),
        ));
    }
    if !waits.spinning.is_empty() {
        text.push_str(
            "\nTwo CPUs that spin for tasklist_lock by `nullhold -t 2`, counted by the plugin as in the section \
             about instructions; in one boot each.\n\n",
        );
        text.push_str(&table(
            &[
                "observer",
                "added in a contended hold",
                "added from contention_begin to the queue",
                "both",
                "contended holds",
            ],
            waits.spinning.iter().map(spinning_row),
        ));
    }
}

fn sleeping_rows(all: &[WaitObserver]) -> impl Iterator<Item = Vec<String>> {
    let floor = floor(all);
    all.iter().map(move |one| {
        let net = floor.map(|floor| one.whole() - floor);
        vec![
            one.what.clone(),
            told_apart_by(&one.name).to_owned(),
            per_run(one.began),
            per_run(one.ended),
            format!("{:.0}", one.whole()),
            net.map_or("–".to_owned(), |net| format!("{net:.0}")),
            one.waits.to_string(),
        ]
    })
}

/// What an observer knows of a wait besides its length.
fn told_apart_by(name: &str) -> &'static str {
    match name {
        WAIT_NO_STACKS | PERF_LOCKS | BPFTRACE_LOCK => "lock",
        WAIT => "lock, call stack",
        LOCKS_NO_STACKS => "class, lock, task, owner",
        LOCKS => "class, lock, task, owner, call stack",
        PERF_CALLERS => "call stack",
        PERF_TASKS => "task",
        PERF_OWNERS => "owner",
        BPFTRACE_ALL => "lock, task, call stack",
        _ => "–",
    }
}

/// What programs that do nothing seem to take.
pub fn floor(all: &[WaitObserver]) -> Option<f64> {
    let empty = all.iter().find(|one| one.name == EMPTY);
    empty.map(WaitObserver::whole)
}

fn per_run(value: PerRun) -> String {
    format!("{:.0} ± {:.0}", value.mean, value.differs_by)
}

fn spinning_row(one: &ContendedCosts) -> Vec<String> {
    let (in_hold, to_the_queue) = (&one.in_hold, &one.to_the_queue);
    let both = in_hold.added + to_the_queue.added;
    let differs_by = in_hold.differs_by + to_the_queue.differs_by;
    // One that was attached in one of its two measurements alone has no cost between the two.
    let numbers = if differs_by > both * AGREE_WITHIN {
        let why = format!("two measurements differ by {differs_by:.0}");
        [why, "–".to_owned(), "–".to_owned()]
    } else {
        [added(in_hold), added(to_the_queue), format!("{both:.0}")]
    };
    let mut row = vec![one.what.clone()];
    row.extend(numbers);
    row.push(one.holds.to_string());
    row
}

fn memory(text: &mut String, sizes: &[Memory]) {
    let Some(first) = sizes.first() else {
        return;
    };
    let _ = write!(
        text,
        "\n### Memory\n\n`lockprof locks` by the number of possible CPUs, of which one is there, under the same load \
         ({}). What is resident has those maps in it that the daemon has mapped.\n\n",
        first.kernel
    );
    text.push_str(&table(
        &["possible CPUs", "resident", "maps, by the kernel's account"],
        sizes.iter().map(|size| {
            let bytes = |bytes| format!("{:.1} MiB", mebibytes(bytes));
            vec![
                size.possible_cpus.to_string(),
                bytes(size.resident_bytes),
                bytes(size.map_bytes),
            ]
        }),
    ));
}

fn host(text: &mut String, found: &OnHost) {
    let _ = write!(
        text,
        "\n### On the machine itself, Linux {}\n\nBy the wall clock, `mmap --tasks 6 --threads-each 3` on {} CPUs: \
         {:.0} iterations a second without an observer. In each of {} rounds each observer had its turn of four seconds \
         between two without any, and each round began with another one. Shares are of the geometric mean of the two turns \
         around; given are geometric means over rounds with their 95 % intervals by Student's t: of the iterations in a \
         second, and of those in a second of the load's own CPU time, in which its waits' programs are and others' \
         work is not. The load average was {:.1} before and {:.1} after, of which the load has its part: an interval \
         that reaches over 100 % says that the machine was too busy to tell.\n\n",
        found.release,
        found.cpus,
        found.bare_per_second,
        found.rounds,
        found.busy[0],
        found.busy[1],
    );
    let interval = |one: &Throughput| {
        let [low, high] = [one.low, one.high].map(|share| share * 100.0);
        format!("{low:.1} to {high:.1} %")
    };
    let rows = found.observers.iter().zip(&found.by_cpu_time);
    text.push_str(&table(
        &[
            "observer",
            "throughput left",
            "95 % interval",
            "left by CPU time",
            "95 % interval",
            "rounds",
        ],
        rows.map(|(by_clock, by_cpu_time)| {
            let share = |one: &Throughput| format!("{:.1} %", one.share * 100.0);
            vec![
                by_clock.what.clone(),
                share(by_clock),
                interval(by_clock),
                share(by_cpu_time),
                interval(by_cpu_time),
                by_clock.ratios.len().to_string(),
            ]
        }),
    ));
    if let Some(memory) = &found.memory {
        let _ = write!(
            text,
            "\nMeanwhile lockprof had {:.1} MiB resident at most, and its maps took {:.1} MiB.\n",
            mebibytes(memory.resident_bytes),
            mebibytes(memory.map_bytes),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Part;

    fn observer(name: &str, began: f64, ended: f64) -> WaitObserver {
        let per_run = |mean| PerRun {
            mean,
            differs_by: 1.0,
        };
        WaitObserver {
            name: name.to_owned(),
            what: name.to_owned(),
            waits: 300,
            began: per_run(began),
            ended: per_run(ended),
        }
    }

    #[test]
    fn a_wait_is_shown_without_what_empty_programs_have() {
        let mut text = String::new();
        let found = KernelWaits {
            sleeping: vec![
                observer(EMPTY, 50.0, 50.0),
                observer(LOCKS, 150.0, 250.0),
                observer(PERF_OWNERS, 450.0, 250.0),
            ],
            ..KernelWaits::default()
        };
        let results = Results {
            locks_in_guest: vec![Part {
                with: Vec::new(),
                found,
            }],
            ..Results::default()
        };
        section(&mut text, &results);
        for row in [
            "| empty-tracepoints | – | 50 ± 1 | 50 ± 1 | 100 | 0 | 300 |",
            "| locks | class, lock, task, owner, call stack | 150 ± 1 | 250 ± 1 | 400 | 300 | 300 |",
            "| perf-owners | owner | 450 ± 1 | 250 ± 1 | 700 | 600 | 300 |",
        ] {
            assert!(text.contains(row), "{text}");
        }
    }

    #[test]
    fn measurements_that_disagree_have_no_mean() {
        let mut one = ContendedCosts {
            what: "x".to_owned(),
            holds: 300,
            ..ContendedCosts::default()
        };
        (one.in_hold.added, one.in_hold.differs_by) = (200.0, 0.0);
        (one.to_the_queue.added, one.to_the_queue.differs_by) = (300.0, 250.0);
        assert_eq!(spinning_row(&one), ["x", "200", "300 ± 250", "500", "300"]);
        one.in_hold.differs_by = 1.0;
        let why = "two measurements differ by 251";
        assert_eq!(spinning_row(&one), ["x", why, "–", "–", "300"]);
    }

    #[test]
    fn what_was_not_measured_has_no_section() {
        let mut text = String::new();
        section(&mut text, &Results::default());
        assert_eq!(text, "");
    }
}
