//! A forecast as text.

use super::{
    content::{self, Document},
    table,
};
use crate::{forecast::Forecast, profile::Verdict};

/// A forecast for a terminal or a mail, in so many columns.
#[must_use]
pub fn forecast_text(forecast: &Forecast, width: usize) -> String {
    let names: Vec<&str> = forecast
        .kernels
        .iter()
        .map(|kernel| kernel.name.as_str())
        .collect();
    let document = Document {
        warnings: Vec::new(),
        title: names.join(", "),
        verdict: Verdict::default(),
        sections: content::forecast(forecast),
    };
    let text = table::documents(&[document], width, false);
    String::from_utf8_lossy(&text).into_owned()
}
