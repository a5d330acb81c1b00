//! A function whose calls inside holds are measured, by its name.

use std::sync::{Mutex, PoisonError};

use crate::{
    known_locks::{self, KnownSpan},
    recording::schema::Probe,
};

/// A function whose calls inside holds are measured. Those of which something is known come first, in the order of their
/// lock's list, and others as they were met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    place: usize,
    name: &'static str,
}

/// The first place of those of which nothing is known.
const FIRST_OTHER: usize = 1 << 10;

/// What the names of a span's programs have in them, and no others.
const PROGRAMS: &str = "span_";

/// The names of all others: each is kept once, and as long as the process lives.
static OTHERS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

impl Span {
    /// One of which something is known, by its place among those of its lock.
    pub(crate) const fn known_as(place: usize, name: &'static str) -> Self {
        assert!(place < FIRST_OTHER);
        Self { place, name }
    }

    /// The span of this function.
    ///
    /// Such names are kept as long as the process lives: whoever takes them from a file bounds their number.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::find(name).unwrap_or_else(|| {
            let mut others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
            let place = others.iter().position(|other| *other == name);
            let place = place.unwrap_or_else(|| {
                others.push(Box::leak(Box::from(name)));
                others.len() - 1
            });
            Self::other(place, others[place])
        })
    }

    /// The span of this function, where something is known of it, or this process has met it.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let mut known = known_locks::spans().map(|known| known.span);
        known.find(|span| span.name == name).or_else(|| {
            let others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
            let place = others.iter().position(|other| *other == name)?;
            Some(Self::other(place, others[place]))
        })
    }

    const fn other(place: usize, name: &'static str) -> Self {
        Self {
            place: FIRST_OTHER + place,
            name,
        }
    }

    /// The function that a probe stands at, where it is one of a span's.
    #[must_use]
    pub fn of_probe(probe: &Probe) -> Option<Self> {
        is_program_of_span(&probe.program).then(|| Self::named(&probe.target))
    }

    /// The function's name, in recordings and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// What is known of it besides.
    #[must_use]
    pub fn known(self) -> Option<&'static KnownSpan> {
        known_locks::spans().find(|known| known.span == self)
    }

    /// The lock that it takes for itself, so that it needs no other to be held.
    #[must_use]
    pub fn own_lock(self) -> Option<&'static str> {
        self.known()?.own_lock
    }

    /// Spans that it is known to call.
    #[must_use]
    pub fn contained(self) -> &'static [Self] {
        self.known().map_or(&[], |known| known.contains)
    }

    /// Whether holds lie inside it, so that it is in none.
    #[must_use]
    pub fn encloses_holds(self) -> bool {
        self.known().is_some_and(|known| known.encloses_holds)
    }

    /// Whether it is measured only for whoever asks for it.
    #[must_use]
    pub fn is_on_request(self) -> bool {
        self.known().is_none_or(|known| known.is_on_request)
    }

    /// Whether its end is probed.
    #[must_use]
    pub fn has_left(self) -> bool {
        self.known().is_none_or(|known| known.has_left)
    }
}

/// Whether a program is one of a span's, by its name in a recording.
#[must_use]
pub fn is_program_of_span(program: &str) -> bool {
    program.contains(PROGRAMS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::known_locks::DEFAULT_LOCK;

    #[test]
    fn a_name_is_one_span_and_those_that_are_known_come_first() {
        let all: BTreeSet<Span> = known_locks::spans().map(|known| known.span).collect();
        assert_eq!(all.len(), known_locks::spans().count());
        for span in &all {
            assert_eq!(Span::named(span.name()), *span);
            assert!(*span < Span::named("cgroup_create"));
        }
        let named = ["css_create", "css_create"].map(Span::named);
        assert_eq!(named[0], named[1]);
        assert_eq!(Span::find("css_create"), Some(named[0]));
        assert_eq!(Span::find("a name that nobody has met"), None);
        assert!(named[0].has_left() && named[0].is_on_request());
    }

    #[test]
    fn known_spans_are_in_their_order_and_name_their_source() {
        let known = known_locks::spans_of(DEFAULT_LOCK);
        assert!(known.is_sorted_by_key(|known| known.span));
        assert!(known.len() <= lockprof_abi::MAX_SPANS);
        for known in known {
            let name = known.span.name();
            assert!(known.source.contains(&format!("{name}()")), "{name}");
            assert!(!known.encloses_holds || !known.has_left, "{name}");
            assert!(!known.does.is_empty());
        }
        assert!(known_locks::spans_of("cgroup_mutex").is_empty());
    }
}
