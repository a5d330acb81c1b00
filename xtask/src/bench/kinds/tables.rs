//! The section of BENCHMARKS.md about kinds of locks.

use std::fmt::Write as _;

use super::results::{KernelKinds, Left, OfKind, Switches};
use crate::bench::contention_tables::added;
use crate::bench::pieces::{measured_with, not_measured, table};
use crate::bench::results::Part;
use crate::bench::statistics::ratio_interval;

/// The section, where something was measured.
pub fn section(text: &mut String, parts: &[Part<KernelKinds>]) {
    if parts.is_empty() {
        return;
    }
    text.push_str(
        "\n## Other kinds of locks\n\nWhat it costs to follow one lock of a kind, where all locks of the kind come \
         through the same functions.\n",
    );
    for Part { with, found } in parts {
        let _ = write!(
            text,
            "\n### {}, Linux {}: a pair of lock and unlock\n",
            found.kernel, found.release
        );
        for kind in &found.kinds {
            of_kind(text, kind, found.boots);
        }
        two_tasks(text, &found.two_tasks);
        switches(text, &found.switches);
        not_measured(text, &found.not_measured);
        measured_with(text, with);
    }
}

fn two_tasks(text: &mut String, all: &[Left]) {
    if all.is_empty() {
        return;
    }
    text.push_str(
        "\n**What is left of the throughput** of two tasks that do nothing but take a lock, on one CPU whose clock counts its \
         instructions, so that one waits for the other only where that was switched out with the lock. Each turn lies \
         between two without an observer; given are geometric means over turns, with their 95 % intervals by Student's t. \
         klockstat knows no lock that has no symbol, and looks at all.\n\n",
    );
    let rows = all.iter().map(|left| {
        let share = ratio_interval(&left.shares);
        let per_cent = |share: f64| format!("{:.1}", share * 100.0);
        vec![
            format!("{}: {}", left.load, left.lock),
            format!("{:.0}", left.bare_per_second),
            left.what.clone(),
            format!("{} %", per_cent(share.middle)),
            format!("{} to {} %", per_cent(share.low), per_cent(share.high)),
        ]
    });
    text.push_str(&table(
        &[
            "load and its lock",
            "iterations in 10^9 instructions",
            "observer",
            "left",
            "95 % interval",
        ],
        rows,
    ));
}

fn switches(text: &mut String, all: &[Switches]) {
    let Some(first) = all.first() else { return };
    let _ = write!(
        text,
        "\n**A switch**, of two tasks that send each other a byte (`perf bench sched pipe`), on one CPU: {:.0} instructions \
         from one to the next. What is added there is in every switch of the machine.\n\n",
        first.bare
    );
    text.push_str(&table(
        &["observer", "added to a switch"],
        all.iter()
            .map(|one| vec![one.what.clone(), format!("{:.0}", one.added)]),
    ));
}

fn of_kind(text: &mut String, kind: &OfKind, boots: usize) {
    let _ = write!(
        text,
        "\n**{}**: {} by `{} -t 1`, on one CPU whose clock counts its instructions; means of {boots} boots. An iteration \
         takes {} other of the kind besides; what it costs to look at another one is that of `{}`, which takes {} an \
         iteration, by the guest's clock. Medians inside the hold and of an iteration, by the plugin.\n\n",
        kind.kind, kind.lock, kind.load, kind.others, kind.load_of_others, kind.others_of_others
    );
    text.push_str(&table(
        &[
            "observer",
            "added inside the hold",
            "to a pair of the lock",
            "to a pair of another",
        ],
        kind.observers.iter().map(|observer| {
            let held = observer.followed.added_in_hold;
            vec![
                observer.what.clone(),
                held.map_or("–".to_owned(), |held| format!("{held:.0}")),
                format!("{:.0}", kind.pair(observer)),
                format!("{:.0}", kind.other_pair(observer)),
            ]
        }),
    ));
    if kind.contended.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "\nTwo CPUs that contend for it by `{} -t 2`, by the wall clock; one boot each.\n\n",
        kind.load
    );
    text.push_str(&table(
        &[
            "observer",
            "added in an uncontended hold",
            "in one that was had in the slow path",
            "of these at least",
        ],
        kind.contended.iter().map(|one| {
            vec![
                one.what.clone(),
                added(&one.uncontended),
                added(&one.in_hold),
                one.holds.to_string(),
            ]
        }),
    ));
}
