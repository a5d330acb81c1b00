//! Views of a profile, one to a file.

mod content;
mod csv;
mod distribution;
mod heatmap;
mod json;
mod palette;
mod picture;
mod table;
mod text;

pub use csv::Csv;
pub use distribution::Distribution;
pub use heatmap::Heatmap;
pub use json::Json;
pub use palette::{SiteStyle, style_of};
pub use table::Table;
pub use text::printable;

use anyhow::Result;

use crate::profile::Profile;

/// Turns a profile into a file.
pub trait Exporter {
    /// The bytes of the file.
    ///
    /// # Errors
    ///
    /// When the profile cannot be drawn or serialized.
    fn export(&self, profile: &Profile) -> Result<Vec<u8>>;
}

/// A picture, by the name of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Lengths of holds and waits by site.
    Distribution,
    /// CPU × time: the share of time that the lock is held.
    Heatmap,
}

impl Picture {
    /// Every picture.
    pub const ALL: &[Self] = &[Self::Distribution, Self::Heatmap];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Distribution => "distribution",
            Self::Heatmap => "heatmap",
        }
    }

    /// Its file in a run's directory.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{}.svg", self.name())
    }
}

/// What a report is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text for a terminal.
    Table {
        /// Columns of the terminal.
        width: usize,
        /// Whether the terminal shows colours.
        color: bool,
    },
    /// The summary for programs.
    Json,
    /// One tidy table.
    Csv,
    /// One picture.
    Svg(Picture),
}

impl Format {
    /// What makes it.
    #[must_use]
    pub fn exporter(self) -> Box<dyn Exporter> {
        match self {
            Self::Table { width, color } => Box::new(Table { width, color }),
            Self::Json => Box::new(Json),
            Self::Csv => Box::new(Csv),
            Self::Svg(Picture::Distribution) => Box::new(Distribution),
            Self::Svg(Picture::Heatmap) => Box::new(Heatmap),
        }
    }
}
