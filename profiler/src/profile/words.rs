//! What reports call the holds of a lock, and waiting behind none of them: a mutex has no readers.

use super::{LockKind, Profile};
use crate::recording::schema::LockFamily;

impl Profile {
    /// Whether the lock is a mutex, which nobody reads.
    #[must_use]
    pub fn is_of_mutex(&self) -> bool {
        self.lock_family() == Some(LockFamily::Mutex)
    }

    /// Whether its holds are followed by task: who holds it may sleep, and others run meanwhile.
    #[must_use]
    pub fn is_followed_by_task(&self) -> bool {
        matches!(
            self.lock_family(),
            Some(LockFamily::Mutex | LockFamily::Rwsem)
        )
    }

    /// What kind of lock those wait for who take it for writing, or for reading.
    #[must_use]
    pub fn kind_of(&self, writer: bool) -> LockKind {
        match (self.lock_family(), writer) {
            (Some(LockFamily::Mutex), _) => LockKind::Mutex,
            (Some(LockFamily::Rwsem), true) => LockKind::SleepWrite,
            (Some(LockFamily::Rwsem), false) => LockKind::SleepRead,
            (_, true) => LockKind::SpinWrite,
            (_, false) => LockKind::SpinRead,
        }
    }

    /// What the lock was while somebody had it for itself alone: of a mutex nobody has it in another way.
    #[must_use]
    pub fn held_in_words(&self) -> &'static str {
        if self.is_of_mutex() {
            "held"
        } else {
            "held for writing"
        }
    }

    /// What its holds are called, of which there are several.
    #[must_use]
    pub fn holds_in_words(&self) -> &'static str {
        if self.is_of_mutex() {
            "holds"
        } else {
            "write holds"
        }
    }

    /// What a wait was spent behind where it was behind none of those.
    #[must_use]
    pub fn rest_in_words(&self) -> &'static str {
        if self.is_of_mutex() {
            "hand-over"
        } else {
            "readers and hand-over"
        }
    }
}
