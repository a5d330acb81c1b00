//! What to look at next.

use lockprof_abi::{Site, Span};

use super::{
    FEW_WAITS, SPAN_SHARE, behind, join, longest_holder, most_waiting, share, total_waited,
};
use crate::{
    profile::{Contention, LockKind, Profile, SpanProfile, own_lock},
    recording::schema::Detail,
    units,
};

/// Spans that take less of the hold than this together are nothing to look at next.
const NEXT_SHARE: f64 = 0.1;
/// A lock that is held less than this, and hardly waited for, is not what slows a machine down.
const IDLE_SHARE: f64 = 0.02;
/// More of a site's waiting than this is most of it.
const MOST: f64 = 0.5;

/// What to look at next: another lock, more detail, or spans that need not be in the hold.
pub(super) fn next(profile: &Profile) -> Option<String> {
    busier_lock(profile)
        .or_else(|| in_the_holds(profile))
        .or_else(|| most_waited_for(profile))
}

/// What to look at next about the holds of this lock.
fn in_the_holds(profile: &Profile) -> Option<String> {
    if !profile.holds_known() {
        return None;
    }
    let (site, _) = longest_holder(profile)?;
    let held = profile.held_share().unwrap_or(0.0);
    let waited = total_waited(profile) as f64;
    if held < IDLE_SHARE && profile.waits_known() && waited < IDLE_SHARE * cpu_ns(profile) {
        return Some(format!(
            "That is little: {} is not what this machine waits for.",
            profile.header.lock.name
        ));
    }
    if let Some(readers) = unseen_readers(profile) {
        return Some(readers);
    }
    if profile.header.detail == Detail::Holds {
        return Some("What the holds are spent on takes a run with --detail spans.".to_owned());
    }
    let hold = profile.holds_of_spans(site.site)?;
    let mut movable = spans_of(profile, site.site);
    movable
        .retain(|(span, own_ns)| own_lock(*span).is_some() && share(*own_ns, hold) >= SPAN_SHARE);
    let sum: f64 = movable.iter().map(|(_, own_ns)| share(*own_ns, hold)).sum();
    if sum < NEXT_SHARE {
        return None;
    }
    let who = site.site.name();
    let names: Vec<String> = movable
        .iter()
        .map(|(span, _)| span.name().to_owned())
        .collect();
    let share = units::percent(sum);
    Some(match names.as_slice() {
        [name] => format!(
            "Look at {name} next: it takes {share} of the {who} hold and has a lock of its own."
        ),
        _ => format!(
            "Look at {} next: they take {share} of the {who} hold and have locks of their own.",
            join(&names)
        ),
    })
}

/// Where who waits most waits behind readers, and nobody looked at them.
fn unseen_readers(profile: &Profile) -> Option<String> {
    let (site, _) = most_waiting(profile).filter(|(_, wait)| wait.count() >= FEW_WAITS)?;
    let (holder, share) = behind(profile, site.site)?;
    let unseen = holder.is_none() && share > MOST && !profile.header.readers;
    unseen.then(|| {
        "How much of that was behind readers, and which, takes a run with --readers.".to_owned()
    })
}

/// Where nobody waited for this lock: the lock that this machine waits for most.
fn most_waited_for(profile: &Profile) -> Option<String> {
    let waits_seen = profile.waits_known() && !profile.header.kernel.spin_waits_invisible;
    if !waits_seen || total_waited(profile) > 0 {
        return None;
    }
    let most = by_lock(profile)
        .into_iter()
        .max_by_key(|lock| lock.waited_ns)?;
    let name = most.name();
    let waited = profile.unit().format(most.waited_ns as f64);
    let waits = match most.waits {
        1 => "1 wait".to_owned(),
        waits => format!("{} waits", units::count(waits)),
    };
    Some(if (most.waited_ns as f64) < IDLE_SHARE * cpu_ns(profile) {
        format!("No lock is waited for much here: the most for {name}, {waited} in {waits}.")
    } else {
        format!("What this machine waits for most is {name}: {waited} in {waits}.")
    })
}

/// All waits for one other lock.
struct OtherLock<'a> {
    /// Its entry with the most time.
    entry: &'a Contention,
    waits: u64,
    waited_ns: u64,
}

impl OtherLock<'_> {
    /// Its name; of one without a name, who asks for it.
    fn name(&self) -> String {
        let kind = match self.entry.kind {
            LockKind::Sleep => "sleeping lock",
            kind => kind.name(),
        };
        match (&self.entry.name, &self.entry.caller) {
            (Some(name), _) => name.clone(),
            (None, Some(caller)) => format!("an unnamed {kind} of {caller}"),
            (None, None) => format!("the {kind} at {}", self.entry.lock()),
        }
    }
}

/// The other locks of the machine, over all who ask for them.
fn by_lock(profile: &Profile) -> Vec<OtherLock<'_>> {
    let mut all: Vec<OtherLock<'_>> = Vec::new();
    for entry in profile.other_locks() {
        let (waits, waited_ns) = (entry.waits.count(), entry.waits.total_ns);
        let same = all
            .iter_mut()
            .find(|other| other.entry.address == entry.address);
        match same {
            Some(other) => {
                other.waits = other.waits.saturating_add(waits);
                other.waited_ns = other.waited_ns.saturating_add(waited_ns);
            }
            None => all.push(OtherLock {
                entry,
                waits,
                waited_ns,
            }),
        }
    }
    all
}

/// Another lock of the machine for which more time was waited than for this one.
fn busier_lock(profile: &Profile) -> Option<String> {
    let waited_ns = total_waited(profile);
    let locks = by_lock(profile).into_iter();
    // A few waits, however long, are an accident.
    let often = locks.filter(|lock| lock.waits >= FEW_WAITS);
    let busiest = often.max_by_key(|lock| lock.waited_ns)?;
    let is_little = (busiest.waited_ns as f64) < IDLE_SHARE * cpu_ns(profile);
    if busiest.waited_ns <= waited_ns || is_little {
        return None;
    }
    let unit = profile.unit();
    Some(format!(
        "Another lock is waited for longer: {}, {} in all, against {} for {}.",
        busiest.name(),
        unit.format(busiest.waited_ns as f64),
        unit.format(waited_ns as f64),
        profile.header.lock.name
    ))
}

/// The spans inside the holds of a site and their own time, the longest first.
fn spans_of(profile: &Profile, site: Site) -> Vec<(Span, u64)> {
    let own = |span: &SpanProfile| Some((span.span, span.self_ns?));
    let mut spans: Vec<(Span, u64)> = profile
        .spans
        .iter()
        .filter(|span| span.site == Some(site))
        .filter_map(own)
        .collect();
    spans.sort_by_key(|(_, own_ns)| std::cmp::Reverse(*own_ns));
    spans
}

/// The measured time of all CPUs.
fn cpu_ns(profile: &Profile) -> f64 {
    profile.measured_s * 1e9 * f64::from(profile.header.kernel.cpus_online.max(1))
}
