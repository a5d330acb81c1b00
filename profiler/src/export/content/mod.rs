//! What a report says, before it is laid out: the same words and numbers in a terminal, in Markdown
//! and on a page.

mod about;
mod every_lock;
mod forecast;
mod grid;
mod in_progress;
mod locks;
mod off_cpu;
mod sites;
mod spark;
mod trust;
mod unseen;

pub(super) use forecast::{cpus_text, forecast, forecast_cells};
pub(super) use grid::{Column, Grid};
pub(super) use unseen::{losses, unseen};

use super::Grouping;
use crate::profile::{Profile, Verdict};

/// A report without its layout.
#[derive(Debug)]
pub(super) struct Document {
    /// What has to be said before any number.
    pub(super) warnings: Vec<String>,
    /// Which lock on which machine.
    pub(super) title: String,
    /// The answer in a few sentences.
    pub(super) verdict: Verdict,
    /// In the order of a text.
    pub(super) sections: Vec<Section>,
}

impl Document {
    /// What there is to say about a profile. Sections with nothing to say are left out.
    pub(super) fn of(profile: &Profile) -> Self {
        Self::by(profile, None)
    }

    /// The same, of all locks by this grouping alone.
    pub(super) fn by(profile: &Profile, by: Option<Grouping>) -> Self {
        if profile.header.locks.is_some() {
            return Self::of_all_locks(profile, by);
        }
        let sections = [
            about::about(profile),
            in_progress::in_progress(profile),
            sites::sites(profile),
            sites::spans(profile),
            off_cpu::off_cpu(profile),
            sites::blame(profile),
            locks::inner_waits(profile),
            locks::other_locks(profile),
            locks::longest(profile),
            locks::cgroups(profile),
            trust::trust(profile),
        ];
        Self {
            warnings: trust::warnings(profile),
            title: about::title(profile),
            verdict: Verdict::of(profile),
            sections: sections
                .into_iter()
                .filter(|section| !section.blocks.is_empty())
                .collect(),
        }
    }

    fn of_all_locks(profile: &Profile, by: Option<Grouping>) -> Self {
        let mut sections = vec![about::about(profile), in_progress::in_progress(profile)];
        sections.extend(every_lock::sections(profile, by));
        sections.push(trust::trust(profile));
        sections.retain(|section| !section.blocks.is_empty());
        Self {
            warnings: trust::warnings(profile),
            title: about::title(profile),
            verdict: Verdict::of(profile),
            sections,
        }
    }

    /// The section on a topic, where there is one.
    pub(super) fn section(&self, topic: Topic) -> Option<&Section> {
        self.sections.iter().find(|section| section.topic == topic)
    }
}

/// What a section is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    About,
    InProgress,
    Sites,
    Spans,
    OffCpu,
    Blame,
    InnerWaits,
    Locks,
    Longest,
    Cgroups,
    ByClass,
    ByLock,
    ByCaller,
    ByOwner,
    ByTask,
    ByProcess,
    ByCommand,
    ByCgroup,
    Trust,
    Forecast,
}

/// A heading and what stands beneath it.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) topic: Topic,
    /// Empty where the document's title is heading enough.
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

impl Section {
    pub(super) fn new(topic: Topic, title: impl Into<String>) -> Self {
        Self {
            topic,
            title: title.into(),
            blocks: Vec::new(),
        }
    }

    /// Adds a text of its own.
    pub(super) fn sentence(&mut self, text: impl Into<String>, emphasis: Emphasis) {
        self.blocks.push(Block::Sentence {
            text: text.into(),
            emphasis,
        });
    }

    /// Adds a label and its text.
    pub(super) fn field(&mut self, label: &'static str, text: impl Into<String>) {
        self.blocks.push(Block::Field {
            label,
            text: text.into(),
        });
    }

    /// Adds lines as they are.
    pub(super) fn preformatted(&mut self, text: String) {
        self.blocks.push(Block::Preformatted(text));
    }

    /// Adds rows and columns.
    pub(super) fn grid(&mut self, grid: Grid) {
        self.blocks.push(Block::Grid(grid));
    }
}

/// A piece of a section.
#[derive(Debug)]
pub(super) enum Block {
    Sentence {
        text: String,
        emphasis: Emphasis,
    },
    Field {
        label: &'static str,
        text: String,
    },
    Grid(Grid),
    /// Lines as they are.
    Preformatted(String),
}

/// How a text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Emphasis {
    Plain,
    Quiet,
    /// Quiet, and only of use beside sparklines.
    Sparklines,
}
