//! Views of a comparison.

mod checked;
mod document;
mod every_lock;
mod grids;
mod html;
mod json;
mod sections;

use anyhow::Result;

use super::{
    content::{Document, Section},
    markdown,
    picture::{ComparisonPicture, forecast_svg},
    table,
};
use sections::SettingSections;

use crate::{
    compare::{Comparison, Side, clock_name, demands_of},
    forecast::{Forecast, forecast},
    profile::Verdict,
    text::slug,
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
        let forecast = demands_of(&sides).and_then(|demands| {
            forecast(&demands.kernels, &demands.subject, FORECAST_SEED)
                .map_err(|error| error.to_string())
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

    /// One page with everything.
    ///
    /// # Errors
    /// A picture cannot be drawn.
    pub fn html(&self) -> Result<Vec<u8>> {
        Ok(html::page(self)?.into_string().into_bytes())
    }

    /// Every picture, with the name of its file but for the ending.
    ///
    /// # Errors
    /// One cannot be drawn.
    pub fn pictures(&self) -> Result<Vec<(String, String)>> {
        let mut pictures = Vec::new();
        for comparison in &self.comparisons {
            for setting in &comparison.settings {
                let of = &setting.answers.setting;
                for picture in ComparisonPicture::ALL {
                    let name = slug(&format!(
                        "{} {} {} {} cpus {}",
                        comparison.after.name,
                        of.load,
                        clock_name(of.clock),
                        of.cpus,
                        picture.name()
                    ));
                    let svg = picture.svg(comparison, setting, true)?;
                    pictures.extend(svg.map(|svg| (name, svg)));
                }
            }
        }
        if let Ok(forecast) = &self.forecast {
            pictures.push(("forecast".to_owned(), forecast_svg(forecast, true)?));
        }
        Ok(pictures)
    }

    /// The answers, one a comparison.
    fn verdicts(&self) -> Vec<Verdict> {
        self.comparisons.iter().map(document::verdict).collect()
    }

    /// What was compared, one a comparison.
    fn measured(&self) -> Vec<Section> {
        let comparisons = self.comparisons.iter();
        comparisons
            .map(|comparison| document::measured(comparison, &self.notes))
            .collect()
    }

    fn forecast_document(&self) -> Document {
        document::of_forecast(&self.forecast, &self.comparisons)
    }

    fn documents(&self) -> Vec<Document> {
        let comparisons = self.comparisons.iter();
        comparisons
            .map(|comparison| document::document(comparison, &self.notes))
            .chain(self.has_forecast().then(|| self.forecast_document()))
            .collect()
    }

    /// Whether there is one, or a word on why not: of all locks of a machine nobody expects one.
    fn has_forecast(&self) -> bool {
        !self.comparisons.iter().any(Comparison::is_of_all_locks)
    }
}

/// A mail's width.
const WIDTH: usize = 72;
