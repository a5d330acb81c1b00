//! Which calls inside holds are measured: pure.

use super::{PlannedLock, Request};
use crate::{
    known_locks,
    recording::schema::{Detail, Method},
    span::Span,
};

/// The calls that a run measures, in the order of their numbers: those that are known of the lock, and those that were
/// asked for. None where no holds are followed, or without their calls.
pub(super) fn of_run(request: &Request, method: Method, lock: &PlannedLock) -> Vec<Span> {
    let follows = matches!(method, Method::Fentry | Method::Kprobe);
    if !follows || request.detail == Detail::Holds || lock.by_task().is_some() {
        return Vec::new();
    }
    let known = known_locks::spans_of(&request.lock).iter();
    let mut spans: Vec<Span> = known
        .filter(|known| !known.is_on_request)
        .map(|known| known.span)
        .collect();
    for &asked in &request.spans {
        if !spans.contains(&asked) {
            spans.push(asked);
        }
    }
    spans
}
