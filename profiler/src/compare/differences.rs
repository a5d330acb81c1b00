//! What differs between two sides beside the patch: said before any number.

use std::collections::BTreeSet;

use super::{
    Difference, Instrument, Samples, Setting, Side, instruments::spin_in_one_way, measured,
    setting::clock_name,
};
use crate::recording::schema::{Clock, Kernel};

/// A property of kernels and machines that matters beside the patch.
struct Field {
    what: &'static str,
    of: fn(&Kernel) -> String,
    consequence: &'static str,
}

const FIELDS: &[Field] = &[
    Field {
        what: "CPU models",
        of: |kernel| kernel.cpu_model.clone(),
        consequence: "times may differ because of it",
    },
    Field {
        what: "clock sources",
        of: |kernel| kernel.clock_source.clone(),
        consequence: "reading the clock is part of what is measured",
    },
];

/// Everything that differs.
#[must_use]
pub fn differences(before: &Side, after: &Side) -> Vec<Difference> {
    let mut all = Vec::new();
    let caution = |text: String| Difference {
        text,
        excludes: false,
    };
    for side in [before, after] {
        if side.kernels.len() > 1 {
            all.push(caution(format!(
                "The recordings of {} are of {} different kernels or machines.",
                side.name,
                side.kernels.len()
            )));
        }
    }
    // Of one boot there is one configuration.
    if before.boot_ids() != after.boot_ids() {
        all.extend(configurations(before, after).map(caution));
    }
    for field in FIELDS {
        let [old, new] = [before, after].map(|side| values(side, field.of));
        if old != new {
            all.push(caution(format!(
                "The {} differ ({} / {}): {}.",
                field.what,
                join(&old),
                join(&new),
                field.consequence
            )));
        }
    }
    if before.versions != after.versions {
        all.push(caution(format!(
            "The versions of lockprof differ ({} / {}).",
            join(&before.versions),
            join(&after.versions)
        )));
    }
    if before.arrangements != after.arrangements {
        all.push(caution(format!(
            "The clocks of holds stood in different places ({} / {}): the locks that were measured were \
             held longer by different amounts, and what is reported less the null hold differs by some \
             instructions.",
            join(&before.arrangements),
            join(&after.arrangements)
        )));
    }
    all.extend(settings(before, after));
    all
}

/// The kernels' configurations, which ought to be one.
fn configurations(before: &Side, after: &Side) -> Option<String> {
    let hash = |kernel: &Kernel| kernel.config_hash.clone().unwrap_or_default();
    let [old, new] = [before, after].map(|side| values(side, hash));
    if old.contains("") || new.contains("") {
        return Some(
            "A kernel does not show its configuration: whether they differ by more than the patch \
             cannot be told."
                .to_owned(),
        );
    }
    (old != new).then(|| {
        "The kernels' configurations differ: what is found below may come from there.".to_owned()
    })
}

/// Settings and instruments that only one side has.
fn settings(before: &Side, after: &Side) -> Vec<Difference> {
    let mut all = Vec::new();
    let excluded = |text: String| Difference {
        text,
        excludes: true,
    };
    for (side, other) in [(before, after), (after, before)] {
        for setting in side.boots.keys() {
            if other.boots.contains_key(setting) {
                continue;
            }
            all.push(excluded(format!(
                "Only {} has {}{}: not compared.",
                side.name,
                setting.describe(),
                nearest(setting, other)
            )));
        }
    }
    for setting in before.boots.keys() {
        if !after.boots.contains_key(setting) {
            continue;
        }
        let samples = [before, after].map(|side| Samples::of(side, setting));
        all.extend(spinning(setting, [&samples[0], &samples[1]]).map(excluded));
        all.extend(measured::differences(setting, [before, after]));
        let [old, new] = samples.map(|side| side.instruments());
        for (side, own, others) in [(before, &old, &new), (after, &new, &old)] {
            for instrument in own - others {
                all.push(excluded(instrument_text(&side.name, instrument, setting)));
            }
        }
    }
    all
}

/// Kernels that spin where the tracepoints see it, and others that do not, by a clock that knows waits.
fn spinning(setting: &Setting, sides: [&Samples<'_>; 2]) -> Option<String> {
    if setting.clock == Clock::Instructions || spin_in_one_way(sides) {
        return None;
    }
    let [old, new] = sides.map(|side| {
        let seen = side.spin_waits_invisible().into_iter().map(|invisible| {
            let seen = if invisible {
                "unseen, in virt_spin_lock()"
            } else {
                "seen by the tracepoints"
            };
            seen.to_owned()
        });
        join(&seen.collect())
    });
    Some(format!(
        "The ways in which the kernels spin differ ({old} / {new}) with {}: waits are not compared.",
        setting.describe()
    ))
}

fn instrument_text(name: &str, instrument: Instrument, setting: &Setting) -> String {
    let clock = clock_name(setting.clock);
    format!(
        "Only {name} has runs with {} by the {clock}: not compared.",
        instrument.describe()
    )
}

/// How the other side's nearest setting differs.
fn nearest(setting: &Setting, other: &Side) -> String {
    let of_clock = other
        .boots
        .keys()
        .find(|theirs| theirs.clock == setting.clock);
    match of_clock {
        Some(theirs) if theirs.lock != setting.lock => format!(
            " (it follows {}, {} follows {})",
            setting.lock, other.name, theirs.lock
        ),
        Some(theirs) => format!(" ({} has {})", other.name, theirs.describe()),
        None => String::new(),
    }
}

fn values(side: &Side, field: fn(&Kernel) -> String) -> BTreeSet<String> {
    side.kernels.iter().map(field).collect()
}

fn join(values: &BTreeSet<String>) -> String {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    values.join(", ")
}
