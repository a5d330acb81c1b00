//! Who takes the target lock, as the programs know it: by number, and in the tables of a CPU by slot.
//!
//! A site's slot is its number without [`READER`]. Some callers are known before the programs are loaded, and have the
//! first numbers after [`OTHER_READER`]; the others get theirs when they ask for the lock for the first time. What any
//! of them is called the daemon alone knows.

use core::mem::size_of;

use crate::TextRange;

/// The site whose return address could not be read. It is a writer's: of a reader that much is known.
pub const UNKNOWN_SITE: u32 = 0;
/// All writers that have no number of their own.
pub const OTHER_SITE: u32 = 1;
/// All readers that have no number of their own. Waited time that no writer's hold accounts for, since readers held the
/// lock or it was being handed over, is charged to its slot.
pub const OTHER_READER: u32 = 2 | READER;
/// The first number of a caller.
pub const FIRST_CALLER: u32 = 3;
/// What is added to a reader's number.
pub const READER: u32 = 1 << 7;

/// Slots of a lock whose callers are all known before: a power of two.
pub const FEW_SITES: usize = 16;
/// Slots of any other: a power of two.
pub const MANY_SITES: usize = 64;

/// Address ranges of known sites that the programs are given.
pub const MAX_SITE_RANGES: usize = 40;

/// The slot of a site, in tables of so many; a power of two.
#[inline(always)]
#[must_use]
pub const fn site_slot(site: u32, slots: usize) -> usize {
    site as usize & (slots - 1)
}

/// Whether a site takes the lock for reading.
#[inline(always)]
#[must_use]
pub const fn is_reader(site: u32) -> bool {
    site & READER != 0
}

/// A function that is known to take the lock.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteRange {
    /// Its addresses.
    pub text: TextRange,
    /// The site that it is, by number.
    pub site: u32,
    /// Always 0.
    pub reserved: u32,
}

/// The known sites, hottest first; the first empty range ends the list.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteRanges {
    /// The ranges.
    pub ranges: [SiteRange; MAX_SITE_RANGES],
}

impl SiteRanges {
    /// No known site.
    pub const EMPTY: Self = Self {
        ranges: [SiteRange {
            text: TextRange::EMPTY,
            site: 0,
            reserved: 0,
        }; MAX_SITE_RANGES],
    };

    /// The ranges as the words in which they lie in memory, to set the programs' constant.
    #[must_use]
    pub fn to_words(&self) -> [u64; 3 * MAX_SITE_RANGES] {
        let mut words = [0; 3 * MAX_SITE_RANGES];
        for (words, range) in words.chunks_exact_mut(3).zip(&self.ranges) {
            let mut last = [0; 8];
            last[..4].copy_from_slice(&range.site.to_ne_bytes());
            last[4..].copy_from_slice(&range.reserved.to_ne_bytes());
            words.copy_from_slice(&[
                range.text.start,
                range.text.length,
                u64::from_ne_bytes(last),
            ]);
        }
        words
    }
}

/// A caller that was learned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The return address into it; 0 where there is none, or not yet.
    pub address: u64,
    /// Its site, by number.
    pub site: u64,
}

/// The callers that were learned.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Callers {
    /// How many have asked for a slot: more than are here where some found none.
    pub asked: u64,
    /// In the order in which they asked.
    pub learned: [Caller; MANY_SITES],
}

impl Callers {
    /// No caller.
    pub const NONE: Self = Self {
        asked: 0,
        learned: [Caller {
            address: 0,
            site: 0,
        }; MANY_SITES],
    };
}

const _: () = {
    assert!(FEW_SITES.is_power_of_two() && MANY_SITES.is_power_of_two());
    // A number and its flag are in eight bits.
    assert!(MANY_SITES <= READER as usize && READER < 1 << 8);
    assert!(size_of::<SiteRange>() == 24);
    assert!(size_of::<Callers>() == 8 + 16 * MANY_SITES);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_has_a_slot_like_a_writer() {
        for slots in [FEW_SITES, MANY_SITES] {
            assert_eq!(site_slot(OTHER_READER, slots), 2);
            assert_eq!(site_slot(FIRST_CALLER | READER, slots), 3);
        }
        assert!(is_reader(OTHER_READER));
        assert!(!is_reader(OTHER_SITE) && !is_reader(FIRST_CALLER));
    }
}
