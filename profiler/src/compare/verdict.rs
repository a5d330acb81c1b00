//! The answer in one sentence. It says nothing that was not asked, and of what was asked it says what
//! came out, "too noisy" included.

mod every_lock;

use super::{
    Answers, Comparison, Finding, Quantity, SMALLEST_CHANGE, SettingComparison, Verdict,
    clock_name, holder_name,
    phrases::{outcome, place, shift},
    placement::calls_within_moved,
};
use crate::{
    recording::schema::Clock,
    site::Site,
    units::{self, TimeUnit},
};

/// A part that makes up less of a change than this is not named.
const WORTH_NAMING: f64 = 0.1;
/// Parts are named up to this many.
const MOST_PARTS: usize = 3;

/// What the comparison says, by itself: `patched against base: the mean hold is …`.
#[must_use]
pub fn sentence(comparison: &Comparison) -> String {
    let (before, after) = (&comparison.before.name, &comparison.after.name);
    match clauses(comparison) {
        clauses if clauses.is_empty() => nothing(comparison),
        clauses => format!("{after} against {before}: {}.", clauses.join("; ")),
    }
}

/// The same beneath a title that has the names of both kernels.
#[must_use]
pub fn answer(comparison: &Comparison) -> String {
    match clauses(comparison) {
        clauses if clauses.is_empty() => nothing(comparison),
        clauses => units::capital(&format!("{}.", clauses.join("; "))),
    }
}

/// Where there is nothing to say.
fn nothing(comparison: &Comparison) -> String {
    let (before, after) = (&comparison.before.name, &comparison.after.name);
    if comparison.settings.is_empty() {
        format!("{after} and {before} have nothing that could be compared.")
    } else {
        format!("Of {after} and {before} nothing can be said: no number is on both sides.")
    }
}

fn clauses(comparison: &Comparison) -> Vec<String> {
    if let Some(clauses) = every_lock::clauses(comparison) {
        return clauses;
    }
    let mut clauses: Vec<String> = Vec::new();
    for setting in &comparison.settings {
        clauses.extend(holds(setting, comparison));
    }
    // Waits and throughput are for clocks that tick for all CPUs.
    for setting in &comparison.settings {
        clauses.extend(others(&setting.answers, comparison));
    }
    // Work is worth a word of its own where there is no other.
    if clauses.is_empty() {
        for setting in &comparison.settings {
            let answers = &setting.answers;
            let unit = TimeUnit::of(answers.setting.clock);
            let place = place(&answers.setting, comparison);
            let work = answers.finding(&Quantity::Work);
            clauses.extend(work.map(|work| outcome(work, unit) + &place));
        }
    }
    clauses
}

/// What became of the holds.
fn holds(setting: &SettingComparison, comparison: &Comparison) -> Vec<String> {
    let answers = &setting.answers;
    let mut clauses = Vec::new();
    let on = place(&answers.setting, comparison);
    let place = if comparison.settings.len() > 1 {
        format!("{on} by the {}", clock_name(answers.setting.clock))
    } else {
        String::new()
    };
    let unit = TimeUnit::of(answers.setting.clock);
    let changed: Vec<&Finding> = answers
        .holds
        .iter()
        .filter(|finding| finding.verdict.is_change())
        .collect();
    if changed.is_empty() {
        let mean = answers.finding(&Quantity::MeanHold);
        clauses.extend(mean.map(|mean| outcome(mean, unit) + &place));
        return clauses;
    }
    for finding in &changed {
        let mut clause = outcome(finding, unit) + &place;
        if let Quantity::SiteHold(site) = finding.quantity {
            clause += &because(setting, site, unit);
        }
        clauses.push(clause);
    }
    let same: Vec<&str> = answers
        .holds
        .iter()
        .filter(|finding| finding.verdict == Verdict::Same)
        .filter_map(|finding| match finding.quantity {
            Quantity::SiteHold(site) => Some(site.name()),
            _ => None,
        })
        .collect();
    if !same.is_empty() {
        clauses.push(format!(
            "{} holds are the same within {}{on}",
            units::list(&same),
            units::percent(SMALLEST_CHANGE)
        ));
    }
    clauses
}

/// The calls in a hold that changed with it, those with the largest change first; without one, the rest.
fn because(setting: &SettingComparison, site: Site, unit: TimeUnit) -> String {
    let parts = || {
        setting.answers.parts.iter().filter_map(|finding| {
            let what = match &finding.quantity {
                Quantity::SpanInHold(of, span) if *of == site => {
                    if calls_within_moved(&setting.placements, *span) {
                        return None;
                    }
                    span.name().to_owned()
                }
                Quantity::InnerWait(of, lock) if *of == site => format!("waiting for {lock}"),
                _ => return None,
            };
            Some((what, finding, shift(finding)?))
        })
    };
    let total: f64 = parts().map(|(_, _, shift)| shift.abs()).sum();
    let mut parts: Vec<(String, &Finding, f64)> = parts()
        .filter(|(_, finding, _)| finding.verdict.is_change() || has_moved(setting, finding))
        .filter(|(_, _, shift)| shift.abs() >= WORTH_NAMING * total)
        .collect();
    parts.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
    if parts.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = parts
        .into_iter()
        .take(MOST_PARTS)
        .map(|(what, finding, _)| {
            let values = [&finding.before, &finding.after].map(|sample| {
                sample.median.map_or_else(
                    || units::UNKNOWN.to_owned(),
                    |value| finding.quantity.format(value, unit),
                )
            });
            format!("{what} ({} → {})", values[0], values[1])
        })
        .collect();
    // What the rest is can be told where all calls were probed on both sides.
    let rest = Quantity::OwnWork(site);
    let all = if setting.answers.finding(&rest).is_some() {
        ""
    } else {
        "in part "
    };
    // The whole was measured with its ends probed alone.
    format!(
        ", {all}because of {}, their probes included",
        units::list(&parts)
    )
}

/// Whether a part is a call that is inside the holds on one side alone, or more often: that is no statistic.
fn has_moved(setting: &SettingComparison, part: &Finding) -> bool {
    let Quantity::SpanInHold(_, span) = part.quantity else {
        return false;
    };
    let mut placements = setting.placements.iter();
    placements.any(|placement| placement.span == span && placement.moved())
}

/// What became of throughput and waits.
fn others(answers: &Answers, comparison: &Comparison) -> Vec<String> {
    let setting = &answers.setting;
    if setting.shares_cpus() {
        let real = setting
            .emulated_by
            .map_or_else(|| "fewer".to_owned(), |real| real.to_string());
        let kind = match setting.clock {
            Clock::Hardware => "virtual",
            _ => "emulated",
        };
        return vec![format!(
            "throughput and waits of {} {kind} CPUs that share {real} get no verdict: who waits for a lock \
             there waits for a CPU, too",
            setting.cpus
        )];
    }
    let unit = TimeUnit::of(answers.setting.clock);
    let place = place(setting, comparison);
    [Quantity::Throughput, Quantity::Work, Quantity::Waited]
        .iter()
        .filter_map(|quantity| answers.finding(quantity))
        .filter(|finding| finding.quantity != Quantity::Work || finding.verdict.is_change())
        .map(|finding| {
            let behind = match finding.quantity {
                Quantity::Waited => behind_whom(answers, finding),
                _ => String::new(),
            };
            outcome(finding, unit) + &place + &behind
        })
        .collect()
}

/// Behind whose holds most of a change of waiting was, by the answers about waiters and holders.
fn behind_whom(answers: &Answers, waited: &Finding) -> String {
    let Some(whole) = shift(waited).filter(|_| waited.verdict.is_change()) else {
        return String::new();
    };
    let mut by_holder: Vec<(&str, f64)> = Vec::new();
    for finding in answers
        .blame
        .iter()
        .filter(|finding| finding.verdict.is_change())
    {
        let Quantity::Blame(_, holder) = finding.quantity else {
            continue;
        };
        let (name, shift) = (holder_name(holder), shift(finding).unwrap_or(0.0));
        match by_holder.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += shift,
            None => by_holder.push((name, shift)),
        }
    }
    let most = by_holder
        .into_iter()
        .filter(|(_, shift)| shift.signum() == whole.signum())
        .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    most.map_or_else(String::new, |(holder, shift)| {
        let share = units::percent((shift / whole).min(1.0));
        format!(", {share} of that behind {holder}")
    })
}
