//! What the numbers say, in a few sentences: first what they are worth, then who holds the lock,
//! doing what, who waits behind whom, and what to look at next. Nothing that they do not carry.

use lockprof_abi::{Site, Span};

use super::{Contention, Durations, Profile, SiteProfile, SpanProfile, What, anatomies, own_lock};
use crate::{
    recording::schema::{Clock, Detail, Tier},
    units::{self, TimeUnit},
};

/// With fewer events than this, one more could change every share.
const FEW_EVENTS: u64 = 100;
/// Of fewer waits it is not said who waits most.
const FEW_WAITS: u64 = 20;
/// A shorter run may have seen one burst, and not the load.
const SHORT_S: f64 = 1.0;
/// A span with less of its hold than this is not worth a word.
const SPAN_SHARE: f64 = 0.05;
/// Spans that take less of the hold than this together are nothing to look at next.
const NEXT_SHARE: f64 = 0.1;
/// A lock that is held less than this, and hardly waited for, is not what slows a machine down.
const IDLE_SHARE: f64 = 0.02;
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

fn caveats(profile: &Profile) -> Vec<String> {
    let mut all = Vec::new();
    if profile.void() {
        all.push(format!(
            "This run is void: {} of the lock's events are missing, so nothing is concluded from \
             the rest.",
            units::percent(profile.losses.share())
        ));
        return all;
    }
    if profile.intervals == 0 {
        all.push("Nothing was measured, so nothing can be said.".to_owned());
        return all;
    }
    if let Some(few) = few(profile) {
        all.push(few);
    }
    if profile.losses.target_losses > 0 {
        all.push(format!(
            "{} of the lock's events are missing.",
            units::percent(profile.losses.share())
        ));
    }
    match profile.header.tier {
        Tier::Exact => {}
        Tier::Bounded => all.push("Holds are bounds here, not lengths (bounded tier).".to_owned()),
        Tier::WaitOnly => all.push(
            "Who holds the lock, and for how long, was not measured here (wait-only tier): this is \
             who waits for it."
                .to_owned(),
        ),
        Tier::Unsupported => {
            all.push("This kernel lets nothing be measured (unsupported tier).".to_owned());
        }
        Tier::Off => all.push(
            "Nothing was attached: this is the load alone, to be compared with runs that are \
             profiled."
                .to_owned(),
        ),
    }
    match profile.header.clock {
        Clock::Hardware => {}
        Clock::EmulatedWall => all.push(
            "Times are those of an emulated machine: compare them with each other, not with \
             hardware."
                .to_owned(),
        ),
        Clock::Instructions => all.push(
            "Lengths are guest instructions on one CPU, and waits are not measured.".to_owned(),
        ),
    }
    all
}

/// Few events, or a short run.
fn few(profile: &Profile) -> Option<String> {
    let (events, what) = match profile.write_holds() {
        Some(holds) => (holds, "hold"),
        None if profile.waits_known() => (contended(profile), "contended wait"),
        None => return None,
    };
    let time = units::seconds(profile.measured_s);
    // A lock without an event has no share that one more could change; that none came is said below.
    if (1..FEW_EVENTS).contains(&events) {
        let plural = if events == 1 { "" } else { "s" };
        return Some(format!(
            "Only {} {what}{plural} in {time}: read shares and percentiles with care.",
            units::count(events)
        ));
    }
    // On the instruction clock a short run is as good as a long one.
    let short = profile.measured_s < SHORT_S && profile.unit() == TimeUnit::Nanoseconds;
    short.then(|| format!("The run was short: {time}."))
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
    let (site, hold) = longest_holder(profile)?;
    let all = anatomies(profile);
    let anatomy = all.iter().find(|anatomy| anatomy.site == site.site)?;
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
    let waiting = profile
        .sites
        .iter()
        .filter_map(|site| Some((site, site.wait.as_ref()?)));
    let Some((site, wait)) = waiting
        .max_by_key(|(_, wait)| wait.total_ns)
        .filter(|(_, wait)| wait.total_ns > 0)
    else {
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

/// What to look at next: spans that need not be in the hold, more detail, or another lock.
fn next(profile: &Profile) -> Option<String> {
    if let Some(other) = busier_lock(profile) {
        return Some(other);
    }
    if !profile.holds_known() {
        return None;
    }
    let (site, hold) = longest_holder(profile)?;
    let held = profile.held_share().unwrap_or(0.0);
    let waited = total_waited(profile) as f64;
    if held < IDLE_SHARE && profile.waits_known() && waited < IDLE_SHARE * cpu_ns(profile) {
        return Some(format!(
            "That is little: {} is not what this machine waits for.",
            profile.header.lock.name
        ));
    }
    if profile.header.detail == Detail::Holds {
        return Some("What the holds are spent on takes a run with --detail spans.".to_owned());
    }
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

/// Another lock of the machine for which more time was waited than for this one.
fn busier_lock(profile: &Profile) -> Option<String> {
    let waited = total_waited(profile);
    // Of each lock: its entry with the most time, all waits, and their time.
    let mut by_lock: Vec<(&Contention, u64, u64)> = Vec::new();
    for wait in profile.other_locks() {
        let (count, ns) = (wait.waits.count(), wait.waits.total_ns);
        let same = by_lock
            .iter_mut()
            .find(|(same, ..)| same.address == wait.address);
        match same {
            Some((_, all, sum)) => {
                *all = all.saturating_add(count);
                *sum = sum.saturating_add(ns);
            }
            None => by_lock.push((wait, count, ns)),
        }
    }
    // A few waits, however long, are an accident.
    let often = by_lock
        .into_iter()
        .filter(|(_, count, _)| *count >= FEW_WAITS);
    let (busiest, _, sum) = often.max_by_key(|(.., sum)| *sum)?;
    if sum <= waited || (sum as f64) < IDLE_SHARE * cpu_ns(profile) {
        return None;
    }
    let name = match (&busiest.name, &busiest.caller) {
        (Some(name), _) => name.clone(),
        (None, Some(caller)) => format!("an unnamed {} of {caller}", busiest.kind.name()),
        (None, None) => format!("the {} at {}", busiest.kind.name(), busiest.lock()),
    };
    let unit = profile.unit();
    Some(format!(
        "Another lock is waited for longer: {name}, {} in all, against {} for {}.",
        unit.format(sum as f64),
        unit.format(waited as f64),
        profile.header.lock.name
    ))
}

fn longest_holder(profile: &Profile) -> Option<(&SiteProfile, &Durations)> {
    let writers = profile.sites.iter().filter(|site| site.site.is_writer());
    writers
        .filter_map(|site| Some((site, site.hold.as_ref()?)))
        .filter(|(_, hold)| hold.count() > 0)
        .max_by_key(|(_, hold)| hold.total_ns)
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

/// The measured time of all CPUs.
fn cpu_ns(profile: &Profile) -> f64 {
    profile.measured_s * 1e9 * f64::from(profile.header.kernel.cpus_online.max(1))
}

/// `a, b and c`.
fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
