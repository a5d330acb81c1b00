//! What had not ended, as far as a verdict depends on it: it is in no sum.

use crate::{
    profile::{Profile, contention::LockRange},
    recording::{
        parse_address,
        schema::{InProgress, Kind, OpenEvent},
    },
};

impl Profile {
    /// The name of the lock of what had not ended, where it has one: by its symbol, or as a member of a structure of
    /// a task that has waited for it too.
    #[must_use]
    pub fn name_of_open(&self, event: &OpenEvent) -> Option<String> {
        let known = || {
            let address = parse_address(event.lock.as_ref()?)?;
            let class = self.locks.as_ref()?.members.get(&address)?;
            Some(class.name().to_owned())
        };
        event.name.clone().or_else(known)
    }

    fn found_in_progress(&self) -> Option<&InProgress> {
        self.footer.as_ref()?.in_progress.as_ref()
    }

    /// Holds or waits of the target lock that had not ended with the measured time, or with their window.
    pub(in crate::profile) fn open_of_target(
        &self,
        kind: Kind,
    ) -> impl Iterator<Item = &OpenEvent> {
        let found = self.found_in_progress().into_iter();
        let all = found.flat_map(|found| {
            let cut = found.cut.iter().flat_map(|cut| &cut.longest);
            found.events.iter().chain(cut)
        });
        all.filter(move |event| event.kind == kind && self.is_of_target(event))
    }

    /// That there were some, where none that had ended was seen.
    pub(in crate::profile) fn open_at_the_end(&self, kind: Kind) -> Option<String> {
        let open = self.open_of_target(kind).count();
        (open > 0).then(|| format!("{open} had not ended with the run, or with its window"))
    }

    fn is_of_target(&self, event: &OpenEvent) -> bool {
        let address = event.lock.as_deref().and_then(parse_address);
        let range = LockRange::of_target(&self.header);
        let is_there = address.is_some_and(|address| {
            range.is_some_and(|range| range.contains(address)) || self.is_target(address)
        });
        let is_named = event.name.as_ref() == Some(&self.header.lock.name);
        is_there || is_named || (event.kind == Kind::Hold && event.site.is_some())
    }

    /// Whether the target lock was held when the measured time ended: shares of the time are lower bounds then.
    #[must_use]
    pub fn held_is_bound(&self) -> bool {
        self.open_of_target(Kind::Hold).next().is_some()
    }

    /// For how long it was held by whom did not release it in the measured time. In a run with windows it is not
    /// known how much of that is in the windows of holds, and so none is.
    pub(in crate::profile) fn open_hold_ns(&self) -> u64 {
        self.open_hold().map_or(0, |(_, ns)| ns)
    }

    /// The same, and on which CPU.
    pub(in crate::profile) fn open_hold(&self) -> Option<(Option<u32>, u64)> {
        let open = self.open_of_target(Kind::Hold);
        let longest = open.max_by_key(|event| event.at_least_ns);
        let longest = longest.filter(|_| self.header.windows.is_none())?;
        let ns = longest.at_least_ns.min((self.measured_s * 1e9) as u64);
        Some((longest.cpu, ns))
    }

    /// Waits that had not ended, or not in their window, at least.
    pub(super) fn open_waits_ns(&self) -> u64 {
        self.found_in_progress().map_or(0, |found| {
            let open = found.events.iter();
            let open = open.filter(|event| event.kind == Kind::Wait);
            let cut = found.cut.as_ref().map_or(0, |cut| cut.at_least_ns);
            open.map(|event| event.at_least_ns)
                .fold(cut, u64::saturating_add)
        })
    }
}
