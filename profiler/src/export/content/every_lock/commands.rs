//! By the names of processes: of a thousand short-lived ones no row of its own tells much.

use super::{Column, Grid, Section, Topic, rest, sums};
use crate::{
    profile::{Behind, CommandWaits, Locks},
    units::{self, TimeUnit, UNKNOWN},
};

/// Who waited, and behind whom.
pub(super) fn commands(locks: &Locks, unit: TimeUnit, rows: usize) -> Section {
    let mut section = Section::new(Topic::ByCommand, "By command");
    if locks.commands.is_empty() {
        return section;
    }
    let mut grid = Grid::new(&["command", "most for"], &["processes", "waits", "waited"])
        .and("mean", Column::Derived);
    for command in locks.commands.iter().take(rows) {
        let (class, _) = &command.most;
        let texts = [
            command.name.clone(),
            class.name.clone(),
            units::count(command.processes as u64),
        ];
        grid.row(texts.into_iter().chain(sums(&command.waits, unit)));
    }
    section.grid(grid);
    rest(&mut section, locks.commands.len(), rows);
    behind(&mut section, locks, unit, rows);
    section
}

/// Which commands had the locks, where that was seen of any.
fn behind(section: &mut Section, locks: &Locks, unit: TimeUnit, rows: usize) {
    let of_command = |command| move |behind| (command, behind);
    let all = locks.commands.iter();
    let all = all.flat_map(|command| command.behind.iter().map(of_command(command)));
    let mut all: Vec<(&CommandWaits, &Behind)> =
        all.filter(|(_, behind)| behind.owner.is_some()).collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|(_, behind)| std::cmp::Reverse(behind.waits.waited_ns));
    let texts = ["waiting command", "for a lock that had"];
    let mut grid = Grid::new(&texts, &["owners", "waits", "waited"]).and("mean", Column::Derived);
    for (command, behind) in all.iter().take(rows) {
        let owner = match &behind.owner {
            Some(_) if behind.is_own => "its own process",
            Some(owner) => owner,
            None => UNKNOWN,
        };
        let texts = [
            command.name.clone(),
            owner.to_owned(),
            units::count(behind.processes as u64),
        ];
        grid.row(texts.into_iter().chain(sums(&behind.waits, unit)));
    }
    section.grid(grid);
    rest(section, all.len(), rows);
}
