//! Lengths of holds, section by section, in each virtual CPU's own instructions.
//!
//! One CPU's events come in its own order. A hold begins with the last compare-and-exchange on the lock
//! before this CPU's release: the ones before it have failed. Where that was in the slow path, the hold was
//! contended.

use std::fmt::Write as _;
use std::num::NonZeroU32;

/// Holds of sixty tasks' lives, each with a fork, an exit and a reaping. Lives overlap, and what one
/// leaves behind is freed later, so that a single one has no length of its own.
const LIVES: usize = 180;

/// A hold that has ended. There are millions.
#[derive(Clone, Copy, Debug)]
struct Hold {
    /// The lower half of the address of the instruction that called the lock's function.
    caller: u32,
    /// Instructions from the one that took the lock to the one that gave it back.
    held: u32,
    /// Instructions from one release to the next, where the section has one before.
    period: Option<NonZeroU32>,
    /// Whether it was had in the slow path.
    contended: bool,
    /// Where it was contended, instructions from the slow path's first one, which goes on to call
    /// contention_begin, to the one by which the waiter joins the queue; 0 where there is no such queue.
    to_the_queue: u32,
}

/// A hold that has not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    section: usize,
    caller: u32,
    acquired: u64,
    contended: bool,
    to_the_queue: u64,
}

/// The holds of one virtual CPU.
#[derive(Debug)]
pub struct Cpu {
    /// The last call of the lock's function.
    caller: u32,
    /// When the slow path was entered, until the lock is had.
    slow: Option<u64>,
    /// How long it took from there to the queue.
    to_the_queue: Option<u64>,
    open: Option<Open>,
    /// The last release, and its section.
    released: Option<(usize, u64)>,
    /// By section; what was before the first one is not kept.
    sections: Vec<Vec<Hold>>,
}

impl Cpu {
    /// A CPU without a hold.
    pub const fn new() -> Self {
        Self {
            caller: 0,
            slow: None,
            to_the_queue: None,
            open: None,
            released: None,
            sections: Vec::new(),
        }
    }

    /// The function that takes the lock, or another one of its kind, is called.
    pub fn asked(&mut self, caller: u32) {
        self.caller = caller;
        self.slow = None;
        self.to_the_queue = None;
    }

    /// The slow path is entered, after this many instructions.
    pub fn began(&mut self, count: u64) {
        self.slow = Some(count);
        self.to_the_queue = None;
    }

    /// The waiter joins the queue of the lock.
    pub fn queued(&mut self, count: u64) {
        if let Some(began) = self.slow
            && self.to_the_queue.is_none()
        {
            self.to_the_queue = Some(count - began);
        }
    }

    /// A compare-and-exchange on the lock, which may fail; the next one replaces it then.
    pub fn acquired(&mut self, section: usize, count: u64) {
        self.open = Some(Open {
            section,
            caller: self.caller,
            acquired: count,
            contended: self.slow.is_some(),
            to_the_queue: self.slow.and(self.to_the_queue).unwrap_or(0),
        });
    }

    /// The lock is given back. A hold that begins in one section and ends in another is not kept.
    pub fn released(&mut self, section: usize, count: u64) {
        self.slow = None;
        self.to_the_queue = None;
        let Some(open) = self.open.take().filter(|open| open.section == section) else {
            return;
        };
        let before = self.released.replace((section, count));
        let before = before.filter(|(its_section, _)| *its_section == section);
        let Some(index) = section.checked_sub(1) else {
            return;
        };
        if self.sections.len() <= index {
            self.sections.resize_with(index + 1, Vec::new);
        }
        self.sections[index].push(Hold {
            caller: open.caller,
            held: narrow(count - open.acquired),
            period: before.and_then(|(_, before)| NonZeroU32::new(narrow(count - before))),
            contended: open.contended,
            to_the_queue: narrow(open.to_the_queue),
        });
    }

    fn section(&self, index: usize) -> &[Hold] {
        self.sections.get(index).map_or(&[], Vec::as_slice)
    }
}

/// One line a section, of all CPUs: see the plugin's description.
pub fn summary(cpus: &[&Cpu], sections: usize) -> String {
    let mut text = String::new();
    for index in 0..sections {
        let holds = || cpus.iter().map(|cpu| cpu.section(index));
        let uncontended = holds().map(|holds| {
            let alone = holds.iter().filter(|hold| !hold.contended);
            alone.copied().collect::<Vec<Hold>>()
        });
        let uncontended: Vec<Vec<Hold>> = uncontended.collect();
        let count: usize = uncontended.iter().map(Vec::len).sum();
        let _ = write!(text, "{index} {count}");
        for together in [1, LIVES] {
            let held = median(sums(&uncontended, |hold| Some(hold.held), together));
            let period = |hold: &Hold| hold.period.map(NonZeroU32::get);
            let period = median(sums(&uncontended, period, together));
            let _ = write!(text, " {held} {period}");
        }
        let contended = || holds().flatten().filter(|hold| hold.contended);
        let held = median(contended().map(|hold| u64::from(hold.held)).collect());
        let waits = contended().map(|hold| u64::from(hold.to_the_queue));
        let to_the_queue = median(waits.collect());
        let _ = writeln!(text, " {} {held} {to_the_queue}", contended().count());
    }
    text
}

/// One line a hold, in each CPU's order.
pub fn each_hold(cpus: &[&Cpu], sections: usize) -> String {
    let mut text = String::new();
    for index in 0..sections {
        for (number, cpu) in cpus.iter().enumerate() {
            for hold in cpu.section(index) {
                let wait = match hold.contended {
                    true => hold.to_the_queue.to_string(),
                    false => "-".to_owned(),
                };
                let _ = writeln!(
                    text,
                    "{index} {number} {:#x} {} {wait}",
                    KERNEL_TEXT | u64::from(hold.caller),
                    hold.held
                );
            }
        }
    }
    text
}

/// The upper half of every address in the kernel's text.
const KERNEL_TEXT: u64 = 0xffff_ffff_0000_0000;

/// The sums of so many neighbours of a CPU.
fn sums(cpus: &[Vec<Hold>], value: impl Fn(&Hold) -> Option<u32>, together: usize) -> Vec<u64> {
    let mut sums = Vec::new();
    for holds in cpus {
        let values = holds.iter().filter_map(&value);
        let values: Vec<u64> = values.map(u64::from).collect();
        sums.extend(
            values
                .windows(together)
                .map(|window| window.iter().sum::<u64>()),
        );
    }
    sums
}

/// A count of instructions between neighbours; one that is too large for it is no hold's.
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The lower median; 0 of nothing.
fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(0)
}
