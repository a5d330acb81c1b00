//! The report for a terminal.

mod about;
mod grid;
mod locks;
mod page;
mod sites;
mod trust;

use anyhow::Result;

use self::page::Page;
use super::Exporter;
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
        trust::warnings(profile, &mut page);
        about::about(profile, &mut page);
        sites::sites(profile, &mut page);
        sites::spans(profile, &mut page);
        sites::blame(profile, &mut page);
        locks::inner_waits(profile, &mut page);
        locks::other_locks(profile, &mut page);
        locks::longest(profile, &mut page);
        locks::cgroups(profile, &mut page);
        trust::trust(profile, &mut page);
        Ok(page.finish())
    }
}
