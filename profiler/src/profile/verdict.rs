//! What the numbers say, in a few sentences: first what they are worth, then who holds the lock,
//! doing what, who waits behind whom, and what to look at next. Nothing that they do not carry.

mod caveats;
mod effect;
mod every_lock;
mod in_progress;
mod load;
mod next;
mod open;

use self::{caveats::caveats, in_progress::in_progress, next::next};
use super::{Durations, Locks, Profile, SiteProfile, Waiter, What, anatomies};
use crate::{site::Site, units};

/// Of fewer waits it is not said who waits most.
const FEW_WAITS: u64 = 20;
/// A span with less of its hold than this is not worth a word.
const SPAN_SHARE: f64 = 0.05;
/// Spans are named up to this many.
const MOST_SPANS: usize = 3;

/// The answer in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What had lasted long and not ended: to be said before all else.
    pub in_progress: Vec<String>,
    /// What limits the numbers: to be said before them.
    pub caveats: Vec<String>,
    /// What the numbers say; empty where they say nothing.
    pub findings: Vec<String>,
    /// What to look at next.
    pub next: Option<String>,
}

impl Verdict {
    /// The answer that a profile's numbers carry.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        if profile.header.locks.is_some() {
            let none = Locks::default();
            return every_lock::verdict(profile, profile.locks.as_ref().unwrap_or(&none));
        }
        let in_progress = in_progress(profile);
        let caveats = caveats(profile);
        if profile.void() || profile.intervals == 0 {
            return Self {
                in_progress,
                caveats,
                ..Self::default()
            };
        }
        let findings = [holds(profile), waits(profile)];
        Self {
            in_progress,
            caveats,
            findings: findings.into_iter().flatten().collect(),
            next: next(profile),
        }
    }

    /// All of it, in order.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        let first = self.in_progress.iter().chain(&self.caveats);
        let all = first.chain(&self.findings).chain(&self.next);
        all.map(String::as_str)
    }
}

/// How much of the time the lock was held, by whom the longest, and doing what.
fn holds(profile: &Profile) -> Option<String> {
    let (lock, held) = (&profile.header.lock.name, profile.held_ns());
    let is_open = profile.held_is_bound();
    let words = profile.held_in_words();
    let Some(((site, hold), held)) = longest_holder(profile).zip(held.filter(|&held| held > 0))
    else {
        let open = profile.share_of_holds(profile.open_hold_ns());
        if let Some(share) = open.filter(|&share| share > 0.0 && profile.measures_holds()) {
            let share = units::percent(share);
            return Some(format!(
                "{lock} was {words} at least {share} of the time, by a hold that had not ended."
            ));
        }
        // Of a tier without holds that is said before.
        return profile.no_holds().filter(|_| profile.measures_holds());
    };
    let share = units::percent(profile.held_share()?);
    let of_held = hold.total_ns as f64 / held as f64;
    let mean = profile.unit().format_or_unknown(hold.mean_ns());
    let who = site.site.name();
    let parts = anatomy(profile).map_or_else(String::new, |parts| format!(", of which {parts}"));
    let is_alone = of_held > 0.9995;
    let of_held = units::percent(of_held);
    let detail = format!("{mean} a hold{parts}");
    // The share has the open hold, and nothing else here has.
    Some(match (is_open, is_alone) {
        (true, true) => format!(
            "{lock} was {words} at least {share} of the time; the holds that had ended are {who}'s \
             alone ({detail})."
        ),
        (true, false) => format!(
            "{lock} was {words} at least {share} of the time; {of_held} of the time of holds that had \
             ended is {who}'s ({detail})."
        ),
        (false, true) => {
            format!("{lock} was {words} {share} of the time, by {who} alone ({detail}).")
        }
        (false, false) => format!(
            "{lock} was {words} {share} of the time, {of_held} of that by {who} ({detail})."
        ),
    })
}

/// What the site that held the lock longest did in its holds: `41 % is free_pid and 12 % __change_pid`.
fn anatomy(profile: &Profile) -> Option<String> {
    let (site, _) = longest_holder(profile)?;
    let all = anatomies(profile);
    let anatomy = all.iter().find(|anatomy| anatomy.site == site.site)?;
    // In a run with windows not those that the mean is of: a share is one of the holds that spans were
    // measured in.
    let hold = profile.holds_of_spans(site.site)?;
    let mut parts = anatomy.by_own_time();
    parts.retain(|(_, own_ns)| share(*own_ns, hold) >= SPAN_SHARE);
    parts.truncate(MOST_SPANS);
    if parts.is_empty() {
        return None;
    }
    let parts: Vec<String> = parts
        .into_iter()
        .enumerate()
        .map(|(rank, (what, own_ns))| {
            let is = if rank == 0 { " is" } else { "" };
            let what = match what {
                What::Span(span) => span.name().to_owned(),
                What::InnerWait(lock) => format!("waiting for {lock}"),
                What::OwnWork => "own work".to_owned(),
            };
            format!("{}{is} {what}", units::percent(share(own_ns, hold)))
        })
        .collect();
    Some(units::list(&parts))
}

/// Who waits most, and behind whom.
fn waits(profile: &Profile) -> Option<String> {
    if !profile.waits_known() {
        return None;
    }
    let (count, all) = profile.waits_seen();
    let waiters = profile.waiters();
    let Some(Waiter { who, site, waits }) = waiters.first() else {
        return profile.no_waits();
    };
    let (wait, unit) = (waits, profile.unit());
    let measured = waiters.iter().map(|waiter| waiter.waits.measured());
    let all_sampled = measured.fold(0, u64::saturating_add) == 0;
    if count < FEW_WAITS || all_sampled {
        let were = if count == 1 { "was" } else { "were" };
        let waits = units::count_of(count as usize, "wait");
        return Some(if all_sampled {
            format!(
                "{waits} {were} seen for it; all were sampled, and their lengths are not known."
            )
        } else {
            format!(
                "{waits} {were} seen for it, {} in all.",
                unit.format(all as f64)
            )
        });
    }
    if wait.count() < FEW_WAITS {
        return Some(format!(
            "{} acquisitions had to wait, {} in all: {who} the longest, but only {} times.",
            units::count(count),
            unit.format(all as f64),
            units::count(wait.count()),
        ));
    }
    let of_all = if wait.total_ns == all {
        "all the waiting that was seen".to_owned()
    } else {
        format!(
            "{} of all waiting",
            units::percent(wait.total_ns as f64 / all as f64)
        )
    };
    let mut text = format!(
        "{who} waits most: {} times, {} on average, {of_all}",
        units::count(wait.count()),
        unit.format_or_unknown(wait.mean_ns()),
    );
    if let Some((behind, share)) = site.and_then(|site| behind(profile, site)) {
        let behind = match behind {
            Some(holder) => format!("holds of {}", holder.name()),
            None if profile.is_of_mutex() => format!("{}, not a hold", profile.rest_in_words()),
            None => format!("{}, not a writer's hold", profile.rest_in_words()),
        };
        text += &format!(
            "; {} of its waiting was behind {behind}",
            units::percent(share)
        );
    }
    Some(text + ".")
}

/// Behind whom a site waited the longest, and for which share of its blamed waiting. None is
/// readers and hand-over.
fn behind(profile: &Profile, waiter: Site) -> Option<(Option<Site>, f64)> {
    let pairs = || profile.blame.iter().filter(|pair| pair.waiter == waiter);
    let all: u64 = pairs().fold(0, |sum, pair| sum.saturating_add(pair.waited_ns));
    let most = pairs().max_by_key(|pair| pair.waited_ns)?;
    (all > 0).then(|| (most.holder, most.waited_ns as f64 / all as f64))
}

fn longest_holder(profile: &Profile) -> Option<(&SiteProfile, &Durations)> {
    let writers = profile.sites.iter().filter(|site| site.site.is_writer());
    writers
        .filter_map(|site| Some((site, site.hold.as_ref()?)))
        .filter(|(_, hold)| hold.count() > 0)
        .max_by_key(|(_, hold)| hold.total_ns)
}

fn share(ns: u64, of: &Durations) -> f64 {
    if of.total_ns == 0 {
        0.0
    } else {
        ns as f64 / of.total_ns as f64
    }
}
