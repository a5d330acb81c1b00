//! All contended locks of the machine: by class, by lock, by who asked, waited, and had them.

mod commands;
mod owners;

use std::collections::BTreeSet;

use super::{Column, Emphasis, Grid, Section, Topic};
use crate::{
    export::Grouping,
    known_locks,
    profile::{Durations, Locks, NamedBy, Profile, Waits, WhoWaits, cgroup_title},
    recording::schema::LockFamily,
    units::{self, TimeUnit, UNKNOWN},
};

/// Rows of each table where there are several.
const ROWS: usize = 10;
/// Rows of the one that was asked for.
const ROWS_ALONE: usize = 50;

/// Every table, or the one that is asked for.
pub(super) fn sections(profile: &Profile, by: Option<Grouping>) -> Vec<Section> {
    let Some(locks) = profile.locks.as_ref().filter(|_| profile.intervals > 0) else {
        return Vec::new();
    };
    let unit = profile.unit();
    let groupings = by.map_or_else(|| Grouping::ALL.to_vec(), |by| vec![by]);
    let rows = if by.is_some() { ROWS_ALONE } else { ROWS };
    let mut all = Vec::new();
    for grouping in groupings {
        let mut section = match grouping {
            Grouping::Class => classes(profile, locks, rows),
            Grouping::Lock => members(locks, unit, rows),
            Grouping::Caller => callers(locks, unit, rows),
            Grouping::Owner => owners::owners(profile, locks, rows),
            Grouping::Task => people(Topic::ByTask, "By task", "task", &locks.tasks, unit, rows),
            Grouping::Process => processes(locks, unit, rows),
            Grouping::Command => commands::commands(locks, unit, rows),
            Grouping::Cgroup => cgroups(profile, locks, rows),
        };
        if section.blocks.is_empty() && by.is_some() {
            section.sentence(
                profile.no_waits_for("any lock that was looked at"),
                Emphasis::Plain,
            );
        }
        all.push(section);
    }
    all
}

/// What of all waits a time is.
fn share(ns: u64, all: u64) -> String {
    if all == 0 {
        return UNKNOWN.to_owned();
    }
    units::percent(ns as f64 / all as f64)
}

fn rest(section: &mut Section, all: usize, shown: usize) {
    if all > shown {
        let text = format!("and {} more with less", units::count((all - shown) as u64));
        section.sentence(text, Emphasis::Quiet);
    }
}

fn lengths(waits: &Durations, unit: TimeUnit) -> [String; 5] {
    let total = waits.known_total_ns().map(|ns| ns as f64);
    [
        units::count(waits.count()),
        unit.format_or_unknown(total),
        unit.format_or_unknown(waits.mean_ns()),
        unit.format_or_unknown(waits.percentile_ns(0.01)),
        waits.max_text(unit),
    ]
}

fn sums(waits: &Waits, unit: TimeUnit) -> [String; 3] {
    let known = waits.measured > 0;
    [
        units::count(waits.count),
        unit.format_or_unknown(known.then_some(waits.waited_ns as f64)),
        unit.format_or_unknown(waits.mean_ns()),
    ]
}

fn classes(profile: &Profile, locks: &Locks, rows: usize) -> Section {
    let unit = profile.unit();
    let mut section = Section::new(Topic::ByClass, "Contended locks by class");
    if locks.classes.is_empty() {
        section.sentence(
            profile.no_waits_for("any lock that was looked at"),
            Emphasis::Plain,
        );
        section.sentence(super::locks::spinlocks(profile), Emphasis::Quiet);
        return section;
    }
    let all = locks.waited_ns();
    let mut grid = Grid::new(&["class", "named by"], &["waited", "share", "waits"])
        .and("mean", Column::Derived)
        .and("p99", Column::Derived)
        .and("max", Column::Number);
    for class in locks.classes.iter().take(rows) {
        let [waits, waited, mean, p99, max] = lengths(&class.waits, unit);
        grid.row([
            class.class.titled(),
            class.class.named_by.name().to_owned(),
            waited,
            share(class.waits.total_ns, all),
            waits,
            mean,
            p99,
            max,
        ]);
    }
    section.grid(grid);
    rest(&mut section, locks.classes.len(), rows);
    section.sentence(rules(locks), Emphasis::Quiet);
    let is_shown = |name: &str| locks.classes.iter().any(|class| class.class.name == name);
    for known in known_locks::all().filter(|known| is_shown(known.name)) {
        if let Some(unseen) = known.unseen {
            section.sentence(unseen, Emphasis::Quiet);
        }
    }
    let families = locks.classes.iter().map(|class| class.class.family);
    if families
        .flatten()
        .any(|family| family == LockFamily::Spinlock)
    {
        section.sentence(super::locks::spinlocks(profile), Emphasis::Quiet);
    }
    section
}

/// What the rules are that have named the rows.
fn rules(locks: &Locks) -> String {
    let used: BTreeSet<NamedBy> = locks
        .classes
        .iter()
        .map(|class| class.class.named_by)
        .collect();
    let used: Vec<String> = used
        .into_iter()
        .map(|rule| format!("{}: {}", rule.name(), rule.meaning()))
        .collect();
    format!("Named by {}.", used.join("; "))
}

fn members(locks: &Locks, unit: TimeUnit, rows: usize) -> Section {
    let mut section = Section::new(Topic::ByLock, "By lock");
    let all = locks.classes.iter().flat_map(|class| {
        let members = class.members.iter();
        members.map(move |member| (class, member))
    });
    let mut all: Vec<_> = all.collect();
    if all.is_empty() {
        return section;
    }
    all.sort_by_key(|(_, member)| std::cmp::Reverse(member.waits.waited_ns));
    let mut grid = Grid::new(&["lock", "class"], &["waits", "waited", "mean"]);
    for (class, member) in all.iter().take(rows) {
        let names = [member.name.clone(), class.class.titled()];
        grid.row(names.into_iter().chain(sums(&member.waits, unit)));
    }
    section.grid(grid);
    rest(&mut section, all.len(), rows);
    section
}

fn callers(locks: &Locks, unit: TimeUnit, rows: usize) -> Section {
    let mut section = Section::new(Topic::ByCaller, "By who asked");
    if locks.callers.is_empty() {
        return section;
    }
    let mut grid = Grid::new(&["asked for by", "class", "kind"], &["waits", "waited"])
        .and("mean", Column::Derived)
        .and("p99", Column::Derived)
        .and("max", Column::Derived);
    for caller in locks.callers.iter().take(rows) {
        let name = caller.caller.as_deref().unwrap_or(UNKNOWN);
        let names = [
            name.to_owned(),
            caller.class.name.clone(),
            caller.kind.name().to_owned(),
        ];
        grid.row(names.into_iter().chain(lengths(&caller.waits, unit)));
    }
    section.grid(grid);
    rest(&mut section, locks.callers.len(), rows);
    section
}

fn people(
    topic: Topic,
    title: &str,
    what: &str,
    all: &[WhoWaits],
    unit: TimeUnit,
    rows: usize,
) -> Section {
    let mut section = Section::new(topic, title);
    if all.is_empty() {
        return section;
    }
    let has_processes = all.iter().any(|who| who.process.is_some());
    let texts: &[&str] = if has_processes {
        &[what, "process", "most for"]
    } else {
        &[what, "most for"]
    };
    let mut grid = Grid::new(texts, &["waits", "waited"]).and("mean", Column::Derived);
    for who in all.iter().take(rows) {
        let (class, _) = &who.most;
        let name = match topic {
            Topic::ByCgroup => cgroup_title(&who.who.name),
            _ => who.who.name.clone(),
        };
        let names = [name]
            .into_iter()
            .chain(who.process.iter().map(|process| process.name.clone()))
            .chain([class.name.clone()]);
        grid.row(names.chain(sums(&who.waits, unit)));
    }
    section.grid(grid);
    rest(&mut section, all.len(), rows);
    section
}

fn processes(locks: &Locks, unit: TimeUnit, rows: usize) -> Section {
    let title = "By process";
    let mut section = people(
        Topic::ByProcess,
        title,
        "process",
        &locks.processes,
        unit,
        rows,
    );
    let behind = locks.pairs.iter().filter(|pair| pair.owner.is_some());
    let behind: Vec<_> = behind.collect();
    if behind.is_empty() {
        return section;
    }
    let mut grid = Grid::new(
        &["waiting process", "for a lock that had"],
        &["waits", "waited"],
    )
    .and("mean", Column::Derived);
    for pair in behind.iter().take(rows) {
        let owner = pair.owner.as_ref();
        let owner = match owner.map(|owner| owner.id == pair.waiter.id) {
            Some(true) => "itself".to_owned(),
            _ => owner.map_or_else(|| UNKNOWN.to_owned(), |owner| owner.name.clone()),
        };
        let names = [pair.waiter.name.clone(), owner];
        grid.row(names.into_iter().chain(sums(&pair.waits, unit)));
    }
    section.grid(grid);
    rest(&mut section, behind.len(), rows);
    section
}

fn cgroups(profile: &Profile, locks: &Locks, rows: usize) -> Section {
    let mut section = people(
        Topic::ByCgroup,
        "By cgroup",
        "cgroup",
        &locks.cgroups,
        profile.unit(),
        rows,
    );
    if locks.without_place.count > 0 {
        section.sentence(
            format!(
                "{} waits ({}) are in no row by task, process, cgroup or owner: the table of a CPU had no place for \
                 them. --task-places makes it larger. By class and caller they are counted.",
                units::count(locks.without_place.count),
                profile.unit().format(locks.without_place.waited_ns as f64)
            ),
            Emphasis::Plain,
        );
    }
    section
}
