//! Arrays of the programs, mapped into this process: reading them costs no system call.

use std::{
    io, marker::PhantomData, os::fd::AsFd, os::fd::AsRawFd as _, ptr::NonNull,
    sync::atomic::AtomicU64, sync::atomic::Ordering,
};

use anyhow::{Context as _, Result, anyhow};
use aya::{Ebpf, maps::Map};
use lockprof_abi::{
    Callers, CgroupEntry, ContentionEntry, CpuState, OffCpuEntry, OwnerStack, ProcessLock,
    SiteState, TaskHold, TaskSlot, WaiterEntry,
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
unsafe impl Shared for SiteState {}
// SAFETY: as above.
unsafe impl Shared for Callers {}
// SAFETY: it is an integer.
unsafe impl Shared for u64 {}
// SAFETY: as above.
unsafe impl Shared for ContentionEntry {}
// SAFETY: as above.
unsafe impl Shared for CgroupEntry {}
// SAFETY: as above.
unsafe impl Shared for OffCpuEntry {}
// SAFETY: as above.
unsafe impl Shared for TaskSlot {}
// SAFETY: as above.
unsafe impl Shared for TaskHold {}
// SAFETY: as above.
unsafe impl Shared for WaiterEntry {}
// SAFETY: as above.
unsafe impl Shared for OwnerStack {}
// SAFETY: as above.
unsafe impl Shared for ProcessLock {}

// SAFETY: a mapping belongs to the process, whichever of its threads uses it, and its words are atomics.
unsafe impl<T> Send for MappedArray<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for MappedArray<T> {}

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

    /// The words of an element.
    pub(super) fn words(&self, index: usize) -> &[AtomicU64] {
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

impl MappedArray<ProcessLock> {
    /// Writes the first word of an element.
    pub(super) fn set_first_word(&self, index: usize, value: u64) {
        self.words(index)[0].store(value, Ordering::Relaxed);
    }

    /// Makes all words of an element 0.
    pub(super) fn clear(&self, index: usize) {
        let words = self.words(index);
        words
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
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

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `open` with this length, and nothing borrows it any more.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.bytes);
        }
    }
}
