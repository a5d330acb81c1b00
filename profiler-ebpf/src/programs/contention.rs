//! The table of all contended locks, one part a CPU, open-addressed. It is written only by the
//! program on contention_end, which the kernel never runs twice at once on a CPU.

use aya_ebpf::{EbpfContext, programs::tracing::StackIdContext};
use lockprof_abi::{
    ContentionEntry, CpuState, Loss, MAX_PROBES, NO_STACK, WAIT_OCTAVES, floor_log2,
};

use super::{
    constants,
    maps::{self, lose},
};

/// `BPF_F_FAST_STACK_CMP`: stacks with the same hash are taken for the same.
const FAST_STACK_COMPARISON: u64 = 1 << 9;

/// One wait that has ended.
pub struct Wait {
    pub lock: u64,
    pub flags: u32,
    pub stack_id: i32,
    pub hold_site: u32,
    pub waited_ns: u64,
}

/// Takes the call stack of a waiter. Never inside a hold of the target lock.
#[inline(always)]
pub fn take_stack(context: &(impl EbpfContext + StackIdContext), cpu: &mut CpuState) -> i32 {
    if !constants::take_stacks() {
        return NO_STACK;
    }
    match context.get_stackid(&maps::STACKS, FAST_STACK_COMPARISON) {
        Ok(id) => id as i32,
        Err(_) => {
            lose(cpu, Loss::StackMissing);
            NO_STACK
        }
    }
}

/// Adds a wait to this CPU's table.
#[inline(always)]
pub fn add(cpu: &mut CpuState, wait: &Wait) {
    cpu.contended += 1;
    let mask = constants::contention_mask();
    let base = maps::this_cpu() * (mask + 1);
    // Locks are aligned to at least four bytes, and most to a cache line: mix the high bits in.
    let hash = (wait.lock >> 3) as u32 ^ (wait.lock >> 12) as u32;
    let hash = hash
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
            entry.stack_id = wait.stack_id;
            entry.flags = wait.flags;
            entry.hold_site = wait.hold_site;
            entry.lock = wait.lock;
        }
        if entry.lock == wait.lock
            && entry.stack_id == wait.stack_id
            && entry.flags == wait.flags
            && entry.hold_site == wait.hold_site
        {
            count(entry, wait.waited_ns);
            return;
        }
    }
    lose(cpu, Loss::ContentionTableFull);
}

#[inline(always)]
fn count(entry: &mut ContentionEntry, waited_ns: u64) {
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
