//! Why holders were slow: what they did instead of running.

use std::collections::BTreeMap;

use super::{Emphasis, Grid, Section, Topic};
use crate::{
    profile::{OffBy, OffCpu, Profile},
    site::Site,
    units::{self, UNKNOWN},
};

/// Rows of what was slept for.
const ROWS: usize = 10;
/// Functions of a call stack in a row.
const FRAMES: usize = 3;

/// Holders that were not running.
pub(super) fn off_cpu(profile: &Profile) -> Section {
    let mut section = Section::new(Topic::OffCpu, "Holders that were not running");
    let Some(all) = &profile.off_cpu else {
        return section;
    };
    if !profile.holds_known() {
        return section;
    }
    if all.is_empty() {
        section.sentence(
            "No holder was seen to leave its CPU with the lock.",
            Emphasis::Plain,
        );
        return section;
    }
    section.grid(by_site(profile, all));
    let (places, more) = by_place(profile, all);
    section.grid(places);
    if more > 0 {
        section.sentence(format!("and {more} more with less"), Emphasis::Quiet);
    }
    let is_booked = |site: Site| profile.sites.iter().any(|booked| booked.site == site);
    if all
        .iter()
        .filter_map(|off| off.site)
        .any(|site| !is_booked(site))
    {
        section.sentence(
            "A site without holds has stretches of those that had just been given the lock, of whom it was not known yet who \
             had asked.",
            Emphasis::Quiet,
        );
    }
    section.sentence(
        "Asleep is until it was woken; runnable is what came then until it ran, or where it was preempted.",
        Emphasis::Quiet,
    );
    section
}

/// What of the held time of each site was none of a running holder.
fn by_site(profile: &Profile, all: &[OffCpu]) -> Grid {
    let mut sums: BTreeMap<Site, [u64; 2]> = BTreeMap::new();
    for (site, off) in all.iter().filter_map(|off| Some((off.site?, off))) {
        let sum = sums.entry(site).or_default();
        sum[0] = sum[0].saturating_add(off.asleep_ns);
        sum[1] = sum[1].saturating_add(off.runnable_ns);
    }
    let mut grid = Grid::new(&["site"], &["held", "asleep", "runnable", "running"]);
    for site in &profile.sites {
        let held_ns = site.hold.as_ref().map_or(0, |hold| hold.total_ns);
        let Some([asleep_ns, runnable_ns]) = sums.get(&site.site) else {
            continue;
        };
        let share = |ns: u64| {
            if held_ns == 0 {
                UNKNOWN.to_owned()
            } else {
                units::percent(ns as f64 / held_ns as f64)
            }
        };
        grid.row([
            site.site.name().to_owned(),
            profile.unit().format(held_ns as f64),
            share(*asleep_ns),
            share(*runnable_ns),
            share(held_ns.saturating_sub(asleep_ns.saturating_add(*runnable_ns))),
        ]);
    }
    grid
}

/// By where they slept, as far out as a row tells, and how many rows there are besides.
fn by_place(profile: &Profile, all: &[OffCpu]) -> (Grid, usize) {
    let unit = profile.unit();
    let mut sums: BTreeMap<(&str, String), OffCpu> = BTreeMap::new();
    for off in all {
        let site = off.site.map_or("others", |site| site.name());
        sums.entry((site, why(&off.by)))
            .and_modify(|sum| sum.add(off))
            .or_insert_with(|| off.clone());
    }
    let mut rows: Vec<((&str, String), OffCpu)> = sums.into_iter().collect();
    rows.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.off_ns()));
    let numbers = ["times", "asleep", "runnable", "longest"];
    let mut grid = Grid::new(&["site", "slept in"], &numbers);
    let more = rows.len().saturating_sub(ROWS);
    for ((site, why), sum) in rows.into_iter().take(ROWS) {
        grid.row([
            site.to_owned(),
            why,
            units::count(sum.stretches),
            unit.format(sum.asleep_ns as f64),
            unit.format(sum.runnable_ns as f64),
            unit.format(sum.longest_ns as f64),
        ]);
    }
    (grid, more)
}

/// In words.
fn why(by: &OffBy) -> String {
    match by {
        OffBy::Sleep(path) if path.is_empty() => UNKNOWN.to_owned(),
        OffBy::Sleep(path) => {
            let shown: Vec<&str> = path.iter().take(FRAMES).map(String::as_str).collect();
            shown.join(" < ")
        }
        OffBy::Preemption => "(preempted)".to_owned(),
        OffBy::Unknown => UNKNOWN.to_owned(),
    }
}
