//! Tables, lists and sentences of a page.

use maud::{Markup, html};

use crate::{
    export::{
        content::{Block, Column, Emphasis, Grid, Section},
        picture::{hex, style_of},
    },
    profile::{Profile, SeriesPoint, Stage},
    site::Site,
    text::{printable, unbroken, width},
    units::{self, UNKNOWN},
};

/// Intervals in the table at most: of longer runs some are taken together.
const MOST_INTERVALS: usize = 120;

/// What stands in a section.
pub(in super::super) fn section_blocks(section: Option<&Section>) -> Markup {
    let blocks = section.map_or(&[][..], |section| &section.blocks);
    let facts: Vec<(&str, &str)> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::Field { label, text } => Some((*label, text.as_str())),
            _ => None,
        })
        .collect();
    html! {
        (self::facts(&facts))
        @for block in blocks {
            @match block {
                Block::Field { .. } | Block::Sentence { emphasis: Emphasis::Sparklines, .. } => {}
                Block::Sentence { text, emphasis: Emphasis::Quiet } => {
                    p.quiet { (unbroken(text)) }
                }
                Block::Sentence { text, emphasis: Emphasis::Plain } => p { (unbroken(text)) }
                Block::Grid(grid) => (grids(grid))
                Block::Preformatted(text) => {
                    div.scroll tabindex="0" role="region" aria-label="Table of changes" {
                        pre { (printable_lines(text)) }
                    }
                }
            }
        }
    }
}

/// Sections under headings of their own; those with nothing to say are left out.
pub(in super::super) fn sections(sections: &[&Section]) -> Markup {
    html! {
        @for section in sections {
            @if !section.blocks.is_empty() {
                h3 { (printable(&section.title)) }
                (section_blocks(Some(section)))
            }
        }
    }
}

/// Lines with nothing in them that could be taken for anything but text.
fn printable_lines(text: &str) -> String {
    let lines = text.lines().map(printable);
    lines.collect::<Vec<_>>().join("\n")
}

/// Labels and their texts.
pub(super) fn facts(facts: &[(&str, &str)]) -> Markup {
    html! {
        @if !facts.is_empty() {
            dl.facts {
                @for (label, text) in facts {
                    dt { (label) }
                    dd { (unbroken(text)) }
                }
            }
        }
    }
}

/// A table, or two where it has a seam.
pub(super) fn grids(grid: &Grid) -> Markup {
    html! {
        @for part in grid.without(Column::Sparkline).split() { (table(&part)) }
    }
}

fn table(grid: &Grid) -> Markup {
    let headers = grid.columns.iter().map(|(header, _)| header.as_str());
    let label = headers.clone().collect::<Vec<_>>().join(", ");
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Table: " (label) } {
            table {
                thead {
                    tr {
                        @for (header, column) in &grid.columns {
                            th.number[is_number(*column)] scope="col" { (header) }
                        }
                    }
                }
                tbody {
                    @for cells in &grid.rows {
                        tr {
                            @for (index, (cell, (header, column))) in
                                cells.iter().zip(&grid.columns).enumerate()
                            {
                                @if index == 0 {
                                    th.name.long[is_long(cell)] scope="row" { (self::cell(header, cell)) }
                                } @else {
                                    td.number[is_number(*column)].name[!is_number(*column)]
                                        .long[is_long(cell)] {
                                        (self::cell(header, cell))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether a cell may be broken into lines: a name is easier read whole.
fn is_long(text: &str) -> bool {
    width(text) > 40
}

const fn is_number(column: Column) -> bool {
    matches!(column, Column::Number | Column::Derived)
}

/// A cell; a site has its colour beside it, the same as in the pictures.
fn cell(header: &str, text: &str) -> Markup {
    const SITES: &[&str] = &["site", "waiter", "holder", "behind the holds of"];
    let site = Site::find(text).filter(|_| SITES.contains(&header));
    html! {
        @if let Some(site) = site {
            @let style = style_of(site);
            @let color = hex(style.color);
            svg.swatch width="10" height="10" aria-hidden="true" {
                @if style.dashed {
                    rect x="1.5" y="1.5" width="7" height="7" fill="none" stroke=(color)
                        stroke-width="3" {}
                } @else {
                    rect width="10" height="10" fill=(color) {}
                }
            }
        }
        (text)
    }
}

/// What happened over time.
pub(super) fn series(profile: &Profile) -> Markup {
    let unit = profile.unit();
    let holds_known = profile.holds_known();
    let tells_lives = profile.is_taken_by_each_task();
    let of_lock: &[&str] = match (holds_known, tells_lives) {
        (true, true) => &["held", "holds", "mean hold", "lives/s"],
        (true, false) => &["held", "holds", "mean hold"],
        (false, _) => &["tasks created/s"],
    };
    let mut grid = Grid::new(&["until", "phase"], of_lock).and("stolen", Column::Number);
    let together = profile.series.len().div_ceil(MOST_INTERVALS).max(1);
    for points in profile.series.chunks(together) {
        // Windows are not added up with others: those of the results stand for a row that has any.
        let plain = [Stage::WarmUp, Stage::Measured, Stage::Ending];
        let windows = points.iter().any(|point| !plain.contains(&point.stage));
        let results = points.iter().rfind(|point| point.is_measured());
        let Some(last) = results.filter(|_| windows).or(points.last()) else {
            continue;
        };
        let points = || {
            let points = points.iter();
            points.filter(|point| !windows || point.stage == last.stage)
        };
        let seconds: f64 = points().map(|point| point.seconds).sum();
        let sum = |number: fn(&SeriesPoint) -> Option<u64>| {
            points()
                .map(number)
                .try_fold(0_u64, |sum, number| Some(sum.saturating_add(number?)))
        };
        let (holds, held_ns) = (sum(|point| point.holds), sum(|point| point.held_ns));
        let rate = |count: Option<u64>| {
            let count = count.filter(|_| seconds > 0.0)?;
            Some(units::rate(count as f64 / seconds))
        };
        let steal: f64 = points().map(|point| point.steal_s).sum();
        let all_cpus = seconds * f64::from(profile.header.kernel.cpus_online);
        let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
        let held = points()
            .map(|point| Some(point.held_share()? * point.seconds))
            .try_fold(0.0, |sum, held| Some(sum + held?));
        let held = held.filter(|_| seconds > 0.0);
        let mean = holds.zip(held_ns).filter(|(holds, _)| *holds > 0);
        let of_lock = if holds_known {
            let mut cells = vec![
                held.map(|held_s| units::percent(held_s / seconds)),
                holds.map(units::count),
                mean.map(|(holds, ns)| unit.format(ns as f64 / holds as f64)),
            ];
            if tells_lives {
                cells.push(rate(sum(|point| point.lives)));
            }
            cells
        } else {
            vec![rate(sum(|point| Some(point.tasks_created)))]
        };
        let stolen = units::percent(if all_cpus > 0.0 {
            steal / all_cpus
        } else {
            f64::NAN
        });
        let stage = profile.stage_name(last.stage);
        let first = [format!("{:.2} s", last.at_s), stage.to_owned()];
        let numbers = of_lock.into_iter().map(or_unknown);
        grid.row(first.into_iter().chain(numbers).chain([stolen]));
    }
    html! {
        @if together > 1 {
            p.quiet { "Each row is " (together) " intervals." }
        }
        (grids(&grid))
    }
}
