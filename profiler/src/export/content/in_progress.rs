//! What had not ended when the measured time did, or when its window did.

use super::{Column, Emphasis, Grid, Section, Topic};
use crate::{
    profile::{LockKind, Profile, symbol_of},
    recording::schema::{CutWaits, InProgress, Kind, OpenEvent},
    units::{self, UNKNOWN},
};

/// Rows of a table.
const ROWS: usize = 10;
/// What is known to have gone on for less is counted, and has no row.
const NOTABLE_NS: u64 = 1_000_000;

/// Waits and holds that were in progress, the longest first.
pub(super) fn in_progress(profile: &Profile) -> Section {
    let mut section = Section::new(Topic::InProgress, "Still in progress at the end");
    let footer = profile.footer.as_ref();
    let Some(found) = footer.and_then(|footer| footer.in_progress.as_ref()) else {
        return section;
    };
    open(&mut section, found, profile);
    // Of which nothing is known to have gone on over an end there is nothing to say.
    if let Some(waits) = found.cut.as_ref().filter(|waits| waits.at_least_ns > 0) {
        cut(&mut section, waits, profile);
    }
    section
}

/// What is open, and why there may be more.
fn open(section: &mut Section, found: &InProgress, profile: &Profile) {
    if !found.events.is_empty() {
        events(section, &found.events, profile);
        notes_of_open(section, found);
    }
    if let Some(why) = &found.unseen {
        let text = format!(
            "Tasks that waited already when the probes were attached, or began to while they were not, may be \
             missing: {why}."
        );
        section.sentence(text, Emphasis::Quiet);
    }
}

/// What had ended, without a window that saw the whole.
fn cut(section: &mut Section, cut: &CutWaits, profile: &Profile) {
    let length = profile.unit().format(cut.at_least_ns as f64);
    let text = format!(
        "{} went on over the end of a window, or while nothing was attached, at least {length} in all: in no other \
         number. With --windows off waits of any length are.",
        units::count_of(cut.waits as usize, "wait")
    );
    section.sentence(text, Emphasis::Plain);
    let long = cut.longest.iter();
    let long: Vec<&OpenEvent> = long
        .filter(|event| event.at_least_ns >= NOTABLE_NS)
        .collect();
    if !long.is_empty() {
        events(section, long, profile);
    }
}

/// A row for each, up to a number.
fn events<'a>(
    section: &mut Section,
    events: impl IntoIterator<Item = &'a OpenEvent>,
    profile: &Profile,
) {
    let texts = ["what", "lock", "kind", "asked for by"];
    let mut grid = Grid::new(&texts, &["at least", "pid"]).and("comm", Column::Text);
    for event in events.into_iter().take(ROWS) {
        grid.row(cells(event, profile));
    }
    section.grid(grid);
}

fn notes_of_open(section: &mut Section, found: &InProgress) {
    let rest = found.events.len().saturating_sub(ROWS) as u64 + found.more;
    if rest > 0 {
        let text = format!("and {} more with less", units::count(rest));
        section.sentence(text, Emphasis::Quiet);
    }
    let before = found.events.iter().filter(|event| event.since_attach);
    let before = before.count() as u64;
    if before > 0 {
        let text = format!(
            "Of these, {} waited already when the probes were attached: for how long before that is not known.",
            units::count(before)
        );
        section.sentence(text, Emphasis::Plain);
    }
    let without = found.events.iter().any(|event| event.lock.is_none());
    if without {
        section.sentence(
            "Where no lock is named the wait began while no probe was attached, or before the measured time: its task \
             slept all that time for a lock of this kind, by its call stack.",
            Emphasis::Quiet,
        );
    }
}

fn cells(event: &OpenEvent, profile: &Profile) -> [String; 7] {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    let asked = event.caller.as_deref().map(symbol_of).map(str::to_owned);
    [
        match event.kind {
            Kind::Wait => "wait",
            Kind::Hold => "hold",
        }
        .to_owned(),
        or_unknown(profile.name_of_open(event).or_else(|| event.lock.clone())),
        LockKind::of(event.flags).name().to_owned(),
        or_unknown(asked.or_else(|| event.site.clone())),
        profile.unit().format(event.at_least_ns as f64),
        or_unknown(event.pid.map(|pid| pid.to_string())),
        or_unknown(event.comm.clone()),
    ]
}
