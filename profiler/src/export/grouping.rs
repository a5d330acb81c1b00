//! By what the waits for all locks are grouped, as `--by` names it.

/// A grouping of waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// By class of locks.
    Class,
    /// By single lock.
    Lock,
    /// By the function that asked.
    Caller,
    /// By the process that had the lock.
    Owner,
    /// By waiting task.
    Task,
    /// By waiting process, and who it waited for.
    Process,
    /// By the waiting process's name, and by those of whom it waited for.
    Command,
    /// By the waiting task's cgroup.
    Cgroup,
}

impl Grouping {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Class,
        Self::Lock,
        Self::Caller,
        Self::Owner,
        Self::Task,
        Self::Process,
        Self::Command,
        Self::Cgroup,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Lock => "lock",
            Self::Caller => "caller",
            Self::Owner => "owner",
            Self::Task => "task",
            Self::Process => "process",
            Self::Command => "command",
            Self::Cgroup => "cgroup",
        }
    }
}
