//! What reports call the holds of a lock, and waiting behind none of them: a mutex has no readers.

use super::Profile;
use crate::recording::schema::LockFamily;

impl Profile {
    /// Whether the lock is a mutex: nobody reads it, and who holds it may sleep.
    #[must_use]
    pub fn is_of_mutex(&self) -> bool {
        self.lock_family() == Some(LockFamily::Mutex)
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
