//! What the probes did to the load, in sentences: to be said before any number that it touches.

use crate::{
    profile::{Counted, Effect, EffectVerdict, KindEffect, Profile},
    recording::schema::{Clock, Ended, WindowKind},
    units,
};

/// What the probes did, and to which numbers.
pub(super) fn effect(profile: &Profile) -> Vec<String> {
    let Some(effect) = &profile.effect else {
        let why = profile.header.no_windows.as_deref();
        let why = why.map(|why| why.trim_end_matches('.'));
        return why
            .map(|why| format!("What the probes do to the load is not known: {why}."))
            .into_iter()
            .collect();
    };
    let mut all = Vec::new();
    all.extend(told(effect));
    if !all.is_empty() && profile.header.clock != Clock::Hardware {
        all.push("That is the effect on this emulated machine, not on hardware.".to_owned());
    }
    all.extend(effect.kinds.iter().filter_map(caution));
    let unknown = effect
        .kinds
        .iter()
        .filter_map(|kind| not_known(kind, effect.of, wanted(profile)));
    all.extend(unknown);
    all
}

/// The intervals, in one sentence.
fn told(effect: &Effect) -> Option<String> {
    let mut text = String::new();
    for kind in &effect.kinds {
        let told = !matches!(
            kind.verdict,
            EffectVerdict::NotKnown | EffectVerdict::TooFew
        );
        let (Some(ratio), Some(interval)) = (kind.ratio.filter(|_| told), kind.interval) else {
            continue;
        };
        text += &if text.is_empty() {
            let kept = match effect.of {
                Counted::Iterations => "the load kept",
                Counted::TaskLives => "this machine kept, in task lives,",
            };
            format!(
                "With {} {kept} {} of its rate",
                probes(kind.kind),
                units::percent(ratio)
            )
        } else {
            format!("; with {} {}", probes(kind.kind), units::percent(ratio))
        };
        let (low, high) = (interval.low * 100.0, interval.high * 100.0);
        let pairs = units::count_of(kind.pairs as usize, "pair");
        text += &format!(" ({low:.1} to {high:.1} %, {pairs} of windows)");
    }
    (!text.is_empty()).then(|| text + ".")
}

/// Where the effect is so large that the numbers are to be read otherwise.
fn caution(kind: &KindEffect) -> Option<String> {
    let numbers = numbers(kind.kind);
    match kind.verdict {
        EffectVerdict::SlowerLock => Some(format!(
            "Caution: {numbers} are the numbers of a slower lock."
        )),
        EffectVerdict::Felt => Some(format!(
            "Caution: {numbers} are those of a load that the probes slow down."
        )),
        EffectVerdict::Told | EffectVerdict::NotKnown | EffectVerdict::TooFew => None,
    }
}

/// What has to go on for longer: a command that ended by itself does not take a longer run.
fn wanted(profile: &Profile) -> &'static str {
    let ended = profile.footer.as_ref().map(|footer| footer.ended);
    let workload = profile.header.workload.as_ref();
    let is_command = workload.is_some_and(|workload| !workload.is_bundled());
    if is_command && ended == Some(Ended::LoadEnded) {
        "a load that runs for"
    } else {
        "a run of"
    }
}

/// Why an effect is not known, and what it takes to tell it.
fn not_known(kind: &KindEffect, of: Counted, wanted: &str) -> Option<String> {
    let (events, who) = match of {
        Counted::Iterations => ("iterations", "the load"),
        Counted::TaskLives => ("task lives", "this machine"),
    };
    let why = match (kind.verdict, kind.ratio, kind.interval) {
        (EffectVerdict::Told | EffectVerdict::Felt | EffectVerdict::SlowerLock, ..) => return None,
        (EffectVerdict::TooFew, ..) => format!("too few {events} to tell"),
        (EffectVerdict::NotKnown, Some(ratio), Some(interval)) => format!(
            "{}, but anywhere from {:.1} to {:.1} % ({} of windows)",
            units::percent(ratio),
            interval.low * 100.0,
            interval.high * 100.0,
            units::count_of(kind.pairs as usize, "pair")
        ),
        (EffectVerdict::NotKnown, Some(ratio), None) => format!(
            "{} in {} of windows, which {} too few",
            units::percent(ratio),
            units::count_of(kind.pairs as usize, "pair"),
            if kind.pairs == 1 { "is" } else { "are" }
        ),
        (EffectVerdict::NotKnown, None, _) => {
            "no window with them has one without beside it".to_owned()
        }
    };
    let longer = kind.more_s.map_or_else(String::new, |more_s| {
        let time = time(more_s);
        // Only by how much pairs differ it can be said how many it takes: an estimate, as that is one.
        if kind.interval.is_some() {
            format!(" By estimate {wanted} {time} would tell.")
        } else {
            format!(" It takes {wanted} at least {time} to tell.")
        }
    });
    Some(format!(
        "How much of its rate {who} keeps with {} is not known: {why}.{longer}",
        probes(kind.kind)
    ))
}

const fn probes(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Bare => "no probes",
        WindowKind::Waits => "the probes of waits",
        WindowKind::Holds => "the probes of holds",
        WindowKind::Spans => "those of spans",
    }
}

/// The numbers that windows of a kind give.
const fn numbers(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Bare => "rates",
        WindowKind::Waits => "the lengths of waits",
        WindowKind::Holds => "the lengths of holds and waits",
        WindowKind::Spans => "the times of calls inside holds",
    }
}

/// A time that was rounded to one that people say.
fn time(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.0} s")
    } else if seconds < 3600.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.0} h", seconds / 3600.0)
    }
}
