//! Who took the target lock, by name: an everyday one, where the lock is known, or the function that asked for it.

use std::sync::{Mutex, PoisonError};

use crate::known_locks;

/// What the names of readers begin with.
const READ: &str = "read:";

/// Who took the target lock. Sites are in the order of their kinds: writers before readers, and of each those with
/// everyday names first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    rank: u8,
    name: &'static str,
    /// Of a caller that was learned, how many others this process had met before it; else 0.
    place: usize,
}

/// The ranks of sites without a place in a list of their own.
const LEARNED_WRITER: u8 = 100;
/// Readers have this one, or a higher one.
const FIRST_READER: u8 = 101;
const LEARNED_READER: u8 = 200;

/// The names of all callers that were learned: each is kept once, and as long as the process lives.
static LEARNED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

impl Site {
    /// The return address could not be read, or is in no function that has a name.
    pub const UNKNOWN: Self = Self::ranked(0, "unknown");
    /// Any writer that is in no other row.
    pub const OTHER: Self = Self::ranked(1, "other");
    /// Any reader that is in no other row.
    pub const READ_OTHER: Self = Self::ranked(LEARNED_READER + 1, "read:other");
    /// The sites that any lock has.
    pub const GENERAL: [Self; 3] = [Self::UNKNOWN, Self::OTHER, Self::READ_OTHER];

    const fn ranked(rank: u8, name: &'static str) -> Self {
        Self {
            rank,
            name,
            place: 0,
        }
    }

    /// A writer of a known lock, by its place among them.
    pub(crate) const fn writer(place: u8, name: &'static str) -> Self {
        assert!(2 + place < LEARNED_WRITER);
        Self::ranked(2 + place, name)
    }

    /// A reader of a known lock, by its place among them. The name begins with `read:`.
    pub(crate) const fn reader(place: u8, name: &'static str) -> Self {
        assert!(FIRST_READER + place < LEARNED_READER);
        Self::ranked(FIRST_READER + place, name)
    }

    /// The site that has this name in recordings. What no list has is the function of a caller that was learned.
    ///
    /// Such names are kept as long as the process lives: whoever takes them from a file bounds their number.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::find(name).unwrap_or_else(|| Self::learned(name))
    }

    /// The site that has this name, where it is a known one, or one that this process has met.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::known(name).or_else(|| {
            let learned = LEARNED.lock().unwrap_or_else(PoisonError::into_inner);
            let place = learned.iter().position(|other| *other == name)?;
            Some(Self::of_place(learned[place], place))
        })
    }

    /// The site that has this name, where it is one that any lock has or an everyday one.
    #[must_use]
    pub fn known(name: &str) -> Option<Self> {
        let everyday = known_locks::all().flat_map(|known| known.sites);
        let all = everyday.map(|known| known.site).chain(Self::GENERAL);
        all.into_iter().find(|site| site.name == name)
    }

    /// The site of a function that asks for the lock.
    #[must_use]
    pub fn of_function(function: &str, reads: bool) -> Self {
        if reads {
            Self::named(&format!("{READ}{function}"))
        } else {
            Self::named(function)
        }
    }

    fn learned(name: &str) -> Self {
        let mut learned = LEARNED.lock().unwrap_or_else(PoisonError::into_inner);
        let place = learned.iter().position(|other| *other == name);
        let place = place.unwrap_or_else(|| {
            learned.push(Box::leak(Box::from(name)));
            learned.len() - 1
        });
        Self::of_place(learned[place], place)
    }

    fn of_place(name: &'static str, place: usize) -> Self {
        let rank = if name.starts_with(READ) {
            LEARNED_READER
        } else {
            LEARNED_WRITER
        };
        Self { rank, name, place }
    }

    /// The name in recordings and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Whether the site takes the lock for writing.
    #[must_use]
    pub const fn is_writer(self) -> bool {
        self.rank < FIRST_READER
    }

    /// Whether it is a caller that no list has.
    #[must_use]
    pub const fn is_learned(self) -> bool {
        matches!(self.rank, LEARNED_WRITER | LEARNED_READER)
    }

    /// Of a caller that no list has, how many others this process has met before it.
    #[must_use]
    pub fn place(self) -> Option<usize> {
        self.is_learned().then_some(self.place)
    }

    /// The kernel function that it is, where it is one.
    #[must_use]
    pub fn symbol(self) -> Option<&'static str> {
        if self.is_learned() {
            return Some(self.name.strip_prefix(READ).unwrap_or(self.name));
        }
        let mut everyday = known_locks::all().flat_map(|known| known.sites);
        everyday.find(|known| known.site == self)?.symbol
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_site_and_leads_back() {
        let known = known_locks::all().flat_map(|known| known.sites);
        for site in known.map(|known| known.site).chain(Site::GENERAL) {
            assert_eq!(Site::named(site.name()), site);
            assert_eq!(site.is_writer(), !site.name().starts_with("read:"));
            assert!(!site.is_learned());
        }
        let named = [Site::named("dup_mm"), Site::named(&String::from("dup_mm"))];
        assert_eq!(named[0], named[1]);
        assert_eq!(Site::find("dup_mm"), Some(named[0]));
        assert_eq!(Site::known("dup_mm"), None);
        assert_eq!(Site::find("a name that nobody has met"), None);
    }

    #[test]
    fn a_function_that_reads_and_writes_is_two_sites() {
        let [reads, writes] = [true, false].map(|reads| Site::of_function("f_getown", reads));
        assert_eq!((reads.name(), writes.name()), ("read:f_getown", "f_getown"));
        assert!(!reads.is_writer() && writes.is_writer());
        assert_eq!(reads.symbol(), writes.symbol());
        assert_eq!(writes.symbol(), Some("f_getown"));
    }

    #[test]
    fn writers_come_first_and_everyday_names_before_others() {
        let mut sites =
            ["read:other", "a", "read:a", "reap", "other", "read:kill"].map(Site::named);
        sites.sort();
        let names = sites.map(Site::name);
        assert_eq!(
            names,
            ["other", "reap", "a", "read:kill", "read:a", "read:other"]
        );
    }
}
