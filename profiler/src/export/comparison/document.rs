//! What a comparison says, before it is laid out.

use super::{
    super::content::{Document, Section, Topic},
    sections::SettingSections,
};
use crate::{
    compare::{Comparison, Side, answer},
    forecast::Forecast,
    profile::Verdict as Words,
    units::{self, TimeUnit},
};

/// All that there is to say about a comparison.
pub(super) fn document(comparison: &Comparison, notes: &[String]) -> Document {
    let mut sections = Vec::new();
    for setting in &comparison.settings {
        let mut head_first = SettingSections::of(comparison, setting);
        head_first.head.title = format!("With {}", setting.answers.setting.describe());
        sections.extend(head_first.in_order());
    }
    sections.push(measured(comparison, notes));
    Document {
        warnings: Vec::new(),
        title: format!(
            "{} against {}",
            comparison.after.describe(),
            comparison.before.describe()
        ),
        verdict: verdict(comparison),
        sections: sections
            .into_iter()
            .filter(|section| !section.blocks.is_empty())
            .collect(),
    }
}

/// The answer in a sentence, and what is to be known with it.
pub(super) fn verdict(comparison: &Comparison) -> Words {
    let excluded = comparison
        .differences
        .iter()
        .map(|difference| difference.text.clone());
    let unused = [&comparison.before, &comparison.after]
        .into_iter()
        .flat_map(|side| &side.unused)
        .map(|why| format!("Not used: {why}."));
    let cautions = [&comparison.before, &comparison.after]
        .into_iter()
        .flat_map(|side| &side.cautions)
        .map(|caution| format!("{caution}."));
    Words {
        in_progress: Vec::new(),
        caveats: excluded.chain(unused).chain(cautions).collect(),
        findings: vec![answer(comparison)],
        next: None,
    }
}

/// What is to be expected on other machines.
pub(super) fn of_forecast(
    forecast: &Result<Forecast, String>,
    comparisons: &[Comparison],
) -> Document {
    let mut sections = Vec::new();
    let mut caveats = Vec::new();
    match forecast {
        Ok(forecast) => {
            sections = super::super::content::forecast(forecast);
            let checked = super::checked::checked(forecast, comparisons);
            // Before what the forecast stands on, which is long.
            if !checked.blocks.is_empty() {
                sections.insert(sections.len().saturating_sub(1), checked);
            }
        }
        Err(why) => caveats.push(format!("There is no forecast: {why}.")),
    }
    Document {
        warnings: Vec::new(),
        title: "On machines with more CPUs".to_owned(),
        verdict: Words {
            caveats,
            ..Words::default()
        },
        sections,
    }
}

/// What was compared.
pub(super) fn measured(comparison: &Comparison, notes: &[String]) -> Section {
    let mut section = Section::new(Topic::Trust, "What was compared");
    section.field("before", side(&comparison.before));
    section.field("after", side(&comparison.after));
    for note in notes {
        section.field("note", note);
    }
    section
}

fn side(side: &Side) -> String {
    let kernels: Vec<String> = side
        .kernels
        .iter()
        .map(|kernel| {
            let config = kernel.config_hash.as_deref().unwrap_or("unknown");
            format!(
                "Linux {} {}, configuration {config}",
                kernel.release, kernel.version
            )
        })
        .collect();
    let recordings: usize = side
        .boots
        .values()
        .flatten()
        .flat_map(|boot| boot.runs.values())
        .map(|totals| totals.recordings)
        .sum();
    let null_holds: Vec<String> = side
        .boots
        .iter()
        .filter_map(|(setting, boots)| {
            let null_holds: Vec<f64> = boots
                .iter()
                .flat_map(|boot| boot.runs.values())
                .flat_map(|totals| totals.null_holds_ns.iter().copied())
                .collect();
            let median = crate::statistics::median(&null_holds)?;
            let clock = crate::compare::clock_name(setting.clock);
            Some(format!(
                "{} by the {clock}",
                TimeUnit::of(setting.clock).format(median)
            ))
        })
        .collect();
    let null_hold = if null_holds.is_empty() {
        String::new()
    } else {
        format!("; null hold {}", null_holds.join(", "))
    };
    format!(
        "{}: {}; {}, {}{null_hold}",
        side.name,
        kernels.join("; "),
        units::count_of(side.boot_ids().len(), "boot"),
        units::count_of(recordings, "recording")
    )
}
