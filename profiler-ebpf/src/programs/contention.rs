//! The table of all contended locks, one part a CPU, open-addressed. It is written only by the
//! program on contention_end, which the kernel never runs twice at once on a CPU.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_stackid;
use lockprof_abi::{
    ContentionEntry, CpuState, Loss, MAX_PROBES, NO_STACK, OTHERS, OTHERS_PLACES, WAIT_OCTAVES,
    floor_log2,
};

use super::{
    constants,
    maps::{self, lose},
};

/// `BPF_F_FAST_STACK_CMP`: stacks with the same hash are taken for the same.
const FAST_STACK_COMPARISON: u64 = 1 << 9;

/// One wait that has ended.
pub struct Wait {
    /// The lock's address, or the key of its class.
    pub lock: u64,
    pub caller: u64,
    pub flags: u32,
    pub stack_id: i32,
    pub hold_site: u32,
    /// It is counted, and its length is not kept.
    pub sampled: bool,
    pub waited_ns: u64,
}

/// Takes the call stack of a waiter. Never inside a hold of the target lock.
#[inline(always)]
pub fn take_stack(context: *mut c_void, cpu: &mut CpuState) -> i32 {
    if !constants::take_stacks() {
        return NO_STACK;
    }
    // SAFETY: the context is a program's, and the map one of call stacks.
    let id =
        unsafe { bpf_get_stackid(context, maps::STACKS.as_ptr(), FAST_STACK_COMPARISON) } as i32;
    if id < 0 {
        lose(cpu, Loss::StackMissing);
        return NO_STACK;
    }
    id
}

/// Adds a wait to this CPU's table.
#[inline(always)]
pub fn add(cpu: &mut CpuState, wait: &Wait) {
    cpu.contended += 1;
    let mask = constants::contention_mask();
    let base = maps::this_cpu() * (mask + 1 + OTHERS_PLACES);
    // Locks are aligned to at least four bytes, and most to a cache line: mix the high bits in. Return
    // addresses are not aligned.
    let hash = (wait.lock >> 3) as u32 ^ (wait.lock >> 12) as u32;
    let hash = hash
        .wrapping_add(wait.caller as u32)
        .wrapping_add(wait.stack_id as u32)
        .wrapping_add(wait.hold_site << 4)
        .wrapping_mul(0x9e37_79b1)
        >> 12;
    for probe in 0..MAX_PROBES {
        let index = base + (hash.wrapping_add(probe) & mask);
        let Some(entry) = maps::CONTENTION.get_ptr_mut(index) else {
            return;
        };
        // SAFETY: the entry is in the map, and belongs to this CPU and this program.
        let entry = unsafe { &mut *entry };
        if entry.lock == 0 {
            entry.caller = wait.caller;
            entry.stack_id = wait.stack_id;
            entry.flags = wait.flags;
            entry.hold_site = wait.hold_site;
            entry.lock = wait.lock;
        }
        if entry.lock == wait.lock
            && entry.caller == wait.caller
            && entry.stack_id == wait.stack_id
            && entry.flags == wait.flags
            && entry.hold_site == wait.hold_site
        {
            count(entry, wait);
            return;
        }
    }
    lose(cpu, Loss::ContentionTableFull);
    add_to_others(base + mask + 1, wait);
}

/// Adds a wait that found no place to those of all other locks, by its flags.
#[inline(always)]
fn add_to_others(base: u32, wait: &Wait) {
    for place in 0..OTHERS_PLACES {
        let Some(entry) = maps::CONTENTION.get_ptr_mut(base + place) else {
            return;
        };
        // SAFETY: as in `add`.
        let entry = unsafe { &mut *entry };
        if entry.lock == 0 {
            entry.stack_id = NO_STACK;
            entry.flags = wait.flags;
            entry.lock = OTHERS;
        }
        // The last place is for all flags that are still to come: there are not so many.
        if entry.flags == wait.flags || place == OTHERS_PLACES - 1 {
            count(entry, wait);
            return;
        }
    }
}

#[inline(always)]
fn count(entry: &mut ContentionEntry, wait: &Wait) {
    if wait.sampled {
        entry.sampled += 1;
        return;
    }
    let waited_ns = wait.waited_ns;
    entry.waits += 1;
    entry.waited_ns += waited_ns;
    if waited_ns > entry.longest_ns {
        entry.longest_ns = waited_ns;
    }
    let octave = floor_log2(waited_ns) as usize;
    let octave = if octave < WAIT_OCTAVES {
        octave
    } else {
        WAIT_OCTAVES - 1
    };
    if let Some(count) = entry.octaves.get_mut(octave) {
        *count += 1;
    }
}
