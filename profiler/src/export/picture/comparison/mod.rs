//! Two kernels beside each other: every boot as a point, what holds are spent on, whole
//! distributions.

mod anatomy;
mod boots;
mod distributions;

use anyhow::Result;

use super::{
    HEAD, WIDTH,
    canvas::{Canvas, Look, draw},
    palette::{KERNELS, QUIET},
};
use crate::{
    compare::{Comparison, Sampled, SettingComparison},
    text::shorten,
};

/// A picture of one setting of a comparison, by the name of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ComparisonPicture {
    /// Throughput, holds and waits: a point is a boot.
    Boots,
    /// What holds are spent on, before and after.
    Anatomy,
    /// Lengths of holds and waits, and how each quantile changed.
    Distributions,
}

/// What a picture is of.
#[derive(Clone, Copy)]
struct Subject<'a> {
    names: [&'a str; 2],
    setting: &'a SettingComparison,
}

impl ComparisonPicture {
    /// Every one.
    pub(in super::super) const ALL: &[Self] = &[Self::Boots, Self::Anatomy, Self::Distributions];

    /// Its name in the name of a file.
    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Boots => "boots",
            Self::Anatomy => "anatomy",
            Self::Distributions => "distributions",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Boots => "by boot",
            Self::Anatomy => "what holds are spent on",
            Self::Distributions => "lengths, and how they changed",
        }
    }

    /// The picture as SVG, with a heading of its own where no page says what it shows; none where
    /// there is nothing to draw.
    pub(in super::super) fn svg(
        self,
        comparison: &Comparison,
        setting: &SettingComparison,
        heading: bool,
    ) -> Result<Option<String>> {
        let subject = Subject {
            names: [&comparison.before, &comparison.after].map(|side| side.name.as_str()),
            setting,
        };
        let height = match self {
            Self::Boots => boots::height(subject),
            Self::Anatomy => anatomy::height(subject),
            Self::Distributions => distributions::height(subject),
        };
        let Some(height) = height else {
            return Ok(None);
        };
        let cut = if heading { 0 } else { HEAD };
        let svg = draw(WIDTH, height, cut, |canvas| {
            if heading {
                let title = match (self, setting.answers.sampled()) {
                    (Self::Boots, Sampled::Recording) => "by recording",
                    _ => self.title(),
                };
                head(canvas, subject, title)?;
            }
            match self {
                Self::Boots => boots::draw(canvas, subject),
                Self::Anatomy => anatomy::draw(canvas, subject),
                Self::Distributions => distributions::draw(canvas, subject),
            }
        })?;
        Ok(Some(svg))
    }
}

fn head(canvas: &Canvas<'_>, subject: Subject<'_>, title: &str) -> Result<()> {
    let [before, after] = subject.names.map(|name| shorten(name, 40));
    let title = format!("{after} against {before}: {title}");
    let setting = &subject.setting.answers.setting;
    let about = format!("{}: {}", setting.lock, setting.describe());
    canvas.text(&shorten(&title, 90), (24, 24), Look::LEFT.size(18).bold())?;
    canvas.text(&shorten(&about, 150), (24, 46), Look::LEFT.color(QUIET))
}

/// A swatch and a name for each kernel, in one line.
fn kernels(canvas: &Canvas<'_>, names: [&str; 2], left: i32, y: i32) -> Result<()> {
    let mut at = left;
    for (name, color) in names.into_iter().zip(KERNELS) {
        let name = shorten(name, 44);
        canvas.circle((at + 5, y), 5, color)?;
        canvas.text(&name, (at + 16, y), Look::LEFT)?;
        at += 16 + super::axis::text_width(&name, super::canvas::TEXT) + 24;
    }
    Ok(())
}
