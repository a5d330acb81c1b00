//! How it was measured: what a reader needs to judge the numbers, and what is not in them.

use maud::{Markup, html};

use super::parts::{facts, grids, section_blocks, series};
use crate::{
    export::content::{Column, Document, Grid, Topic, losses, unseen},
    profile::Profile,
    text::printable,
};

/// The section on the measuring itself.
pub(super) fn measured(profile: &Profile, document: &Document) -> Markup {
    let kernel = &profile.header.kernel;
    let machine = [
        ("version", kernel.version.as_str()),
        ("CPU", kernel.cpu_model.as_str()),
        ("clock source", kernel.clock_source.as_str()),
        ("boot", kernel.boot_id.as_str()),
    ];
    let machine: Vec<(&str, &str)> = machine
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect();
    html! {
        (section_blocks(document.section(Topic::About)))
        (facts(&machine))
        @if let Some(trust) = document.section(Topic::Trust) {
            h3 { (printable(&trust.title)) }
            (section_blocks(Some(trust)))
        }
        h3 { "What could not be seen" }
        ul {
            @for sentence in unseen(profile) { li { (printable(&sentence)) } }
        }
        // Else it is with the holds over time.
        @if !profile.holds_known() && !profile.series.is_empty() {
            details { summary { "The intervals in numbers" } (series(profile)) }
        }
        details {
            summary { "Every kind of loss" }
            p.quiet {
                "What happened and is not in the numbers. Lost holds and waits of this lock \
                 count towards the limit above which a run is void."
            }
            (grids(&losses(profile)))
        }
        details { summary { "Every probe" } (grids(&probes(profile))) }
    }
}

fn probes(profile: &Profile) -> Grid {
    let mut grid = Grid::new(&["program", "attached to"], &[]).and("absent because", Column::Text);
    for probe in &profile.header.attach.probes {
        grid.row([
            probe.program.clone(),
            probe.target.clone(),
            probe.absent.clone().unwrap_or_default(),
        ]);
    }
    grid
}
