//! The report for a terminal.

mod grid;
mod page;

use anyhow::Result;

use self::page::Page;
use super::{Exporter, content::Document};
use crate::profile::Profile;

/// Text that fits a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether the terminal shows colours.
    pub color: bool,
}

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
        Ok(documents(&[Document::of(profile)], self.width, self.color))
    }
}
