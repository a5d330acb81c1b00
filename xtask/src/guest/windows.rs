//! What is seen in windows is what happened in them.

use anyhow::{Context as _, Result, bail};
use lab::vm::VmOutcome;
use serde_json::Value;

use super::round::{Lab, Verdict, run_in_windows, succeed};
use super::summary::{lines_of, losses_of};

/// The load's tasks: so many lives may be on their way at an edge.
const TASKS: u64 = 2;
/// Lives that the kernel and the daemon begin or end meanwhile.
const OTHERS: u64 = 2;
/// Windows of each kind, at the least: one is not in turn.
const WINDOWS: usize = 2;

/// A window, or the edge before it.
#[derive(Debug, Default)]
struct Window {
    kind: String,
    edge: bool,
    tasks_created: Option<u64>,
    iterations: Option<u64>,
    forks: u64,
    exits: u64,
    reaps: u64,
    freed_in_holds: u64,
    lost: u64,
}

/// In each window with probes every life of that time is counted, but for those on their way at its edges; in
/// a bare one none is.
pub fn windows_agree(lab: &Lab<'_>) -> Result<Verdict> {
    // Probes are not changed under load where several CPUs are emulated.
    let load = format!("--workload forkexit --tasks {TASKS} --duration 9 --warm-up 0.5");
    let request = lab.request(vec![run_in_windows(
        "windows",
        &format!("{load} --windows 0.3 --loss-threshold 20"),
    )]);
    let outcome = succeed(&request)?;
    let windows = windows(&outcome, "windows")?;
    for kind in ["bare", "holds", "spans"] {
        let of_kind = |window: &&Window| window.kind == kind && !window.edge;
        let found = windows.iter().filter(of_kind).count();
        let wanted = if kind == "spans" { 1 } else { WINDOWS };
        if found < wanted {
            bail!("{found} windows of {kind}: {windows:#?}");
        }
    }
    let mut lives = 0;
    for window in windows.iter().filter(|window| !window.edge) {
        check(window).with_context(|| format!("{window:?}"))?;
        lives += window.reaps;
    }
    note!(
        "    {} windows and edges, {lives} lives seen",
        windows.len()
    );
    if lives == 0 {
        bail!("no life was seen in any window: {windows:#?}");
    }
    Ok(Verdict::Passed)
}

fn check(window: &Window) -> Result<()> {
    let holds = [
        ("fork", window.forks),
        ("exit", window.exits),
        ("reap", window.reaps),
    ];
    if window.kind == "bare" {
        if window.iterations.is_none_or(|iterations| iterations == 0) {
            bail!("the load stood still");
        }
        if holds.iter().any(|(_, count)| *count > 0) {
            bail!("holds were seen without probes");
        }
        return Ok(());
    }
    let created = window.tasks_created.context("it has no end")?;
    let may_differ = 2 * (TASKS + OTHERS);
    for (site, count) in holds {
        let seen = count + window.lost;
        if count > created + may_differ || seen + may_differ < created {
            bail!("{count} {site} holds where {created} tasks were made");
        }
    }
    if window.kind == "spans" && window.freed_in_holds > 0 {
        let difference = window.freed_in_holds.abs_diff(window.reaps);
        if difference > 1 + window.lost {
            bail!(
                "{} calls of free_pid in {} reap holds",
                window.freed_in_holds,
                window.reaps
            );
        }
    }
    Ok(())
}

/// The windows of the recording in `/out/NAME`, with their edges.
fn windows(outcome: &VmOutcome, name: &str) -> Result<Vec<Window>> {
    let mut all: Vec<(u64, Window)> = Vec::new();
    for line in lines_of(outcome, name)? {
        let Some(window) = line.get("window") else {
            continue;
        };
        let number = window["number"]
            .as_u64()
            .context("a window has no number")?;
        let edge = window["edge"] == true;
        if all
            .last()
            .is_none_or(|(last, of)| (*last, of.edge) != (number, edge))
        {
            all.push((
                number,
                Window {
                    kind: window["kind"].as_str().unwrap_or_default().to_owned(),
                    edge,
                    ..Window::default()
                },
            ));
        }
        if let Some((_, last)) = all.last_mut() {
            add(last, &line);
        }
    }
    Ok(all.into_iter().map(|(_, window)| window).collect())
}

fn add(window: &mut Window, line: &Value) {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let done = &line["window"]["done"];
    window.tasks_created = done["tasks_created"].as_u64().or(window.tasks_created);
    window.iterations = done["iterations"].as_u64().or(window.iterations);
    for site in items(&line["cpus"])
        .iter()
        .flat_map(|cpu| items(&cpu["sites"]))
    {
        let holds = site["holds"].as_u64().unwrap_or(0);
        match site["site"].as_str() {
            Some("fork") => window.forks += holds,
            Some("exit") => window.exits += holds,
            Some("reap") => window.reaps += holds,
            _ => {}
        }
    }
    for span in items(&line["spans"]) {
        if span["span"] == "free_pid" && span["site"] == "reap" {
            window.freed_in_holds += span["calls"].as_u64().unwrap_or(0);
        }
    }
    window.lost += losses_of(line);
}
