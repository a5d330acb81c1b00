//! The flame graph in the page: a document of its own, for its script looks for the first picture of
//! the document that it is in, and keeps its state in the address.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    super::picture::{FLAME_WIDTH, Picture, Setting, folded_lines},
    grids,
};
use crate::{
    export::content::{Column, Grid},
    profile::Profile,
    units,
};

/// Call stacks in the table: the longest waited.
const STACKS: usize = 20;

/// The flame graph, and its longest stacks as a table.
pub(super) fn graph(profile: &Profile) -> Result<Markup> {
    if let Some(sentence) = Picture::Flamegraph.absence(profile) {
        return Ok(html! { p { (sentence) } });
    }
    let lines = folded_lines(profile);
    let svg = Picture::Flamegraph.svg(profile, Setting::OnPage)?;
    // Without the XML declaration, which HTML has no place for.
    let svg = svg.find("<svg").map_or("", |start| &svg[start..]);
    let height = height(svg);
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Flame graph of waiters" }
                style { (PreEscaped(include_str!("flame.css"))) }
                script { (PreEscaped(include_str!("flame.js"))) }
            }
            body { (PreEscaped(svg)) }
        }
    };
    Ok(html! {
        figure {
            iframe title="Flame graph of waiters" sandbox="allow-scripts" height=(height)
                style={ "aspect-ratio: " (FLAME_WIDTH) " / " (height) } srcdoc=(document.into_string()) {}
            figcaption {
                @if let Some(text) = sampled(profile) { (text) " " }
                "Call stacks of waiters, as wide as they waited: each function stands on its caller, \
                 and the lock on the function that asked for it. Click a frame to zoom in; search at \
                 the top right. By keyboard, Tab goes from frame to frame, and Enter zooms. The table has \
                 the longest."
            }
        }
        details {
            summary { "The longest waited call stacks" }
            (grids(&stacks(profile, &lines)))
        }
    })
}

/// What the stacks are of, where they are not of every wait.
fn sampled(profile: &Profile) -> Option<String> {
    let samples = &profile.samples;
    profile.header.sample_every?;
    let mut of = Vec::new();
    for (taken, all, waits) in [
        (samples.taken, samples.spinning, "spinning waits"),
        (samples.walked, samples.sleeping, "sleeping waits"),
    ] {
        if all > 0 {
            let (taken, all) = (units::count(taken), units::count(all));
            of.push(format!("{taken} of {all} {waits}"));
        }
    }
    (!of.is_empty()).then(|| {
        format!(
            "Call stacks are samples, of {}: what was waited without a stack is shared among those of the function that \
             asked for the lock, which is known of every wait.",
            of.join(" and ")
        )
    })
}

/// As high as the picture says, with room for a bar to scroll to the side with.
fn height(svg: &str) -> u32 {
    let height = svg.split_once(" height=\"").map(|(_, rest)| rest);
    let height = height.and_then(|rest| rest.split_once('"')?.0.parse().ok());
    height.unwrap_or(600) + 20
}

fn stacks(profile: &Profile, lines: &[String]) -> Grid {
    let mut stacks: Vec<(&str, u64)> = lines
        .iter()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(stack, ns)| Some((stack, ns.parse().ok()?)))
        .collect();
    stacks.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    let all: u64 = stacks
        .iter()
        .fold(0, |sum, (_, ns)| sum.saturating_add(*ns));
    let mut grid = Grid::new(&["call stack"], &[])
        .and("waited", Column::Number)
        .and("of all", Column::Number);
    for (stack, ns) in stacks.into_iter().take(STACKS) {
        grid.row([
            stack.replace(';', " › "),
            profile.unit().format(ns as f64),
            units::percent(ns as f64 / all as f64),
        ]);
    }
    grid
}
