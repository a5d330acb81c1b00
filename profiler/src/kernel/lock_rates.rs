//! How often locks of a kind are given back on this machine: counted for a moment, before anything else is attached.

use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use super::bpf_syscall::{Counter, ProgramKind, load, open_raw_tracepoint};
use super::btf::{Btf, BtfKind, BtfType};
use super::by_task::ByTask;
use super::instruction::instruction;
use crate::proc;

/// How long is counted. All CPUs add to one word meanwhile.
pub(super) const WATCH: Duration = Duration::from_millis(50);

/// Locks of a kind that are given back in a second, over all CPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LockRates {
    /// What several of them are called.
    pub plural: &'static str,
    /// Any of them: so often a program that follows one of them has to look which it is.
    pub all_per_s: f64,
    /// The one that is followed, where it is known which that is.
    pub of_lock_per_s: Option<f64>,
    /// Switches of tasks, where they matter.
    pub switches_per_s: Option<f64>,
}

impl LockRates {
    /// Counts them for a moment, with those that are given back by readers or without; `lock` is the address of the one
    /// that is to be followed, where that is known.
    ///
    /// # Errors
    /// The kernel refuses a program that counts: what was tried, and the kernel's answer.
    pub fn count(by_task: &ByTask, readers: bool, lock: Option<u64>) -> Result<Self, String> {
        let failed = |what: &str, why: &dyn std::fmt::Display| format!("{what}: {why}");
        let names: Vec<&str> = by_task.releases(readers).collect();
        let btf = Btf::from_sys_fs().map_err(|error| error.to_string())?;
        let functions = btf.find(BtfKind::Func, &names);
        let functions = functions.map_err(|error| error.to_string())?;
        if functions.is_empty() {
            let none = format!("BTF has none of {}", names.join(", "));
            return Err(failed(&format!("counting {}", by_task.plural), &none));
        }
        let counter = || Counter::new().map_err(|error| failed("creating a map", &error));
        let (all, of_lock) = (counter()?, counter()?);
        let instructions = counting(all.fd(), of_lock.fd(), lock.unwrap_or(0));
        let attached = attach(&functions, &instructions)?;
        let read = |counter: &Counter| {
            let count = counter.read();
            count.map_err(|error| failed("reading a map", &error))
        };
        // What one of the programs has seen before the last one was there is none of these.
        let before = (read(&all)?, read(&of_lock)?);
        let switches_before = proc::switches();
        let since = Instant::now();
        thread::sleep(WATCH);
        let seconds = since.elapsed().as_secs_f64();
        let counts = (read(&all)? - before.0, read(&of_lock)? - before.1);
        let switches = proc::switches().zip(switches_before);
        let switches = switches.map(|(after, before)| after.saturating_sub(before));
        drop(attached);
        Ok(Self {
            plural: by_task.plural,
            all_per_s: counts.0 as f64 / seconds,
            of_lock_per_s: lock.map(|_| counts.1 as f64 / seconds),
            switches_per_s: switches.map(|switches| switches as f64 / seconds),
        })
    }
}

/// Has a program count the calls of each function, until what this gives is dropped.
///
/// # Errors
/// The kernel refuses one: what was tried, and the kernel's answer.
pub(super) fn attach(
    functions: &[BtfType<'_>],
    instructions: &[u64],
) -> Result<Vec<OwnedFd>, String> {
    let attach = |function: &BtfType<'_>| {
        let failed = |what: &str, why: &dyn std::fmt::Display| {
            format!(
                "{what} a program that counts calls of {}: {why}",
                function.name
            )
        };
        let program = load(ProgramKind::Fentry(function.id), instructions)
            .map_err(|error| failed("loading", &error))?;
        open_raw_tracepoint(None, program.as_fd()).map_err(|error| failed("attaching", &error))
    };
    functions.iter().map(attach).collect()
}

/// `r6 = the first argument; *all += 1; if r6 != lock goto the end; *of_lock += 1; r0 = 0; exit`. The counters are named by
/// the descriptors of their maps (BPF_PSEUDO_MAP_VALUE, v5.2).
pub(super) const fn counting(all: i32, of_lock: i32, lock: u64) -> [u64; 14] {
    const TO_THE_END: i16 = 4;
    let add_one = [
        instruction(0xb7, 2, 0, 1),
        instruction(0xdb, 1 | (2 << 4), 0, 0),
    ];
    [
        instruction(0x79, 6 | (1 << 4), 0, 0),
        instruction(0x18, 1 | (2 << 4), 0, all),
        0,
        add_one[0],
        add_one[1],
        // A word of 64 bits stands in the immediate parts of two.
        instruction(0x18, 3, 0, lock as i32),
        instruction(0, 0, 0, (lock >> 32) as i32),
        instruction(0x5d, 6 | (3 << 4), TO_THE_END, 0),
        instruction(0x18, 1 | (2 << 4), 0, of_lock),
        0,
        add_one[0],
        add_one[1],
        instruction(0xb7, 0, 0, 0),
        instruction(0x95, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_whole_and_jumped_over_to_the_end() {
        let words = counting(3, 4, 0xffff_ffff_8261_1c40);
        let immediate = |word: u64| (word >> 32) as u32;
        assert_eq!(immediate(words[5]), 0x8261_1c40);
        assert_eq!(immediate(words[6]), 0xffff_ffff);
        // The jump counts from the instruction behind it.
        let offset = i16::from_ne_bytes([words[7].to_ne_bytes()[2], words[7].to_ne_bytes()[3]]);
        assert_eq!(7 + 1 + offset, 12);
        assert_eq!(words[12].to_ne_bytes()[0], 0xb7);
    }
}
