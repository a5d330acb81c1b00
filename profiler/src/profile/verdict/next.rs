//! What to look at next.

use super::{FEW_WAITS, SPAN_SHARE, behind, longest_holder, share};
use crate::{
    profile::{Absence, Contention, LockKind, Profile, SpanProfile},
    recording::schema::{Detail, Kind},
    site::Site,
    span::Span,
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
    // What has not ended is said first, and is more than all that follows from what has.
    let mut open = [Kind::Hold, Kind::Wait].into_iter();
    if open.any(|kind| profile.open_of_target(kind).next().is_some()) {
        return None;
    }
    let (site, _) = longest_holder(profile)?;
    let held = profile.held_share().unwrap_or(0.0);
    let (waits, waited_ns) = profile.waits_seen();
    let little = held < IDLE_SHARE && (waited_ns as f64) < IDLE_SHARE * cpu_ns(profile);
    if little && profile.target_waits_known() {
        // That nobody waits is only said where somebody would have been seen to.
        let known = waits > 0 || profile.absence_of_waits() == Absence::Certain;
        return Some(if known {
            format!(
                "That is little: {} is not what this machine waits for.",
                profile.header.lock.name
            )
        } else {
            "That is little.".to_owned()
        });
    }
    if let Some(readers) = unseen_readers(profile) {
        return Some(readers);
    }
    let has_calls = profile.header.detail == Detail::Spans;
    if profile.is_followed_by_task() && !has_calls {
        return None;
    }
    if !has_calls {
        return Some("What the holds are spent on takes a run with --detail spans.".to_owned());
    }
    let hold = profile.holds_of_spans(site.site)?;
    let mut movable = spans_of(profile, site.site);
    movable
        .retain(|(span, own_ns)| span.own_lock().is_some() && share(*own_ns, hold) >= SPAN_SHARE);
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
            units::list(&names)
        ),
    })
}

/// Where who waits most waits behind readers, and nobody looked at them.
fn unseen_readers(profile: &Profile) -> Option<String> {
    let most = profile.waiters().into_iter().next();
    let most = most.filter(|waiter| waiter.waits.count() >= FEW_WAITS)?;
    let (holder, share) = behind(profile, most.site?)?;
    let unseen = holder.is_none() && share > MOST && profile.may_be_read_unseen();
    unseen.then(|| {
        "How much of that was behind readers, and which, takes a run with --readers.".to_owned()
    })
}

/// Where nobody waited for this lock: what this machine waits for most.
fn most_waited_for(profile: &Profile) -> Option<String> {
    if !profile.waits_known() || profile.waits_seen().0 > 0 {
        return None;
    }
    let all = elsewhere(profile);
    let most = all.iter().max_by_key(|busy| (busy.waited_ns, busy.waits))?;
    let name = most.name(profile);
    let waits = units::count_of(most.waits as usize, "wait");
    let but = match profile.spinlock_waits_invisible() {
        Some(_) => "; waits for spinlocks are invisible here",
        None => "",
    };
    if all.iter().all(|busy| busy.measured == 0) {
        return Some(format!(
            "Of the waits that were seen no length is known, since they were sampled: the most are for {name}, {waits}{but}."
        ));
    }
    let waited = profile.unit().format(most.waited_ns as f64);
    let open_ns = profile.open_waits_ns();
    let waited_ns = all.iter().map(|busy| busy.waited_ns);
    let waited_ns = waited_ns.fold(open_ns, u64::saturating_add);
    Some(if (waited_ns as f64) < IDLE_SHARE * cpu_ns(profile) {
        format!("Little waiting was seen: the most for {name}, {waited} in {waits}{but}.")
    } else if open_ns > most.waited_ns {
        format!(
            "Beside the waits that had not ended, or not in their window, the most was for {name}: {waited} in \
             {waits}{but}."
        )
    } else {
        format!("Most waiting was seen for {name}: {waited} in {waits}{but}.")
    })
}

/// What else is waited for.
#[derive(Clone, Copy, Debug)]
enum What<'a> {
    /// A lock, by its entry with the most time.
    Lock(&'a Contention),
    /// All locks of a kind that the tables had no place for.
    Others(LockKind),
}

/// All waits for one other lock, or for others of a kind, inside the holds of this lock and outside.
#[derive(Clone, Copy, Debug)]
struct Busy<'a> {
    what: What<'a>,
    waits: u64,
    /// Those with a length.
    measured: u64,
    waited_ns: u64,
}

impl Busy<'_> {
    /// A lock's name; of one without a name, who asks for it.
    fn name(&self, profile: &Profile) -> String {
        match self.what {
            What::Lock(entry) => {
                let kind = match entry.kind {
                    LockKind::Sleep => "sleeping lock",
                    kind => kind.name(),
                };
                match (&entry.name, &entry.caller) {
                    (Some(name), _) => name.clone(),
                    (None, Some(caller)) => format!("an unnamed {kind} of {caller}"),
                    (None, None) => format!("the {kind} at {}", entry.lock()),
                }
            }
            What::Others(kind) => {
                let or_it = if self.may_be_target(profile) {
                    format!(", {} perhaps among them", profile.header.lock.name)
                } else {
                    String::new()
                };
                format!("{} that the table had no place for{or_it}", plural(kind))
            }
        }
    }

    /// Whether they may be waits for the target lock: it is not known by its address, or was counted with others.
    fn may_be_target(&self, profile: &Profile) -> bool {
        let kind = match self.what {
            What::Lock(entry) => entry.kind,
            What::Others(kind) => kind,
        };
        let families = kind.family().zip(profile.lock_family());
        if families.is_some_and(|(this, target)| this != target) {
            return false;
        }
        match self.what {
            What::Lock(_) => {
                let by_waits = profile.contention.iter().any(|entry| entry.is_target);
                profile.header.lock.address.is_none() && !by_waits
            }
            // Its own waits are in a table of their own where its holds are followed.
            What::Others(kind) => !(profile.measures_holds() && profile.is_told_by_site(kind)),
        }
    }
}

/// A kind of lock, where there are many.
const fn plural(kind: LockKind) -> &'static str {
    match kind {
        LockKind::Spin => "spinlocks",
        LockKind::SpinRead => "rwlocks (to read)",
        LockKind::SpinWrite => "rwlocks (to write)",
        LockKind::Mutex => "mutexes",
        LockKind::SleepRead => "rwsems (to read)",
        LockKind::SleepWrite => "rwsems (to write)",
        LockKind::RealTime => "locks of a real-time kernel",
        LockKind::PerCpu => "pcpu-sems",
        LockKind::Sleep => "sleeping locks",
    }
}

/// The other locks of the machine, over all who ask for them, and all others together by their kind.
fn elsewhere(profile: &Profile) -> Vec<Busy<'_>> {
    let mut all: Vec<Busy<'_>> = Vec::new();
    for entry in profile.contention.iter().filter(|entry| !entry.is_target) {
        let busy = Busy {
            what: if entry.is_others {
                What::Others(entry.kind)
            } else {
                What::Lock(entry)
            },
            waits: entry.waits.count(),
            measured: entry.waits.measured(),
            waited_ns: entry.waits.total_ns,
        };
        let same = all.iter_mut().find(|other| match (other.what, busy.what) {
            (What::Lock(one), What::Lock(other)) => one.address == other.address,
            (What::Others(one), What::Others(other)) => one == other,
            _ => false,
        });
        match same {
            Some(other) => {
                other.waits = other.waits.saturating_add(busy.waits);
                other.measured = other.measured.saturating_add(busy.measured);
                other.waited_ns = other.waited_ns.saturating_add(busy.waited_ns);
            }
            None => all.push(busy),
        }
    }
    all
}

/// Another lock of the machine for which more time was waited than for this one, as far as that is known.
fn busier_lock(profile: &Profile) -> Option<String> {
    let (waits, waited_ns) = profile.waits_seen();
    let known = profile.target_waits_known();
    let all = elsewhere(profile).into_iter();
    // A few waits, however long, are an accident.
    let often = all.filter(|busy| busy.waits >= FEW_WAITS);
    let busiest = often.max_by_key(|busy| busy.waited_ns)?;
    let is_little = (busiest.waited_ns as f64) < IDLE_SHARE * cpu_ns(profile);
    if busiest.waited_ns <= waited_ns || is_little {
        return None;
    }
    let (unit, lock) = (profile.unit(), &profile.header.lock.name);
    let name = busiest.name(profile);
    let waited = unit.format(busiest.waited_ns as f64);
    // Of a lock whose waits nobody knows it is not said that another one has more; samples have no length.
    let has_length = waits == 0 || waited_ns > 0;
    let against = (known && has_length)
        .then(|| format!(", against {} for {lock}", unit.format(waited_ns as f64)));
    Some(match (busiest.what, against) {
        (What::Lock(_), _) if busiest.may_be_target(profile) => format!(
            "Most waiting was seen for {name}, {waited} in all; whether that is {lock} is not known."
        ),
        (What::Lock(_), Some(against)) => {
            format!("Another lock is waited for longer: {name}, {waited} in all{against}.")
        }
        (What::Lock(_), None) => format!("Another lock is waited for: {name}, {waited} in all."),
        (What::Others(_), against) => format!(
            "Most waiting was seen for {name}, {waited} in all{}.",
            against.unwrap_or_default()
        ),
    })
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
