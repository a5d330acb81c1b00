//! The processes of a load: what it has started, also what it has let go of.
//!
//! A child whose parent has ended belongs to init, and no list of children has it any more. So the load gets a
//! word into its environment, which its children inherit and nobody else has. A program that writes over its
//! own environment (setproctitle) is found by its parent, as long as that lives.
//!
//! One without both, an orphan that has cleaned its environment, is not found. The daemon could have the kernel make it
//! the parent of such orphans (PR_SET_CHILD_SUBREAPER), but then it would be the one who reaps all of its load's: each
//! would wake it, and be released by it under the very lock that is measured. And one that is killed would leave them to
//! init all the same.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fmt, fs,
    str::FromStr,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::proc::{StatLine, numbers};

/// The variable of the environment that tells whose load a process is.
pub const VARIABLE: &str = "LOCKPROF_LOAD";
/// How often all processes are looked through for those of a load: it may make some faster than they are found.
const ROUNDS: usize = 100;
/// How long the end of those that were killed is waited for: one that sleeps in the kernel ends when that is over.
const PATIENCE: Duration = Duration::from_secs(1);

/// A word that tells the processes of one load from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// That of this process's load: no other process of this boot has had the same number at the same time.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self(format!("{}-{now_ns}", std::process::id()))
    }

    /// The load's processes that have not ended, its first one among them where that is given.
    #[must_use]
    pub fn processes(&self, first: Option<u32>) -> Vec<u32> {
        let entry = format!("{VARIABLE}={self}");
        let all = numbers("/proc").filter_map(|number| Process::read(number, entry.as_bytes()));
        belonging(&all.collect::<Vec<_>>(), first)
    }

    /// Asks all of them to end. They are stopped before, so that whoever is there is asked, and once: not what
    /// they start afterwards to clean up. What was stopped already, by Ctrl-Z, hears it too.
    pub fn terminate(&self, first: Option<u32>) {
        let all = self.send_all(first, libc::SIGSTOP);
        for signal in [libc::SIGTERM, libc::SIGCONT] {
            all.iter().for_each(|process| send(*process, signal));
        }
    }

    /// Kills all of them, and waits for their end: the signal alone ends nobody.
    pub fn kill(&self, first: Option<u32>) {
        let killed = self.send_all(first, libc::SIGKILL);
        let deadline = Instant::now() + PATIENCE;
        killed
            .into_iter()
            .for_each(|process| wait_for_end(process, deadline));
    }

    /// Sends all of them a signal that keeps them from starting anything, and gives those that got it. To a
    /// signal that is pending fork returns (kernel/fork.c, copy_process), so a look that finds nobody new has
    /// seen them all.
    fn send_all(&self, first: Option<u32>, signal: libc::c_int) -> BTreeSet<u32> {
        let mut sent = BTreeSet::new();
        for _ in 0..ROUNDS {
            let mut found = self.processes(first);
            found.retain(|process| sent.insert(*process));
            if found.is_empty() {
                break;
            }
            found.iter().for_each(|process| send(*process, signal));
        }
        sent
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<OsStr> for Mark {
    fn as_ref(&self) -> &OsStr {
        self.0.as_ref()
    }
}

impl FromStr for Mark {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// What is to be known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    number: u32,
    parent: u32,
    marked: bool,
}

impl Process {
    /// Reads its folder in /proc; none where it has ended.
    fn read(number: u32, entry: &[u8]) -> Option<Self> {
        let stat = fs::read(format!("/proc/{number}/stat")).ok()?;
        let stat = StatLine::parse(&stat)?;
        if matches!(stat.state()?, 'Z' | 'X') {
            return None;
        }
        // Of another user's process it cannot be read, and such a load cannot be signalled either.
        let environment = fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
        Some(Self {
            number,
            parent: stat.field(4)?,
            marked: environment.split(|byte| *byte == 0).any(|one| one == entry),
        })
    }
}

/// The marked ones, the first one, and what they have started; not this process, which may itself be another
/// one's load.
fn belonging(all: &[Process], first: Option<u32>) -> Vec<u32> {
    let mut found: Vec<u32> = all
        .iter()
        .filter(|process| process.marked || Some(process.number) == first)
        .map(|process| process.number)
        .collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = all.iter().filter(|process| process.parent == parent);
        for child in children.map(|process| process.number) {
            if !found.contains(&child) {
                found.push(child);
            }
        }
        next += 1;
    }
    found.retain(|process| *process != std::process::id());
    found
}

/// One that has ended meanwhile is no error.
fn send(process: u32, signal: libc::c_int) {
    if let Ok(process) = i32::try_from(process) {
        // SAFETY: the call has no precondition.
        unsafe { libc::kill(process, signal) };
    }
}

/// Of one that has ended there is nothing to wait for.
fn wait_for_end(process: u32, deadline: Instant) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let Some(Ok(process)) = process.map(|process| pidfd_open(process, PidfdFlags::empty())) else {
        return;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if let Ok(left) = Timespec::try_from(left) {
        // A child's end interrupts the call. That the process goes on all the same is all that is left to know, and nobody
        // would do anything else then.
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        let _ = retry_on_intr(|| poll(&mut ended, Some(&left)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(number: u32, parent: u32, marked: bool) -> Process {
        Process {
            number,
            parent,
            marked,
        }
    }

    #[test]
    fn orphans_and_those_without_the_mark_belong_to_the_load() {
        let all = [
            process(1, 0, false),
            process(10, 1, false),
            // The load, a child that wrote over its environment, and that one's child.
            process(20, 10, true),
            process(21, 20, false),
            process(22, 21, false),
            // An orphan.
            process(23, 1, true),
            process(30, 1, false),
        ];
        assert_eq!(belonging(&all, None), [20, 23, 21, 22]);
        assert_eq!(belonging(&all, Some(30)), [20, 23, 30, 21, 22]);
        assert!(belonging(&all[..2], Some(99)).is_empty());
    }

    #[test]
    fn this_process_is_not_its_own_load() {
        let own = std::process::id();
        let all = [process(own, 1, true), process(own + 1, own, false)];
        assert_eq!(belonging(&all, None), [own + 1]);
    }
}
