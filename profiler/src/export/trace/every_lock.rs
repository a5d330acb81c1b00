//! What a trace has of all contended locks: how many tasks wait at a time, by class, as counters, and the longest
//! waits as slices.

use serde_json::{Value, json};

use super::{Axis, LONGEST, counter, micros, name};
use crate::{
    profile::{Locks, LongWait, Stretch},
    text::printable,
    units,
};

/// Classes that have a counter of their own; all others share one.
const MOST_CLASSES: usize = 12;

/// What is to be known of the slices: the recording does not have when a wait ended, but in which interval.
pub(super) const ABOUT: &str = "A slice ends where the interval ends in which its wait ended: when in that is not \
     known. Of each lock, caller and call stack there are only waits that were longer than all before them. A counter \
     keeps its last value through windows without probes: the track of intervals has them.";

/// All of them.
pub(super) fn events(locks: &Locks, axis: Axis) -> Vec<Value> {
    let mut events = counters(locks, axis);
    if !locks.longest.is_empty() {
        events.push(name("process_name", LONGEST, 0, "the longest waits"));
    }
    for (row, waits) in (0..).zip(rows(&locks.longest)) {
        let title = format!("longest waits {}", row + 1);
        events.push(name("thread_name", LONGEST, row, &title));
        events.extend(waits.into_iter().map(|wait| slice(wait, row, axis)));
    }
    events
}

/// For each class that was waited for, and for all that have none of their own.
fn counters(locks: &Locks, axis: Axis) -> Vec<Value> {
    let own = locks.classes.len().min(MOST_CLASSES);
    let mut all = Vec::new();
    let mut add = |title: &str, of: &dyn Fn(&Stretch) -> u64| {
        if locks.over_time.iter().all(|stretch| of(stretch) == 0) {
            return;
        }
        let title = format!("waiting for {}", printable(title));
        for stretch in &locks.over_time {
            let tasks = stretch.tasks(of(stretch));
            all.push(counter(axis.ts(stretch.from_s), &title, "tasks", tasks));
        }
        // A counter holds its value until the next one: it ends with the recording.
        if let Some(last) = locks.over_time.last() {
            all.push(counter(axis.ts(last.to_s), &title, "tasks", 0.0));
        }
    };
    for (place, class) in locks.classes.iter().enumerate().take(own) {
        add(&class.class.titled(), &|stretch| {
            stretch.by_class.get(place).copied().unwrap_or(0)
        });
    }
    add("all others", &|stretch| {
        let others = stretch.by_class.iter().skip(own);
        others.fold(stretch.rest_ns, |sum, &ns| sum.saturating_add(ns))
    });
    all
}

/// In rows in which no two overlap, which viewers would not show.
fn rows(waits: &[LongWait]) -> Vec<Vec<&LongWait>> {
    let mut rows: Vec<Vec<&LongWait>> = Vec::new();
    for wait in waits {
        let (begin, end) = span(wait);
        let is_free = |row: &&mut Vec<&LongWait>| {
            row.iter().all(|other| {
                let (other_begin, other_end) = span(other);
                end <= other_begin || other_end <= begin
            })
        };
        match rows.iter_mut().find(is_free) {
            Some(row) => row.push(wait),
            None => rows.push(vec![wait]),
        }
    }
    rows
}

fn span(wait: &LongWait) -> (f64, f64) {
    let end = wait.ended_in_s.1;
    ((end - wait.ns as f64 / 1e9).max(0.0), end)
}

fn slice(wait: &LongWait, row: u32, axis: Axis) -> Value {
    let (begin, end) = span(wait);
    let (from, to) = wait.ended_in_s;
    let waiter = wait.waiter.as_ref();
    let hint = wait
        .owner_is_hint
        .then_some("perhaps one of its readers: a hint");
    json!({
        "ph": "X",
        "name": printable(&wait.class.titled()),
        "cat": "wait",
        "pid": LONGEST,
        "tid": row,
        "ts": axis.ts(begin),
        "dur": micros(end - begin),
        "args": {
            "ns": wait.ns,
            "kind": wait.kind.name(),
            "asked for by": wait.caller.as_deref().map(printable),
            "task": waiter.map(|(task, _)| printable(&task.name)),
            "process": waiter.map(|(_, process)| printable(&process.name)),
            "the lock had": wait.owner.as_ref().map(|owner| printable(&owner.name)),
            "who is": hint,
            "ended between": format!("{} and {} after the attach", units::seconds(from), units::seconds(to)),
        },
    })
}
