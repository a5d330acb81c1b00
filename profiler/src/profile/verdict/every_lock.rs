//! The verdict on all contended locks: which class costs most, who asks for it, and who has it.

use lockprof_abi::Loss;

use super::{
    FEW_WAITS, Verdict,
    caveats::{of_the_clock, of_the_run},
    effect::effect,
    in_progress::in_progress,
};
use crate::{
    profile::{ClassWaits, Locks, NamedBy, Profile, Waits},
    recording::schema::LockFamily,
    units,
};

/// Less of all waiting than this has no sentence of its own.
const NOTABLE_SHARE: f64 = 0.05;
/// Fewer tasks than this that wait at any moment are nothing that slows a machine down.
const LITTLE: f64 = 0.02;
/// More than this of something is most of it.
const MOST: f64 = 0.5;

/// The answer that the waits for all locks carry.
pub(super) fn verdict(profile: &Profile, locks: &Locks) -> Verdict {
    let caveats = caveats(profile, locks);
    let in_progress = in_progress(profile);
    if profile.void() || profile.intervals == 0 {
        return Verdict {
            in_progress,
            caveats,
            ..Verdict::default()
        };
    }
    let Some(first) = locks
        .classes
        .first()
        .filter(|first| first.waits.count() > 0)
    else {
        return Verdict {
            in_progress,
            caveats,
            findings: vec![profile.no_waits_for("any lock that was looked at")],
            next: None,
        };
    };
    let findings = [
        most(profile, locks, first),
        asked_by(locks, first),
        had_by(locks, first),
        across(profile, locks),
    ];
    Verdict {
        in_progress,
        caveats,
        findings: findings.into_iter().flatten().collect(),
        next: next(profile, locks, first),
    }
}

/// What limits the numbers.
fn caveats(profile: &Profile, locks: &Locks) -> Vec<String> {
    let mut all = of_the_run(profile);
    if profile.void() || profile.intervals == 0 {
        return all;
    }
    all.extend(effect(profile));
    let count = locks.count();
    if (1..FEW_WAITS).contains(&count) {
        all.push(format!(
            "Only {} in {}: read shares with care.",
            units::count_of(count as usize, "contended wait"),
            units::seconds(profile.measured_s)
        ));
    }
    all.extend(callers_unknown(profile));
    if let Some(lost) = profile.waits_are_lower_bounds() {
        all.push(format!("Numbers of waits are lower bounds: {lost}."));
    }
    all.extend(of_the_clock(profile));
    all
}

/// Waits that were left out since they may, or may not, have been asked for by those who are looked at.
fn callers_unknown(profile: &Profile) -> Option<String> {
    let unknown = profile.losses.counted.get(&Loss::CallerUnknown).copied();
    let unknown = unknown.filter(|&unknown| unknown > 0)?;
    Some(format!(
        "Of {} it was not to be told who asked for the lock: {} in none of these numbers.",
        units::count_of(unknown as usize, "wait"),
        if unknown == 1 { "it is" } else { "they are" }
    ))
}

/// Which class costs most.
fn most(profile: &Profile, locks: &Locks, first: &ClassWaits) -> Option<String> {
    let unit = profile.unit();
    let (all, waited) = (locks.waited_ns(), first.waits.known_total_ns()?);
    if all == 0 {
        return None;
    }
    let share = units::percent(waited as f64 / all as f64);
    let locks_of = match first.members.len() {
        0 | 1 => String::new(),
        several => format!(" for {} of them", units::count(several as u64)),
    };
    let tasks = profile.share_of_time(waited);
    let tasks = tasks.map_or_else(String::new, |tasks| match tasks {
        tasks if tasks < 0.01 => ": less than a hundredth of a task at any moment".to_owned(),
        tasks => format!(": on average {tasks:.2} tasks at any moment"),
    });
    Some(format!(
        "{} costs most: {share} of all waiting that was seen, {} in {}{locks_of}, {} in all{tasks}.",
        named(first),
        units::count_of(first.waits.count() as usize, "wait"),
        units::seconds(profile.measured_s),
        unit.format(waited as f64),
    ))
}

/// A class in a sentence.
fn named(class: &ClassWaits) -> String {
    match class.class.named_by {
        NamedBy::Caller | NamedBy::Kind => {
            let vowel = class.class.name.starts_with('r');
            format!("{} {}", if vowel { "An" } else { "A" }, class.class.name)
        }
        NamedBy::Others => "What the tables had no place for".to_owned(),
        _ => class.class.titled(),
    }
}

/// Who asks for it the longest.
fn asked_by(locks: &Locks, first: &ClassWaits) -> Option<String> {
    // Its name has who asks.
    if first.class.named_by == NamedBy::Caller {
        return None;
    }
    let callers = locks.callers.iter();
    let mut callers = callers.filter(|caller| caller.class == first.class);
    let most = callers.next()?;
    let caller = most.caller.as_deref()?;
    let share = most.waits.total_ns as f64 / first.waits.total_ns.max(1) as f64;
    Some(if callers.next().is_none() {
        format!("{caller} alone asks for it.")
    } else {
        format!("{} of that is {caller}'s.", units::percent(share))
    })
}

/// Who has it, and what they do meanwhile.
fn had_by(locks: &Locks, first: &ClassWaits) -> Option<String> {
    let owners = locks.owners.iter();
    let owners: Vec<_> = owners.filter(|owner| owner.class == first.class).collect();
    let mut known = Waits::default();
    let (mut own_ns, mut states, mut hints) = (0_u64, [0_u64; 3], 0_u64);
    for owner in &owners {
        known.add(&owner.waits);
        own_ns = own_ns.saturating_add(owner.own_ns);
        hints = hints.saturating_add(owner.reader_hints);
        for (sum, state) in states.iter_mut().zip(owner.states) {
            *sum = sum.saturating_add(state);
        }
    }
    let waited = first.waits.total_ns.max(1);
    let share = (known.waited_ns as f64 / waited as f64).min(1.0);
    if known.count < FEW_WAITS || known.waited_ns == 0 {
        return None;
    }
    let own = own_ns as f64 / known.waited_ns as f64;
    let who = if own > MOST {
        format!(
            "another task of the waiting process in {}",
            units::percent(own)
        )
    } else if let Some(owner) = owners.first() {
        let of_known = owner.waits.waited_ns as f64 / known.waited_ns as f64;
        format!("{} in {}", owner.owner.name, units::percent(of_known))
    } else {
        return None;
    };
    let all: u64 = states.iter().sum();
    let what = ["was on a CPU", "was ready and waited for a CPU", "slept"];
    let state = states.iter().zip(what).max_by_key(|(count, _)| **count);
    let state = state
        .filter(|_| all > 0)
        .map_or_else(String::new, |(count, what)| {
            let share = units::percent(*count as f64 / all as f64);
            format!("; when somebody came it {what} {share} of the times")
        });
    let hint = if hints > all / 2 {
        " (a hint: of an rwsem that is read it is one of the readers)"
    } else {
        ""
    };
    Some(format!(
        "For {} of that time it was seen who had it when the wait began: {who} of it{hint}{state}.",
        units::percent(share)
    ))
}

/// The process that waits the longest for a lock that another one has.
fn across(profile: &Profile, locks: &Locks) -> Option<String> {
    let pair = locks.pairs.iter().find(|pair| {
        let other = pair.owner.as_ref();
        other.is_some_and(|owner| owner.id != pair.waiter.id)
    })?;
    let owner = pair.owner.as_ref()?;
    let share = pair.waits.waited_ns as f64 / locks.waited_ns().max(1) as f64;
    (share > NOTABLE_SHARE).then(|| {
        format!(
            "{} waited {} for locks that {} had.",
            pair.waiter.name,
            profile.unit().format(pair.waits.waited_ns as f64),
            owner.name
        )
    })
}

/// What to look at next.
fn next(profile: &Profile, locks: &Locks, first: &ClassWaits) -> Option<String> {
    let waiting = profile.share_of_time(locks.waited_ns());
    if waiting.is_some_and(|tasks| tasks < LITTLE) {
        return Some("That is little: whatever this machine waits for, it is none of the locks that were seen.".to_owned());
    }
    let class = &first.class;
    let is_followed = class.family == Some(LockFamily::Rwlock)
        && matches!(class.named_by, NamedBy::Learned | NamedBy::Symbol);
    is_followed.then(|| {
        format!(
            "How long it is held, and doing what, takes a run that follows it: `lockprof attach --lock {}`.",
            class.name
        )
    })
}
