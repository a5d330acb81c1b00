//! Views of a comparison.

mod document;
mod json;

use anyhow::Result;

use super::{markdown, table};
pub(crate) use document::regressions;

use crate::{
    compare::{Comparison, Side, demands_of},
    forecast::{Forecast, forecast},
};

/// Comparisons with one kernel, and what the user has to say about them.
#[derive(Clone, Debug)]
pub struct ComparisonReport {
    /// Each kernel beside the first one.
    pub comparisons: Vec<Comparison>,
    /// How the recordings were made, in the user's words.
    pub notes: Vec<String>,
    /// What is to be expected on other machines, or why there is no forecast.
    pub forecast: Result<Forecast, String>,
}

/// The seed of the forecast's intervals.
const FORECAST_SEED: u64 = 24;

impl ComparisonReport {
    /// Makes the forecast of all kernels.
    #[must_use]
    pub fn new(comparisons: Vec<Comparison>, notes: Vec<String>) -> Self {
        let before = comparisons.first().map(|comparison| &comparison.before);
        let after = comparisons.iter().map(|comparison| &comparison.after);
        let sides: Vec<&Side> = before.into_iter().chain(after).collect();
        let forecast = demands_of(&sides).and_then(|kernels| {
            forecast(&kernels, FORECAST_SEED).map_err(|error| error.to_string())
        });
        Self {
            comparisons,
            notes,
            forecast,
        }
    }

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
            .chain([document::of_forecast(&self.forecast)])
            .collect()
    }
}

/// A mail's width.
const WIDTH: usize = 72;
