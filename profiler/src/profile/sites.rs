//! Holds and waits by site, and who waited behind whom.

use super::Durations;
use crate::{recording::schema::LongestEvent, site::Site};

/// What one site did.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteProfile {
    /// The site.
    pub site: Site,
    /// Its holds; none where holds were not measured.
    pub hold: Option<Durations>,
    /// Its contended acquisitions; none where waits were not measured.
    pub wait: Option<Durations>,
    /// Its longest hold.
    pub longest_hold: Option<LongestEvent>,
    /// Its longest wait.
    pub longest_wait: Option<LongestEvent>,
}

impl SiteProfile {
    /// Whether it waited.
    #[must_use]
    pub fn has_waited(&self) -> bool {
        self.wait.as_ref().is_some_and(|wait| wait.count() > 0)
    }

    /// The time that it held the lock, for sorting.
    pub(super) fn weight(&self) -> (u64, u64) {
        let total = |durations: &Option<Durations>| durations.as_ref().map_or(0, |d| d.total_ns);
        (total(&self.hold), total(&self.wait))
    }
}

/// Waited time of one pair of sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Who waited.
    pub waiter: Site,
    /// Behind whose holds; none is readers and hand-over.
    pub holder: Option<Site>,
    /// For how long.
    pub waited_ns: u64,
}
