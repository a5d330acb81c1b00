//! What a comparison of all locks says.

use crate::{
    compare::{
        Answers, Comparison, EveryLock, Finding, LockRow, Measure, Quantity,
        phrases::{outcome, place, shift},
    },
    units::TimeUnit,
};

/// Classes that are named at most.
const MOST_CLASSES: usize = 3;

/// What became of all locks, then of the classes that changed; none where something else is compared.
pub(super) fn clauses(comparison: &Comparison) -> Option<Vec<String>> {
    let settings = comparison.settings.iter();
    let all: Vec<Vec<String>> = settings
        .filter_map(|setting| {
            let answers = &setting.answers;
            let locks = answers.every_lock.as_ref()?;
            Some(of_setting(
                answers,
                locks,
                &place(&answers.setting, comparison),
            ))
        })
        .collect();
    (!all.is_empty()).then(|| all.into_iter().flatten().collect())
}

fn of_setting(answers: &Answers, locks: &EveryLock, place: &str) -> Vec<String> {
    let unit = TimeUnit::of(answers.setting.clock);
    let mut clauses = Vec::new();
    if answers.setting.shares_cpus() {
        clauses.push(format!(
            "waits of {} get no verdict: who waits for a lock there waits for a CPU, too",
            answers.setting.machine()
        ));
        return clauses;
    }
    for all in &answers.main {
        clauses.push(if all.is_empty() {
            let doubt = if locks.is_unproved {
                ", and not every recording proves that it would have seen one"
            } else {
                ""
            };
            format!("no wait for a lock was seen on either side{place}{doubt}")
        } else {
            outcome(all, unit) + place + &because(locks, all, unit)
        });
    }
    if let Some(why) = &locks.all_unknown {
        clauses.push(format!(
            "all locks together are not compared{place} ({why})"
        ));
    }
    let classes = locks.classes.iter().filter_map(LockRow::finding);
    let mut changed: Vec<&Finding> = classes
        .filter(|finding| finding.verdict.is_change())
        .collect();
    changed.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let rest = changed.len().saturating_sub(MOST_CLASSES);
    for class in changed.into_iter().take(MOST_CLASSES) {
        clauses.push(outcome(class, unit) + place + &because(locks, class, unit));
    }
    if rest > 0 {
        let more = if rest == 1 { "class" } else { "classes" };
        clauses.push(format!("so did {rest} more {more}, by less{place}"));
    }
    clauses
}

/// How far the medians are apart.
fn size(finding: &Finding) -> f64 {
    shift(finding).unwrap_or(0.0).abs()
}

/// Whether there were more waits, or longer ones, where that was answered.
fn because(locks: &EveryLock, whole: &Finding, unit: TimeUnit) -> String {
    if !whole.verdict.is_change() {
        return String::new();
    }
    let part = |measure: Measure, words: [&str; 2]| {
        let quantity = match &whole.quantity {
            Quantity::LockClass(class, _) => Quantity::LockClass(class.clone(), measure),
            _ => Quantity::AllLocks(measure),
        };
        let mut parts = locks.parts.iter();
        let part = parts.find(|part| part.quantity == quantity && part.verdict.is_change())?;
        let (before, after) = part.before.median.zip(part.after.median)?;
        let [old, new] = [before, after].map(|value| part.quantity.format(value, unit));
        let word = words[usize::from(after > before)];
        Some(format!("{word} waits ({old} → {new})"))
    };
    let parts = [
        part(Measure::Waits, ["fewer", "more"]),
        part(Measure::Mean, ["shorter", "longer"]),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(", in {}", parts.join(" and "))
    }
}
