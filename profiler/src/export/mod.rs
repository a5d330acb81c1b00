//! Views of a profile, one to a file.

mod comparison;
mod content;
mod csv;
mod folded;
mod forecast;
mod grouping;
mod html;
mod json;
mod markdown;
mod picture;
mod table;
mod trace;

pub use comparison::ComparisonReport;
pub use csv::Csv;
pub use folded::Folded;
pub use forecast::forecast_text;
pub use grouping::Grouping;
pub use html::Html;
pub use json::Json;
pub use markdown::Markdown;
pub use picture::{Picture, Png, SiteStyle, forecast_svg, pixels, style_of};
pub use table::Table;
pub use trace::Trace;

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

/// What a report is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text for a terminal.
    Table {
        /// Columns of the terminal.
        width: usize,
        /// Whether the terminal shows colours.
        color: bool,
        /// Of a recording of all locks: the one grouping that is asked for.
        by: Option<Grouping>,
    },
    /// The summary for programs.
    Json,
    /// One tidy table.
    Csv,
    /// Tables and sentences for issue trackers.
    Markdown,
    /// Waiters' call stacks for flame-graph tools.
    Folded,
    /// Chrome trace JSON.
    Trace,
    /// One page with everything.
    Html,
    /// One picture.
    Svg(Picture),
    /// One picture, of pixels.
    Png(Picture),
}

impl Format {
    /// What makes it.
    #[must_use]
    pub fn exporter(self) -> Box<dyn Exporter> {
        match self {
            Self::Table { width, color, by } => Box::new(Table { width, color, by }),
            Self::Json => Box::new(Json),
            Self::Csv => Box::new(Csv),
            Self::Markdown => Box::new(Markdown),
            Self::Folded => Box::new(Folded),
            Self::Trace => Box::new(Trace),
            Self::Html => Box::new(Html),
            Self::Svg(picture) => Box::new(picture),
            Self::Png(picture) => Box::new(Png(picture)),
        }
    }
}
