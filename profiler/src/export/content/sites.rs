//! Who held the lock, doing what, and who waited behind whom.

use std::collections::BTreeMap;

use super::{Column, Emphasis, Grid, Section, Topic, spark::SparkScale};
use crate::{
    profile::{Absence, Contention, Durations, Profile, SpanProfile},
    recording::schema::{Tier, WindowKind},
    site::Site,
    span::Span,
    units::{self, TimeUnit, UNKNOWN},
};

/// Rows of waits by caller.
const CALLER_ROWS: usize = 10;
/// Rows of the blame table.
const BLAME_ROWS: usize = 8;

/// Holds and waits by site.
pub(super) fn sites(profile: &Profile) -> Section {
    let title = if profile.holds_known() {
        "Holds and waits by site"
    } else if profile.sites_are_known() {
        "Waits by site"
    } else {
        "Waits by caller"
    };
    let mut section = Section::new(Topic::Sites, title);
    let measured = !matches!(profile.header.tier, Tier::Unsupported | Tier::Off);
    // That nothing happened is not known where nothing was measured.
    if !measured || profile.intervals == 0 {
        return section;
    }
    if profile.sites.is_empty() {
        // Of a tier without holds that is said before.
        let holds = profile.no_holds().filter(|_| profile.measures_holds());
        for sentence in holds.into_iter().chain(profile.no_waits()) {
            section.sentence(sentence, Emphasis::Plain);
        }
        for sentence in profile.sites_not_proved() {
            section.sentence(sentence, Emphasis::Quiet);
        }
        waits_by_caller(profile, &mut section);
        return section;
    }
    let unit = profile.unit();
    let hold_scale = SparkScale::of(profile.sites.iter().filter_map(|site| site.hold.as_ref()));
    let wait_scale = SparkScale::of(profile.sites.iter().filter_map(|site| site.wait.as_ref()));
    let mut grid = Grid::new(&["site"], &[]);
    if profile.holds_known() {
        grid = ["holds", "held", "mean hold", "p50", "p99", "max hold"]
            .iter()
            .fold(grid, |grid, header| grid.and(header, Column::Number))
            .and("their lengths", Column::Sparkline);
    }
    if profile.target_waits_known() {
        grid = ["contended", "mean wait", "p50", "p99", "max wait"]
            .iter()
            .fold(grid.seam(), |grid, header| grid.and(header, Column::Number))
            .and("their lengths", Column::Sparkline);
    }
    for site in &profile.sites {
        let mut row = vec![site.site.name().to_owned()];
        if let Some(hold) = &site.hold {
            row.push(units::count(hold.count()));
            let share = profile.share_of_holds(hold.total_ns);
            row.push(share.map_or_else(|| UNKNOWN.to_owned(), units::percent));
            row.extend(lengths(hold, unit, hold_scale));
        }
        if let Some(wait) = &site.wait {
            row.push(units::count(wait.count()));
            row.extend(lengths(wait, unit, wait_scale));
        }
        grid.row(row);
    }
    section.grid(grid);
    if profile.measures_holds() && !profile.holds_known() {
        section.sentence(profile.no_holds().unwrap_or_default(), Emphasis::Quiet);
    }
    if profile.waits_known() && !profile.target_waits_known() {
        section.sentence(profile.no_waits().unwrap_or_default(), Emphasis::Quiet);
    }
    for sentence in profile.sites_not_proved() {
        section.sentence(sentence, Emphasis::Quiet);
    }
    let scales = [("holds", hold_scale), ("waits", wait_scale)];
    let scales: Vec<String> = scales
        .into_iter()
        .filter_map(|(kind, scale)| Some(format!("{kind} {}", scale?.legend(unit))))
        .collect();
    if !scales.is_empty() {
        let text = format!(
            "Lengths from left to right, by powers: {}.",
            scales.join(", ")
        );
        section.sentence(text, Emphasis::Sparklines);
    }
    waits_by_caller(profile, &mut section);
    section
}

/// Waits for the lock that no site tells.
fn waits_by_caller(profile: &Profile, section: &mut Section) {
    let waits: Vec<&Contention> = profile.waits_beside_sites().collect();
    if waits.is_empty() {
        return;
    }
    section.sentence(
        if profile.sites.is_empty() {
            "Waits for it, by who asked for it:"
        } else {
            "Waits for it whose holds are not followed, by who asked for it:"
        },
        Emphasis::Plain,
    );
    let mut grid = super::locks::with_lengths(Grid::new(&["caller", "kind"], &[]));
    for wait in waits.iter().take(CALLER_ROWS) {
        let caller = wait.caller.clone();
        let names = [
            caller.unwrap_or_else(|| UNKNOWN.to_owned()),
            wait.kind.name().to_owned(),
        ];
        let lengths = super::locks::lengths(wait, profile.unit());
        grid.row(names.into_iter().chain(lengths));
    }
    section.grid(grid);
    if waits.len() > CALLER_ROWS {
        let rest = waits.len() - CALLER_ROWS;
        section.sentence(format!("and {rest} more with less"), Emphasis::Quiet);
    }
}

fn lengths(durations: &Durations, unit: TimeUnit, scale: Option<SparkScale>) -> [String; 5] {
    [
        unit.format_or_unknown(durations.mean_ns()),
        unit.format_or_unknown(durations.percentile_ns(0.5)),
        unit.format_or_unknown(durations.percentile_ns(0.01)),
        durations.max_text(unit),
        scale.map_or_else(String::new, |scale| scale.line(durations)),
    ]
}

/// Calls inside holds.
pub(super) fn spans(profile: &Profile) -> Section {
    let mut section = Section::new(Topic::Spans, "Inside the holds");
    if !profile.spans.is_empty() {
        let mut inside: Vec<&SpanProfile> = profile
            .spans
            .iter()
            .filter(|span| span.in_hold_ns.is_some())
            .collect();
        inside.sort_by_key(|span| {
            let order = profile
                .sites
                .iter()
                .position(|site| Some(site.site) == span.site);
            (order, std::cmp::Reverse(span.self_ns))
        });
        if inside.is_empty() {
            section.sentence("No call was seen inside a hold.", Emphasis::Plain);
        } else {
            section.grid(span_grid(profile, &inside));
        }
        if let Some(windows) = profile.windows.of(WindowKind::Spans) {
            section.sentence(
                format!(
                    "In {} with the probes of spans, {} in all; \"of hold\" is of the holds there, \
                     which are longer.",
                    units::count_of(windows.windows as usize, "window"),
                    units::seconds(windows.seconds)
                ),
                Emphasis::Quiet,
            );
        }
        if let Some(null_hold) = profile.null_hold() {
            section.sentence(
                format!(
                    "Null hold, for comparison: {}.",
                    profile.unit().format(null_hold.mean_ns)
                ),
                Emphasis::Quiet,
            );
        }
        for line in where_called(profile) {
            section.sentence(line, Emphasis::Plain);
        }
    }
    for sentence in profile.spans_not_proved() {
        section.sentence(sentence, Emphasis::Quiet);
    }
    for (span, reason) in &profile.absent_spans {
        section.sentence(format!("{span}: not measured ({reason})"), Emphasis::Quiet);
    }
    section
}

fn span_grid(profile: &Profile, spans: &[&SpanProfile]) -> Grid {
    let unit = profile.unit();
    let mut grid = Grid::new(
        &["span", "site"],
        &["calls", "a call", "in hold", "own time", "of hold"],
    );
    for span in spans {
        let held = span.site.and_then(|site| profile.holds_of_spans(site));
        let share = span.self_ns.zip(held.filter(|held| held.total_ns > 0));
        let per_call = span.in_hold_ns.map(|ns| ns as f64 / span.calls as f64);
        grid.row([
            span.span.name().to_owned(),
            span.site.map_or("", Site::name).to_owned(),
            units::count(span.calls),
            unit.format_or_unknown(per_call),
            unit.format_or_unknown(span.in_hold_ns.map(|ns| ns as f64)),
            unit.format_or_unknown(span.self_ns.map(|ns| ns as f64)),
            share.map_or_else(
                || UNKNOWN.to_owned(),
                |(own, held)| units::percent(own as f64 / held.total_ns as f64),
            ),
        ]);
    }
    grid
}

/// A sentence for each span: how many of its calls were inside a hold, and of whom.
fn where_called(profile: &Profile) -> Vec<String> {
    let mut by_span: BTreeMap<Span, Vec<&SpanProfile>> = BTreeMap::new();
    for span in &profile.spans {
        by_span.entry(span.span).or_default().push(span);
    }
    by_span
        .into_iter()
        // It contains the hold, and is never inside one.
        .filter(|(span, _)| !span.encloses_holds())
        .map(|(span, parts)| {
            let calls: u64 = parts
                .iter()
                .fold(0, |sum, part| sum.saturating_add(part.calls));
            let inside: Vec<String> = parts
                .iter()
                .filter_map(|part| {
                    let share = part.calls as f64 / calls as f64;
                    Some(format!(
                        "{} in {} holds",
                        units::percent(share),
                        part.site?.name()
                    ))
                })
                .collect();
            let name = span.name();
            let calls = match calls {
                1 => "1 call".to_owned(),
                calls => format!("{} calls", units::count(calls)),
            };
            if !inside.is_empty() {
                return format!("{name}: {calls}, {}", inside.join(", "));
            }
            match profile.absence_in_holds(span) {
                Absence::Unknown(why) | Absence::Missed(why) => {
                    format!("{name}: {calls}, and whether inside a hold is not known: {why}")
                }
                Absence::Certain | Absence::Untried
                    if profile.tells_deferral(span) && profile.deferral_is_seen() =>
                {
                    format!("{name}: {calls}, never inside a hold (the deferral is seen)")
                }
                Absence::Certain | Absence::Untried => {
                    format!("{name}: {calls}, never inside a hold")
                }
            }
        })
        .collect()
}

/// Who waited behind whom.
pub(super) fn blame(profile: &Profile) -> Section {
    let mut section = Section::new(Topic::Blame, "Who waited behind whom");
    if profile.blame.is_empty() || !profile.waits_known() {
        return section;
    }
    let all: u64 = profile
        .blame
        .iter()
        .fold(0, |sum, pair| sum.saturating_add(pair.waited_ns));
    let mut grid = Grid::new(&["waiter", "behind the holds of"], &["waited", "of all"]);
    for pair in profile.blame.iter().take(BLAME_ROWS) {
        grid.row([
            pair.waiter.name().to_owned(),
            pair.holder
                .map_or(profile.rest_in_words(), Site::name)
                .to_owned(),
            profile.unit().format(pair.waited_ns as f64),
            units::percent(pair.waited_ns as f64 / all as f64),
        ]);
    }
    section.grid(grid);
    let rest = profile.blame.len().saturating_sub(BLAME_ROWS);
    if rest > 0 {
        section.sentence(format!("and {rest} pairs with less"), Emphasis::Quiet);
    }
    section
}
