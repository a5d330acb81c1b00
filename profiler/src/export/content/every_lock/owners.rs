//! Who had the locks: when others came to wait, and what they did meanwhile.

use super::{rest, share, sums};
use crate::{
    export::content::{Column, Emphasis, Grid, Section, Topic},
    profile::{Doing, Locks, Profile, WaitedFor, symbol_of},
    recording::schema::{LockFamily, LocksPlan, SampledBy},
    units::{self, UNKNOWN},
};

/// Frames of a stack that stand in a table.
const INNERMOST: usize = 3;

/// The owners, and what they were seen to do.
pub(super) fn owners(profile: &Profile, locks: &Locks, rows: usize) -> Section {
    let unit = profile.unit();
    let mut section = Section::new(Topic::ByOwner, "Who had the lock when others came to wait");
    if !locks.owners.is_empty() {
        let mut grid = Grid::new(&["owner", "class"], &["waits", "waited"])
            .and("mean", Column::Derived)
            .and("it was", Column::Text);
        for owner in locks.owners.iter().take(rows) {
            let names = [owner.owner.name.clone(), owner.class.name.clone()];
            let numbers = sums(&owner.waits, unit);
            let row = names.into_iter().chain(numbers);
            grid.row(row.chain([what_it_was(owner)]));
        }
        section.grid(grid);
        rest(&mut section, locks.owners.len(), rows);
    }
    if locks.classes.is_empty() {
        return section;
    }
    section.sentence(about_owners(profile, locks), Emphasis::Quiet);
    let every = profile.header.locks.as_ref().and_then(stacks_every);
    for by in [SampledBy::Tracepoint, SampledBy::Proc] {
        doing(&mut section, locks, by, every, rows);
    }
    section
}

/// Of which waits a program took the stack of a sleeping owner.
fn stacks_every(plan: &LocksPlan) -> Option<u32> {
    plan.owner_stacks.as_ref()?.every
}

/// What owners were seen to do in one of the two ways, which are added up apart: the one counts waits, the other the
/// time that they last.
fn doing(section: &mut Section, locks: &Locks, by: SampledBy, every: Option<u32>, rows: usize) {
    let seen: Vec<&Doing> = locks.doing.iter().filter(|doing| doing.by == by).collect();
    if seen.is_empty() {
        return;
    }
    let all: u64 = seen.iter().map(|doing| doing.seen).sum();
    let mut grid = Grid::new(&["owner", "class"], &["seen"]).and("doing", Column::Text);
    for doing in seen.iter().take(rows) {
        let owner = match doing.threads {
            1 => doing.owner.clone(),
            threads => format!("{} × {threads}", doing.owner),
        };
        grid.row([
            owner,
            doing.class.name.clone(),
            units::percent(doing.seen as f64 / all.max(1) as f64),
            what_it_did(doing),
        ]);
    }
    let text = match by {
        SampledBy::Tracepoint => where_they_slept(all, every),
        SampledBy::Proc => format!(
            "What they did while others waited, by {} looks into /proc, ten a second at most:",
            units::count(all)
        ),
    };
    section.sentence(text, Emphasis::Plain);
    section.grid(grid);
    rest(section, seen.len(), rows);
}

/// What the program at the beginning of a wait has looked at.
fn where_they_slept(all: u64, every: Option<u32>) -> String {
    let every = every.map_or_else(String::new, |every| {
        format!(", one in {every} of a CPU's at most")
    });
    format!(
        "Where they slept when others came to wait, by {} of the waits that found them asleep{every}, whose lengths are \
         not kept:",
        units::count(all)
    )
}

/// A state, and the innermost functions of a stack: `asleep in io_schedule < folio_wait_bit_common`.
fn what_it_did(doing: &Doing) -> String {
    let frames = doing.stack.iter().map(|frame| symbol_of(frame));
    let frames: Vec<&str> = frames.take(INNERMOST).collect();
    let hint = if doing.reader_hint { "; a reader" } else { "" };
    let what = match doing.state {
        'R' => "on a CPU, or ready".to_owned(),
        _ if !frames.is_empty() => format!("asleep in {}", frames.join(" < ")),
        'D' | 'S' => "asleep".to_owned(),
        'T' | 't' => "stopped".to_owned(),
        'Z' | 'X' => "had ended".to_owned(),
        state => format!("state {state}"),
    };
    format!("{what}{hint}")
}

/// What an owner did: `on CPU 90 %, ready 10 %`.
fn what_it_was(owner: &WaitedFor) -> String {
    let all: u64 = owner.states.iter().sum();
    if all == 0 {
        return UNKNOWN.to_owned();
    }
    let mut parts: Vec<(u64, &str)> = owner
        .states
        .into_iter()
        .zip(["on CPU", "ready", "asleep"])
        .filter(|&(count, _)| count > 0)
        .collect();
    parts.sort_by_key(|&(count, _)| std::cmp::Reverse(count));
    let alone = parts.len() == 1;
    let words: Vec<String> = parts
        .iter()
        .map(|&(count, what)| {
            if alone {
                what.to_owned()
            } else {
                // Of a state that was read in passing no more digits are worth their room.
                format!("{what} {:.0} %", count as f64 / all as f64 * 100.0)
            }
        })
        .collect();
    let hint = if owner.reader_hints == 0 {
        ""
    } else if owner.reader_hints == all {
        "; a reader"
    } else {
        "; or a reader"
    };
    format!("{}{hint}", words.join(", "))
}

/// Of how much of the waiting an owner is known, and what that means.
fn about_owners(profile: &Profile, locks: &Locks) -> String {
    let owned = locks.owners.iter();
    let owned = owned.fold(0, |sum: u64, owner| {
        sum.saturating_add(owner.waits.waited_ns)
    });
    let sleeping = locks.classes.iter();
    let sleeping = sleeping.filter(|class| has_owner(class.class.family));
    let sleeping = sleeping.fold(0, |sum: u64, class| {
        sum.saturating_add(class.waits.total_ns)
    });
    let mut text = if sleeping == 0 {
        "Only mutexes and rwsems tell who has them, and nobody was seen waiting for one.".to_owned()
    } else {
        format!(
            "Known for {} of the time waited for mutexes and rwsems, which alone tell who has them; others had no \
             owner any more when somebody came, or it was not to be read.",
            share(owned.min(sleeping), sleeping)
        )
    };
    if locks.owners.iter().any(|owner| owner.reader_hints > 0) {
        text += " Of an rwsem that is read the owner is one of its readers, perhaps one that has it no more: a hint.";
    }
    let plan = profile.header.locks.as_ref();
    if let Some(untold) = plan
        .map(|plan| &plan.untold)
        .filter(|untold| !untold.is_empty())
    {
        text += &format!(" This kernel's BTF does not tell {}.", units::list(untold));
    }
    let stacks = plan.and_then(|plan| plan.owner_stacks.as_ref());
    if let Some(why) = stacks.and_then(|stacks| stacks.why.as_ref()) {
        text += &format!(" Where they sleep is known by looks into /proc alone: {why}.");
    }
    text
}

/// Whether locks of this family tell who has them.
const fn has_owner(family: Option<LockFamily>) -> bool {
    matches!(family, Some(LockFamily::Mutex | LockFamily::Rwsem))
}
