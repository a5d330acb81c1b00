//! What lockprof knows of single locks besides what the kernel tells of each: one file a lock. A lock that is not here is
//! followed all the same, without everyday names.

mod mmap_lock;
mod pidmap_lock;
mod tasklist_lock;

pub use tasklist_lock::hold_by_setpgid;

use lockprof_abi::Site;

use crate::recording::schema::LockFamily;

/// The lock that is followed when nobody says otherwise.
pub const DEFAULT_LOCK: &str = tasklist_lock::LOCK.name;

/// What is known of a lock.
#[derive(Debug)]
pub struct KnownLock {
    /// Its symbol, or the name of its class.
    pub name: &'static str,
    /// What kind of lock it is where the kernel is not real-time: the only other thing that tells a kind is a wait.
    pub family: LockFamily,
    /// Where its definition was read.
    pub source: &'static str,
    /// The functions that take it and have everyday names, hottest first.
    pub sites: &'static [SiteFunction],
    /// The function whose first write lock it is, by which its address is learned where no symbol tells it.
    pub learned_in: Option<&'static str>,
    /// Whether each task takes it for writing when it is made, when it ends and when it is reaped.
    pub taken_by_each_task: bool,
    /// Whether [`hold_by_setpgid`] holds it, which changes nothing.
    pub is_held_by_setpgid: bool,
    /// What takes its place and is in no wait for it, as a sentence.
    pub unseen: Option<&'static str>,
}

static KNOWN: [&KnownLock; 3] = [&tasklist_lock::LOCK, &mmap_lock::LOCK, &pidmap_lock::LOCK];

/// A function that takes the lock, or that has such a function inlined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteFunction {
    /// Its name.
    pub function: &'static str,
    /// What it means.
    pub site: Site,
    /// Where the kernel's source says so.
    pub source: &'static str,
}

const fn of(function: &'static str, site: Site, source: &'static str) -> SiteFunction {
    SiteFunction {
        function,
        site,
        source,
    }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static KnownLock> {
    KNOWN.into_iter()
}

/// What is known of the lock of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static KnownLock> {
    all().find(|known| known.name == name)
}

/// Whether those who take the lock of this name have everyday names.
#[must_use]
pub fn has_sites(name: &str) -> bool {
    find(name).is_some_and(|known| !known.sites.is_empty())
}

/// Whether each task takes the lock of this name for writing when it is made, when it ends and when it is reaped.
#[must_use]
pub fn is_taken_by_each_task(name: &str) -> bool {
    find(name).is_some_and(|known| known.taken_by_each_task)
}

/// The functions with everyday names, those of each lock hottest first.
pub fn site_functions() -> impl Iterator<Item = &'static SiteFunction> {
    all().flat_map(|known| known.sites)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lock_is_known_once_and_says_where_from() {
        for (index, known) in all().enumerate() {
            let mut before = all().take(index);
            assert!(
                before.all(|other| other.name != known.name),
                "{}",
                known.name
            );
            assert!(known.source.contains(known.name), "{}", known.source);
        }
        assert!(has_sites(DEFAULT_LOCK));
        assert!(!has_sites("mmap_lock"));
        assert!(find("no_lock").is_none());
    }
}
