//! What reports call the holds of a lock, and waiting behind none of them: a mutex has no readers.

use super::{LockKind, Profile};
use crate::{kernel::ByTask, recording::schema::LockFamily};

impl Profile {
    /// Whether the lock is a mutex, which nobody reads.
    #[must_use]
    pub fn is_of_mutex(&self) -> bool {
        self.lock_family() == Some(LockFamily::Mutex)
    }

    /// Whether its holds are followed by task.
    #[must_use]
    pub fn is_followed_by_task(&self) -> bool {
        match self.lock_family() {
            Some(LockFamily::Mutex | LockFamily::Rwsem | LockFamily::PercpuRwsem) => true,
            // Others are followed by CPU.
            Some(LockFamily::Rwlock) => {
                let mut probes = self.header.attach.probes.iter();
                probes.any(|probe| ByTask::has_program(&probe.program))
            }
            _ => false,
        }
    }

    /// Whether who holds it may sleep, or be switched out.
    #[must_use]
    pub fn may_be_slept_with(&self) -> bool {
        self.is_followed_by_task() && self.lock_family() != Some(LockFamily::Rwlock)
    }

    /// Whether some of those who have it are seen with --readers alone.
    #[must_use]
    pub fn may_be_read_unseen(&self) -> bool {
        let by_task = ByTask::of(self.lock_family(), false);
        !self.header.readers && by_task.is_none_or(|by_task| by_task.readers.is_ok())
    }

    /// What kind of lock those wait for who take it for writing, or for reading.
    #[must_use]
    pub fn kind_of(&self, writer: bool) -> LockKind {
        match (self.lock_family(), writer) {
            (Some(LockFamily::Mutex), _) => LockKind::Mutex,
            (Some(LockFamily::Rwsem), true) => LockKind::SleepWrite,
            (Some(LockFamily::Rwsem), false) => LockKind::SleepRead,
            (Some(LockFamily::PercpuRwsem), _) => LockKind::PerCpu,
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
