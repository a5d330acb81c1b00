//! Kinds of locks, as the flags of a wait tell them.

use lockprof_abi::{LCB_F_MUTEX, LCB_F_PERCPU, LCB_F_READ, LCB_F_RT, LCB_F_SPIN, LCB_F_WRITE};

use crate::recording::schema::LockFamily;

/// What kind of lock a wait was for, as far as the tracepoint's flags tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKind {
    /// A spinning lock that one holds.
    Spin,
    /// A spinning lock that many read, to read.
    SpinRead,
    /// A spinning lock that many read, to write.
    SpinWrite,
    /// A mutex.
    Mutex,
    /// A sleeping lock that many read, to read.
    SleepRead,
    /// A sleeping lock that many read, to write.
    SleepWrite,
    /// A lock of a real-time kernel.
    RealTime,
    /// A reader-writer lock with a part on each CPU.
    PerCpu,
    /// The flags say nothing: a semaphore, or a mutex of an older kernel.
    Sleep,
}

impl LockKind {
    /// By the tracepoint's LCB_F_ flags.
    #[must_use]
    pub fn of(flags: u32) -> Self {
        let has = |flag| flags & flag != 0;
        // A mutex that is waited for by spinning has both flags, so the order matters.
        if has(LCB_F_MUTEX) {
            Self::Mutex
        } else if has(LCB_F_PERCPU) {
            Self::PerCpu
        } else if has(LCB_F_RT) {
            Self::RealTime
        } else {
            match (has(LCB_F_SPIN), has(LCB_F_READ), has(LCB_F_WRITE)) {
                (true, true, _) => Self::SpinRead,
                (true, false, true) => Self::SpinWrite,
                (true, false, false) => Self::Spin,
                (false, true, _) => Self::SleepRead,
                (false, false, true) => Self::SleepWrite,
                (false, false, false) => Self::Sleep,
            }
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spin => "spinlock",
            Self::SpinRead => "rwlock:R",
            Self::SpinWrite => "rwlock:W",
            Self::Mutex => "mutex",
            Self::SleepRead => "rwsem:R",
            Self::SleepWrite => "rwsem:W",
            Self::RealTime => "rt lock",
            Self::PerCpu => "pcpu-sem",
            Self::Sleep => "sleeping",
        }
    }

    /// The family of locks whose waits come from the same place in the kernel; none where the flags say
    /// nothing.
    #[must_use]
    pub const fn family(self) -> Option<LockFamily> {
        match self {
            Self::Spin => Some(LockFamily::Spinlock),
            Self::SpinRead | Self::SpinWrite => Some(LockFamily::Rwlock),
            Self::Mutex => Some(LockFamily::Mutex),
            Self::SleepRead | Self::SleepWrite => Some(LockFamily::Rwsem),
            Self::RealTime => Some(LockFamily::RtMutex),
            Self::PerCpu => Some(LockFamily::PercpuRwsem),
            Self::Sleep => None,
        }
    }

    /// Whether who waits does so on the CPU.
    #[must_use]
    pub const fn spins(self) -> bool {
        matches!(self, Self::Spin | Self::SpinRead | Self::SpinWrite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_flags() {
        for (flags, kind) in [
            (LCB_F_SPIN, LockKind::Spin),
            (LCB_F_SPIN | LCB_F_WRITE, LockKind::SpinWrite),
            (LCB_F_SPIN | LCB_F_READ, LockKind::SpinRead),
            (LCB_F_MUTEX, LockKind::Mutex),
            (LCB_F_MUTEX | LCB_F_SPIN, LockKind::Mutex),
            (LCB_F_READ, LockKind::SleepRead),
            (LCB_F_WRITE, LockKind::SleepWrite),
            (LCB_F_PERCPU | LCB_F_READ, LockKind::PerCpu),
            (LCB_F_RT | LCB_F_WRITE, LockKind::RealTime),
            (0, LockKind::Sleep),
        ] {
            assert_eq!(LockKind::of(flags), kind, "{flags:#x}");
        }
    }
}
