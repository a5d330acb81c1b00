//! Other locks, and who was behind the longest hold and wait.

use super::{
    grid::{Align, Grid},
    page::{Emphasis, Page},
};
use crate::{
    profile::{Contention, Profile},
    units,
};

/// Rows of each table.
const ROWS: usize = 10;

/// Waits for another lock while this one was held.
pub(super) fn inner_waits(profile: &Profile, page: &mut Page) {
    if profile.inner_waits.is_empty() {
        return;
    }
    page.heading("Inner waits: for another lock while holding this one");
    let unit = profile.unit();
    let mut grid = Grid::new(&["lock", "kind", "holder", "caller"], lengths_of(page));
    for wait in profile.inner_waits.iter().take(ROWS) {
        let holder = wait.in_hold_of.map_or("", |site| site.name());
        let mut row = names(wait);
        row.insert(2, holder.to_owned());
        grid.row(
            row.into_iter()
                .chain(lengths(wait, page, |ns| unit.format(ns))),
        );
    }
    page.grid(&grid);
    rest(profile.inner_waits.len(), page);
}

/// The most contended other locks of the machine.
pub(super) fn other_locks(profile: &Profile, page: &mut Page) {
    if !profile.waits_known() {
        return;
    }
    let others: Vec<&Contention> = profile
        .contention
        .iter()
        .filter(|wait| !wait.is_target && wait.in_hold_of.is_none())
        .collect();
    page.heading("Other contended locks, outside the holds of this one");
    if others.is_empty() {
        page.sentence("No wait for any other lock was seen.", Emphasis::Plain);
        return;
    }
    let unit = profile.unit();
    let mut grid = Grid::new(&["lock", "kind", "caller"], lengths_of(page));
    for wait in others.iter().take(ROWS) {
        grid.row(
            names(wait)
                .into_iter()
                .chain(lengths(wait, page, |ns| unit.format(ns))),
        );
    }
    page.grid(&grid);
    rest(others.len(), page);
    let spin = if profile.header.kernel.spin_waits_invisible {
        "Waits for spinlocks are invisible here: this kernel spins in virt_spin_lock(), which \
         emits no event."
    } else {
        "Waits for spinlocks are lower bounds: the first waiter in line emits no event."
    };
    page.sentence(spin, Emphasis::Quiet);
}

/// Who was behind the longest hold and wait of each site.
pub(super) fn longest(profile: &Profile, page: &mut Page) {
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
        return;
    }
    events.sort_by_key(|(_, _, event)| std::cmp::Reverse(event.ns));
    page.heading("The longest hold and wait of each site");
    let mut grid = Grid::new(&["site", "kind"], &["length", "at", "CPU", "pid"])
        .and("comm", Align::Left)
        .and("cgroup", Align::Left);
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
    page.grid(&grid);
}

/// Totals by cgroup.
pub(super) fn cgroups(profile: &Profile, page: &mut Page) {
    if profile.cgroups.is_empty() {
        return;
    }
    page.heading("By cgroup");
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
    page.grid(&grid);
    rest(all.len(), page);
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

/// The columns of waits. The mean follows from the others: on a narrow page it makes room for names.
const fn lengths_of(page: &Page) -> &'static [&'static str] {
    if page.is_narrow() {
        &["waits", "waited", "max"]
    } else {
        &["waits", "waited", "mean", "max"]
    }
}

fn lengths(wait: &Contention, page: &Page, format: impl Fn(f64) -> String) -> Vec<String> {
    let or_unknown =
        |length: Option<f64>| length.map_or_else(|| units::UNKNOWN.to_owned(), &format);
    let mut lengths = vec![
        units::count(wait.waits.count()),
        format(wait.waits.total_ns as f64),
    ];
    if !page.is_narrow() {
        lengths.push(or_unknown(wait.waits.mean_ns()));
    }
    lengths.push(or_unknown(wait.waits.max_ns()));
    lengths
}

fn rest(all: usize, page: &mut Page) {
    if all > ROWS {
        page.sentence(
            &format!("and {} more with less", all - ROWS),
            Emphasis::Quiet,
        );
    }
}
