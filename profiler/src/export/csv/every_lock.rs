//! All contended locks as rows of the table.

use super::{Row, Rows};
use crate::profile::Locks;

/// By class, caller, owner, and who waited.
pub(super) fn rows(locks: &Locks, rows: &mut Rows, time: &str) {
    for class in &locks.classes {
        let row = Row {
            section: "class",
            name: &class.class.name,
            ..Row::default()
        };
        rows.add(row, "waits", Some(class.waits.count()), "count");
        rows.add(row, "waited", class.waits.known_total_ns(), time);
        rows.lengths(row, "wait", Some(&class.waits), time);
    }
    for caller in &locks.callers {
        let row = Row {
            section: "caller",
            site: &caller.class.name,
            name: caller.caller.as_deref().unwrap_or(""),
            ..Row::default()
        };
        rows.add(row, "waits", Some(caller.waits.count()), "count");
        rows.add(row, "waited", caller.waits.known_total_ns(), time);
    }
    for owner in &locks.owners {
        let row = Row {
            section: "owner",
            site: &owner.class.name,
            name: &owner.owner.name,
            ..Row::default()
        };
        rows.sums(row, &owner.waits, time);
    }
    for command in &locks.commands {
        let row = Row {
            section: "command",
            name: &command.name,
            ..Row::default()
        };
        rows.add(row, "processes", Some(command.processes), "count");
        rows.sums(row, &command.waits, time);
    }
    for (section, all) in [
        ("process", &locks.processes),
        ("task", &locks.tasks),
        ("waiting_cgroup", &locks.cgroups),
    ] {
        for who in all {
            let row = Row {
                section,
                name: &who.who.name,
                ..Row::default()
            };
            rows.sums(row, &who.waits, time);
        }
    }
}
