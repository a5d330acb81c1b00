//! What the numbers say, in a few sentences: first what they are worth, then who holds the lock,
//! doing what, who waits behind whom, and what to look at next. Nothing that they do not carry.

mod caveats;
mod effect;
mod next;

use lockprof_abi::Site;

use self::{caveats::caveats, next::next};
use super::{Durations, Profile, SiteProfile, What, anatomies};
use crate::units;

/// Of fewer waits it is not said who waits most.
const FEW_WAITS: u64 = 20;
/// A span with less of its hold than this is not worth a word.
const SPAN_SHARE: f64 = 0.05;
/// Spans are named up to this many.
const MOST_SPANS: usize = 3;

/// The answer in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What limits the numbers: to be said first.
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
        let caveats = caveats(profile);
        if profile.void() || profile.intervals == 0 {
            return Self {
                caveats,
                ..Self::default()
            };
        }
        let findings = [holds(profile), waits(profile)];
        Self {
            caveats,
            findings: findings.into_iter().flatten().collect(),
            next: next(profile),
        }
    }

    /// All of it, in order.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        let all = self.caveats.iter().chain(&self.findings).chain(&self.next);
        all.map(String::as_str)
    }
}

/// How much of the time the lock was held, by whom the longest, and doing what.
fn holds(profile: &Profile) -> Option<String> {
    let held = profile.held_ns()?;
    let lock = &profile.header.lock.name;
    let time = units::seconds(profile.measured_s);
    let Some((site, hold)) = longest_holder(profile).filter(|_| held > 0) else {
        return Some(format!("{lock} was never taken for writing in {time}."));
    };
    let share = units::percent(profile.share_of_time(held)?);
    let of_held = hold.total_ns as f64 / held as f64;
    let mean = profile.unit().format_or_unknown(hold.mean_ns());
    let who = site.site.name();
    let parts = anatomy(profile).map_or_else(String::new, |parts| format!(", of which {parts}"));
    Some(if of_held > 0.9995 {
        format!(
            "{lock} was held for writing {share} of the time, by {who} alone ({mean} a hold{parts})."
        )
    } else {
        format!(
            "{lock} was held for writing {share} of the time, {} of that by {who} ({mean} a \
             hold{parts}).",
            units::percent(of_held)
        )
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
    Some(join(&parts))
}

/// Who waits most, and behind whom.
fn waits(profile: &Profile) -> Option<String> {
    if !profile.waits_known() {
        return None;
    }
    let all: u64 = total_waited(profile);
    let Some((site, wait)) = most_waiting(profile) else {
        return Some(if profile.header.kernel.spin_waits_invisible {
            "Whether anyone waited for it cannot be seen on this kernel.".to_owned()
        } else {
            "Nobody was seen waiting for it.".to_owned()
        });
    };
    let unit = profile.unit();
    let count = contended(profile);
    if count < FEW_WAITS {
        let acquisitions = if count == 1 {
            "acquisition"
        } else {
            "acquisitions"
        };
        return Some(format!(
            "Only {} {acquisitions} had to wait, {} in all.",
            units::count(count),
            unit.format(all as f64)
        ));
    }
    let who = site.site.name();
    if wait.count() < FEW_WAITS {
        return Some(format!(
            "{} acquisitions had to wait, {} in all: {who} the longest, but only {} times.",
            units::count(count),
            unit.format(all as f64),
            units::count(wait.count()),
        ));
    }
    let of_all = if wait.total_ns == all {
        "and nobody else waited".to_owned()
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
    if let Some((behind, share)) = behind(profile, site.site) {
        let behind = behind.map_or_else(
            || "readers and hand-over, not a writer's hold".to_owned(),
            |holder| format!("holds of {}", holder.name()),
        );
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

/// The site that waited for the lock longest in all, and its waits.
fn most_waiting(profile: &Profile) -> Option<(&SiteProfile, &Durations)> {
    let sites = profile.sites.iter();
    sites
        .filter_map(|site| Some((site, site.wait.as_ref()?)))
        .max_by_key(|(_, wait)| wait.total_ns)
        .filter(|(_, wait)| wait.total_ns > 0)
}

fn share(ns: u64, of: &Durations) -> f64 {
    if of.total_ns == 0 {
        0.0
    } else {
        ns as f64 / of.total_ns as f64
    }
}

fn contended(profile: &Profile) -> u64 {
    let waits = profile.sites.iter().filter_map(|site| site.wait.as_ref());
    waits.map(Durations::count).fold(0, u64::saturating_add)
}

fn total_waited(profile: &Profile) -> u64 {
    let waits = profile.sites.iter().filter_map(|site| site.wait.as_ref());
    waits.fold(0, |sum, wait| sum.saturating_add(wait.total_ns))
}

/// `a, b and c`.
fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
