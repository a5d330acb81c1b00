//! What a verdict's numbers are worth.

use super::{FEW_WAITS, effect::effect, load::load, longest_holder};
use crate::{
    kernel::ByTask,
    known_locks::FOLLOWED_HOLDS,
    profile::Profile,
    recording::schema::{Clock, LockFamily, Tier, WindowKind},
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
    let mut all = of_the_run(profile);
    if profile.void() || profile.intervals == 0 {
        return all;
    }
    all.extend(instead(profile));
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
        all.push(format!("{}.", profile.losses.missing()));
    }
    if let Some(lost) = profile.waits_are_lower_bounds() {
        all.push(format!("Numbers of waits are lower bounds: {lost}."));
    }
    match profile.header.tier {
        Tier::Exact => {}
        Tier::Bounded => all.push("Holds are bounds here, not lengths (bounded tier).".to_owned()),
        Tier::WaitOnly => all.push(format!(
            "Who holds the lock, and for how long, was not measured here (wait-only tier): this is \
             who waits for it. {}",
            for_holds(profile)
        )),
        Tier::Unsupported => {
            all.push("This kernel lets nothing be measured (unsupported tier).".to_owned());
        }
        Tier::Off => all.push(
            "Nothing was attached: this is the load alone, to be compared with runs that are \
             profiled."
                .to_owned(),
        ),
    }
    all.extend(of_the_clock(profile));
    all
}

/// What a run and its load are worth, whatever was measured. Where it is void, or nothing was, there is no more to say.
pub(super) fn of_the_run(profile: &Profile) -> Vec<String> {
    let void = profile.void_because();
    let nothing = void.is_none() && profile.intervals == 0;
    let void =
        void.map(|why| format!("This run is void: {why}, so nothing is concluded from the rest."));
    let nothing = nothing.then(|| "Nothing was measured, so nothing can be said.".to_owned());
    void.into_iter()
        .chain(load(profile))
        .chain(nothing)
        .collect()
}

/// What the nanoseconds are, where they are not the machine's own.
pub(super) fn of_the_clock(profile: &Profile) -> Option<String> {
    let text = match profile.header.clock {
        Clock::Hardware => return None,
        Clock::EmulatedWall => {
            "Times are those of an emulated machine: compare them with each other, not with hardware."
        }
        Clock::Instructions => {
            "Lengths are guest instructions on one CPU, and waits are not measured."
        }
    };
    Some(text.to_owned())
}

/// What it would take to measure holds as well.
fn for_holds(profile: &Profile) -> String {
    let header = &profile.header;
    let budget = header.budget.as_ref();
    let mut words = header.command_line.iter().map(String::as_str);
    let asked_for = words.any(|word| word == "--attach" || word.starts_with("--attach="));
    let family = profile.lock_family().filter(|_| !profile.sites_are_known());
    let is_followed =
        |family| family == LockFamily::Rwlock || ByTask::of(Some(family), true).is_some();
    if family.is_some_and(|family| !is_followed(family)) {
        return format!(
            "{}, and this is none of them.",
            units::capital(FOLLOWED_HOLDS)
        );
    }
    let text = if asked_for {
        "Without --attach wait holds are measured too, where the kernel allows it."
    } else if budget.is_some_and(|budget| budget.allowed.is_some())
        && header
            .attach
            .reasons
            .iter()
            .any(|reason| reason.starts_with("By the budget"))
    {
        "With a larger --budget holds are measured too."
    } else if profile.is_followed_by_task() {
        // What `lockprof doctor` says is of the lock that is followed when nobody names one.
        "Holds take a kernel whose functions for such locks can be probed: what stands in the way is said beside the tier."
    } else {
        "Holds take a kernel whose lock and unlock can be probed: `lockprof doctor` says what stands in the way."
    };
    text.to_owned()
}

/// Numbers that are of other windows than those that they were to be of.
fn instead(profile: &Profile) -> Option<String> {
    let kind = profile.instead()?;
    let windows = profile.windows.of(kind);
    let count = windows.map_or(0, |windows| windows.windows);
    let of = match count {
        0 => "the window".to_owned(),
        count => units::count_of(count as usize, "window"),
    };
    let time = units::seconds(profile.measured_s);
    Some(match kind {
        WindowKind::Waits => format!(
            "The run ended before its first window of holds: the numbers are those of {of} of waits ({time}), and \
             nothing is known of holds."
        ),
        _ => format!(
            "The run ended before its first window of holds: the numbers are those of {of} of spans ({time}), whose \
             probes make holds longer."
        ),
    })
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
        None if profile.waits_known() => (profile.waits_seen().0, "contended wait"),
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
    let hold = longest_holder(profile);
    let hold = hold.map(|(site, hold)| (site.site.name().to_owned(), hold.clone(), "hold"));
    let wait = profile.waiters().into_iter().next();
    let wait = wait.map(|waiter| (waiter.who, waiter.waits, "wait"));
    let named = hold
        .into_iter()
        .chain(wait.filter(|(_, wait, ..)| wait.count() >= FEW_WAITS));
    let heavy = named.filter_map(|(who, durations, what)| {
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
                "A single {what} of {who} took {at_least}{}: {} of the time of all its {what}s.",
                profile.unit().format(longest_ns as f64),
                units::percent(share.min(1.0)),
            )
        })
    });
    heavy.collect()
}
