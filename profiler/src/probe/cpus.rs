//! What the programs keep of each CPU: its state, and what each site did there.

use std::sync::atomic::Ordering;

use anyhow::Result;
use aya::Ebpf;
use lockprof_abi::{
    Caller, Callers, CpuState, HoldSlot, MANY_SITES, RunControl, SiteState, WaitMark, WaitStack,
    bucket_of, site_slot,
};

use super::memory::MappedArray;
use crate::kernel::SiteNumbers;

/// The word of a CPU's state in which the beginning of its open hold is.
const START_WORD: usize =
    (std::mem::offset_of!(CpuState, hold) + std::mem::offset_of!(HoldSlot, start_ns)) / 8;
/// The words in which the task and the site of its last hold are.
const TASK_WORD: usize =
    (std::mem::offset_of!(CpuState, hold) + std::mem::offset_of!(HoldSlot, task)) / 8;
const SITE_OFFSET: usize =
    std::mem::offset_of!(CpuState, hold) + std::mem::offset_of!(HoldSlot, site);
/// The word of a CPU's state that [`Cpus::tell_control_task`] writes.
const CONTROL_TASK_WORD: usize = std::mem::offset_of!(CpuState, control_task) / 8;
/// The word in which the beginning of the target's wait is.
const MARK_WORD: usize =
    (std::mem::offset_of!(CpuState, wait_mark) + std::mem::offset_of!(WaitMark, began_ns)) / 8;
/// The word in which the number of open spinning waits is.
const DEPTH_WORD: usize =
    (std::mem::offset_of!(CpuState, open_waits) + std::mem::offset_of!(WaitStack, depth)) / 8;
/// The word of a CPU's state that [`Cpus::keep_awake_until`] writes.
const AWAKE_WORD: usize = std::mem::offset_of!(CpuState, awake_until_ns) / 8;

// `tell` writes all fields with one store, to the first word of each CPU.
const _: () = {
    assert!(std::mem::offset_of!(CpuState, control) == 0);
    assert!(std::mem::offset_of!(RunControl, phase) == 0);
    assert!(std::mem::offset_of!(RunControl, attached) == 2);
    assert!(std::mem::offset_of!(RunControl, window) == 4);
    assert!(cfg!(target_endian = "little"));
    // `last_hold` reads a site out of the lower half of its word.
    assert!(SITE_OFFSET.is_multiple_of(8));
};

/// A site that has done nothing.
// SAFETY: every field is an integer, for which zero is valid.
static NOTHING: SiteState = unsafe { std::mem::zeroed() };

/// What was read of one CPU: of the slots that were in use then, so that a reading of a lock with few callers is small.
#[derive(Clone, Debug)]
pub struct CpuReading {
    /// Its state.
    pub state: Box<CpuState>,
    slots: usize,
    /// By slot.
    sites: Vec<SiteState>,
    /// For how long each of these sites waited behind the holds of each slot, in nanoseconds.
    blame_ns: Vec<u64>,
}

impl CpuReading {
    /// Nothing has happened, where there are so many slots.
    #[must_use]
    pub fn nothing(slots: usize) -> Self {
        Self {
            state: zeroed_state(),
            slots,
            sites: Vec::new(),
            blame_ns: Vec::new(),
        }
    }

    /// How many slots there are.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// How many of them were in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.sites.len()
    }

    /// What the site of a slot did.
    #[must_use]
    pub fn site(&self, slot: usize) -> &SiteState {
        self.sites.get(slot).unwrap_or(&NOTHING)
    }

    /// The same, to be changed: the slot is in use then.
    pub fn site_mut(&mut self, slot: usize) -> &mut SiteState {
        self.use_at_least(slot + 1);
        &mut self.sites[slot]
    }

    /// For how long the site of a slot waited behind the holds of another, in nanoseconds.
    #[must_use]
    pub fn blame_ns(&self, waiter: usize, holder: usize) -> u64 {
        let place = waiter * self.slots + holder;
        self.blame_ns.get(place).copied().unwrap_or(0)
    }

    /// The same, to be changed: the waiter's slot is in use then.
    pub fn blame_ns_mut(&mut self, waiter: usize, holder: usize) -> &mut u64 {
        self.use_at_least(waiter + 1);
        &mut self.blame_ns[waiter * self.slots + holder]
    }

    /// Has room for what so many slots did.
    fn use_at_least(&mut self, used: usize) {
        if self.sites.len() < used {
            self.sites.resize(used, NOTHING);
            self.blame_ns.resize(used * self.slots, 0);
        }
    }

    /// Books the hold that has ended and its wait, as the programs will, but for its blame, which the ring of another
    /// moment tells.
    fn book_left(&mut self, control_slots: u64) {
        let slot = self.state.hold;
        if slot.start_ns == 0 || slot.end_ns == 0 {
            return;
        }
        let held_ns = slot.end_ns.wrapping_sub(slot.start_ns);
        let mark = self.state.wait_mark;
        let (began_ns, ended_ns) = if slot.claimed != 0 {
            (slot.wait_began_ns, slot.wait_ended_ns)
        } else if mark.task == slot.task && mark.window == slot.window {
            (mark.began_ns, mark.ended_ns)
        } else {
            (0, 0)
        };
        let lost = held_ns >> 63 != 0 || (began_ns != 0 && ended_ns == 0);
        if lost || (slot.interrupted != 0 && began_ns == 0) {
            return;
        }
        let site = site_slot(slot.site, self.slots);
        if self.state.is_control(slot.task, site, control_slots) {
            self.state.control_holds = self.state.control_holds.wrapping_add(1);
            return;
        }
        let site = self.site_mut(site);
        site.held_ns = site.held_ns.wrapping_add(held_ns);
        let bucket = &mut site.holds[bucket_of(held_ns)];
        *bucket = bucket.wrapping_add(1);
        let waited_ns = ended_ns.wrapping_sub(began_ns);
        if began_ns != 0 && waited_ns >> 63 == 0 {
            site.waited_ns = site.waited_ns.wrapping_add(waited_ns);
            let bucket = &mut site.waits[bucket_of(waited_ns)];
            *bucket = bucket.wrapping_add(1);
        }
    }
}

/// A state in which nothing has happened.
#[must_use]
pub fn zeroed_state() -> Box<CpuState> {
    // SAFETY: every field is an integer, for which zero is valid.
    unsafe { Box::<CpuState>::new_zeroed().assume_init() }
}

/// The arrays of all CPUs.
#[derive(Debug)]
pub struct Cpus {
    states: MappedArray<CpuState>,
    sites: MappedArray<SiteState>,
    blame_ns: MappedArray<u64>,
    callers: MappedArray<Callers>,
    numbers: SiteNumbers,
}

impl Cpus {
    /// Maps the arrays, which have elements for so many CPUs.
    ///
    /// # Errors
    /// There is no such array, or the kernel refuses to map it.
    pub fn open(ebpf: &Ebpf, cpus: usize, numbers: SiteNumbers) -> Result<Self> {
        let slots = numbers.slots();
        Ok(Self {
            states: MappedArray::open(ebpf, "CPUS", cpus)?,
            sites: MappedArray::open(ebpf, "SITES", cpus * slots)?,
            blame_ns: MappedArray::open(ebpf, "BLAME", cpus * slots * slots)?,
            callers: MappedArray::open(ebpf, "CALLERS", 1)?,
            numbers,
        })
    }

    /// How many CPUs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The numbers of the sites that are known before.
    #[must_use]
    pub const fn numbers(&self) -> &SiteNumbers {
        &self.numbers
    }

    /// How many slots are in use.
    fn used(&self) -> usize {
        self.numbers.used(self.callers.first_word(0))
    }

    /// The callers that the programs have learned.
    #[must_use]
    pub fn learned(&self) -> Vec<Caller> {
        let mut callers = Callers::NONE;
        self.callers.read(0, &mut callers);
        let learned = usize::try_from(callers.asked).unwrap_or(MANY_SITES);
        let learned = &callers.learned[..learned.min(MANY_SITES)];
        let has_slot = |caller: &&Caller| caller.address != 0;
        learned.iter().filter(has_slot).copied().collect()
    }

    /// A number that changes when the programs have counted something on a CPU, at the cost of some words.
    #[must_use]
    pub fn activity(&self, cpu: usize) -> u64 {
        let words = self.states.words(cpu);
        let first = cpu * self.numbers.slots();
        let site_word = |slot, offset: usize| {
            self.sites.words(first + slot)[offset / 8].load(Ordering::Relaxed)
        };
        let word = |offset: usize| words[offset / 8].load(Ordering::Relaxed);
        CpuState::activity(word, self.used(), site_word)
    }

    /// Copies the state of a CPU alone.
    pub fn read_state(&self, cpu: usize, into: &mut CpuState) {
        self.states.read(cpu, into);
    }

    /// Copies what was counted on a CPU, with the hold that has ended there and that nobody has booked yet: the
    /// next task that asks for the lock on this CPU will. What is read into must be of the slots that there are.
    pub fn read_booked(&self, cpu: usize, into: &mut CpuReading) {
        self.states.read(cpu, &mut into.state);
        let (slots, used) = (self.numbers.slots(), self.used());
        into.use_at_least(used);
        for slot in 0..used {
            let place = cpu * slots + slot;
            self.sites.read(place, &mut into.sites[slot]);
            let row = &mut into.blame_ns[slot * slots..(slot + 1) * slots];
            for (holder, waited_ns) in row.iter_mut().enumerate() {
                *waited_ns = self.blame_ns.first_word(place * slots + holder);
            }
        }
        // Whoever books it takes its beginning away first: where that is still there, the counters that were
        // read are without it.
        let start_ns = self.states.words(cpu)[START_WORD].load(Ordering::Acquire);
        if start_ns == into.state.hold.start_ns {
            into.book_left(self.numbers.control_slots());
        }
    }

    /// The same of every CPU, one after the other.
    pub fn each_booked(&self, mut see: impl FnMut(&CpuReading)) {
        let mut reading = CpuReading::nothing(self.numbers.slots());
        for cpu in 0..self.len() {
            self.read_booked(cpu, &mut reading);
            see(&reading);
        }
    }

    /// Whether a hold or a spinning wait may be open on a CPU, at the cost of some words.
    #[must_use]
    pub fn may_be_open(&self, cpu: usize) -> bool {
        let words = self.states.words(cpu);
        [START_WORD, MARK_WORD, DEPTH_WORD]
            .iter()
            .any(|&word| words[word].load(Ordering::Relaxed) != 0)
    }

    /// Lets the programs begin what they see until this moment (CLOCK_MONOTONIC, ns).
    pub fn keep_awake_until(&self, until_ns: u64) {
        for cpu in 0..self.len() {
            self.states.words(cpu)[AWAKE_WORD].store(until_ns, Ordering::Relaxed);
        }
    }

    /// The task and the site of the last hold of a CPU, by the address of a task_struct and a number.
    #[must_use]
    pub fn last_hold(&self, cpu: usize) -> (u64, u32) {
        let words = self.states.words(cpu);
        let site = words[SITE_OFFSET / 8].load(Ordering::Relaxed) as u32;
        (words[TASK_WORD].load(Ordering::Relaxed), site)
    }

    /// Tells the programs which task is the daemon's.
    pub fn tell_control_task(&self, task: u64) {
        for cpu in 0..self.len() {
            self.states.words(cpu)[CONTROL_TASK_WORD].store(task, Ordering::Relaxed);
        }
    }

    /// Tells the programs what goes on.
    pub fn tell(&self, control: RunControl) {
        let word = u64::from(control.phase)
            | u64::from(control.attached) << 16
            | u64::from(control.window) << 32;
        for cpu in 0..self.len() {
            self.states.words(cpu)[0].store(word, Ordering::Relaxed);
        }
    }
}
