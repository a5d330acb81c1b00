//! What the driver must know of a workload, and how a worker says what went wrong.

use std::any::Any;
use std::io;

use crate::limits;

/// A workload as the driver sees it.
pub(crate) struct Load {
    /// will-it-scale's `testcase_description`.
    pub(crate) description: &'static str,
    /// What each worker process does before it is released.
    pub(crate) session: Session,
    /// One iteration; it leaves nothing half-done, whether it succeeds or fails.
    pub(crate) iterate: fn() -> Result<(), Failure>,
    /// How many tasks one iteration creates and reaps.
    pub(crate) tasks_per_iteration: u64,
    /// How many null holds one iteration makes.
    pub(crate) null_holds_per_iteration: u64,
    /// What the main process makes before it starts the workers, which inherit it.
    pub(crate) prepare: fn() -> anyhow::Result<Prepared>,
    /// How often one iteration takes the lock that the load is for; none of tasklist_lock, for which tasks are counted.
    pub(crate) takes: Option<Takes>,
}

impl Load {
    /// A load that makes no tasks, needs nothing, and is for no lock of its own.
    pub(crate) fn of(description: &'static str, iterate: fn() -> Result<(), Failure>) -> Self {
        Self {
            description,
            session: Session::Inherited,
            iterate,
            tasks_per_iteration: 0,
            null_holds_per_iteration: 0,
            prepare: || Ok(Prepared(None)),
            takes: None,
        }
    }
}

/// A lock, and how often one iteration takes it.
#[derive(Clone, Copy)]
pub(crate) struct Takes {
    /// The structure with its member and whose it is, or its symbol.
    pub(crate) lock: &'static str,
    /// For writing, or for itself where it is no reader-writer lock.
    pub(crate) exclusive: u64,
    /// For reading.
    pub(crate) shared: u64,
}

/// What was made for the workers; gone when it is dropped.
pub(crate) struct Prepared(#[expect(dead_code, reason = "held for its drop")] Option<Box<dyn Any>>);

impl Prepared {
    /// Keeps something until the workers are gone.
    pub(crate) fn of(made: impl Any) -> Self {
        Self(Some(Box::new(made)))
    }
}

/// The session and process group of a worker process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// Those of the main process.
    Inherited,
    /// A session of its own, which it leads.
    Own,
    /// A process group of its own in the inherited session.
    OwnGroup,
}

/// What a worker tried to do. The numbers travel through shared memory; 0 stands for "nothing".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Operation {
    Pin = 1,
    PthreadCreate,
    PthreadJoin,
    Fork,
    Wait,
    Setsid,
    Setpgid,
    Kill,
    Mmap,
    Munmap,
    Clone,
    Open,
    Unlink,
    Rename,
    Write,
    Read,
    Mincore,
    Mkdir,
    Rmdir,
    Fcntl,
    Uname,
    Sethostname,
}

impl Operation {
    const ALL: [Self; 22] = [
        Self::Pin,
        Self::PthreadCreate,
        Self::PthreadJoin,
        Self::Fork,
        Self::Wait,
        Self::Setsid,
        Self::Setpgid,
        Self::Kill,
        Self::Mmap,
        Self::Munmap,
        Self::Clone,
        Self::Open,
        Self::Unlink,
        Self::Rename,
        Self::Write,
        Self::Read,
        Self::Mincore,
        Self::Mkdir,
        Self::Rmdir,
        Self::Fcntl,
        Self::Uname,
        Self::Sethostname,
    ];

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| *operation as u32 == number)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pin => "sched_setaffinity",
            Self::PthreadCreate => "pthread_create",
            Self::PthreadJoin => "pthread_join",
            Self::Fork => "fork",
            Self::Wait => "waitpid",
            Self::Setsid => "setsid",
            Self::Setpgid => "setpgid",
            Self::Kill => "kill",
            Self::Mmap => "mmap",
            Self::Munmap => "munmap",
            Self::Clone => "clone",
            Self::Open => "open",
            Self::Unlink => "unlink",
            Self::Rename => "rename",
            Self::Write => "write",
            Self::Read => "read",
            Self::Mincore => "mincore",
            Self::Mkdir => "mkdir",
            Self::Rmdir => "rmdir",
            Self::Fcntl => "fcntl",
            Self::Uname => "uname",
            Self::Sethostname => "sethostname",
        }
    }
}

/// An operation that did not do what it should, and the error number it gave (0: it succeeded
/// where it should have failed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) operation: Operation,
    pub(crate) errno: i32,
}

impl Failure {
    /// The operation has just failed, and `errno` says why.
    pub(crate) fn last(operation: Operation) -> Self {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        Self { operation, errno }
    }

    /// Describes it; reads the limits of this process, so it is for the main process.
    pub(crate) fn describe(self) -> String {
        let Self { operation, errno } = self;
        let name = operation.name();
        match (operation, errno) {
            (_, 0) => format!("{name} succeeded, which it must not"),
            (Operation::PthreadCreate | Operation::Fork | Operation::Clone, libc::EAGAIN) => {
                format!(
                    "{name} failed with EAGAIN: a limit on the number of tasks is reached ({})",
                    limits::of_tasks()
                )
            }
            (Operation::Mmap | Operation::Munmap, libc::ENOMEM) => format!(
                "{name} failed with ENOMEM: a limit on a process's memory or mappings is reached, \
                 or no memory is left ({})",
                limits::of_mappings()
            ),
            _ => format!("{name} failed: {}", io::Error::from_raw_os_error(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_survive_shared_memory() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_number(operation as u32), Some(operation));
        }
        assert_eq!(Operation::from_number(0), None);
        assert_eq!(Operation::from_number(99), None);
    }

    #[test]
    fn eagain_names_the_limits() {
        let failure = Failure {
            operation: Operation::Fork,
            errno: libc::EAGAIN,
        };
        let text = failure.describe();
        assert!(text.contains("RLIMIT_NPROC"), "{text}");
        assert!(text.contains("kernel.threads-max"), "{text}");
    }

    #[test]
    fn enomem_names_the_limits() {
        for operation in [Operation::Mmap, Operation::Munmap] {
            let failure = Failure {
                operation,
                errno: libc::ENOMEM,
            };
            let text = failure.describe();
            assert!(text.contains("RLIMIT_AS"), "{text}");
            assert!(text.contains("vm.max_map_count"), "{text}");
        }
    }
}
