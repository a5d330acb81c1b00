//! What lockprof knows of single locks besides what the kernel tells of each: one file a lock. A lock that is not here is
//! followed all the same, without everyday names.

mod cgroup_mutex;
mod f_pos_lock;
mod file_rwsem;
mod mmap_lock;
mod pidmap_lock;
mod tasklist_lock;

pub use f_pos_lock::hold_by_lseek;
pub use file_rwsem::hold_by_proc_locks;
pub use mmap_lock::{OwnMemory, hold_by_mmap};
pub use tasklist_lock::hold_by_setpgid;

use crate::{recording::schema::LockFamily, site::Site, span::Span};

/// The lock that is followed when nobody says otherwise.
pub const DEFAULT_LOCK: &str = tasklist_lock::LOCK.name;

/// Of which locks holds are followed: a part of a sentence.
pub const FOLLOWED_HOLDS: &str =
    "only holds of mutexes, rwsems, rwlocks, and of those who write percpu-rwsems, are followed";

/// What is known of a lock.
#[derive(Debug)]
pub struct KnownLock {
    /// Its symbol, or the name of its class.
    pub name: &'static str,
    /// What kind of lock it is where the kernel is not real-time: the only other thing that tells a kind is a wait.
    pub family: LockFamily,
    /// Whether all who write it turn interrupts off by write_lock_irq().
    pub writers_irq: bool,
    /// Where its definition was read.
    pub source: &'static str,
    /// The callers that have everyday names, hottest first. Where there are any, no others are learned.
    pub sites: &'static [KnownSite],
    /// The calls inside its holds that are measured where nobody names others, in the order of attaching.
    pub spans: &'static [KnownSpan],
    /// The function whose first write lock it is, by which its address is learned where no symbol tells it.
    pub learned_in: Option<&'static str>,
    /// Whether each task takes it for writing when it is made, when it ends and when it is reaped.
    pub taken_by_each_task: bool,
    /// The site of [`hold_by_setpgid`]'s holds, which change nothing; none where it does not hold this lock.
    pub control_site: Option<Site>,
    /// Whether each process has one, so that a process has to be named whose is meant.
    pub of_process: bool,
    /// What takes its place and is in no wait for it, as a sentence.
    pub unseen: Option<&'static str>,
}

impl KnownLock {
    /// One of which nothing is known but what it is, and where its definition was read.
    const fn new(name: &'static str, family: LockFamily, source: &'static str) -> Self {
        Self {
            name,
            family,
            writers_irq: false,
            source,
            sites: &[],
            spans: &[],
            learned_in: None,
            taken_by_each_task: false,
            control_site: None,
            of_process: false,
            unseen: None,
        }
    }
}

static KNOWN: [&KnownLock; 6] = [
    &tasklist_lock::LOCK,
    &mmap_lock::LOCK,
    &pidmap_lock::LOCK,
    &cgroup_mutex::LOCK,
    &f_pos_lock::LOCK,
    &file_rwsem::LOCK,
];

/// A caller that has an everyday name.
#[derive(Debug)]
pub struct KnownSite {
    /// The caller.
    pub site: Site,
    /// The function that it is, where it is one.
    pub symbol: Option<&'static str>,
    /// The functions that it is in one kernel or another.
    pub functions: &'static [SiteFunction],
}

/// A function that takes the lock, or that has such a function inlined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteFunction {
    /// Its name.
    pub name: &'static str,
    /// Where the kernel's source says so.
    pub source: &'static str,
}

/// A function whose calls may lie inside holds.
#[derive(Debug)]
pub struct KnownSpan {
    /// The function.
    pub span: Span,
    /// What it does: a part of a sentence.
    pub does: &'static str,
    /// Whether it is measured only for whoever asks for it: the whole machine calls it, so that two programs there cost
    /// everybody.
    pub is_on_request: bool,
    /// Whether its end is probed; no time is taken where it is not.
    pub has_left: bool,
    /// Whether holds lie inside it, and it inside none.
    pub encloses_holds: bool,
    /// Whether the deferral of its calls is seen by none of them being inside a hold.
    pub tells_deferral: bool,
    /// The lock that it takes for itself, so that it needs no other to be held.
    pub own_lock: Option<&'static str>,
    /// Those of the others that it calls, in some version.
    pub contains: &'static [Span],
    /// Where the kernel's source says so.
    pub source: &'static str,
}

impl KnownSpan {
    /// One that is measured whole, and of which nothing else is known.
    const fn of(span: Span, does: &'static str, source: &'static str) -> Self {
        Self {
            span,
            does,
            is_on_request: false,
            has_left: true,
            encloses_holds: false,
            tells_deferral: false,
            own_lock: None,
            contains: &[],
            source,
        }
    }
}

const fn of(name: &'static str, source: &'static str) -> SiteFunction {
    SiteFunction { name, source }
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

/// What kind of lock that of this name is on a kernel that is not real-time, where that is known or was told.
#[must_use]
pub fn family(name: &str, told: Option<LockFamily>) -> Option<LockFamily> {
    find(name).map(|known| known.family).or(told)
}

/// Whether all who write the lock of this name turn interrupts off by write_lock_irq(), where that is known or was told.
#[must_use]
pub fn writers_irq(name: &str, told: bool) -> bool {
    find(name).map_or(told, |known| known.writers_irq)
}

/// The known spans of the lock of this name.
#[must_use]
pub fn spans_of(name: &str) -> &'static [KnownSpan] {
    find(name).map_or(&[], |known| known.spans)
}

/// The known spans of all locks.
pub fn spans() -> impl Iterator<Item = &'static KnownSpan> {
    all().flat_map(|known| known.spans)
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

/// Whether each process has a lock of this name of its own.
#[must_use]
pub fn is_of_process(name: &str) -> bool {
    find(name).is_some_and(|known| known.of_process)
}

/// The site that a function means in the report of a known lock. `copy_process.cold` and `ptrace_attach.isra.0` mean the
/// same as the function that they were made from.
#[must_use]
pub fn site_of_function(name: &str) -> Option<Site> {
    let base = base_of_function(name);
    let mut sites = all().flat_map(|known| known.sites);
    let is_one = |known: &&KnownSite| known.functions.iter().any(|one| one.name == base);
    sites.find(is_one).map(|known| known.site)
}

/// The function that one was made from by the compiler.
#[must_use]
pub fn base_of_function(name: &str) -> &str {
    name.split_once('.').map_or(name, |(base, _)| base)
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

    #[test]
    fn what_is_known_of_a_kind_wins_over_what_was_told() {
        let told = Some(LockFamily::Rwsem);
        assert_eq!(family("cgroup_mutex", told), Some(LockFamily::Mutex));
        assert_eq!(family("no_lock", told), told);
        assert_eq!(family("no_lock", None), None);
    }
}
