//! Other locks, and who was behind the longest hold and wait.

use std::collections::BTreeMap;

use super::{Column, Emphasis, Grid, Section, Topic};
use crate::{
    profile::{Contention, Profile},
    units::{self, TimeUnit},
};

/// Rows of each table.
const ROWS: usize = 10;

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
    rest(profile.inner_waits.len(), &mut section);
    rows_of_one_lock(
        profile,
        &profile.inner_waits.iter().collect::<Vec<_>>(),
        &mut section,
    );
    section
}

/// The most contended other locks of the machine.
pub(super) fn other_locks(profile: &Profile) -> Section {
    // Only where spans are measured it is known what is inside a hold.
    let title = if profile.header.windows.is_some() {
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
    if others.is_empty() && profile.unnamed_locks().next().is_none() {
        section.sentence("No wait for any other lock was seen.", Emphasis::Plain);
        return section;
    }
    let mut grid = with_lengths(Grid::new(&["lock", "kind", "caller"], &[]));
    for wait in others.iter().take(ROWS) {
        grid.row(names(wait).into_iter().chain(lengths(wait, profile.unit())));
    }
    section.grid(grid);
    rest(others.len(), &mut section);
    rows_of_one_lock(profile, &others, &mut section);
    if let Some(text) = unnamed(profile) {
        section.sentence(text, Emphasis::Plain);
    }
    let spin = if profile.header.kernel.spin_waits_invisible {
        "Waits for spinlocks are invisible here: this kernel spins in virt_spin_lock(), which \
         emits no event."
    } else {
        "Waits for spinlocks are lower bounds: the first waiter in line emits no event."
    };
    section.sentence(spin, Emphasis::Quiet);
    section
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
    section
}

/// Totals by cgroup.
pub(super) fn cgroups(profile: &Profile) -> Section {
    let mut section = Section::new(Topic::Cgroups, "By cgroup");
    if profile.cgroups.is_empty() {
        return section;
    }
    let unit = profile.unit();
    let mut all: Vec<_> = profile.cgroups.iter().collect();
    all.sort_by_key(|(_, totals)| std::cmp::Reverse(totals.held_ns));
    let mut grid = Grid::new(&["cgroup"], &["holds", "held", "contended", "waited"]);
    for (cgroup, totals) in all.iter().take(ROWS) {
        grid.row([
            (*cgroup).clone(),
            units::count(totals.holds),
            unit.format(totals.held_ns as f64),
            units::count(totals.waits),
            unit.format(totals.waited_ns as f64),
        ]);
    }
    section.grid(grid);
    rest(all.len(), &mut section);
    let mut text = "Holds and waits of writers.".to_owned();
    let holds = all.iter().map(|(_, totals)| totals.holds);
    let holds = holds.fold(0, u64::saturating_add);
    if let Some(of_sites) = profile.write_holds().filter(|&of_sites| of_sites != holds) {
        text += &format!(
            " Their holds are {} here and {} by site: the two are read one after the other.",
            units::count(holds),
            units::count(of_sites)
        );
    }
    section.sentence(text, Emphasis::Quiet);
    section
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
                profile.unit().format(wait.waits.total_ns as f64)
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
fn with_lengths(grid: Grid) -> Grid {
    grid.and("waits", Column::Number)
        .and("waited", Column::Number)
        .and("mean", Column::Derived)
        .and("max", Column::Number)
}

fn lengths(wait: &Contention, unit: TimeUnit) -> [String; 4] {
    [
        units::count(wait.waits.count()),
        unit.format(wait.waits.total_ns as f64),
        unit.format_or_unknown(wait.waits.mean_ns()),
        wait.waits.max_text(unit),
    ]
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

fn rest(all: usize, section: &mut Section) {
    if all > ROWS {
        section.sentence(
            format!("and {} more with less", all - ROWS),
            Emphasis::Quiet,
        );
    }
}
