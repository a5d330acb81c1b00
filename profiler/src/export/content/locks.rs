//! Other locks, and who was behind the longest hold and wait.

use std::collections::BTreeMap;

use lockprof_abi::{CGROUP_SLOTS, Loss};

use super::{Column, Emphasis, Grid, Section, Topic};
use crate::{
    profile::{Contention, Profile, cgroup_title},
    recording::schema::{CgroupInterval, OTHER_CGROUPS, Tier},
    units::{self, TimeUnit},
};

/// Rows of each table.
const ROWS: usize = 10;
/// Rows of the other locks, where nothing else is measured.
const ROWS_ALONE: usize = 20;

/// Waits for another lock while this one was held.
pub(super) fn inner_waits(profile: &Profile) -> Section {
    let title = "Inner waits: for another lock while holding this one";
    let mut section = Section::new(Topic::InnerWaits, title);
    if profile.inner_waits.is_empty() {
        return section;
    }
    let mut grid = with_lengths(Grid::new(&["lock", "kind", "holder", "caller"], &[]));
    for wait in profile.inner_waits.iter().take(ROWS) {
        let holder = wait.in_hold_of.map_or("", |site| site.name());
        let mut row = names(wait);
        row.insert(2, holder.to_owned());
        grid.row(row.into_iter().chain(lengths(wait, profile.unit())));
    }
    section.grid(grid);
    rest(profile.inner_waits.len(), ROWS, &mut section);
    rows_of_one_lock(
        profile,
        &profile.inner_waits.iter().collect::<Vec<_>>(),
        &mut section,
    );
    section
}

/// The most contended other locks of the machine.
pub(super) fn other_locks(profile: &Profile) -> Section {
    // Only where spans are measured it is known what is inside a hold; without holds there is no word on it.
    let title = if !profile.holds_known() {
        "Other contended locks"
    } else if profile.header.windows.is_some() {
        "Other contended locks, inside the holds of this one and outside"
    } else {
        "Other contended locks, outside the holds of this one"
    };
    let mut section = Section::new(Topic::Locks, title);
    // That nobody waited is not known where nothing was measured.
    if !profile.waits_known() || profile.intervals == 0 {
        return section;
    }
    let others: Vec<&Contention> = profile.other_locks().collect();
    let beside: Vec<String> = unnamed(profile)
        .into_iter()
        .chain(without_row(profile))
        .collect();
    if others.is_empty() && beside.is_empty() {
        section.sentence(profile.no_waits_for("any other lock"), Emphasis::Plain);
        return section;
    }
    let mut grid = with_lengths(Grid::new(&["lock", "kind", "caller"], &[]));
    let rows = if profile.holds_known() {
        ROWS
    } else {
        ROWS_ALONE
    };
    for wait in others.iter().take(rows) {
        grid.row(names(wait).into_iter().chain(lengths(wait, profile.unit())));
    }
    section.grid(grid);
    rest(others.len(), rows, &mut section);
    rows_of_one_lock(profile, &others, &mut section);
    for text in beside {
        section.sentence(text, Emphasis::Plain);
    }
    section.sentence(spinlocks(profile), Emphasis::Quiet);
    section
}

/// What is seen of waits for spinlocks.
pub(super) fn spinlocks(profile: &Profile) -> String {
    profile.spinlock_waits_invisible().map_or_else(
        || {
            "Waits for spinlocks are lower bounds: the first waiter in line emits no event."
                .to_owned()
        },
        |why| format!("Waits for spinlocks are invisible here: {why}."),
    )
}

/// Who was behind the longest hold and wait of each site.
pub(super) fn longest(profile: &Profile) -> Section {
    let mut section = Section::new(Topic::Longest, "The longest hold and wait of each site");
    let unit = profile.unit();
    let mut events: Vec<_> = profile
        .sites
        .iter()
        .flat_map(|site| {
            let hold = site
                .longest_hold
                .iter()
                .map(|event| ("hold", site.site, event));
            let waits = site.longest_wait.iter().filter(|_| profile.waits_known());
            hold.chain(waits.map(|event| ("wait", site.site, event)))
        })
        .collect();
    if events.is_empty() {
        return section;
    }
    events.sort_by_key(|(_, _, event)| std::cmp::Reverse(event.ns));
    let mut grid = Grid::new(&["site", "kind"], &["length", "at", "CPU", "pid"])
        .and("comm", Column::Text)
        .and("cgroup", Column::Text);
    for (kind, site, event) in events.iter().take(2 * ROWS) {
        grid.row([
            site.name().to_owned(),
            (*kind).to_owned(),
            unit.format(event.ns as f64),
            format!("{:.2} s", event.at_s),
            event.cpu.to_string(),
            event.pid.to_string(),
            event.comm.clone(),
            event.cgroup.clone(),
        ]);
    }
    section.grid(grid);
    if let Some(text) = namespace(profile) {
        section.sentence(text, Emphasis::Quiet);
    }
    section
}

/// Totals by cgroup.
pub(super) fn cgroups(profile: &Profile) -> Section {
    let mut section = Section::new(Topic::Cgroups, "By cgroup");
    if profile.cgroups.is_empty() {
        if profile.header.cgroups && profile.header.tier == Tier::WaitOnly {
            section.sentence(
                "--cgroups does nothing here: it counts holds, and waits of those whose holds are followed, and in this \
                 tier nobody's are.",
                Emphasis::Plain,
            );
        }
        return section;
    }
    let unit = profile.unit();
    let mut grid = Grid::new(&["cgroup"], &["holds", "held", "contended", "waited"]);
    let mut row = |cgroup: &str, totals: &CgroupInterval| {
        grid.row([
            cgroup.to_owned(),
            units::count(totals.holds),
            unit.format(totals.held_ns as f64),
            units::count(totals.waits),
            unit.format(totals.waited_ns as f64),
        ]);
    };
    let others = profile.cgroups.get(OTHER_CGROUPS);
    let named = profile.cgroups.iter();
    let mut named: Vec<_> = named
        .filter(|(cgroup, _)| *cgroup != OTHER_CGROUPS)
        .collect();
    named.sort_by_key(|(_, totals)| std::cmp::Reverse(totals.held_ns));
    for (cgroup, totals) in named.iter().take(ROWS) {
        row(&cgroup_title(cgroup), totals);
    }
    if let Some(others) = others {
        row(OTHER_CGROUPS, others);
    }
    section.grid(grid);
    rest(named.len(), ROWS, &mut section);
    section.sentence(about_cgroups(profile).join(" "), Emphasis::Quiet);
    section
}

/// Whose root the paths of cgroups begin at, where it is not the machine's.
fn namespace(profile: &Profile) -> Option<&'static str> {
    let inside = profile.header.cgroup_namespace;
    inside.then_some(
        "Paths of cgroups begin at the root of a cgroup namespace, which is not the machine's.",
    )
}

/// What the rows are of, and what is in none of them.
fn about_cgroups(profile: &Profile) -> Vec<String> {
    let whose = if profile.is_of_mutex() {
        ""
    } else {
        " of writers"
    };
    let mut all = vec![format!("Holds and waits{whose}.")];
    all.extend(namespace(profile).map(str::to_owned));
    let full = profile.losses.counted.get(&Loss::CgroupTableFull);
    let full = full.copied().unwrap_or(0);
    if profile.cgroups.contains_key(OTHER_CGROUPS) {
        all.push(format!(
            "\"{OTHER_CGROUPS}\" are cgroups that the table of a CPU, of {CGROUP_SLOTS}, had no place for."
        ));
    } else if full > 0 {
        all.push(format!(
            "The table of a CPU had no place for the cgroups of {} holds and waits: they are in no row.",
            units::count(full)
        ));
    }
    let holds = profile.cgroups.values().map(|totals| totals.holds);
    let holds = holds.fold(0, u64::saturating_add);
    if let Some(of_sites) = profile.write_holds().filter(|&of_sites| of_sites != holds) {
        all.push(format!(
            "Their holds are {} here and {} by site.",
            units::count(holds),
            units::count(of_sites)
        ));
    }
    all
}

/// What the tables of the CPUs had no place for.
fn unnamed(profile: &Profile) -> Option<String> {
    let kinds: Vec<String> = profile
        .unnamed_locks()
        .map(|wait| {
            format!(
                "{} for a {} ({})",
                units::count(wait.waits.count()),
                wait.kind.name(),
                waited(wait, profile.unit())
            )
        })
        .collect();
    (!kinds.is_empty()).then(|| {
        format!(
            "Waits for locks that the table of a CPU had no place for: {}.",
            kinds.join(", ")
        )
    })
}

/// What is in no row, or in one without its caller.
fn without_row(profile: &Profile) -> Vec<String> {
    let lost = |loss| {
        profile
            .losses
            .counted
            .get(&loss)
            .filter(|&&count| count > 0)
    };
    let taken = lost(Loss::TaskSlotTaken).map(|&waits| {
        format!(
            "{} sleeping waits are in no row: another task had taken their place in the table by task.",
            units::count(waits)
        )
    });
    let stackless = lost(Loss::StackMissing).map(|&waits| {
        format!(
            "The call stacks of {} waits could not be kept; where only those tell, their caller is \"{}\".",
            units::count(waits),
            units::UNKNOWN
        )
    });
    taken.into_iter().chain(stackless).collect()
}

fn names(wait: &Contention) -> Vec<String> {
    vec![
        wait.lock(),
        wait.kind.name().to_owned(),
        wait.caller
            .clone()
            .unwrap_or_else(|| units::UNKNOWN.to_owned()),
    ]
}

/// Adds the columns of waits.
pub(super) fn with_lengths(grid: Grid) -> Grid {
    grid.and("waits", Column::Number)
        .and("waited", Column::Number)
        .and("mean", Column::Derived)
        .and("max", Column::Number)
}

pub(super) fn lengths(wait: &Contention, unit: TimeUnit) -> [String; 4] {
    [
        units::count(wait.waits.count()),
        waited(wait, unit),
        unit.format_or_unknown(wait.waits.mean_ns()),
        wait.waits.max_text(unit),
    ]
}

/// The time of all waits, where any of them has a length.
fn waited(wait: &Contention, unit: TimeUnit) -> String {
    unit.format_or_unknown(wait.waits.known_total_ns().map(|ns| ns as f64))
}

/// Says that a lock has a row for each caller, where one has more than one, and what the most waited of
/// them has in all.
fn rows_of_one_lock(profile: &Profile, all: &[&Contention], section: &mut Section) {
    let mut by_lock: BTreeMap<u64, (usize, u64, &Contention)> = BTreeMap::new();
    for wait in all {
        let (rows, sum, _) = by_lock.entry(wait.address).or_insert((0, 0, wait));
        *rows += 1;
        *sum = sum.saturating_add(wait.waits.total_ns);
    }
    let several = by_lock.values().filter(|(rows, ..)| *rows > 1);
    // Of samples alone there is no sum.
    let several = several.filter(|(_, sum, _)| *sum > 0);
    let Some((rows, sum, wait)) = several.max_by_key(|(_, sum, _)| *sum) else {
        return;
    };
    let text = format!(
        "A row is a lock and who asked for it: {} has {rows}, {} in all.",
        wait.lock(),
        profile.unit().format(*sum as f64)
    );
    section.sentence(text, Emphasis::Quiet);
}

fn rest(all: usize, shown: usize, section: &mut Section) {
    if all > shown {
        section.sentence(
            format!("and {} more with less", all - shown),
            Emphasis::Quiet,
        );
    }
}
