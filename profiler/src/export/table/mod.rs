//! The report for a terminal.

mod grid;
mod page;

use anyhow::{Result, bail};

use self::page::Page;
use super::{
    Exporter, Grouping,
    content::{Document, Topic},
};
use crate::profile::Profile;

/// Text that fits a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether the terminal shows colours.
    pub color: bool,
    /// Of a recording of all locks: the one grouping that is asked for; without it a few, and the page has all.
    pub by: Option<Grouping>,
}

/// Groupings of all locks that a terminal shows where they are asked for.
const ON_THE_PAGE: [Topic; 5] = [
    Topic::ByLock,
    Topic::ByTask,
    Topic::ByProcess,
    Topic::ByCommand,
    Topic::ByCgroup,
];

/// Documents one after the other.
pub(super) fn documents(documents: &[Document], width: usize, color: bool) -> Vec<u8> {
    let mut page = Page::new(width, color);
    for document in documents {
        page.document(document);
    }
    page.finish()
}

impl Exporter for Table {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        if self.by.is_some() && profile.locks.is_none() {
            bail!(
                "--by groups the waits for all locks: it goes with recordings of `lockprof locks`"
            );
        }
        let mut document = Document::by(profile, self.by);
        if self.by.is_none() {
            document
                .sections
                .retain(|section| !ON_THE_PAGE.contains(&section.topic));
        }
        Ok(documents(&[document], self.width, self.color))
    }
}
