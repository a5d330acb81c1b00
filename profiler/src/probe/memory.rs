//! Arrays of the programs, mapped into this process: reading them costs no system call.

use std::{
    io, marker::PhantomData, os::fd::AsFd, os::fd::AsRawFd as _, ptr::NonNull,
    sync::atomic::AtomicU64, sync::atomic::Ordering,
};

use anyhow::{Context as _, Result, anyhow};
use aya::{Ebpf, maps::Map};
use lockprof_abi::{
    CgroupEntry, ContentionEntry, CpuState, OwnerStack, RunControl, Site, TaskSlot, WaitMark,
    WaitStack, WaiterEntry, bucket_of,
};

/// Plain data that the programs write: any bit pattern is valid, the size is a multiple of eight
/// bytes, and so is the alignment at most.
///
/// # Safety
/// The implementer must be `repr(C)`, without padding and without a field that has invalid values.
pub unsafe trait Shared: Copy {}

// SAFETY: `lockprof_abi` asserts at compile time that there is no padding; all fields are integers.
unsafe impl Shared for CpuState {}
// SAFETY: as above.
unsafe impl Shared for ContentionEntry {}
// SAFETY: as above.
unsafe impl Shared for CgroupEntry {}
// SAFETY: as above.
unsafe impl Shared for TaskSlot {}
// SAFETY: as above.
unsafe impl Shared for WaiterEntry {}
// SAFETY: as above.
unsafe impl Shared for OwnerStack {}

/// A mapped array. Unmapped when dropped.
#[derive(Debug)]
pub struct MappedArray<T> {
    start: NonNull<AtomicU64>,
    bytes: usize,
    elements: usize,
    of: PhantomData<T>,
}

impl<T: Shared> MappedArray<T> {
    const WORDS: usize = size_of::<T>() / 8;

    /// Maps the array called `name`, which has this many elements.
    ///
    /// # Errors
    /// There is no such array, or the kernel refuses to map it.
    pub fn open(ebpf: &Ebpf, name: &str, elements: usize) -> Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let Some(Map::Array(data)) = ebpf.map(name) else {
            return Err(anyhow!("the eBPF object has no array {name}"));
        };
        let bytes = elements * size_of::<T>();
        // SAFETY: a fresh mapping at an address of the kernel's choice, checked below.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                data.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error())
                .with_context(|| format!("cannot map the array {name} ({bytes} bytes)"));
        }
        let start = NonNull::new(start.cast())
            .ok_or_else(|| anyhow!("the array {name} was mapped at address 0"))?;
        Ok(Self {
            start,
            bytes,
            elements,
            of: PhantomData,
        })
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements == 0
    }

    fn words(&self, index: usize) -> &[AtomicU64] {
        assert!(
            index < self.elements,
            "element {index} of {}",
            self.elements
        );
        // SAFETY: the element lies in the mapping, which lives as long as `self`; the programs write
        // it word by word, which an atomic may be shared with.
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr().add(index * Self::WORDS), Self::WORDS)
        }
    }

    /// Copies an element. Each word is whole; two words may be from two moments while the programs
    /// are attached.
    pub fn read(&self, index: usize, into: &mut T) {
        let target: *mut u64 = std::ptr::from_mut(into).cast();
        for (offset, word) in self.words(index).iter().enumerate() {
            // SAFETY: `T` is that many words of plain data, aligned to at most eight bytes, and the
            // offset is below their number; an unaligned write suits any alignment.
            unsafe {
                target
                    .add(offset)
                    .write_unaligned(word.load(Ordering::Relaxed));
            }
        }
    }

    /// The same where the first word of the element is not 0: a place of a table that is taken. Whether it is.
    pub fn read_taken(&self, index: usize, into: &mut T) -> bool {
        let taken = self.first_word(index) != 0;
        if taken {
            self.read(index, into);
        }
        taken
    }

    /// The first word of an element: enough to see whether a place of a table is taken.
    #[must_use]
    pub fn first_word(&self, index: usize) -> u64 {
        self.words(index)[0].load(Ordering::Relaxed)
    }
}

impl MappedArray<OwnerStack> {
    /// Takes out what is in a place, and frees it for the next. Whether there was anything.
    pub fn take(&self, index: usize, into: &mut OwnerStack) -> bool {
        let first = &self.words(index)[0];
        // The program writes this word last, and nothing more until it is 0.
        let taken = first.load(Ordering::Acquire) != 0;
        if taken {
            self.read(index, into);
            first.store(0, Ordering::Release);
        }
        taken
    }
}

/// The word of a CPU's state in which the beginning of its open hold is.
const START_WORD: usize = (std::mem::offset_of!(CpuState, hold)
    + std::mem::offset_of!(lockprof_abi::HoldSlot, start_ns))
    / 8;
/// The words in which the task and the site of its last hold are.
const TASK_WORD: usize =
    (std::mem::offset_of!(CpuState, hold) + std::mem::offset_of!(lockprof_abi::HoldSlot, task)) / 8;
const SITE_OFFSET: usize =
    std::mem::offset_of!(CpuState, hold) + std::mem::offset_of!(lockprof_abi::HoldSlot, site);
/// The word of a CPU's state that [`MappedArray::tell_control_task`] writes.
const CONTROL_TASK_WORD: usize = std::mem::offset_of!(CpuState, control_task) / 8;
/// The word in which the beginning of the target's wait is.
const MARK_WORD: usize =
    (std::mem::offset_of!(CpuState, wait_mark) + std::mem::offset_of!(WaitMark, began_ns)) / 8;
/// The word in which the number of open spinning waits is.
const DEPTH_WORD: usize =
    (std::mem::offset_of!(CpuState, open_waits) + std::mem::offset_of!(WaitStack, depth)) / 8;
/// The word of a CPU's state that [`MappedArray::keep_awake_until`] writes.
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

impl MappedArray<CpuState> {
    /// A number that changes when the programs have counted something on a CPU, at the cost of some
    /// words.
    #[must_use]
    pub fn activity(&self, cpu: usize) -> u64 {
        let words = self.words(cpu);
        CpuState::activity(|offset| words[offset / 8].load(Ordering::Relaxed))
    }

    /// Copies the state of a CPU, with the hold that has ended there and that nobody has booked yet: the
    /// next task that asks for the lock on this CPU will.
    pub fn read_booked(&self, cpu: usize, into: &mut CpuState) {
        self.read(cpu, into);
        // Whoever books it takes its beginning away first: where that is still there, the counters that were
        // read are without it.
        let start_ns = self.words(cpu)[START_WORD].load(Ordering::Acquire);
        if start_ns == into.hold.start_ns {
            book_left(into);
        }
    }

    /// The same of every CPU, one after the other.
    pub fn each_booked(&self, mut see: impl FnMut(&CpuState)) {
        let mut state = zeroed_state();
        for cpu in 0..self.len() {
            self.read_booked(cpu, &mut state);
            see(&state);
        }
    }

    /// Whether a hold or a spinning wait may be open on a CPU, at the cost of some words.
    #[must_use]
    pub fn may_be_open(&self, cpu: usize) -> bool {
        let words = self.words(cpu);
        [START_WORD, MARK_WORD, DEPTH_WORD]
            .iter()
            .any(|&word| words[word].load(Ordering::Relaxed) != 0)
    }

    /// Lets the programs begin what they see until this moment (CLOCK_MONOTONIC, ns).
    pub fn keep_awake_until(&self, until_ns: u64) {
        for cpu in 0..self.len() {
            self.words(cpu)[AWAKE_WORD].store(until_ns, Ordering::Relaxed);
        }
    }

    /// The task and the site of the last hold of a CPU, by the address of a task_struct and an index.
    #[must_use]
    pub fn last_hold(&self, cpu: usize) -> (u64, u32) {
        let words = self.words(cpu);
        let site = words[SITE_OFFSET / 8].load(Ordering::Relaxed) as u32;
        (words[TASK_WORD].load(Ordering::Relaxed), site)
    }

    /// Tells the programs which task is the daemon's.
    pub fn tell_control_task(&self, task: u64) {
        for cpu in 0..self.len() {
            self.words(cpu)[CONTROL_TASK_WORD].store(task, Ordering::Relaxed);
        }
    }

    /// Tells the programs what goes on.
    pub fn tell(&self, control: RunControl) {
        let word = u64::from(control.phase)
            | u64::from(control.attached) << 16
            | u64::from(control.window) << 32;
        for cpu in 0..self.len() {
            self.words(cpu)[0].store(word, Ordering::Relaxed);
        }
    }
}

/// A state in which nothing has happened.
#[must_use]
pub fn zeroed_state() -> Box<CpuState> {
    // SAFETY: every field is an integer, for which zero is valid.
    unsafe { Box::<CpuState>::new_zeroed().assume_init() }
}

/// Books the hold that has ended in a state and its wait, as the programs will, but for its blame, which
/// the ring of another moment tells.
fn book_left(state: &mut CpuState) {
    let slot = state.hold;
    if slot.start_ns == 0 || slot.end_ns == 0 {
        return;
    }
    let held_ns = slot.end_ns.wrapping_sub(slot.start_ns);
    let (began_ns, ended_ns) = if slot.claimed != 0 {
        (slot.wait_began_ns, slot.wait_ended_ns)
    } else if state.wait_mark.task == slot.task && state.wait_mark.window == slot.window {
        (state.wait_mark.began_ns, state.wait_mark.ended_ns)
    } else {
        (0, 0)
    };
    let lost = held_ns >> 63 != 0 || (began_ns != 0 && ended_ns == 0);
    if lost || (slot.interrupted != 0 && began_ns == 0) {
        return;
    }
    let site = Site::slot(slot.site);
    if state.is_control(slot.task, site) {
        state.control_holds = state.control_holds.wrapping_add(1);
        return;
    }
    let site = &mut state.sites[site];
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

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `open` with this length, and nothing borrows it any more.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.bytes);
        }
    }
}
