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
//!
//! Of a lock that is slept for the way begins in the scheduler's text. Of such waits one in eight jiffies is walked
//! on each CPU, for its call stack; it goes to sleep anyway, so that its length is kept. The walk checks the distances
//! as well. An rwsem's slow path aligns its frame to 16 bytes (`and $-16,%rsp`), in a stack that is aligned to eight:
//! so the next return address stands at one of two places, of which the distance is that of the lower one. And in
//! large frames return addresses of earlier calls may be left: a distance that was wrong gives way to a longer one,
//! for what is left of an earlier call lies below.

use core::{
    ffi::c_void,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{
    helpers::generated::{bpf_get_stack, bpf_jiffies64, bpf_probe_read_kernel},
    macros::map,
    maps::PerCpuArray,
};
use lockprof_abi::{BETWEEN_TEXT_LIMIT, CpuState, LCB_F_PERCPU, NO_STACK, TextRange, WAIT_DEPTH};

use super::{
    constants, contention,
    maps::SharedVariable,
    memory::{read_u32, read_u64},
};

/// Return addresses that are passed over: the slow path's, the lock function's, and some of a mutex or
/// semaphore.
const HOPS: usize = 8;
/// Words of the stack that are searched, the first argument included; a multiple of those that are read at once.
const SEARCHED_WORDS: usize = 80;
/// No word further away is looked at; a power of two less 1.
const FURTHEST_WORD: usize = 0xff;
/// Words that are read at once.
const CHUNK_WORDS: usize = 16;
/// Frames of the walk that a search follows: those of tracing, of the lock, and one more; a power of two.
const SEARCHED_FRAMES: usize = 16;
/// Searches on a CPU, after which only a sampled wait makes another one.
const FREE_SEARCHES: u32 = 64;
/// log2 of the jiffies in which one sleeping wait of a CPU is walked: 32 ms where there are 250 a second.
const WALK_EVERY_JIFFIES_LOG2: u32 = 3;
/// The longest trampoline (arch/x86/net/bpf_jit_comp.c: PAGE_SIZE), and the distance in a call or a jump.
const TRAMPOLINE_BYTES: u64 = 4096;
const DISTANCE_BYTES: u64 = 4;
/// What a search works on, of which a program's own stack has no room for.
#[repr(C)]
struct Search {
    words: [u64; SEARCHED_WORDS],
    frames: [u64; SEARCHED_FRAMES],
    /// The next frame that is looked for.
    next: u64,
    /// Where the last return address stood; 0 before the first.
    place: u64,
    /// The last return address that was found; 0 before the first.
    previous: u64,
    /// How far above it the next one stood last; 0 where that is not known.
    known: u64,
    /// Behind which place it is looked for.
    behind: u64,
    /// Where the text begins in which it is.
    wanted: u64,
    /// How long that is.
    wanted_bytes: u64,
    /// The way of asking for a lock.
    way: u64,
    /// 1 where a walk tells the return addresses.
    walked: u64,
    /// What was found; 0 until then.
    caller: u64,
}

/// The program on contention_begin does not interrupt itself: one a CPU is enough.
#[map]
static SEARCH: PerCpuArray<Search> = PerCpuArray::with_max_entries(1, 0);

/// Ways of asking for a lock, of which each may have frames of its own; a power of two.
const WAYS: usize = 8;
/// The first of those that sleep.
const FIRST_SLEEPING_WAY: usize = 4;

/// At which word above the context the first return address into the locks' text stands, by how a lock is
/// asked for: in a kernel whose slow paths are no part of that text, each has its own frame below it. 0
/// where it is not known.
static PLACES: SharedVariable<[u32; WAYS]> = SharedVariable::new([0; WAYS]);

/// How many words above a return address into a function between the next one stands, by where in the
/// text it points to. 0 where it is not known. A byte is written whole.
static DISTANCES: SharedVariable<[u8; BETWEEN_TEXT_LIMIT]> =
    SharedVariable::new([0; BETWEEN_TEXT_LIMIT]);

/// Finds who waits, and keeps it in the frame of the wait: in a few loads, unless the wait is sampled.
#[inline(always)]
pub fn find(context: *mut c_void, cpu: &mut CpuState, frame: usize) {
    let due = is_due(cpu);
    let frame = frame & (WAIT_DEPTH - 1);
    let known = known(context, spinning_way(cpu.open_waits.frames[frame].flags));
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
const fn spinning_way(flags: u32) -> usize {
    (flags >> 1 & 3) as usize
}

/// An rwsem, a percpu-rwsem, a mutex (LCB_F_PERCPU and LCB_F_MUTEX).
#[inline(always)]
const fn sleeping_way(flags: u32) -> usize {
    FIRST_SLEEPING_WAY + (flags / LCB_F_PERCPU & 3) as usize
}

/// The caller, where everything on the way to it is known.
#[inline(always)]
fn known(context: *mut c_void, way: usize) -> Option<u64> {
    let between = constants::between_text();
    let mut place = first_place(way) as usize;
    let mut address = read_word(context, place)?;
    if !between.contains(address) {
        return None;
    }
    for _hop in 0..HOPS {
        let distance = read_distance(address.wrapping_sub(between.start));
        if distance == 0 {
            return None;
        }
        place += distance as usize;
        address = read_word(context, place)?;
        if between.contains(address) {
            continue;
        }
        if constants::is_code(address) {
            return Some(address);
        }
        // The upper one of two places; the same for the verifier as the lower one.
        place = (place + 1) & FURTHEST_WORD;
        address = read_word(context, place)?;
        if !between.contains(address) {
            return constants::is_code(address).then_some(address);
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
fn read_distance(offset: u64) -> u64 {
    // SAFETY: the byte is in the table.
    u64::from(unsafe { read_volatile(distance_of(offset)) })
}

/// A word of the stack.
#[inline(always)]
fn read_word(context: *mut c_void, place: usize) -> Option<u64> {
    read_u64(context.cast::<u64>().wrapping_add(place) as u64)
}

/// Who waits for a lock that is slept for: the return address, 0 where it is not to be told; and whether the call
/// stack is to be walked: each where all samples are wanted, else one in a while, and where nothing else tells who it
/// is, as in a kernel whose scheduler is too long to be passed over. Where no stack may be walked nobody is looked for.
#[inline(always)]
pub fn find_of_sleep(context: *mut c_void, cpu: &mut CpuState, flags: u32) -> (u64, bool) {
    let passes_over = constants::between_text().length != constants::lock_text().length;
    if !passes_over || !constants::take_stacks() {
        return (0, true);
    }
    let way = sleeping_way(flags);
    // SAFETY: the helper has no precondition.
    let now = unsafe { bpf_jiffies64() } >> WALK_EVERY_JIFFIES_LOG2;
    let is_due = cpu.walked_at != now || constants::sample_every() == 1;
    match known(context, way) {
        Some(caller) if !is_due => (caller, false),
        known => {
            cpu.walked_at = now;
            let walked = search(context, way);
            // What is read is what counts, so that the daemon sees how often it is not what is walked.
            (known.unwrap_or(walked), is_due || walked == 0)
        }
    }
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
            search(context, spinning_way(cpu.open_waits.frames[frame].flags));
    }
    cpu.open_waits.frames[frame].sampled = 1;
    cpu.open_waits.frames[frame].stack_id = contention::take_stack(context, cpu);
}

/// Searches the words above the context for the return addresses on the way to the caller, and keeps
/// where they stand. The caller; 0 where it is not found.
#[cold]
#[inline(never)]
fn search(context: *mut c_void, way: usize) -> u64 {
    let Some(search) = SEARCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the element is in the map, and belongs to this CPU and this program.
    let search = unsafe { &mut *search };
    let between = constants::between_text();
    let first_text = if way >= FIRST_SLEEPING_WAY {
        between
    } else {
        constants::lock_text()
    };
    search.way = way as u64;
    search.walked = u64::from(walk(context, search, first_text));
    pass_over_trampoline(search);
    read_words(context, search);
    search.previous = 0;
    search.caller = 0;
    look_for(search, first_text, 0, first_place(way));
    for place in 2..SEARCHED_WORDS {
        // What comes back from the map is any number to the verifier, which would otherwise follow the
        // rest once for each place that may be found.
        let wanted = TextRange {
            start: any_number(&raw const search.wanted),
            length: any_number(&raw const search.wanted_bytes),
        };
        let word = search.words[place];
        if !wanted.contains(word) || place as u64 <= any_number(&raw const search.behind) {
            continue;
        }
        let distance = (place as u64).wrapping_sub(any_number(&raw const search.place));
        let known = any_number(&raw const search.known);
        // The upper one of two places is as good.
        if known == 0 || distance != known + 1 {
            keep(search, between, distance);
        }
        if between.contains(word) {
            search.previous = word;
            search.next += 1;
            let known = read_distance(word.wrapping_sub(between.start));
            look_for(search, constants::kernel_text(), place as u64, known);
        } else {
            search.caller = word;
            search.behind = SEARCHED_WORDS as u64;
        }
    }
    if any_number(&raw const search.caller) == 0 {
        // The next search begins anew.
        keep(search, between, 0);
        if any_number(&raw const search.walked) != 0 {
            return walked_caller(search);
        }
    }
    any_number(&raw const search.caller)
}

/// What the next return address is by the walk, or in which text it is; from its known place on. Where that was the
/// upper one of two it is not found at the lower one, and begins anew.
#[inline(always)]
fn look_for(search: &mut Search, text: TextRange, place: u64, known: u64) {
    if any_number(&raw const search.walked) != 0 {
        search.wanted =
            search.frames[any_number(&raw const search.next) as usize & (SEARCHED_FRAMES - 1)];
        search.wanted_bytes = 1;
    } else {
        search.wanted = text.start;
        search.wanted_bytes = text.length;
    }
    search.place = place;
    search.known = known;
    search.behind = place + known.saturating_sub(1);
}

/// Where the first return address stands, by the way; 0 where that is not known.
#[inline(always)]
fn first_place(way: usize) -> u64 {
    // SAFETY: the way is in bounds, and the variable lives as long as the programs.
    u64::from(unsafe { read_volatile(PLACES.get().cast::<u32>().add(way & (WAYS - 1))) })
}

/// Keeps how far above the one before a return address stands.
#[inline(always)]
fn keep(search: &Search, between: TextRange, distance: u64) {
    let previous = any_number(&raw const search.previous);
    let way = any_number(&raw const search.way) as usize;
    if previous == 0 {
        // SAFETY: as in `first_place`; a word is written whole.
        unsafe {
            write_volatile(
                PLACES.get().cast::<u32>().add(way & (WAYS - 1)),
                distance as u32,
            );
        }
    } else {
        // SAFETY: the byte is in the table.
        unsafe {
            write_volatile(
                distance_of(previous.wrapping_sub(between.start)),
                distance as u8,
            );
        }
    }
}

/// The caller by the walk alone: it stands further away than words are searched.
#[inline(always)]
fn walked_caller(search: &Search) -> u64 {
    let between = constants::between_text();
    let first = any_number(&raw const search.next);
    for frame in 0..SEARCHED_FRAMES {
        let address = search.frames[frame];
        if frame as u64 >= first && address != 0 && !between.contains(address) {
            return address;
        }
    }
    0
}

#[inline(always)]
fn any_number(place: *const u64) -> u64 {
    // SAFETY: the place is part of this CPU's element.
    unsafe { read_volatile(place) }
}

/// Walks the stack as far as a search needs it; whether it came by the text in which the search begins.
#[inline(always)]
fn walk(context: *mut c_void, search: &mut Search, first_text: TextRange) -> bool {
    if !constants::take_stacks() {
        return false;
    }
    // SAFETY: the helper writes no more than the array's size.
    let bytes = unsafe {
        bpf_get_stack(
            context,
            search.frames.as_mut_ptr().cast(),
            size_of_val(&search.frames) as u32,
            0,
        )
    };
    for frame in 0..SEARCHED_FRAMES {
        if frame as i64 * 8 < bytes && first_text.contains(search.frames[frame]) {
            search.next = frame as u64;
            return true;
        }
    }
    false
}

/// Takes the trampoline by which a probed lock function was called out of the walk, so that the one who called that is the
/// next. How far it stands above the lock function is kept like any distance.
#[cold]
#[inline(never)]
fn pass_over_trampoline(search: &mut Search) {
    let between = constants::between_text();
    let first = any_number(&raw const search.next);
    // In the map, so that the verifier does not follow the rest once for each frame that it may be.
    let found = &raw mut search.behind;
    // SAFETY: the place is part of this CPU's element.
    unsafe { write_volatile(found, SEARCHED_FRAMES as u64 - 1) };
    for frame in (0..SEARCHED_FRAMES).rev() {
        if frame as u64 > first && !between.contains(search.frames[frame]) {
            // SAFETY: as before.
            unsafe { write_volatile(found, frame as u64) };
        }
    }
    let caller = any_number(found) as usize & (SEARCHED_FRAMES - 1);
    if is_in_trampoline(search.frames[caller]) {
        search.frames[caller] = search.frames[(caller + 1) & (SEARCHED_FRAMES - 1)];
    }
}

/// Whether a return address is in a trampoline of tracing programs: such a one is called, or jumped to, by the function that
/// it calls in turn, from the instruction before the one to which the call goes (arch/x86/net/bpf_jit_comp.c,
/// `__arch_prepare_bpf_trampoline()`, 5.19 to 7.3). It has a page at most.
#[inline(always)]
fn is_in_trampoline(address: u64) -> bool {
    constants::is_of_modules(address)
        && called_by(address)
            .and_then(called_by)
            .is_some_and(|start| address.wrapping_sub(start) < TRAMPOLINE_BYTES)
}

/// To where the instruction goes that calls, or jumps, and after which the address stands.
#[inline(always)]
fn called_by(address: u64) -> Option<u64> {
    let distance = read_u32(address.wrapping_sub(DISTANCE_BYTES))?;
    Some(address.wrapping_add(i64::from(distance as i32) as u64))
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
