//! Who called the lock function, without a stack walk.
//!
//! In a tracing program, the words that follow the context hold the trampoline's frame
//! (arch/x86/net/bpf_jit_comp.c, arch_prepare_bpf_trampoline, 6.1 and 6.12): the saved rbp, the
//! return address into the traced function, and the return address into its caller. With fexit
//! attached a return value stands before them, so the place is searched for, not counted on. 7.x
//! has trampolines that jump, and leave no return address into the traced function: there the first
//! word that lies in a known site is taken, or else the word where such a trampoline has it.
//!
//! What a caller is called the programs do not know: it has a number. That of a function of the known ranges is
//! passed with them, any other caller takes the next one, as long as there are any, and leaves its return
//! address for the daemon.
//!
//! A lock has few callers, so the search is made once for each: what it found is kept by return
//! address, and where it found it is tried first. A frame of another shape, after another tracer has
//! come or gone, has another word in that place, which is not among the return addresses kept.

use core::{
    ffi::c_void,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{bindings::pt_regs, helpers::generated::bpf_probe_read_kernel};
use lockprof_abi::{
    CpuState, MANY_SITES, MAX_SITE_RANGES, OTHER_READER, OTHER_SITE, READER as READER_FLAG,
    UNKNOWN_SITE,
};

use super::{
    blame::take_number,
    constants,
    maps::{self, SharedVariable},
    memory::read_cast,
};

/// Words after the context's beginning that are searched, the first argument included.
const FRAME_WORDS: usize = 8;

/// The place of the return address into the caller, in the frame of a trampoline with fexit that has
/// been called: after the argument, the return value, the saved rbp, and the return address into the
/// traced function.
const AFTER_A_CALL: usize = 4;
/// The same in the frame of one that was jumped to.
const AFTER_A_JUMP: usize = 3;

/// Places for return addresses that are kept: a power of two, and so many that the few callers of a
/// lock hardly ever share one.
const CALLERS: usize = 1024;

/// Return addresses, shifted left by eight bits, with the number of their site below them. One word,
/// so that two CPUs that write the same place leave one of the two and no mixture. A free place has a
/// word that no address gives.
static KNOWN_CALLERS: SharedVariable<[u64; CALLERS]> = SharedVariable::new([u64::MAX; CALLERS]);

/// The traced function is `_raw_write_lock_irq`, or one by which a task has the lock for itself alone.
pub const WRITER: bool = true;
/// The traced function is `_raw_read_lock`, or another one of readers.
pub const READER: bool = false;

/// In which word of a writer's frame the return address into its caller was last found.
static WRITER_PLACE: SharedVariable<usize> = SharedVariable::new(AFTER_A_CALL);
/// In which word of a reader's.
static READER_PLACE: SharedVariable<usize> = SharedVariable::new(AFTER_A_CALL);

#[inline(always)]
fn last_place<const WRITERS: bool>() -> *mut usize {
    if WRITERS {
        WRITER_PLACE.get()
    } else {
        READER_PLACE.get()
    }
}

/// The site that called the traced function, from the context of an fentry or fexit program on a
/// function of one argument.
#[inline(always)]
pub fn from_trampoline<const WRITERS: bool>(context: *mut c_void, cpu: &mut CpuState) -> u32 {
    // SAFETY: the variable lives as long as the programs.
    let place = unsafe { read_volatile(last_place::<WRITERS>()) };
    if let Some(address) = read_word(context, place)
        && let Some(site) = kept(address)
    {
        return site;
    }
    any_number(cpu, search::<WRITERS>(context))
}

/// The site to which a kretprobe returns. The handler sees the true return address in the
/// instruction pointer (kernel/trace/rethook.c, rethook_trampoline_handler, 6.1); another tracer's
/// trampoline in its place is among the known ranges, as unknown.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn from_return<const WRITERS: bool>(regs: *const pt_regs, cpu: &mut CpuState) -> u32 {
    // SAFETY: the context of a kretprobe is a valid pt_regs.
    let address = unsafe { (*regs).rip };
    kept(address).unwrap_or_else(|| any_number(cpu, classify::<WRITERS>(address)))
}

/// Only x86-64 is known to have the return address there.
#[cfg(not(bpf_target_arch = "x86_64"))]
#[inline(always)]
pub fn from_return<const WRITERS: bool>(_regs: *const pt_regs, _cpu: &mut CpuState) -> u32 {
    UNKNOWN_SITE
}

/// The site into which a function returns at whose entry a kprobe stands: the return address is on top of
/// the stack.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn from_entry<const WRITERS: bool>(regs: *const pt_regs, cpu: &mut CpuState) -> u32 {
    // SAFETY: the context of a kprobe is a valid pt_regs.
    let stack = unsafe { (*regs).rsp } as *mut c_void;
    let mut address = [0];
    if !read_frame(stack, 0, &mut address) {
        return UNKNOWN_SITE;
    }
    kept(address[0]).unwrap_or_else(|| any_number(cpu, classify::<WRITERS>(address[0])))
}

/// Only x86-64 is known to have the return address there.
#[cfg(not(bpf_target_arch = "x86_64"))]
#[inline(always)]
pub fn from_entry<const WRITERS: bool>(_regs: *const pt_regs, _cpu: &mut CpuState) -> u32 {
    UNKNOWN_SITE
}

/// The site that a search has found. What comes back from the map is any number to the verifier, which
/// would otherwise follow the rest of the program once for each site that may be found.
#[inline(always)]
fn any_number(cpu: &mut CpuState, site: u32) -> u32 {
    let place = &raw mut cpu.found_site;
    // SAFETY: the place is part of this CPU's state.
    unsafe {
        write_volatile(place, site);
        read_volatile(place)
    }
}

/// Reads a word of the trampoline's frame: without a helper where the kernel allows it.
#[inline(always)]
fn read_word(context: *mut c_void, place: usize) -> Option<u64> {
    let frame_type = constants::frame_type();
    if frame_type != 0 {
        // An access through a cast pointer needs an offset that is known when the program is loaded.
        match place {
            AFTER_A_CALL => return Some(read_cast::<{ 8 * AFTER_A_CALL }>(context, frame_type)),
            AFTER_A_JUMP => return Some(read_cast::<{ 8 * AFTER_A_JUMP }>(context, frame_type)),
            _ => {}
        }
    }
    let mut word = [0];
    read_frame(context, place & (FRAME_WORDS - 1), &mut word).then_some(word[0])
}

/// Reads words of the trampoline's frame, from this one on; whether the kernel let us.
#[inline(always)]
fn read_frame<const WORDS: usize>(
    context: *mut c_void,
    place: usize,
    words: &mut [u64; WORDS],
) -> bool {
    // SAFETY: the helper checks the address that it reads, and writes no more than the array's size.
    let failed = unsafe {
        bpf_probe_read_kernel(
            words.as_mut_ptr().cast(),
            size_of_val(words) as u32,
            context.cast::<u64>().add(place).cast_const().cast(),
        )
    };
    failed == 0
}

/// Where a return address is kept.
#[inline(always)]
fn place_of(address: u64) -> *mut u64 {
    // Return addresses are not aligned: their low bits are as good as any hash.
    let place = address as usize & (CALLERS - 1);
    // SAFETY: the place is below the number of places.
    unsafe { KNOWN_CALLERS.get().cast::<u64>().add(place) }
}

/// The site of a return address that was searched for before.
#[inline(always)]
fn kept(address: u64) -> Option<u32> {
    // SAFETY: the place is in the table; a word is read whole.
    let known = unsafe { read_volatile(place_of(address)) } ^ (address << 8);
    (known < 1 << 8).then_some(known as u32)
}

/// Finds the caller's return address in the frame, and keeps what was found. A function of its own,
/// so that a program saves no register for what it does once a caller.
#[cold]
#[inline(never)]
fn search<const WRITERS: bool>(context: *mut c_void) -> u32 {
    let mut words = [0; FRAME_WORDS];
    if !read_frame(context, 0, &mut words) {
        return UNKNOWN_SITE;
    }
    let [own, others] = if WRITERS {
        [constants::lock_function(), constants::read_function()]
    } else {
        [constants::read_function(), constants::lock_function()]
    };
    // Of what is followed by task, each part has functions of readers and of writers. The constant comes first: of all other
    // locks the verifier follows one comparison.
    let is_inside =
        |word: u64| own.contains(word) || constants::is_followed_by_task() && others.contains(word);
    for place in 2..FRAME_WORDS {
        if is_inside(words[place - 1]) {
            // SAFETY: as in `from_trampoline`.
            unsafe { write_volatile(last_place::<WRITERS>(), place) };
            return classify::<WRITERS>(words[place]);
        }
    }
    for (place, word) in words.into_iter().enumerate().skip(1) {
        if let Some(site) = known_site(word)
            && site != UNKNOWN_SITE
        {
            // SAFETY: as in `from_trampoline`.
            unsafe { write_volatile(last_place::<WRITERS>(), place) };
            keep(word, site);
            return site;
        }
    }
    // Only where callers are learned: of a lock whose sites are all known this one would have been found.
    let word = words[AFTER_A_JUMP];
    if learns() && constants::is_code(word) {
        // SAFETY: as in `from_trampoline`.
        unsafe { write_volatile(last_place::<WRITERS>(), AFTER_A_JUMP) };
        return classify::<WRITERS>(word);
    }
    UNKNOWN_SITE
}

/// The site of a return address into the traced function's caller, which is kept from now on.
#[cold]
#[inline(never)]
fn classify<const WRITERS: bool>(address: u64) -> u32 {
    let site = known_site(address).unwrap_or_else(|| {
        if !WRITERS {
            learn(address, READER_FLAG).unwrap_or(OTHER_READER)
        } else if learns() || constants::site_range(0).is_some() {
            learn(address, 0).unwrap_or(OTHER_SITE)
        } else {
            // Where addresses are hidden, nobody can be told from the others.
            UNKNOWN_SITE
        }
    });
    keep(address, site);
    site
}

/// Whether callers that are not known before get numbers of their own.
#[inline(always)]
fn learns() -> bool {
    constants::first_learned() < constants::site_slots()
}

/// The number of a caller that is in no known range: its own, or the next one; `None` where there is none left.
///
/// Two CPUs that meet the same caller for the first time at once give it two numbers, which the daemon puts
/// together by its name.
#[inline(always)]
fn learn(address: u64, reader: u32) -> Option<u32> {
    if !learns() {
        return None;
    }
    let callers = maps::callers()?;
    // SAFETY: the pointer is to the only element of the map; indices are below the number of places, and words
    // are read and written whole. The address is written last: x86-64 keeps the order of stores, and volatile
    // the compiler's.
    unsafe {
        for index in 0..MANY_SITES {
            let caller = &raw const (*callers).learned[index];
            if read_volatile(&raw const (*caller).address) == address {
                return Some(read_volatile(&raw const (*caller).site) as u32);
            }
        }
        let room = u64::from(constants::site_slots() - constants::first_learned());
        let index = take_number(&raw mut (*callers).asked);
        if index >= room || index >= MANY_SITES as u64 {
            return None;
        }
        let caller = &raw mut (*callers).learned[index as usize & (MANY_SITES - 1)];
        let site = (constants::first_learned() + index as u32) | reader;
        write_volatile(&raw mut (*caller).site, u64::from(site));
        write_volatile(&raw mut (*caller).address, address);
        Some(site)
    }
}

#[inline(always)]
fn keep(address: u64, site: u32) {
    // SAFETY: the place is in the table; a word is written whole.
    unsafe { write_volatile(place_of(address), address << 8 | u64::from(site)) };
}

/// The site whose code an address is in.
#[inline(always)]
fn known_site(address: u64) -> Option<u32> {
    for index in 0..MAX_SITE_RANGES {
        let range = constants::site_range(index)?;
        if range.text.contains(address) {
            return Some(range.site);
        }
    }
    None
}
