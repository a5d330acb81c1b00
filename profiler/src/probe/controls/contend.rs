//! Threads that contend a lock until somebody was seen to wait, for a short time at most.

use std::{
    io, mem,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A control lasts at most so long.
pub(super) const TIME: Duration = Duration::from_millis(50);
/// Between two looks whether a wait was seen.
const LOOK: Duration = Duration::from_millis(2);

/// What the threads ask for, for this short time.
const NICENESS: libc::c_int = -20;

/// What a thread does again and again: takes the lock, and releases it.
pub(super) type Turn<'a> = Box<dyn FnMut() -> io::Result<()> + Send + 'a>;

/// What the threads did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contended {
    /// How often they took the lock.
    pub acquisitions: u64,
    /// How often they gave up their CPU: of threads that do nothing else, waits for a lock that is slept for.
    pub slept: u64,
}

/// Runs the threads until `seen` says so, or the time is over.
///
/// # Errors
/// A thread cannot be started, or what it does fails.
pub(super) fn contend(
    turns: Vec<Turn<'_>>,
    mut seen: impl FnMut() -> bool,
) -> io::Result<Contended> {
    let enough = AtomicBool::new(false);
    let all_there = AtomicBool::new(false);
    let (enough, all_there) = (&enough, &all_there);
    let cpus = cpus();
    thread::scope(|scope| {
        let threads: io::Result<Vec<_>> = turns
            .into_iter()
            .zip(cpus.iter().cycle())
            .map(|(turn, &cpu)| {
                thread::Builder::new()
                    .name("lockprof-control".to_owned())
                    .spawn_scoped(scope, move || {
                        // One that ran before others would keep who makes them off its CPU.
                        while !all_there.load(Ordering::Relaxed) && !enough.load(Ordering::Relaxed)
                        {
                            thread::yield_now();
                        }
                        run_at_once(cpu);
                        repeat(turn, enough)
                    })
            })
            .collect();
        let until = Instant::now() + TIME;
        all_there.store(threads.is_ok(), Ordering::Relaxed);
        while threads.is_ok() && !seen() && Instant::now() < until {
            thread::sleep(LOOK);
        }
        enough.store(true, Ordering::Relaxed);
        let mut all = Contended::default();
        for thread in threads? {
            let did = thread
                .join()
                .map_err(|_| io::Error::other("a thread of the control panicked"))??;
            all.acquisitions += did.acquisitions;
            all.slept += did.slept;
        }
        Ok(all)
    })
}

/// CPUs that this process may use.
pub(super) fn cpus() -> Vec<usize> {
    // SAFETY: all-zero is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is valid for writing, and as long as is said.
    let failed = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    let all = 0..usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: the numbers are below the set's size.
    let may_use = |cpu: &usize| failed == 0 && unsafe { libc::CPU_ISSET(*cpu, &set) };
    let cpus: Vec<usize> = all.filter(may_use).collect();
    // With more CPUs than a set has places nothing is known.
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// Puts this thread on a CPU of its own, before others: threads that take turns on a busy machine contend nothing.
/// Where that is not allowed, it runs when it may.
fn run_at_once(cpu: usize) {
    // SAFETY: all-zero is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `cpus` gave the number, which is below the set's size; the set is valid for reading; setpriority has no
    // precondition. Both calls are about this thread.
    unsafe {
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
        libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS);
    }
}

/// Ends by itself too: whoever says that it is enough may have no CPU.
fn repeat(mut turn: Turn<'_>, enough: &AtomicBool) -> io::Result<Contended> {
    let until = Instant::now() + TIME;
    let before = sleeps();
    let mut acquisitions = 0;
    while !enough.load(Ordering::Relaxed) && Instant::now() < until {
        turn()?;
        acquisitions += 1;
    }
    Ok(Contended {
        acquisitions,
        slept: sleeps() - before,
    })
}

/// How often this thread has given up its CPU (ru_nvcsw of getrusage(2)).
fn sleeps() -> u64 {
    // SAFETY: all-zero is a valid rusage.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the structure is valid for writing.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    usage.ru_nvcsw.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_a_wait_was_seen_and_when_none_was() {
        let mut looks = 0;
        let did = contend(vec![Box::new(|| Ok(())), Box::new(|| Ok(()))], || {
            looks += 1;
            looks == 3
        });
        assert!(did.unwrap().acquisitions > 0);
        assert_eq!(looks, 3);
        let never = contend(vec![Box::new(|| Ok(()))], || false);
        assert!(never.unwrap().acquisitions > 0);
    }

    #[test]
    fn what_fails_is_told() {
        let fails = || Err(io::Error::from_raw_os_error(libc::EPERM));
        let did = contend(vec![Box::new(fails)], || false);
        assert_eq!(did.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}
