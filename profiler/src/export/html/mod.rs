//! One page with everything: it needs no network, and works as an attachment of a mail.

mod every_lock;
mod flame;
mod measured;
mod parts;

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::parts::grids;
pub(super) use self::parts::{section_blocks, sections};
use super::{
    Exporter,
    content::{Document, Topic},
    picture::{Picture, Setting, dark_rules},
};
use crate::{
    profile::Profile,
    text::{printable, unbroken},
    units,
};

/// The page, with its pictures inside.
#[derive(Clone, Copy, Debug)]
pub struct Html;

impl Exporter for Html {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        Ok(page(profile)?.into_string().into_bytes())
    }
}

/// A section of the page, by the name that links have for it.
struct Part {
    id: &'static str,
    title: &'static str,
    body: Markup,
}

/// What the page is about: there is no section on what was not measured, which the verdict says.
fn contents(profile: &Profile, document: &Document) -> Result<Vec<Part>> {
    if let Some(locks) = &profile.locks {
        return every_lock::contents(profile, locks, document);
    }
    let (holds, waits) = (profile.holds_known(), profile.waits_known());
    let mut parts = Vec::new();
    let mut add = |id, title, body| parts.push(Part { id, title, body });
    add("verdict", "In short", verdict(document, &tiles(profile)));
    // That nobody waited is said already.
    let waited = || profile.waits_seen().0 > 0;
    let lengths_title = match (holds, waits) {
        (true, true) => Some("How long it is held and waited for"),
        (true, false) => Some("How long it is held"),
        (false, true) if waited() => Some("How long it is waited for"),
        (false, _) => None,
    };
    if let Some(title) = lengths_title {
        add("lengths", title, lengths(profile, document)?);
    }
    if holds {
        add(
            "anatomy",
            "What a hold is spent on",
            anatomy(profile, document)?,
        );
        add("time", "When and where it is held", time(profile)?);
    }
    if holds && waits {
        add("blame", "Who waits behind whom", blame(profile, document)?);
    }
    if waits {
        add("locks", "All contended locks", locks(profile, document)?);
    }
    if holds {
        let title = if waits {
            "The longest holds and waits"
        } else {
            "The longest holds"
        };
        add("longest", title, longest(profile, document));
    } else if document.section(Topic::Longest).is_some()
        || document.section(Topic::Cgroups).is_some()
    {
        add("longest", "The longest waits", longest(profile, document));
    }
    add(
        "measured",
        "How it was measured",
        measured::measured(profile, document),
    );
    Ok(parts)
}

fn page(profile: &Profile) -> Result<Markup> {
    let document = Document::of(profile);
    let parts = contents(profile, &document)?;
    let title = printable(&document.title);
    let body = html! {
        header {
            h1 { (title) }
            @if let Some(load) = load(profile) {
                p.quiet { (load) }
            }
        }
        nav aria-label="Contents" {
            ul {
                @for part in &parts {
                    li { a href={ "#" (part.id) } { (part.title) } }
                }
            }
        }
        main {
            @for warning in &document.warnings {
                p.warning role="note" { (unbroken(warning)) }
            }
            @for part in &parts { (section(part)) }
        }
        footer {
            p {
                "Made by lockprof " (env!("CARGO_PKG_VERSION"))
                " from a recording of lockprof " (printable(&profile.header.lockprof)) ": "
                code { (printable(&profile.header.command_line.join(" "))) }
            }
        }
    };
    Ok(shell(&title, &body))
}

/// A whole page around its body; the first section is the verdict.
pub(super) fn shell(title: &str, body: &Markup) -> Markup {
    let style = format!(
        "{}@media screen and (prefers-color-scheme: dark) {{\n{}}}\n",
        include_str!("style.css"),
        dark_rules()
    );
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (printable(title)) }
                style { (PreEscaped(style)) }
            }
            body {
                a.skip href="#verdict" { "To the verdict" }
                (body)
            }
        }
    }
}

/// What was driven, and for how long.
fn load(profile: &Profile) -> Option<String> {
    let workload = profile.header.workload.as_ref();
    let name = workload.map_or("no load of lockprof's own", |workload| &workload.name);
    let tasks = workload.and_then(|workload| workload.tasks);
    let tasks = tasks.map_or_else(String::new, |tasks| format!(" × {tasks}"));
    let text = format!(
        "{name}{tasks}, {} measured, {} tier",
        units::seconds(profile.measured_s),
        profile.header.tier.name()
    );
    Some(printable(&text).into_owned())
}

fn section(part: &Part) -> Markup {
    html! {
        section id=(part.id) aria-labelledby={ (part.id) "-title" } {
            h2 id={ (part.id) "-title" } { (part.title) }
            (part.body)
        }
    }
}

/// A picture with a text in its place for who cannot see it. It can be scrolled to by keyboard where
/// it is wider than the page.
fn picture(profile: &Profile, picture: Picture, instead: &str, caption: &str) -> Result<Markup> {
    if let Some(sentence) = picture.absence(profile) {
        return Ok(html! { p { (sentence) } });
    }
    let svg = picture.svg(profile, Setting::OnPage)?;
    Ok(html! {
        figure {
            div.scroll.picture tabindex="0" role="img" aria-label=(instead) {
                (PreEscaped(svg))
            }
            figcaption { (caption) }
        }
    })
}

/// The answer, and the few numbers that sum a run up.
fn verdict(document: &Document, tiles: &[(&'static str, String)]) -> Markup {
    let verdict = &document.verdict;
    html! {
        @for sentence in &verdict.in_progress { p.finding { (unbroken(sentence)) } }
        @for caveat in &verdict.caveats { p.quiet { (unbroken(caveat)) } }
        @for finding in &verdict.findings { p.finding { (unbroken(finding)) } }
        @if let Some(next) = &verdict.next { p.finding.next { (unbroken(next)) } }
        @if let Some(section) = document.section(Topic::InProgress) {
            h3 { (printable(&section.title)) }
            (section_blocks(Some(section)))
        }
        @if !tiles.is_empty() {
            dl.tiles {
                @for (label, value) in tiles {
                    div { dt { (label) } dd { (value) } }
                }
            }
        }
    }
}

/// The few numbers that sum a run up.
fn tiles(profile: &Profile) -> Vec<(&'static str, String)> {
    let mut tiles = Vec::new();
    if profile.intervals == 0 {
        return tiles;
    }
    if let Some(share) = profile.held_share() {
        let at_least = if profile.held_is_bound() { "≥ " } else { "" };
        let share = format!("{at_least}{}", units::percent(share));
        tiles.push((profile.held_in_words(), share));
    }
    if let Some((ns, holds)) = profile.held_ns().zip(profile.write_holds())
        && holds > 0
    {
        let mean = profile.unit().format(ns as f64 / holds as f64);
        tiles.push(("mean hold", mean));
    }
    if let Some(lives) = profile.lives().and_then(|lives| profile.per_second(lives)) {
        tiles.push(("task lives per second", units::rate(lives)));
    }
    if profile.target_waits_known() {
        let (count, waited) = profile.waits_seen();
        tiles.push(("contended acquisitions", units::count(count)));
        if let Some(share) = profile.share_of_time(waited) {
            tiles.push(("CPUs that wait, on average", average(share)));
        }
    }
    if profile.waits_known() && !profile.holds_known() {
        tiles.extend(other_locks(profile));
    }
    if let Some(null_hold) = profile.null_hold() {
        let null = profile.unit().format(null_hold.mean_ns);
        tiles.push(("null hold", null));
    }
    tiles
}

/// Where this lock's holds are not measured, the other locks are what there is to be read.
fn other_locks(profile: &Profile) -> Vec<(&'static str, String)> {
    let others = || profile.other_locks().chain(profile.unnamed_locks());
    let waits = others().map(|lock| lock.waits.count());
    let waits = waits.fold(0, u64::saturating_add);
    let waited = others().fold(0, |sum: u64, lock| sum.saturating_add(lock.waits.total_ns));
    let average = profile.share_of_time(waited).map(average);
    [("waits for other locks", units::count(waits))]
        .into_iter()
        .chain(average.map(|average| ("tasks that wait for them, on average", average)))
        .collect()
}

/// How many do something at a time.
fn average(share: f64) -> String {
    match share {
        share if share > 0.0 && share < 0.005 => "< 0.01".to_owned(),
        share => format!("{share:.2}"),
    }
}

fn lengths(profile: &Profile, document: &Document) -> Result<Markup> {
    let instead = "Charts of holds and waits. Each line is a site; it shows which \
                   share of its holds or waits is at least as long as the length below. The table \
                   that follows has the numbers.";
    let caption = "Read a line from left to right: the share that is at least so long. Both axes \
                   are logarithmic, so that the bulk and one in a million can be read off. A line \
                   further to the right is worse.";
    let sites = document.section(Topic::Sites);
    Ok(html! {
        // Without any the table says what the sentence in the picture's place would.
        @if !profile.sites.is_empty() || sites.is_none() {
            (picture(profile, Picture::Distribution, instead, caption)?)
        }
        (section_blocks(sites))
    })
}

fn anatomy(profile: &Profile, document: &Document) -> Result<Markup> {
    let instead = "For each site a bar as long as its mean hold, divided into the calls in it, the \
                   waits for other locks, and the holder's own work. The table that follows has the \
                   numbers.";
    let caption = "Each bar is the mean hold of a site. What is called inside a call stands beneath \
                   it. The list has the own time of each, without what is inside it: together they are \
                   the hold. Own work is what is not measured apart.";
    let spans = document.section(Topic::Spans);
    Ok(html! {
        (picture(profile, Picture::Anatomy, instead, caption)?)
        @if spans.is_some() {
            details { summary { "The calls in numbers" } (section_blocks(spans)) }
        }
    })
}

fn time(profile: &Profile) -> Result<Markup> {
    let (lives, fewer) = if profile.is_taken_by_each_task() {
        (" task lives per second,", " with fewer lives")
    } else {
        ("", "")
    };
    let instead = format!(
        "A map of CPUs by time, coloured by the share of time that each CPU held the lock. Beneath \
         it, over the same time: the mean hold,{lives} and time stolen by the hypervisor. The table \
         that follows has the numbers."
    );
    let caption = format!(
        "Follow a spike down: a longer mean hold{fewer} is a slower lock; stolen time is a busy \
         hypervisor, not the lock."
    );
    Ok(html! {
        (picture(profile, Picture::Heatmap, &instead, &caption)?)
        @if !profile.series.is_empty() {
            details {
                summary { "The intervals in numbers" }
                (parts::series(profile))
            }
        }
    })
}

fn blame(profile: &Profile, document: &Document) -> Result<Markup> {
    let instead = "A matrix of waiting sites by holding sites, with the waited time of each pair. \
                   The table that follows has the largest.";
    let caption = format!(
        "A wait behind a queue is charged to all who held the lock meanwhile, by the time that they \
         held it; the rest went to {}.",
        profile.rest_in_words()
    );
    let pairs = document.section(Topic::Blame);
    Ok(html! {
        (picture(profile, Picture::Blame, instead, &caption)?)
        @if pairs.is_some() {
            details { summary { "The pairs in numbers" } (section_blocks(pairs)) }
        }
    })
}

fn locks(profile: &Profile, document: &Document) -> Result<Markup> {
    Ok(html! {
        (flame::graph(profile)?)
        @for topic in [Topic::InnerWaits, Topic::Locks] {
            @if let Some(section) = document.section(topic) {
                h3 { (printable(&section.title)) }
                (section_blocks(Some(section)))
            }
        }
    })
}

fn longest(profile: &Profile, document: &Document) -> Markup {
    let sections = [Topic::Longest, Topic::Cgroups].map(|topic| document.section(topic));
    html! {
        @if sections.iter().all(Option::is_none) {
            @if profile.sites.is_empty() {
                p { "None was seen; what that means is said above." }
            } @else {
                p { "Who was behind the longest holds and waits was not recorded." }
            }
        }
        @for section in sections.into_iter().flatten() {
            @if section.topic != Topic::Longest { h3 { (printable(&section.title)) } }
            (section_blocks(Some(section)))
        }
    }
}
