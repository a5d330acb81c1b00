//! Calls inside holds.

use lockprof_abi::Span;

use crate::site::Site;

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

/// Whether time is taken for a span, or its calls are only counted.
pub(super) const fn is_timed(span: Span) -> bool {
    !matches!(span, Span::ReleaseTask)
}

/// The lock that a span takes for itself, so that it needs no other to be held: `pidmap_lock` in
/// free_pid (kernel/pid.c) and `input_pool.lock` in add_device_randomness (drivers/char/random.c), at
/// v6.12.
#[must_use]
pub const fn own_lock(span: Span) -> Option<&'static str> {
    match span {
        Span::FreePid => Some("pidmap_lock"),
        Span::AddDeviceRandomness => Some("input_pool"),
        _ => None,
    }
}
