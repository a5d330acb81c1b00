//! What a verdict's numbers are worth.

use super::{FEW_WAITS, contended, effect::effect, longest_holder, most_waiting};
use crate::{
    profile::Profile,
    recording::schema::{Clock, Tier, WindowKind},
    units::{self, TimeUnit},
};

/// With fewer events than this, one more could change every share.
const FEW_EVENTS: u64 = 100;
/// A shorter run may have seen one burst, and not the load.
const SHORT_S: f64 = 1.0;
/// A single event with more of its site's time than this is a story of its own.
const ONE_EVENT_SHARE: f64 = 0.25;

/// What limits the numbers, the first first.
pub(super) fn caveats(profile: &Profile) -> Vec<String> {
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
    all.extend(effect(profile));
    if profile.spans_not_reached() {
        all.push(
            "The run ended before its first window of spans: what holds are spent on was not \
             measured."
                .to_owned(),
        );
    }
    all.extend(waits_alone(profile));
    if let Some(few) = few(profile) {
        all.push(few);
    }
    all.extend(one_event(profile));
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

/// Windows that a budget left for waits alone: they are in no table.
fn waits_alone(profile: &Profile) -> Option<String> {
    let waits = profile.windows.of(WindowKind::Waits)?;
    profile.holds_known().then(|| {
        format!(
            "For {} the budget left the probes of waits alone: what they saw is in none of these numbers, which are \
             of the {} with those of holds.",
            units::seconds(waits.seconds),
            units::seconds(profile.measured_s)
        )
    })
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
        return Some(format!(
            "Only {} in {time}: read shares and percentiles with care.",
            units::count_of(events as usize, what)
        ));
    }
    // On the instruction clock a short run is as good as a long one.
    let short = profile.measured_s < SHORT_S && profile.unit() == TimeUnit::Nanoseconds;
    short.then(|| format!("The run was short: {time}."))
}

/// A single event without which the verdict's shares would be others: of the site that is said to hold
/// the lock longest, or of the one that is said to wait most.
fn one_event(profile: &Profile) -> Vec<String> {
    let hold = longest_holder(profile).map(|(site, hold)| (site, hold, "hold"));
    let wait = most_waiting(profile).map(|(site, wait)| (site, wait, "wait"));
    let named = hold
        .into_iter()
        .chain(wait.filter(|(_, wait, ..)| wait.count() >= FEW_WAITS));
    let heavy = named.filter_map(|(site, durations, what)| {
        let longest_ns = durations.max_at_least_ns()?;
        let share = longest_ns as f64 / durations.total_ns as f64;
        let at_least = if durations.max_is_bound() {
            "at least "
        } else {
            ""
        };
        // Of one event it goes without saying.
        (durations.measured() > 1 && share > ONE_EVENT_SHARE).then(|| {
            format!(
                "A single {what} of {} took {at_least}{}: {} of the time of all its {what}s.",
                site.site.name(),
                profile.unit().format(longest_ns as f64),
                units::percent(share.min(1.0)),
            )
        })
    });
    heavy.collect()
}
