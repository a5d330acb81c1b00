//! Pictures: each one alone for slides and papers, or as a part of a page.

mod anatomy;
mod axis;
mod blame;
mod canvas;
mod comparison;
mod distribution;
mod every_lock;
mod flamegraph;
mod forecast;
mod heatmap;
mod palette;
mod png;

pub use forecast::forecast_svg;
pub use palette::{SiteStyle, style_of};
pub use png::{Png, pixels};

pub(super) use comparison::ComparisonPicture;
pub(super) use flamegraph::{FLAME_WIDTH, folded_lines};
pub(super) use palette::{dark_rules, hex};

use anyhow::{Result, bail};

use self::{
    canvas::{Canvas, Look, draw},
    every_lock::{classes, over_time, waiters},
    palette::QUIET,
};
use super::Exporter;
use crate::{
    profile::Profile,
    recording::schema::{Clock, Tier},
    text::{shorten, words},
    units,
};

/// A picture, by the name of its file. It exports itself as SVG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Lengths of holds and waits by site.
    Distribution,
    /// What holds are spent on, by site.
    Anatomy,
    /// CPU × time: the share of time that the lock is held.
    Heatmap,
    /// Who waited behind whom.
    Blame,
    /// Call stacks of waiters for all locks.
    Flamegraph,
    /// Waited time by class of locks and by who asked.
    Classes,
    /// Which process waited for which.
    Waiters,
    /// Waited time by class of locks over the run.
    WaitsOverTime,
}

impl Picture {
    /// Every picture.
    pub const ALL: &[Self] = &[
        Self::Distribution,
        Self::Anatomy,
        Self::Heatmap,
        Self::Blame,
        Self::Flamegraph,
        Self::Classes,
        Self::Waiters,
        Self::WaitsOverTime,
    ];
    /// Those of one lock, whose holds may have been measured.
    const OF_ONE_LOCK: &[Self] = &[
        Self::Distribution,
        Self::Anatomy,
        Self::Heatmap,
        Self::Blame,
        Self::Flamegraph,
    ];
    /// Those of the waits for all locks.
    const OF_ALL_LOCKS: &[Self] = &[
        Self::Classes,
        Self::WaitsOverTime,
        Self::Waiters,
        Self::Flamegraph,
    ];

    /// The pictures that there are of a recording.
    #[must_use]
    pub const fn of(profile: &Profile) -> &'static [Self] {
        if profile.header.locks.is_some() {
            Self::OF_ALL_LOCKS
        } else {
            Self::OF_ONE_LOCK
        }
    }

    /// Refuses a recording of which there is no such picture.
    fn check(self, profile: &Profile) -> Result<()> {
        let fit = Self::of(profile);
        if fit.contains(&self) {
            return Ok(());
        }
        let names: Vec<&str> = fit.iter().map(|picture| picture.name()).collect();
        let (what, whose) = if profile.header.locks.is_some() {
            ("all locks", "whose holds are not measured")
        } else {
            ("one lock", "which is not told by classes of locks")
        };
        bail!(
            "there is no picture {} of a recording of {what}, {whose}: there are {}",
            self.name(),
            units::list(&names)
        )
    }

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Distribution => "distribution",
            Self::Anatomy => "anatomy",
            Self::Heatmap => "heatmap",
            Self::Blame => "blame",
            Self::Flamegraph => "flamegraph",
            Self::Classes => "classes",
            Self::Waiters => "waiters",
            Self::WaitsOverTime => "waits-over-time",
        }
    }

    /// Its file in a run's directory.
    #[must_use]
    pub fn file_name(self, extension: &str) -> String {
        format!("{}.{extension}", self.name())
    }

    /// What it shows.
    const fn title(self) -> &'static str {
        match self {
            Self::Distribution => "how long holds and waits are",
            Self::Anatomy => "what a hold is spent on",
            Self::Heatmap => "when and where it is held",
            Self::Blame => "who waited behind whom",
            Self::Flamegraph => "who waits for which lock",
            Self::Classes => "which are waited for, and who asks for them",
            Self::Waiters => "which process waits for which",
            Self::WaitsOverTime => "when they are waited for",
        }
    }

    /// The sentence in its place, where there is nothing to draw.
    pub(super) fn absence(self, profile: &Profile) -> Option<String> {
        match self {
            Self::Distribution => distribution::absence(profile),
            Self::Anatomy => anatomy::absence(profile),
            Self::Heatmap => heatmap::absence(profile),
            Self::Blame => blame::absence(profile),
            Self::Flamegraph => flamegraph::absence(profile),
            Self::Classes => classes::absence(profile),
            Self::Waiters => waiters::absence(profile),
            Self::WaitsOverTime => over_time::absence(profile),
        }
    }

    /// The picture as SVG.
    pub(super) fn svg(self, profile: &Profile, setting: Setting) -> Result<String> {
        if let Some(sentence) = self.absence(profile) {
            return empty_sheet(profile, setting, self.title(), &sentence);
        }
        match self {
            Self::Distribution => distribution::draw(profile, setting),
            Self::Anatomy => anatomy::draw(profile, setting),
            Self::Heatmap => heatmap::draw(profile, setting),
            Self::Blame => blame::draw(profile, setting),
            Self::Flamegraph => flamegraph::draw(profile, setting),
            Self::Classes => classes::draw(profile, setting),
            Self::Waiters => waiters::draw(profile, setting),
            Self::WaitsOverTime => over_time::draw(profile, setting),
        }
    }
}

impl Exporter for Picture {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        self.check(profile)?;
        Ok(self.svg(profile, Setting::Alone)?.into_bytes())
    }
}

/// Where a picture is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// By itself: it says what it shows, and of which run.
    Alone,
    /// In a page, which says so already.
    OnPage,
    /// By itself, where nothing can be clicked.
    Still,
}

/// The width of every picture.
const WIDTH: i32 = 1080;
/// What the head of a picture takes: its title, and which run it is of.
const HEAD: i32 = 60;
/// From line to line of a sentence.
const LINE: i32 = 20;
/// Characters of a sentence in the place of a picture that fit its width.
const SENTENCE: usize = 130;

/// A picture with its head. What is painted leaves the first [`HEAD`] pixels alone.
fn sheet(
    profile: &Profile,
    setting: Setting,
    title: &str,
    height: i32,
    paint: impl FnOnce(&Canvas<'_>) -> Result<()>,
) -> Result<String> {
    let cut = match setting {
        Setting::Alone | Setting::Still => 0,
        Setting::OnPage => HEAD,
    };
    draw(WIDTH, height, cut, |canvas| {
        if cut == 0 {
            let title = format!("{}: {title}", subject(profile));
            canvas.text(&shorten(&title, 90), (24, 24), Look::LEFT.size(18).bold())?;
            canvas.text(&subtitle(profile, 150), (24, 46), Look::LEFT.color(QUIET))?;
        }
        paint(canvas)
    })
}

/// What a picture is about: the one lock, or all.
fn subject(profile: &Profile) -> &str {
    match profile.header.locks {
        Some(_) => "contended locks",
        None => &profile.header.lock.name,
    }
}

/// A picture of which there is nothing to draw: a sentence says why.
fn empty_sheet(profile: &Profile, setting: Setting, title: &str, sentence: &str) -> Result<String> {
    sheet(profile, setting, title, HEAD + 80, |canvas| {
        self::sentence(canvas, sentence, (WIDTH / 2, HEAD + 40), SENTENCE)
    })
}

/// A sentence in the place of what there is nothing to draw of, in lines of at most so many characters about
/// the middle.
fn sentence(canvas: &Canvas<'_>, text: &str, (x, y): (i32, i32), length: usize) -> Result<()> {
    let lines = lines_of(text, length);
    let top = y - LINE * (i32::try_from(lines.len()).unwrap_or(1) - 1) / 2;
    for (line, row) in lines.iter().zip(0..) {
        canvas.text(
            line,
            (x, top + LINE * row),
            Look::CENTER.size(14).color(QUIET),
        )?;
    }
    Ok(())
}

/// Lines of at most so many characters, where words are shorter.
fn lines_of(sentence: &str, length: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(sentence) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= length => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// What was measured, in one line of at most so many characters.
fn subtitle(profile: &Profile, length: usize) -> String {
    let header = &profile.header;
    let mut parts = Vec::new();
    if profile.controls.died().is_some() {
        parts.push("VOID: the probes died".to_owned());
    } else if profile.void() {
        parts.push("VOID: too many losses".to_owned());
    }
    parts.push(format!("Linux {}", header.kernel.release));
    match header.kernel.cpus_online {
        1 => parts.push("1 CPU".to_owned()),
        cpus => parts.push(format!("{cpus} CPUs")),
    }
    if let Some(workload) = &header.workload {
        let tasks = workload
            .tasks
            .map_or_else(String::new, |tasks| format!(" × {tasks}"));
        parts.push(format!("{}{tasks}", shorten(&workload.name, 60)));
    }
    parts.push(format!("{} measured", units::seconds(profile.measured_s)));
    match header.clock {
        Clock::Hardware => {}
        Clock::EmulatedWall => parts.push("times of an emulated machine".to_owned()),
        Clock::Instructions => parts.push("in guest instructions".to_owned()),
    }
    if header.tier != Tier::Exact {
        let tier = match header.tier {
            Tier::Exact | Tier::Bounded => "bounded tier",
            Tier::WaitOnly => "wait-only tier",
            Tier::Unsupported => "unsupported tier",
            Tier::Off => "nothing attached",
        };
        parts.push(tier.to_owned());
    }
    if profile.cut_short {
        parts.push("cut short".to_owned());
    }
    shorten(&parts.join(" · "), length)
}
