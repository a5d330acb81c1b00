//! What kind of lock one is: by who gives it back, watched for a moment.

use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use super::bpf_syscall::{Counter, ProgramKind, load, open_raw_tracepoint};
use super::btf::{Btf, BtfKind};
use super::by_task::ByTask;
use super::lock_rates::counting;
use super::obstructions::Obstructions;
use super::rwlocks::RWLOCK;
use super::sites::UNLOCK_FUNCTION;
use crate::recording::schema::LockFamily;

/// How long is watched.
const WATCH: Duration = Duration::from_millis(50);

/// What kind of lock one was seen to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenKind {
    /// The kind.
    pub family: LockFamily,
    /// By which functions it was given back, and how often.
    pub by: Vec<(&'static str, u64)>,
}

impl SeenKind {
    /// Watches for a moment by which functions the lock at an address is given back; `None` where nobody has.
    ///
    /// # Errors
    /// The kernel refuses a program that counts: what was tried, and the kernel's answer.
    pub fn of(lock: u64) -> Result<Option<Self>, String> {
        // See `trials::all`.
        if Obstructions::read().ftrace_enabled == Some(false) {
            return Err("ftrace is switched off".to_owned());
        }
        let names: Vec<&'static str> = functions().map(|(name, _)| name).collect();
        let btf = Btf::from_sys_fs().map_err(|error| error.to_string())?;
        let found = btf.find(BtfKind::Func, &names);
        let found = found.map_err(|error| error.to_string())?;
        let mut watched = Vec::new();
        for name in names {
            let Some(function) = found.iter().find(|function| function.name == name) else {
                continue;
            };
            let failed = |what: &str, error: &dyn std::fmt::Display| {
                format!("{what} a program that counts calls of {name}: {error}")
            };
            let counter = || Counter::new().map_err(|error| failed("creating a map for", &error));
            let (all, of_lock) = (counter()?, counter()?);
            let instructions = counting(all.fd(), of_lock.fd(), lock);
            let program = load(ProgramKind::Fentry(function.id), &instructions)
                .map_err(|error| failed("loading", &error))?;
            // A function that cannot be traced is one of which nothing is known.
            if let Ok(attached) = open_raw_tracepoint(None, program.as_fd()) {
                watched.push((name, of_lock, attached));
            }
        }
        if watched.is_empty() {
            return Err("none of the functions that give locks back can be watched".to_owned());
        }
        let read = || -> Result<Vec<u64>, String> {
            let counts = watched.iter().map(|(name, of_lock, _attached)| {
                let count = of_lock.read();
                count.map_err(|error| format!("reading the calls of {name}: {error}"))
            });
            counts.collect()
        };
        // What one of the programs has seen before the last one was there is none of these.
        let before = read()?;
        thread::sleep(WATCH);
        let counts = read()?;
        let counts = counts.iter().zip(before).map(|(now, before)| now - before);
        let names = watched.iter().map(|(name, ..)| *name);
        let calls: Vec<(&'static str, u64)> = names.zip(counts).collect();
        Ok(Self::by(&calls))
    }

    /// The kind whose functions were called most often with the lock.
    fn by(calls: &[(&'static str, u64)]) -> Option<Self> {
        let called = calls.iter().copied().filter(|&(_, count)| count > 0);
        let by: Vec<(&'static str, u64)> = called.collect();
        let (most, _) = by.iter().max_by_key(|&&(_, count)| count)?;
        let (_, family) = functions().find(|(name, _)| name == most)?;
        Some(Self { family, by })
    }

    /// What was seen, as a part of a sentence.
    #[must_use]
    pub fn how(&self) -> String {
        let by = self.by.iter();
        let by: Vec<String> = by
            .map(|(name, count)| format!("{name} ({count})"))
            .collect();
        format!(
            "in {} ms it was given back by {}",
            WATCH.as_millis(),
            by.join(", ")
        )
    }

    /// Whether, of a reader-writer lock that spins, all who were seen to write turn interrupts off by write_lock_irq().
    #[must_use]
    pub fn writers_irq(&self) -> bool {
        let by = self.by.iter().map(|&(name, _)| name);
        let mut by_writers = by.filter(|name| RWLOCK.releases(false).any(|one| one == *name));
        let first = by_writers.next();
        first == Some(UNLOCK_FUNCTION) && by_writers.next().is_none()
    }
}

/// That nobody took a lock, and what follows: a part of a sentence.
#[must_use]
pub fn nobody_took_it(lock: &str) -> String {
    format!(
        "in {} ms it was given back by none of the functions of mutexes, rwsems and rwlocks that can be watched here, so that \
         its kind is not known: say it, as in --lock {lock}:mutex, --lock {lock}:rwsem or --lock {lock}:rwlock",
        WATCH.as_millis()
    )
}

/// The functions that are watched, and of which kind the locks are that they give back.
fn functions() -> impl Iterator<Item = (&'static str, LockFamily)> {
    ByTask::ALL.into_iter().flat_map(|by_task| {
        let functions = by_task.releases(true);
        functions.map(move |function| (function, by_task.family))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_that_were_called_tell_the_kind() {
        let of = |calls: &[(&'static str, u64)]| SeenKind::by(calls);
        assert_eq!(of(&[("mutex_unlock", 0), ("up_read", 0)]), None);
        let rwsem = of(&[("mutex_unlock", 0), ("up_write", 2), ("up_read", 9)]).unwrap();
        assert_eq!(rwsem.family, LockFamily::Rwsem);
        assert_eq!(
            rwsem.how(),
            "in 50 ms it was given back by up_write (2), up_read (9)"
        );
        assert!(!rwsem.writers_irq());
        let mutex = of(&[("mutex_unlock", 1)]).unwrap();
        assert_eq!(mutex.family, LockFamily::Mutex);
        for (calls, writers_irq) in [
            (&[(UNLOCK_FUNCTION, 4), ("_raw_read_unlock", 7)][..], true),
            (&[(UNLOCK_FUNCTION, 4), ("_raw_write_unlock", 1)], false),
            (&[("_raw_write_unlock_bh", 1)], false),
            (&[("_raw_read_unlock", 7)], false),
        ] {
            let rwlock = of(calls).unwrap();
            assert_eq!(rwlock.family, LockFamily::Rwlock);
            assert_eq!(rwlock.writers_irq(), writers_irq, "{calls:?}");
        }
    }

    #[test]
    fn no_function_is_of_two_kinds_and_none_is_forbidden() {
        let names: Vec<&str> = functions().map(|(name, _)| name).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
            assert_eq!(crate::kernel::refuse(name), None);
        }
    }
}
