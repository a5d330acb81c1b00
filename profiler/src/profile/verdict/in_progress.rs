//! What had not ended, and had lasted long: whoever looks for a hang looks for this first.

use crate::{
    profile::{LockKind, Profile, symbol_of},
    recording::schema::{CutWaits, Kind, OpenEvent},
    units,
};

/// What is in progress for less is in the table alone.
const LONG_NS: u64 = 1_000_000_000;
/// Sentences of this kind.
const MOST: usize = 3;

/// What was still in progress, the longest first.
pub(super) fn in_progress(profile: &Profile) -> Vec<String> {
    let footer = profile.footer.as_ref();
    let Some(found) = footer.and_then(|footer| footer.in_progress.as_ref()) else {
        return Vec::new();
    };
    let long = found.events.iter();
    let long: Vec<&OpenEvent> = long.filter(|event| event.at_least_ns >= LONG_NS).collect();
    let mut sentences: Vec<String> = long
        .iter()
        .take(MOST)
        .map(|event| sentence(event, profile))
        .collect();
    if long.len() > MOST {
        let more = found.events.len().saturating_sub(MOST) as u64 + found.more;
        sentences.push(format!(
            "{} more were in progress, the longest first in the table below.",
            units::count(more)
        ));
    }
    let cut = found.cut.as_ref();
    sentences.extend(
        cut.filter(|cut| cut.at_least_ns >= LONG_NS)
            .map(|cut| cut_short(cut, profile)),
    );
    sentences
}

/// Waits that were longer than their windows, and have ended.
fn cut_short(cut: &CutWaits, profile: &Profile) -> String {
    let format = |ns: u64| profile.unit().format(ns as f64);
    let longest = cut.longest.first().map(|event| {
        let kind = noun(LockKind::of(event.flags));
        let who = event.comm.as_deref().unwrap_or("a task");
        format!(
            ", the longest by {who} for {kind}, at least {}",
            format(event.at_least_ns)
        )
    });
    format!(
        "{} went on over the end of a window, at least {} in all{}: what is said below has none of them; measure with \
         --windows off.",
        units::count_of(cut.waits as usize, "wait"),
        format(cut.at_least_ns),
        longest.unwrap_or_default()
    )
}

fn sentence(event: &OpenEvent, profile: &Profile) -> String {
    let length = profile.unit().format(event.at_least_ns as f64);
    let mut who = event.comm.clone().unwrap_or_else(|| "a task".to_owned());
    if let Some(pid) = event.pid {
        who += &format!(" (pid {pid})");
    }
    let kind = noun(LockKind::of(event.flags));
    let lock = (profile.name_of_open(event))
        .map_or_else(|| kind.to_owned(), |name| format!("{name}, {kind}"));
    let asked = event.caller.as_deref().map(symbol_of);
    let asked = asked.or(event.site.as_deref());
    let asked = asked.map_or_else(String::new, |asked| format!(", asked for by {asked}"));
    let cpu = event
        .cpu
        .map_or_else(String::new, |cpu| format!(" on CPU {cpu}"));
    let before = if event.since_attach {
        ", since before the probes were attached"
    } else {
        ""
    };
    match event.kind {
        Kind::Wait => format!(
            "Still waiting at the end: {who}{cpu} for {lock}{asked}, at least {length}{before}."
        ),
        Kind::Hold => {
            format!("Still held at the end: {lock}, by {who}{cpu}{asked}, at least {length}.")
        }
    }
}

/// A kind of lock in a sentence.
const fn noun(kind: LockKind) -> &'static str {
    match kind {
        LockKind::Spin => "a spinlock",
        LockKind::SpinRead => "an rwlock (to read)",
        LockKind::SpinWrite => "an rwlock (to write)",
        LockKind::Mutex => "a mutex",
        LockKind::SleepRead => "an rwsem (to read)",
        LockKind::SleepWrite => "an rwsem (to write)",
        LockKind::RealTime => "a lock of a real-time kernel",
        LockKind::PerCpu => "a pcpu-sem",
        LockKind::Sleep => "a sleeping lock",
    }
}
