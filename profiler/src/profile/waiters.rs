//! Who waits for the lock: by site, and by caller where no site tells.

use super::{Contention, Durations, LockKind, Profile, contention::target_told_by_site};
use crate::{recording::schema::WindowKind, site::Site};

/// Who waits for the lock.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiter {
    /// The site, or the function that asked for the lock.
    pub who: String,
    /// The site, where it is one.
    pub site: Option<Site>,
    /// Its waits.
    pub waits: Durations,
}

impl Profile {
    /// Waits for the lock that are in no site: those for a lock that is not taken by write_lock_irq(), and those
    /// of readers where only writers' holds are followed. The most waited time first.
    pub fn waits_beside_sites(&self) -> impl Iterator<Item = &Contention> {
        let waits = self.contention.iter().filter(|wait| wait.is_target);
        waits.filter(|wait| !self.is_told_by_site(wait.kind))
    }

    /// Whether waits of this kind for the lock are those of the sites.
    #[must_use]
    pub fn is_told_by_site(&self, kind: LockKind) -> bool {
        match self.instead() {
            Some(WindowKind::Waits) => self.sites_are_known(),
            _ => target_told_by_site(&self.header, kind),
        }
    }

    /// Waits for the lock, and their time.
    #[must_use]
    pub fn waits_seen(&self) -> (u64, u64) {
        let of_sites = self.sites.iter().filter_map(|site| site.wait.as_ref());
        let beside = self.waits_beside_sites().map(|wait| &wait.waits);
        of_sites
            .chain(beside)
            .fold((0, 0), |(count, ns): (u64, u64), waits| {
                (
                    count.saturating_add(waits.count()),
                    ns.saturating_add(waits.total_ns),
                )
            })
    }

    /// Everyone who waited for the lock, who did so the longest first.
    #[must_use]
    pub fn waiters(&self) -> Vec<Waiter> {
        let mut all: Vec<Waiter> = Vec::new();
        for site in &self.sites {
            if let Some(waits) = site.wait.as_ref().filter(|waits| waits.count() > 0) {
                all.push(Waiter {
                    who: site.site.name().to_owned(),
                    site: Some(site.site),
                    waits: waits.clone(),
                });
            }
        }
        for wait in self.waits_beside_sites() {
            let who = wait.caller.as_deref().unwrap_or(match wait.kind {
                LockKind::SpinRead | LockKind::SleepRead => "an unknown reader",
                _ => "an unknown caller",
            });
            match all
                .iter_mut()
                .find(|waiter| waiter.site.is_none() && waiter.who == who)
            {
                Some(waiter) => waiter.waits.merge(&wait.waits),
                None => all.push(Waiter {
                    who: who.to_owned(),
                    site: None,
                    waits: wait.waits.clone(),
                }),
            }
        }
        all.sort_by_key(|waiter| std::cmp::Reverse(waiter.waits.total_ns));
        all
    }
}
