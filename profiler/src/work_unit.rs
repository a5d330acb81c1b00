//! What work is counted in: what waiting for a lock, and what is asked of it, is divided by.

use serde::Serialize;

use crate::known_locks;

/// A unit of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkUnit {
    /// A task's life, whatever load it is of: of a lock that each task takes when it is made, ends and is reaped.
    #[default]
    TaskLife,
    /// An iteration of a bundled load, which tells how many it did.
    Iteration,
    /// A second, where nobody tells what was done in it.
    Second,
}

impl WorkUnit {
    /// That of a lock, with a load that tells its iterations or without one.
    #[must_use]
    pub fn of(lock: &str, has_iterations: bool) -> Self {
        if known_locks::is_taken_by_each_task(lock) {
            Self::TaskLife
        } else if has_iterations {
            Self::Iteration
        } else {
            Self::Second
        }
    }

    /// A word for keys.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::TaskLife => "life",
            Self::Iteration => "iteration",
            Self::Second => "second",
        }
    }

    /// Its name, where it has been said.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        // A word for keys is one for sentences.
        self.key()
    }

    /// One of it, behind a number: `1.00 a life`.
    #[must_use]
    pub const fn one(self) -> &'static str {
        match self {
            Self::TaskLife => "a life",
            Self::Iteration => "an iteration",
            Self::Second => "a second",
        }
    }

    /// Several of it, where it is said for the first time.
    #[must_use]
    pub const fn several(self) -> &'static str {
        match self {
            Self::TaskLife => "task lives",
            Self::Iteration => "iterations",
            Self::Second => "seconds",
        }
    }

    /// Several of it, where it has been said.
    #[must_use]
    pub const fn again(self) -> &'static str {
        match self {
            Self::TaskLife => "lives",
            Self::Iteration => "iterations",
            Self::Second => "seconds",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_of_the_lock_that_each_task_takes_alone() {
        for (lock, has_iterations, unit) in [
            ("tasklist_lock", true, WorkUnit::TaskLife),
            ("tasklist_lock", false, WorkUnit::TaskLife),
            ("cgroup_mutex", true, WorkUnit::Iteration),
            ("cgroup_mutex", false, WorkUnit::Second),
        ] {
            assert_eq!(WorkUnit::of(lock, has_iterations), unit, "{lock}");
        }
    }
}
