//! Pictures: each one alone for slides and papers, or as a part of a page.

mod anatomy;
mod axis;
mod blame;
mod canvas;
mod comparison;
mod distribution;
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

use anyhow::Result;

use self::{
    canvas::{Canvas, Look, draw},
    palette::QUIET,
};
use super::{Exporter, text::shorten};
use crate::{
    profile::Profile,
    recording::schema::{Clock, Tier},
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
}

impl Picture {
    /// Every picture.
    pub const ALL: &[Self] = &[
        Self::Distribution,
        Self::Anatomy,
        Self::Heatmap,
        Self::Blame,
        Self::Flamegraph,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Distribution => "distribution",
            Self::Anatomy => "anatomy",
            Self::Heatmap => "heatmap",
            Self::Blame => "blame",
            Self::Flamegraph => "flamegraph",
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
        }
    }

    /// The sentence in its place, where there is nothing to draw.
    pub(super) fn absence(self, profile: &Profile) -> Option<&'static str> {
        match self {
            Self::Distribution => distribution::absence(profile),
            Self::Anatomy => anatomy::absence(profile),
            Self::Heatmap => heatmap::absence(profile),
            Self::Blame => blame::absence(profile),
            Self::Flamegraph => flamegraph::absence(profile),
        }
    }

    /// The picture as SVG.
    pub(super) fn svg(self, profile: &Profile, setting: Setting) -> Result<String> {
        if let Some(sentence) = self.absence(profile) {
            return empty_sheet(profile, setting, self.title(), sentence);
        }
        match self {
            Self::Distribution => distribution::draw(profile, setting),
            Self::Anatomy => anatomy::draw(profile, setting),
            Self::Heatmap => heatmap::draw(profile, setting),
            Self::Blame => blame::draw(profile, setting),
            Self::Flamegraph => flamegraph::draw(profile, setting),
        }
    }
}

impl Exporter for Picture {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
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
            let title = format!("{}: {title}", profile.header.lock.name);
            canvas.text(&shorten(&title, 90), (24, 24), Look::LEFT.size(18).bold())?;
            canvas.text(&subtitle(profile, 150), (24, 46), Look::LEFT.color(QUIET))?;
        }
        paint(canvas)
    })
}

/// A picture of which there is nothing to draw: a sentence says why.
fn empty_sheet(profile: &Profile, setting: Setting, title: &str, sentence: &str) -> Result<String> {
    sheet(profile, setting, title, HEAD + 80, |canvas| {
        canvas.text(
            sentence,
            (WIDTH / 2, HEAD + 40),
            Look::CENTER.size(14).color(QUIET),
        )
    })
}

/// What was measured, in one line of at most so many characters.
fn subtitle(profile: &Profile, length: usize) -> String {
    let header = &profile.header;
    let mut parts = Vec::new();
    if profile.void() {
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
