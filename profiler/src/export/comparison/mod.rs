//! Views of a comparison.

mod document;
mod json;

use anyhow::Result;

use super::{markdown, table};
pub(crate) use document::regressions;

use crate::compare::Comparison;

/// Comparisons with one kernel, and what the user has to say about them.
#[derive(Clone, Debug)]
pub struct ComparisonReport {
    /// Each kernel beside the first one.
    pub comparisons: Vec<Comparison>,
    /// How the recordings were made, in the user's words.
    pub notes: Vec<String>,
}

impl ComparisonReport {
    /// Text of 72 columns.
    #[must_use]
    pub fn table(&self, color: bool) -> Vec<u8> {
        table::documents(&self.documents(), WIDTH, color)
    }

    /// Markdown.
    #[must_use]
    pub fn markdown(&self) -> Vec<u8> {
        let documents = self.documents();
        let texts: Vec<String> = documents.iter().map(markdown::document).collect();
        texts.join("\n").into_bytes()
    }

    /// One JSON object.
    ///
    /// # Errors
    /// A number cannot be serialized.
    pub fn json(&self) -> Result<Vec<u8>> {
        json::export(self)
    }

    fn documents(&self) -> Vec<super::content::Document> {
        let comparisons = self.comparisons.iter();
        comparisons
            .map(|comparison| document::document(comparison, &self.notes))
            .collect()
    }
}

/// A mail's width.
const WIDTH: usize = 72;
