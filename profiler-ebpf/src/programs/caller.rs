//! Who waits: the function that asked for a lock, from a few words of the stack, without a walk.
//!
//! The context of a raw tracepoint's program lies on the stack of what calls the program, so the words
//! above it hold return addresses: into the tracepoint, the lock's slow path, the lock function
//! (`_raw_write_lock_irq`, unless it jumps to the slow path), and then into who asked for the lock. How
//! far above a return address the next one stands is fixed when the kernel is compiled: what lies
//! between is the frame of one function. So each of these distances is searched for once, and the next
//! time known. What lies in the scheduler's text (mutexes and semaphores, which spin for their own inner
//! locks) is passed over like the locks' own.
//!
//! The search follows a walk of the stack, which no stale word can lead astray. Where no stack may be
//! walked it goes by the text alone: first the locks', then the first word that is in neither.

use core::{
    ffi::c_void,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{
    helpers::generated::{bpf_get_stack, bpf_probe_read_kernel},
    macros::map,
    maps::PerCpuArray,
};
use lockprof_abi::{BETWEEN_TEXT_LIMIT, CpuState, NO_STACK, WAIT_DEPTH};

use super::{constants, contention, maps::SharedVariable, memory::read_u64};

/// Return addresses that are passed over: the slow path's, the lock function's, and some of a mutex or
/// semaphore.
const HOPS: usize = 6;
/// Words of the stack that are searched, the first argument included; a power of two.
const SEARCHED_WORDS: usize = 64;
/// Words that are read at once.
const CHUNK_WORDS: usize = 16;
/// Frames of the walk that a search follows: those of tracing, of the lock, and one more; a power of two.
const SEARCHED_FRAMES: usize = 16;
/// Searches on a CPU, after which only a sampled wait makes another one.
const FREE_SEARCHES: u32 = 64;

/// What a search works on, of which a program's own stack has no room for.
#[repr(C)]
struct Search {
    words: [u64; SEARCHED_WORDS],
    frames: [u64; SEARCHED_FRAMES],
    /// The next frame that is looked for.
    next: u64,
    /// The last return address that was found; 0 before the first.
    previous: u64,
    /// Where it stood.
    place: u64,
}

/// The program on contention_begin does not interrupt itself: one a CPU is enough.
#[map]
static SEARCH: PerCpuArray<Search> = PerCpuArray::with_max_entries(1, 0);

/// At which word above the context the first return address into the locks' text stands, by what is
/// asked for: in a kernel whose slow paths are no part of that text, each has its own frame below it. 0
/// where it is not known.
static PLACES: SharedVariable<[u32; 4]> = SharedVariable::new([0; 4]);

/// How many words above a return address into a function between the next one stands, by where in the
/// text it points to. 0 where it is not known. A byte is written whole.
static DISTANCES: SharedVariable<[u8; BETWEEN_TEXT_LIMIT]> =
    SharedVariable::new([0; BETWEEN_TEXT_LIMIT]);

/// Finds who waits, and keeps it in the frame of the wait: in a few loads, unless the wait is sampled.
#[inline(always)]
pub fn find(context: *mut c_void, cpu: &mut CpuState, frame: usize) {
    let due = is_due(cpu);
    let frame = frame & (WAIT_DEPTH - 1);
    let kind = kind_of(cpu.open_waits.frames[frame].flags);
    let known = known(context, kind);
    cpu.open_waits.frames[frame].caller = known.unwrap_or(0);
    cpu.open_waits.frames[frame].stack_id = NO_STACK;
    cpu.open_waits.frames[frame].sampled = 0;
    if due || known.is_none() {
        disturb(context, cpu, frame, due);
    }
}

/// Whether the next sample is due.
#[inline(always)]
fn is_due(cpu: &mut CpuState) -> bool {
    let every = constants::sample_every();
    if every == 0 {
        return false;
    }
    if cpu.until_sample == 0 {
        cpu.until_sample = every - 1;
        return true;
    }
    cpu.until_sample -= 1;
    false
}

/// 0 to 2: a lock that one holds, a reader, a writer (LCB_F_READ and LCB_F_WRITE).
#[inline(always)]
const fn kind_of(flags: u32) -> usize {
    (flags >> 1 & 3) as usize
}

/// The caller, where everything on the way to it is known.
#[inline(always)]
fn known(context: *mut c_void, kind: usize) -> Option<u64> {
    let between = constants::between_text();
    // SAFETY: the kind is in bounds, and the variable lives as long as the programs.
    let mut place = unsafe { read_volatile(PLACES.get().cast::<u32>().add(kind)) } as usize;
    let mut address = read_word(context, place)?;
    for _hop in 0..HOPS {
        if !between.contains(address) {
            return None;
        }
        let distance = read_distance(address.wrapping_sub(between.start));
        if distance == 0 {
            return None;
        }
        place += distance;
        address = read_word(context, place)?;
        if !between.contains(address) {
            return Some(address);
        }
    }
    None
}

#[inline(always)]
fn distance_of(offset: u64) -> *mut u8 {
    let offset = offset as usize & (BETWEEN_TEXT_LIMIT - 1);
    // SAFETY: the offset is below the number of bytes.
    unsafe { DISTANCES.get().cast::<u8>().add(offset) }
}

#[inline(always)]
fn read_distance(offset: u64) -> usize {
    // SAFETY: the byte is in the table.
    unsafe { read_volatile(distance_of(offset)) as usize }
}

/// A word of the stack.
#[inline(always)]
fn read_word(context: *mut c_void, place: usize) -> Option<u64> {
    read_u64(context.cast::<u64>().wrapping_add(place) as u64)
}

/// Who waits for a lock that is slept for: the return address, by a walk of the stack, as the daemon finds it in the
/// stack that is kept; 0 where it is not to be told. The task goes to sleep anyway.
#[cold]
#[inline(never)]
pub fn find_of_sleep(context: *mut c_void) -> u64 {
    let Some(search) = SEARCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: as in `search`.
    let search = unsafe { &mut *search };
    let bytes = walk_frames(context, search);
    let between = constants::between_text();
    let mut in_lock = false;
    for frame in 0..SEARCHED_FRAMES {
        let address = search.frames[frame];
        if frame as i64 * 8 >= bytes {
            return 0;
        }
        if between.contains(address) {
            in_lock = true;
        } else if in_lock {
            return address;
        }
    }
    0
}

/// What takes so long that the wait's length is not to be kept: the walk of a sample, or the search for
/// a caller whose place is not known.
#[cold]
#[inline(never)]
fn disturb(context: *mut c_void, cpu: &mut CpuState, frame: usize, due: bool) {
    let frame = frame & (WAIT_DEPTH - 1);
    if cpu.open_waits.frames[frame].caller == 0 {
        if !due {
            if cpu.searches >= FREE_SEARCHES {
                return;
            }
            cpu.searches += 1;
        }
        cpu.open_waits.frames[frame].caller =
            search(context, kind_of(cpu.open_waits.frames[frame].flags));
    }
    cpu.open_waits.frames[frame].sampled = 1;
    cpu.open_waits.frames[frame].stack_id = contention::take_stack(context, cpu);
}

/// Searches the words above the context for the return addresses on the way to the caller, and keeps
/// where they stand. The caller; 0 where it is not found.
#[cold]
#[inline(never)]
fn search(context: *mut c_void, kind: usize) -> u64 {
    let Some(search) = SEARCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the element is in the map, and belongs to this CPU and this program.
    let search = unsafe { &mut *search };
    let walked = walk(context, search);
    read_words(context, search);
    search.previous = 0;
    let between = constants::between_text();
    for place in 2..SEARCHED_WORDS {
        let word = search.words[place];
        // What comes back from the map is any number to the verifier, which would otherwise follow the
        // rest once for each place that may be found.
        let previous = any_number(&raw const search.previous);
        let is_next = if walked {
            word == search.frames
                [any_number(&raw const search.next) as usize & (SEARCHED_FRAMES - 1)]
        } else if previous == 0 {
            constants::lock_text().contains(word)
        } else {
            constants::kernel_text().contains(word)
        };
        if !is_next {
            continue;
        }
        if previous == 0 {
            // SAFETY: the kind is in bounds; a word is written whole.
            unsafe { write_volatile(PLACES.get().cast::<u32>().add(kind & 3), place as u32) };
        } else {
            let distance = (place as u64).wrapping_sub(any_number(&raw const search.place));
            // SAFETY: the byte is in the table.
            unsafe {
                write_volatile(
                    distance_of(previous.wrapping_sub(between.start)),
                    distance as u8,
                );
            }
        }
        if !between.contains(word) {
            return word;
        }
        search.previous = word;
        search.place = place as u64;
        search.next += 1;
    }
    0
}

#[inline(always)]
fn any_number(place: *const u64) -> u64 {
    // SAFETY: the place is part of this CPU's element.
    unsafe { read_volatile(place) }
}

/// Walks the stack as far as a search needs it; whether it came by the locks' text, where the search
/// begins.
#[inline(always)]
fn walk(context: *mut c_void, search: &mut Search) -> bool {
    if !constants::take_stacks() {
        return false;
    }
    let bytes = walk_frames(context, search);
    for frame in 0..SEARCHED_FRAMES {
        if frame as i64 * 8 < bytes && constants::lock_text().contains(search.frames[frame]) {
            search.next = frame as u64;
            return true;
        }
    }
    false
}

/// The return addresses of the stack, the innermost first: how many bytes they are, negative where there are none.
#[inline(always)]
fn walk_frames(context: *mut c_void, search: &mut Search) -> i64 {
    // SAFETY: the helper writes no more than the array's size.
    unsafe {
        bpf_get_stack(
            context,
            search.frames.as_mut_ptr().cast(),
            size_of_val(&search.frames) as u32,
            0,
        )
    }
}

/// Reads the words above the context, as far as there are any.
#[inline(always)]
fn read_words(context: *mut c_void, search: &mut Search) {
    for first in (0..SEARCHED_WORDS).step_by(CHUNK_WORDS) {
        // SAFETY: the helper checks the address that it reads, and writes no more than the chunk; where
        // it cannot read, it writes zeroes.
        unsafe {
            bpf_probe_read_kernel(
                search.words.as_mut_ptr().add(first).cast(),
                8 * CHUNK_WORDS as u32,
                context.cast::<u64>().wrapping_add(first).cast(),
            );
        }
    }
}
