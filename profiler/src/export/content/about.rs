//! What was measured, and the few numbers that sum it up.

use super::{Section, Topic};
use crate::{
    profile::{Counted, Estimate, Profile, Scaled, Stage},
    recording::schema::{
        AddressSource, Clock, Deferral, Header, Method, Tier, WindowKind, Workload,
    },
    units::{self, TimeUnit},
};

/// Which lock on which machine.
pub(super) fn title(profile: &Profile) -> String {
    let header = &profile.header;
    let kernel = &header.kernel;
    let cpus = match kernel.cpus_online {
        1 => "1 CPU".to_owned(),
        cpus => format!("{cpus} CPUs"),
    };
    let what = match &header.locks {
        Some(_) => "contended locks",
        None => &header.lock.name,
    };
    format!(
        "{what} on Linux {} ({}, {cpus})",
        kernel.release, kernel.machine
    )
}

/// How it was measured, and what the lock did in all.
pub(super) fn about(profile: &Profile) -> Section {
    let header = &profile.header;
    let kernel = &header.kernel;
    let mut page = Section::new(Topic::About, "");
    page.field("tier", tier(header));
    page.field("clock", clock(header));
    match &header.locks {
        None => page.field("lock", lock(header)),
        Some(plan) if plan.only.is_empty() => page.field("looked at", "every lock"),
        Some(plan) => page.field("looked at", format!("only {}", plan.only.join("; "))),
    }
    // It is one of tasklist_lock.
    let tells = header.locks.is_none() && profile.is_taken_by_each_task();
    if let Some(deferral) = deferral(kernel.deferral).filter(|_| tells) {
        page.field("kernel", deferral);
    }
    if let Some(effect) = effect(profile) {
        page.field("effect", effect);
    }
    page.field("workload", workload(profile, header.workload.as_ref()));
    page.field("measured", measured(profile));
    if let Some(share) = profile.held_share() {
        let lives = profile.lives().and_then(|lives| profile.per_second(lives));
        let lives = lives.map_or_else(String::new, |lives| {
            format!("; {} task lives/s", units::rate(lives))
        });
        let by = if profile.is_of_mutex() {
            ""
        } else {
            " by writers"
        };
        let per_life = profile
            .write_holds()
            .zip(profile.lives().filter(|&lives| lives > 0));
        let per_life = per_life.map_or_else(String::new, |(holds, lives)| {
            format!(
                ", {:.2} {} to a life",
                holds as f64 / lives as f64,
                profile.holds_in_words()
            )
        });
        page.field(
            "held",
            format!(
                "{}{} of the time{by}{lives}{per_life}",
                if profile.held_is_bound() {
                    "at least "
                } else {
                    ""
                },
                units::percent(share),
            ),
        );
    }
    let scaled = profile.scaled.as_ref();
    if let Some(text) = scaled.and_then(|scaled| stands_for(scaled, profile)) {
        page.field("stands for", text);
    }
    page
}

fn tier(header: &Header) -> String {
    if header.tier == Tier::Off {
        return header.attach.reasons.join(" ");
    }
    let tier = header.tier.name();
    let method = match header.attach.method {
        Method::Fentry => "fentry",
        Method::Kprobe => "kprobe",
        Method::Wait => "contention tracepoints",
        Method::Off => "nothing",
    };
    let reasons = header.attach.reasons.join(" ");
    let colon = if reasons.is_empty() { "" } else { ": " };
    format!("{tier}, by {method}{colon}{reasons}")
}

fn clock(header: &Header) -> String {
    match header.clock {
        Clock::Hardware => header.kernel.clock_source.clone(),
        Clock::EmulatedWall => "times are those of an emulated machine, not of hardware".to_owned(),
        Clock::Instructions => {
            "lengths are guest instructions (insn), not times; waits are not measured".to_owned()
        }
    }
}

fn lock(header: &Header) -> String {
    let source = match header.lock.address_source {
        AddressSource::Kallsyms => "from /proc/kallsyms",
        AddressSource::Given => "as given",
        AddressSource::Learned => "learned from release_task",
        AddressSource::Stacks => "by who waited for it",
        AddressSource::Process => "that of the process, by its own calls",
        AddressSource::Unknown => "not known",
    };
    match &header.lock.address {
        Some(address) => format!("{} at {address}, {source}", header.lock.name),
        None => format!("{}, address {source}", header.lock.name),
    }
}

const fn deferral(deferral: Deferral) -> Option<&'static str> {
    match deferral {
        Deferral::Merged => Some("has the deferral (free_pids, release_task_post)"),
        Deferral::Posted => Some("has the deferral as first posted (detach_pid_return)"),
        Deferral::Unknown => None,
    }
}

fn workload(profile: &Profile, workload: Option<&Workload>) -> String {
    let Some(workload) = workload else {
        return "none: what the machine did by itself".to_owned();
    };
    let mut text = workload.name.clone();
    if let Some(tasks) = workload.tasks_in_words() {
        text += &format!(", {tasks}");
    } else if !workload.command.is_empty() {
        text += &format!(" ({})", workload.command.join(" "));
    }
    if let Some(rate) = profile.iterations_per_second() {
        let bare = profile.windows.of(WindowKind::Bare);
        let bare = bare.and_then(|bare| bare.iterations);
        let without = bare.map_or("", |_| " without probes");
        text += &format!(": {} iterations/s{without}", units::rate(rate));
    }
    text
}

/// What the measuring as a whole did to the load: what each kind of probe did is said before.
fn effect(profile: &Profile) -> Option<String> {
    let header = &profile.header;
    let Some(effect) = &profile.effect else {
        // Nothing was attached that could have one, or the verdict says why it is not known.
        if matches!(header.tier, Tier::Off | Tier::Unsupported) || header.no_windows.is_some() {
            return None;
        }
        let off = header
            .command_line
            .iter()
            .any(|word| word.starts_with("--windows"));
        let off = if off { " (--windows off)" } else { "" };
        return Some(format!("not measured{off}"));
    };
    let whole = effect.whole.map(|whole| {
        let of = match effect.of {
            Counted::Iterations => "iterations",
            Counted::TaskLives => "task lives",
        };
        format!(
            "over the whole measured time {} of the rate without probes, by {of}",
            units::percent(whole)
        )
    });
    let edges = effect.edges.map(|edges| {
        format!(
            "where probes are changed {}, in {} of the time",
            units::percent(edges.ratio),
            units::percent(edges.share_of_time)
        )
    });
    let parts: Vec<String> = whole.into_iter().chain(edges).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// How many windows of each kind there were, and how long.
fn windows(profile: &Profile) -> Option<String> {
    let kinds: Vec<String> = WindowKind::ALL
        .into_iter()
        .filter_map(|kind| {
            let totals = profile.windows.of(kind)?;
            let windows = units::count(totals.windows);
            Some(format!(
                "{windows} {} ({})",
                kind.name(),
                units::seconds(totals.seconds)
            ))
        })
        .collect();
    (!kinds.is_empty()).then(|| format!("windows in turn: {}", kinds.join(", ")))
}

fn measured(profile: &Profile) -> String {
    let warm_up = profile.series.iter();
    let warm_up = warm_up.filter(|point| point.stage == Stage::WarmUp);
    let warm_up_s: f64 = warm_up.map(|point| point.seconds).sum();
    let intervals = match profile.intervals {
        1 => "1 interval".to_owned(),
        intervals => format!("{} intervals", units::count(intervals)),
    };
    let time = match profile.unit() {
        TimeUnit::Nanoseconds => "",
        TimeUnit::Instructions => " of virtual time (10^9 insn a second)",
    };
    let mut text = if profile.intervals == 0 {
        "nothing".to_owned()
    } else {
        format!(
            "{}{time} in {intervals}",
            units::seconds(profile.measured_s)
        )
    };
    if warm_up_s > 0.0 {
        let what = profile.before_measured();
        text += &format!(", after {} of {what}", units::seconds(warm_up_s));
    }
    if let Some(windows) = windows(profile) {
        text += &format!("; {windows}");
    }
    text
}

/// What there was in the whole measured time: an estimate, and said to be. Nothing where nothing is estimated.
fn stands_for(scaled: &Scaled, profile: &Profile) -> Option<String> {
    let sure = |estimate: Estimate, format: &dyn Fn(f64) -> String| match estimate.interval {
        Some(interval) => format!(" ({} to {})", format(interval.low), format(interval.high)),
        None if scaled.has_windows_enough() => " (too few to tell how sure)".to_owned(),
        None => String::new(),
    };
    let count = |estimate: Option<Estimate>, what: &str| {
        let format = units::estimated_count;
        estimate.map(|estimate| match estimate.total {
            0.0 => format!("no {what} seen"),
            total => format!("{} {what}{}", format(total), sure(estimate, &format)),
        })
    };
    let time = |estimate: Option<Estimate>, what: &str| {
        let format = |ns| profile.unit().format(ns);
        let some = estimate.filter(|estimate| estimate.total > 0.0)?;
        let text = format!("{what} for {}{}", format(some.total), sure(some, &format));
        Some(text)
    };
    let parts = [
        count(scaled.holds, profile.holds_in_words()),
        time(scaled.held_ns, "held"),
        count(scaled.lives, "task lives"),
        count(scaled.waits, "waits"),
        time(scaled.waited_ns, "waited"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return None;
    }
    let parts = parts.join(", ");
    let how_sure = if scaled.has_windows_enough() {
        ""
    } else {
        "; too few windows to tell how sure"
    };
    Some(format!(
        "{} in all, estimated from {} of {} ({}): {parts}{how_sure}",
        units::seconds(scaled.of_s),
        units::count_of(scaled.windows as usize, "window"),
        scaled.kind.name(),
        units::seconds(scaled.seconds),
    ))
}
