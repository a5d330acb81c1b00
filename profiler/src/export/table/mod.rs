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

impl Exporter for Table {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        let mut page = Page::new(self.width, self.color);
        page.document(&Document::of(profile));
        Ok(page.finish())
    }
}
