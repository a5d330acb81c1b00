//! The memory layout that lockprof's eBPF programs and its user space share.
//!
//! Everything here is plain data: `repr(C)`, no implicit padding, every bit pattern valid, sizes and
//! offsets asserted at compile time. The programs (`main.rs`) write it, the daemon maps it and reads
//! it; neither side has a second definition of any number, name or bucket.

#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(test)]
extern crate std;

mod contention;
mod cpu;
mod histogram;
mod hold;
mod kernel_calls;
mod names;
mod off_cpu;
mod owners;
mod sites;
mod waiters;

pub use contention::{
    BETWEEN_TEXT_LIMIT, CGROUP_PLACES, CGROUP_SLOTS, CgroupEntry, ContentionEntry, LCB_F_MUTEX,
    LCB_F_PERCPU, LCB_F_READ, LCB_F_RT, LCB_F_SPIN, LCB_F_WRITE, MAX_PROBES, NO_STACK,
    OTHER_CGROUPS, OTHERS, OTHERS_PLACES, OWNER_SAMPLED, OWNER_STATE_MASK, READER_HINT,
    STACK_FRAMES, TASK_SLOTS, TaskSlot, WAIT_OCTAVES,
};
pub use cpu::{
    ARMED, CONTROLS, CpuState, Longest, MAX_SPANS, OpenSpans, PendingWait, READ_DEPTH, READERS,
    RELEASES, ReadFrame, ReadStack, RunControl, SiteState, SpanSlot, SpanTotals, TextRange,
    WAIT_DEPTH, WRITERS, WaitFrame, WaitStack,
};
pub use histogram::{
    BUCKETS, BUCKETS_PER_OCTAVE, RELATIVE_ERROR, bucket_high_ns, bucket_low_ns, bucket_of,
    floor_log2,
};
pub use hold::{
    EndedHold, Followed, HoldRing, HoldSlot, IN_INTERRUPT, INTERRUPTED_FRAMES, MAX_BEHIND,
    ProcessLock, RING_HOLDS, TaskHold, WaitMark, overlap_ns,
};
pub use kernel_calls::{FRAME_TYPE_NAME, KernelCall};
pub use names::{Loss, Phase};
pub use off_cpu::{OFF_CPU_PLACES, OFF_CPU_SLOTS, OTHERS_OFF_CPU, OffCpuEntry};
pub use owners::{OWNER_FRAMES, OWNER_PLACES, OWNER_SAMPLE_EVERY, OwnerStack};
pub use sites::{
    Caller, Callers, FEW_SITES, FIRST_CALLER, MANY_SITES, MAX_SITE_RANGES, OTHER_READER,
    OTHER_SITE, READER, SiteRange, SiteRanges, UNKNOWN_SITE, is_reader, site_slot,
};
pub use waiters::{
    COMM_BYTES, KernelLayout, LockClass, MAX_CALLER_RANGES, OTHER_WAITERS_PLACES, OwnerState,
    UNKNOWN_OFFSET, WaitFilter, WaiterEntry, kind_bit,
};
