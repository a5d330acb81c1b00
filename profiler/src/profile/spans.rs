//! Calls inside holds.

use crate::{site::Site, span::Span};

/// Calls of one span inside the holds of one site, or outside every hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanProfile {
    /// The span.
    pub span: Span,
    /// The holder; none where the calls were outside every hold.
    pub site: Option<Site>,
    /// Calls.
    pub calls: u64,
    /// Their time, with the spans that they contain; none where it is not taken.
    pub in_hold_ns: Option<u64>,
    /// Their time, without the spans that they contain; none where it is not taken.
    pub self_ns: Option<u64>,
}

impl SpanProfile {
    /// Calls inside a hold.
    #[must_use]
    pub const fn calls_in_hold(&self) -> u64 {
        match self.site {
            Some(_) => self.calls,
            None => 0,
        }
    }
}
