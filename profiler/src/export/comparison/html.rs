//! A comparison on one page: what a patch's cover letter can link to, or carry as an attachment.

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use super::{ComparisonReport, SettingSections};
use crate::{
    compare::{Comparison, SettingComparison},
    export::{
        content::Section,
        html::{section_blocks, sections, shell},
        picture::{ComparisonPicture, forecast_svg},
    },
    text::{printable, unbroken},
    units,
};

/// An entry of the contents.
struct Entry {
    id: String,
    title: String,
}

/// The page, with its pictures inside.
pub(super) fn page(report: &ComparisonReport) -> Result<Markup> {
    let title = title(report);
    let mut contents = vec![Entry::new("verdict", "In short")];
    let mut parts = Vec::new();
    for (number, comparison) in report.comparisons.iter().enumerate() {
        for (place, setting) in comparison.settings.iter().enumerate() {
            let id = format!("setting-{number}-{place}");
            let title = heading(report, comparison, setting);
            parts.push(of_setting(&id, &title, comparison, setting)?);
            contents.push(Entry { id, title });
        }
    }
    if report.has_forecast() {
        contents.push(Entry::new("forecast", "On machines with more CPUs"));
    }
    contents.push(Entry::new("measured", "What was compared"));
    let body = html! {
        header { h1 { (printable(&title)) } }
        nav aria-label="Contents" {
            ul {
                @for entry in &contents {
                    li { a href={ "#" (entry.id) } { (printable(&entry.title)) } }
                }
            }
        }
        main {
            (verdict(report))
            @for part in &parts { (part) }
            @if report.has_forecast() { (forecast(report)?) }
            (measured(report))
        }
        footer { p { "Made by lockprof " (env!("CARGO_PKG_VERSION")) " from its recordings." } }
    };
    Ok(shell(&title, &body))
}

impl Entry {
    fn new(id: &str, title: &str) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
        }
    }
}

fn title(report: &ComparisonReport) -> String {
    let before = report.comparisons.first();
    let before = before.map_or("", |comparison| comparison.before.name.as_str());
    let after: Vec<&str> = report
        .comparisons
        .iter()
        .map(|comparison| comparison.after.name.as_str())
        .collect();
    format!("{} against {before}", after.join(" and "))
}

/// With the kernel's name where there are several.
fn heading(
    report: &ComparisonReport,
    comparison: &Comparison,
    setting: &SettingComparison,
) -> String {
    let text = setting.answers.setting.describe();
    // A load's name is as its program has it.
    let text = match setting.answers.every_lock {
        Some(_) => units::capital(&text),
        None => text,
    };
    if report.comparisons.len() > 1 {
        format!("{}: {text}", comparison.after.name)
    } else {
        text
    }
}

fn section(id: &str, title: &str, body: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (printable(title)) }
            (body)
        }
    }
}

fn verdict(report: &ComparisonReport) -> Markup {
    let several = report.comparisons.len() > 1;
    let body = html! {
        @for (comparison, document) in report.comparisons.iter().zip(report.verdicts()) {
            @if several { h3 { (printable(&comparison.after.name)) } }
            @for finding in &document.findings { p.finding { (unbroken(finding)) } }
            @for caveat in &document.caveats { p.quiet { (unbroken(caveat)) } }
        }
    };
    section("verdict", "In short", &body)
}

fn of_setting(
    id: &str,
    title: &str,
    comparison: &Comparison,
    setting: &SettingComparison,
) -> Result<Markup> {
    let words = SettingSections::of(comparison, setting);
    let figure = |picture, instead: &str, caption: &str| {
        figure(picture, comparison, setting, instead, caption)
    };
    let one = setting.answers.sampled().name();
    let instead = format!(
        "A panel for each number, with a point for each {one} of both sides, and a line at the median of each. The \
         tables have the numbers."
    );
    let caption = format!(
        "A point is a {one}, in the order of the {one}s; a line is the median of its side. An axis that does not \
         begin at 0 shows at least a tenth of the number."
    );
    let boots = figure(ComparisonPicture::Boots, &instead, &caption)?;
    if setting.answers.every_lock.is_some() {
        let tables: Vec<&Section> = words.every_lock.iter().collect();
        let body = html! {
            (section_blocks(Some(&words.head)))
            (boots)
            (sections(&tables))
        };
        return Ok(section(id, title, &body));
    }
    let anatomy = figure(
        ComparisonPicture::Anatomy,
        "For each site two bars, one for each kernel, as long as its hold and divided into the calls \
         in it. The table that follows has the numbers.",
        "One hold before and after, to one scale. Each call's part includes what probing it costs; \
         the null hold is taken off the rest.",
    )?;
    let distributions = figure(
        ComparisonPicture::Distributions,
        "For each site two charts: the share of its holds or waits that is at least so long, for \
         both kernels, and by how much each quantile changed. The table that follows has the \
         numbers.",
        "Left: the share that is at least so long, both axes logarithmic; a curve further to the \
         left is better. Right: how far each quantile moved, with its 95 % interval over boots.",
    )?;
    let body = html! {
        (section_blocks(Some(&words.head)))
        (boots)
        (sections(&[&words.verdicts, &words.placements]))
        (titled(&words.anatomy, &anatomy))
        (sections(&[&words.locks, &words.blame]))
        (titled(&words.quantiles, &distributions))
    };
    Ok(section(id, title, &body))
}

/// A section with a picture before its numbers.
fn titled(words: &Section, picture: &Markup) -> Markup {
    html! {
        @if !words.blocks.is_empty() {
            h3 { (printable(&words.title)) }
            (picture)
            details { summary { "In numbers" } (section_blocks(Some(words))) }
        }
    }
}

fn figure(
    picture: ComparisonPicture,
    comparison: &Comparison,
    setting: &SettingComparison,
    instead: &str,
    caption: &str,
) -> Result<Markup> {
    let svg = picture.svg(comparison, setting, false)?;
    Ok(html! {
        @if let Some(svg) = svg { (drawing(&svg, instead, caption)) }
    })
}

fn drawing(svg: &str, instead: &str, caption: &str) -> Markup {
    html! {
        figure {
            div.scroll.picture tabindex="0" role="img" aria-label=(instead) { (PreEscaped(svg)) }
            figcaption { (caption) }
        }
    }
}

fn forecast(report: &ComparisonReport) -> Result<Markup> {
    let document = report.forecast_document();
    let picture = match &report.forecast {
        Ok(forecast) => Some((forecast_svg(forecast, false)?, forecast)),
        Err(_) => None,
    };
    let words: Vec<&Section> = document.sections.iter().collect();
    let body = html! {
        @for caveat in &document.verdict.caveats { p { (unbroken(caveat)) } }
        @if let Some((svg, forecast)) = picture {
            (drawing(
                &svg,
                &format!(
                    "Two charts of a model's forecast: {} against CPUs for each kernel, and what \
                     each kernel changes{}. The tables that follow have the numbers.",
                    forecast.unit.several(),
                    if forecast.published.is_empty() {
                        ""
                    } else {
                        ", with published measurements beside it"
                    }
                ),
                if forecast.published.is_empty() {
                    "A model, not a measurement: its assumptions stand below. Bands are intervals."
                } else {
                    "A model, not a measurement: its assumptions stand below. Bands are intervals; marks \
                     are what others measured and published."
                },
            ))
        }
        (sections(&words))
    };
    Ok(section("forecast", "On machines with more CPUs", &body))
}

fn measured(report: &ComparisonReport) -> Markup {
    let words = report.measured();
    let body = html! {
        @for (comparison, words) in report.comparisons.iter().zip(&words) {
            @if report.comparisons.len() > 1 { h3 { (printable(&comparison.after.name)) } }
            (section_blocks(Some(words)))
        }
    };
    section("measured", "What was compared", &body)
}
