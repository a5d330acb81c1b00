//! Locks that are followed by task: by which functions each kind is taken and given back, and which programs stand there.

use std::io;

use lockprof_abi::{Followed, TextRange};

use super::{
    kallsyms::Kallsyms, mutexes::MUTEX, percpu_rwsems::PERCPU_RWSEM, plan::Role, rwlocks::RWLOCK,
    rwsems::RWSEM,
};
use crate::recording::schema::LockFamily;

/// Why kprobes do not do for locks that may be slept for: a part of a sentence.
pub(super) const NOT_WHERE_TASKS_SLEEP: &str = "holds of a lock that may be slept for are followed by fentry and fexit alone, for a \
     kretprobe runs out of places where tasks sleep in the function that it stands at";

/// Functions that stand this far apart are in two parts of the kernel's text, in bytes: those of one file and section have
/// little between them.
const APART: u64 = 1 << 16;

/// A kind of locks that are followed by task.
#[derive(Debug)]
pub struct ByTask {
    /// The kind.
    pub family: LockFamily,
    /// What the programs know it as.
    pub followed: Followed,
    /// One of them, with its article.
    pub one: &'static str,
    /// Several of them.
    pub plural: &'static str,
    /// Whether who has one may sleep, or be switched out.
    pub sleeps: bool,
    /// What it is on PREEMPT_RT: a part of a sentence.
    pub(super) on_realtime: &'static str,
    /// Why kprobes do not do: a part of a sentence.
    pub(super) not_by_kprobe: &'static str,
    /// Whether readers are followed where they are asked for; else why not, as a sentence.
    pub readers: Result<(), &'static str>,
    /// Every function that may be probed, in the order of attaching: what ends a hold before what begins one, and the
    /// hottest last.
    pub(super) hooks: &'static [Hook],
    /// Functions without which no hold is followed; of the others a kernel has those of its configuration.
    pub(super) needed: &'static [&'static str],
    /// Takes one of lockprof's own by some of the functions, and gives it back, so often.
    pub hold: fn(u64) -> io::Result<()>,
    /// The name of that lock, where there is one of it: it cannot be followed and be the control, too.
    pub hold_of: Option<&'static str>,
    /// All of those functions.
    pub held_by: &'static [&'static str],
    /// Of those that take it for itself alone, the first that a kernel has is the one that is called.
    pub(super) taken_by: &'static [&'static str],
    /// The one that gives that back.
    pub(super) given_back_by: &'static str,
}

/// A program at a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The function.
    pub function: &'static str,
    /// The program (`profiler-ebpf/src/programs`).
    pub program: &'static str,
    /// What it is for.
    pub role: Role,
    /// Whether it stands at the return.
    pub on_return: bool,
    /// Whether it is there for holds of readers, so that it is attached where those are asked for alone.
    pub of_readers: bool,
}

impl Hook {
    /// At the return of a function that takes the lock.
    pub(super) const fn takes(function: &'static str, program: &'static str) -> Self {
        Self {
            function,
            program,
            role: Role::Acquire,
            on_return: true,
            of_readers: false,
        }
    }

    /// At the entry of one that gives it back.
    pub(super) const fn gives_back(function: &'static str, program: &'static str) -> Self {
        Self {
            role: Role::Release,
            on_return: false,
            ..Self::takes(function, program)
        }
    }

    /// At its return.
    pub(super) const fn books(function: &'static str, program: &'static str) -> Self {
        Self {
            role: Role::Book,
            ..Self::takes(function, program)
        }
    }

    /// The same of readers.
    pub(super) const fn of_readers(self) -> Self {
        Self {
            role: match self.role {
                Role::Acquire => Role::ReadAcquire,
                Role::Release => Role::ReadRelease,
                role => role,
            },
            of_readers: true,
            ..self
        }
    }

    /// Whether a hold begins at it.
    pub(super) const fn takes_the_lock(&self) -> bool {
        matches!(self.role, Role::Acquire | Role::ReadAcquire)
    }
}

impl ByTask {
    /// Every kind.
    pub const ALL: [&'static Self; 4] = [&MUTEX, &RWSEM, &RWLOCK, &PERCPU_RWSEM];

    /// How locks of a family are followed; `None` where that is not by task. A reader-writer lock that spins is followed
    /// by CPU where all of its writers turn interrupts off by write_lock_irq().
    #[must_use]
    pub fn of(family: Option<LockFamily>, writers_irq: bool) -> Option<&'static Self> {
        Self::ALL
            .into_iter()
            .find(|by_task| Some(by_task.family) == family && (by_task.sleeps || !writers_irq))
    }

    /// The programs of holds, with those of readers or without.
    pub(super) fn hooks(&self, readers: bool) -> impl Iterator<Item = &'static Hook> {
        let hooks = self.hooks.iter();
        hooks.filter(move |hook| readers || !hook.of_readers)
    }

    /// Whether a program in a recording is one of a lock that is followed by task.
    #[must_use]
    pub fn has_program(program: &str) -> bool {
        let mut hooks = Self::ALL.into_iter().flat_map(|by_task| by_task.hooks);
        hooks.any(|hook| hook.program == program)
    }

    /// Every function that a probe may be put on, once.
    pub fn functions(&self) -> impl Iterator<Item = &'static str> {
        let before = |index: usize| self.hooks[..index].iter();
        let hooks = self.hooks.iter().enumerate();
        let once = hooks.filter(move |(index, hook)| {
            before(*index).all(|other| other.function != hook.function)
        });
        once.map(|(_, hook)| hook.function)
    }

    /// The functions that give such a lock back, with those of readers or without: so often one is held.
    pub fn releases(&self, readers: bool) -> impl Iterator<Item = &'static str> {
        let hooks = self.hooks(readers);
        hooks
            .filter(|hook| matches!(hook.role, Role::Release | Role::ReadRelease))
            .map(|hook| hook.function)
    }

    /// Where the functions are, from the first to the last of those that stand together: a return address in there marks
    /// the place of their caller on the stack. Empty where addresses are hidden. Those that sleep stand in the scheduler's
    /// section, all others of their file together elsewhere (kernel/locking/mutex.c and rwsem.c, 6.1 to 7.3).
    #[must_use]
    pub fn texts(&self, kallsyms: &Kallsyms) -> [TextRange; 2] {
        let mut ranges: Vec<TextRange> = self
            .functions()
            .filter_map(|function| kallsyms.range_of(function))
            .collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut texts: Vec<TextRange> = Vec::new();
        for range in ranges {
            match texts.last_mut() {
                Some(last) if range.start.saturating_sub(last.start) < APART => {
                    last.length = last.length.max(range.start + range.length - last.start);
                }
                _ => texts.push(range),
            }
        }
        let mut texts = texts.into_iter();
        [(); 2].map(|()| texts.next().unwrap_or(TextRange::EMPTY))
    }
}

/// Every function that a probe may be put on to follow a lock by task.
pub fn functions_by_task() -> impl Iterator<Item = &'static str> {
    ByTask::ALL.into_iter().flat_map(ByTask::functions)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_texts_are_from_the_first_to_the_last_of_those_that_stand_together() {
        let sample = "\
ffffffff81001000 T mutex_trylock
ffffffff81001040 T ww_mutex_lock
ffffffff81001080 T mutex_lock
ffffffff810010c0 T mutex_unlock
ffffffff81001100 T down_read_trylock
ffffffff81001140 T up_read
ffffffff81001180 T rwsem_wake
ffffffff81a01180 T down_read
ffffffff81a011c0 T down_write
ffffffff81a01200 T _etext
";
        let kallsyms = Kallsyms::parse(sample).unwrap();
        let of = |by_task: &ByTask, kallsyms: &Kallsyms| {
            let texts = by_task.texts(kallsyms);
            texts.map(|text| (text.start, text.length))
        };
        assert_eq!(
            of(&MUTEX, &kallsyms),
            [(0xffff_ffff_8100_1000, 0x100), (0, 0)]
        );
        assert_eq!(
            of(&RWSEM, &kallsyms),
            [(0xffff_ffff_8100_1100, 0x80), (0xffff_ffff_81a0_1180, 0x80)]
        );
        let none = Kallsyms::parse("ffffffff8100a000 T _etext\n").unwrap();
        assert_eq!(of(&RWSEM, &none), [(0, 0); 2]);
    }

    #[test]
    fn each_program_stands_at_one_function_and_ends_come_before_beginnings() {
        let mut programs = BTreeSet::new();
        for by_task in ByTask::ALL {
            for hook in by_task.hooks {
                assert!(programs.insert(hook.program), "{}", hook.program);
            }
            assert!(by_task.hooks.is_sorted_by_key(Hook::takes_the_lock));
            let functions: BTreeSet<&str> = by_task.functions().collect();
            assert_eq!(functions.len(), by_task.functions().count());
            for function in by_task
                .held_by
                .iter()
                .chain(by_task.needed)
                .chain(by_task.taken_by)
            {
                assert!(functions.contains(function), "{function}");
            }
        }
    }

    #[test]
    fn without_readers_none_of_their_functions_is_probed() {
        assert_eq!(
            RWSEM.releases(false).collect::<Vec<_>>(),
            ["up_write", "downgrade_write"]
        );
        assert!(
            RWSEM
                .hooks(false)
                .all(|hook| !hook.function.contains("read"))
        );
        assert!(RWSEM.releases(true).any(|function| function == "up_read"));
        assert_eq!(MUTEX.hooks(true).count(), MUTEX.hooks(false).count());
    }
}
