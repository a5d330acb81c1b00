//! What windows say: of the load, and of the measured time as a whole.

use serde_json::{Map, Value, json};

use crate::{
    profile::{Effect, Estimate, Profile, Scaled},
    recording::schema::WindowKind,
};

/// The fields of the summary, with their names.
pub(super) fn fields(profile: &Profile) -> [(&'static str, Value); 3] {
    [
        ("effect", profile.effect.as_ref().map(effect).into()),
        ("windows", windows(profile)),
        ("scaled", profile.scaled.as_ref().map(scaled).into()),
    ]
}

/// By kind of window; `edges` is what the changing of the probes does, `all` the whole measured time.
fn effect(effect: &Effect) -> Value {
    let mut all: Map<String, Value> = effect
        .kinds
        .iter()
        .map(|kind| {
            let value = json!({
                "of": effect.of,
                "windows": kind.windows,
                "pairs": kind.pairs,
                "ratio": kind.ratio,
                "low": kind.interval.map(|interval| interval.low),
                "high": kind.interval.map(|interval| interval.high),
                "verdict": kind.verdict,
                "more_s": kind.more_s,
            });
            (kind.kind.name().to_owned(), value)
        })
        .collect();
    let edges = effect.edges.map(|edges| {
        json!({
            "of": effect.of,
            "edges": edges.edges,
            "ratio": edges.ratio,
            "share_of_time": edges.share_of_time,
        })
    });
    all.insert("edges".to_owned(), edges.into());
    let whole = effect
        .whole
        .map(|ratio| json!({"of": effect.of, "ratio": ratio}));
    all.insert("all".to_owned(), whole.into());
    all.into()
}

/// What was done in the windows of each kind, and at the edges.
fn windows(profile: &Profile) -> Value {
    let windows = &profile.windows;
    let kinds = WindowKind::ALL.map(|kind| (kind.name(), windows.of(kind)));
    let rows = kinds.into_iter().chain([("edge", windows.edges())]);
    rows.filter_map(|(kind, totals)| {
        let totals = totals?;
        Some(json!({
            "kind": kind,
            "windows": totals.windows,
            "seconds": totals.seconds,
            "iterations": totals.iterations,
            "tasks_created": totals.tasks_created,
        }))
    })
    .collect()
}

/// Estimates for the whole measured time, of which the windows with probes are a part.
fn scaled(scaled: &Scaled) -> Value {
    let estimate = |estimate: Option<Estimate>| {
        estimate.map(|Estimate { total, interval }| {
            json!({
                "estimate": total,
                "low": interval.map(|interval| interval.low),
                "high": interval.map(|interval| interval.high),
            })
        })
    };
    json!({
        "kind": scaled.kind,
        "windows": scaled.windows,
        "seconds": scaled.seconds,
        "of_s": scaled.of_s,
        "holds": estimate(scaled.holds),
        "held_ns": estimate(scaled.held_ns),
        "lives": estimate(scaled.lives),
        "waits": estimate(scaled.waits),
        "waited_ns": estimate(scaled.waited_ns),
    })
}
