//! The page of a recording of all contended locks.

use anyhow::Result;
use maud::{Markup, html};

use super::{
    Part, average, flame,
    measured::measured,
    parts::{grids, section_blocks, sections},
    picture,
};
use crate::{
    export::{
        content::{Column, Document, Grid, Section, Topic},
        picture::Picture,
    },
    profile::{Locks, Profile},
    units,
};

/// Classes with a column of their own in the table of waits over time.
const COLUMNS: usize = 6;

/// The sections: which locks are waited for, who asks, who has them, and who waits.
pub(super) fn contents(profile: &Profile, locks: &Locks, document: &Document) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut add = |id, title, body| parts.push(Part { id, title, body });
    let tiles = tiles(profile, locks);
    add("verdict", "In short", super::verdict(document, &tiles));
    if document.section(Topic::ByClass).is_some() {
        add(
            "classes",
            "Contended locks by class",
            classes(profile, locks, document)?,
        );
    }
    // That nobody waited is said already.
    if profile.intervals > 0 && locks.count() > 0 {
        add("callers", "Who asks", callers(profile, document)?);
        add(
            "owners",
            "Who has them and who waits for whom",
            owners(profile, document)?,
        );
        let people = [
            Topic::ByCommand,
            Topic::ByProcess,
            Topic::ByTask,
            Topic::ByCgroup,
        ];
        let people: Vec<&Section> = people
            .into_iter()
            .filter_map(|topic| document.section(topic))
            .collect();
        if !people.is_empty() {
            add(
                "people",
                "By command, process, task and cgroup",
                sections(&people),
            );
        }
        let by_lock = document.section(Topic::ByLock);
        if by_lock.is_some() {
            add("locks", "By lock", section_blocks(by_lock));
        }
    }
    add(
        "measured",
        "How it was measured",
        measured(profile, document),
    );
    Ok(parts)
}

/// The few numbers that sum a run up.
fn tiles(profile: &Profile, locks: &Locks) -> Vec<(&'static str, String)> {
    if profile.intervals == 0 || !profile.waits_known() {
        return Vec::new();
    }
    let waited = locks.waited_ns();
    let mut tiles = vec![
        ("waits", units::count(locks.count())),
        ("waited", profile.unit().format(waited as f64)),
    ];
    if let Some(tasks) = profile.share_of_time(waited) {
        tiles.push(("tasks that wait, on average", average(tasks)));
    }
    let classes = locks.classes.len() as u64;
    tiles.push(("classes of locks", units::count(classes)));
    tiles
}

fn classes(profile: &Profile, locks: &Locks, document: &Document) -> Result<Markup> {
    let by_class = document.section(Topic::ByClass);
    if locks.classes.is_empty() {
        // The table's section says what the sentence in the picture's place would.
        return Ok(section_blocks(by_class));
    }
    let instead = "Bars of waited time by class of locks, each divided by the functions that asked for the lock, \
                   with the share of all waiting and the number of waits. The tables by class and by who asked \
                   have the numbers.";
    let caption = "A class is all locks that are the same member of structures of one type, or as near to that as \
                   can be told. Beneath each bar is who asked, with the share of the class.";
    let over_time = "Waited time by class of locks over the run, as the number of tasks that wait on average. The \
                     table that follows has the numbers.";
    let over_time_caption = "A height of 1 is one task that waits all the time. What waits at once, or in bursts, \
                             is seen here.";
    Ok(html! {
        (picture(profile, Picture::Classes, instead, caption)?)
        (section_blocks(by_class))
        h3 { "Waits over time" }
        (picture(profile, Picture::WaitsOverTime, over_time, over_time_caption)?)
        @if Picture::WaitsOverTime.absence(profile).is_none() {
            details { summary { "The waits over time in numbers" } (grids(&over_time_grid(profile, locks))) }
        }
    })
}

/// What was waited for in each stretch of time.
fn over_time_grid(profile: &Profile, locks: &Locks) -> Grid {
    let shown = locks.classes.iter().take(COLUMNS);
    let names: Vec<&str> = shown.map(|class| class.class.name.as_str()).collect();
    let mut grid = Grid::new(&["until"], &["measured"]);
    for name in &names {
        grid = grid.and(name, Column::Number);
    }
    grid = grid.and("all others", Column::Number);
    let unit = profile.unit();
    for stretch in &locks.over_time {
        let (own, others) = stretch
            .by_class
            .split_at(stretch.by_class.len().min(COLUMNS));
        let rest = others
            .iter()
            .fold(stretch.rest_ns, |sum, &ns| sum.saturating_add(ns));
        let until = [
            format!("{:.2} s", stretch.to_s),
            units::seconds(stretch.seconds),
        ];
        let waited = own.iter().copied().chain([rest]);
        let waited = waited.map(|ns| unit.format(ns as f64));
        grid.row(until.into_iter().chain(waited));
    }
    grid
}

fn callers(profile: &Profile, document: &Document) -> Result<Markup> {
    Ok(html! {
        (section_blocks(document.section(Topic::ByCaller)))
        h3 { "The call stacks of who waits" }
        (flame::graph(profile)?)
    })
}

fn owners(profile: &Profile, document: &Document) -> Result<Markup> {
    let instead = "A matrix of waiting processes by the processes that had the lock, with the waited time of each \
                   pair. The tables here and by process have the numbers.";
    let caption = "Down: who waited. Across: the process that had the lock when the wait began. Spinlocks do not \
                   tell who has them: those waits are not seen.";
    let by_owner = document.section(Topic::ByOwner);
    Ok(html! {
        (section_blocks(by_owner))
        h3 { "Which process waits for which" }
        (picture(profile, Picture::Waiters, instead, caption)?)
    })
}
