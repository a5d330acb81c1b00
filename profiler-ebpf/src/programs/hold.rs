//! Write holds of the target lock: from the return of `_raw_write_lock_irq` to the entry of
//! `_raw_write_unlock_irq`. Interrupts are off in between, so the hold stays on its CPU.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns,
    },
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use lockprof_abi::{
    BUCKETS, CGROUP_SLOTS, CpuState, HolderClocks, Longest, Loss, MAX_PROBES, PendingWait, Site,
    bucket_low_ns, bucket_of,
};

use super::{
    constants,
    maps::{self, lose},
    site,
};

/// Durations from here on are in the last bucket with all that are longer.
const LONGEST_BUCKET_NS: u64 = bucket_low_ns(BUCKETS);

#[fexit]
fn lock_acquired(ctx: FExitContext) -> i32 {
    if constants::is_target(ctx.arg(0)) {
        acquired(site::from_trampoline(
            ctx.as_ptr(),
            constants::lock_function(),
            Site::Other,
        ));
    }
    0
}

#[fentry]
fn lock_released(ctx: FEntryContext) -> i32 {
    if constants::is_target(ctx.arg(0)) {
        released();
    }
    0
}

/// A kretprobe does not see the arguments, and the task may be moved between the entry and the
/// disabling of interrupts, so the lock is kept by task.
#[kprobe]
fn kprobe_lock_entered(ctx: ProbeContext) -> u32 {
    if let Some(lock) = ctx.arg(0) {
        keep_entry(lock);
    }
    0
}

#[kretprobe]
fn kretprobe_lock_acquired(ctx: RetProbeContext) -> u32 {
    let Some(lock) = take_entry() else {
        if let Some(cpu) = maps::cpu_state() {
            lose(cpu, Loss::EntryLost);
        }
        return 0;
    };
    if constants::is_target(lock) {
        acquired(site::from_return(ctx.regs, Site::Other));
    }
    0
}

#[kprobe]
fn kprobe_lock_released(ctx: ProbeContext) -> u32 {
    if ctx.arg(0).is_some_and(constants::is_target) {
        released();
    }
    0
}

/// Keeps the lock that this task has asked for.
#[inline(always)]
pub fn keep_entry(lock: u64) {
    let pid = bpf_get_current_pid_tgid() as u32;
    if let Some(slot) = maps::task_slot(pid) {
        // SAFETY: the slot is in the map. Another task with the same low bits of its pid may write
        // at the same time; the reader checks the pid.
        unsafe {
            write_volatile(&raw mut (*slot).entry_lock, lock);
            write_volatile(&raw mut (*slot).entry_pid, pid + 1);
        }
    }
}

/// The lock that this task had asked for.
#[inline(always)]
pub fn take_entry() -> Option<u64> {
    let pid = bpf_get_current_pid_tgid() as u32;
    let slot = maps::task_slot(pid)?;
    // SAFETY: as in `keep_entry`.
    unsafe {
        if read_volatile(&raw const (*slot).entry_pid) != pid + 1 {
            return None;
        }
        write_volatile(&raw mut (*slot).entry_pid, 0);
        Some(read_volatile(&raw const (*slot).entry_lock))
    }
}

/// The hold begins. The clock is read last, so that the rest is not in the hold that is reported
/// (it is in the hold that the machine has: the null hold and the bench tell).
#[inline(always)]
fn acquired(site: u32) {
    let Some(cpu) = maps::cpu_state() else { return };
    let Some(clocks) = maps::clocks() else { return };
    if cpu.pending_wait.present != 0 {
        claim_wait(cpu, Site::slot(site));
    }
    if cpu.hold.start_ns != 0 {
        lose(cpu, Loss::HoldOverwritten);
    }
    cpu.hold.site = site;
    cpu.hold.seen = 1;
    cpu.open_spans.depth = 0;
    // SAFETY: this CPU holds the lock, so it alone writes the clocks; waiters read them by their
    // sequence. x86-64 keeps the order of stores, and volatile keeps the compiler's.
    unsafe {
        let sequence = (*clocks).sequence;
        write_volatile(&raw mut (*clocks).sequence, sequence | 1);
        write_volatile(&raw mut (*clocks).site, site);
        let now_ns = bpf_ktime_get_ns();
        write_volatile(&raw mut (*clocks).since_ns, now_ns);
        write_volatile(&raw mut (*clocks).sequence, (sequence | 1) + 1);
        cpu.hold.start_ns = now_ns;
    }
}

/// The hold ends. The clock is read first.
#[inline(always)]
fn released() {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Some(cpu) = maps::cpu_state() else { return };
    let Some(clocks) = maps::clocks() else { return };
    let start_ns = cpu.hold.start_ns;
    if start_ns == 0 {
        // A hold that began before the probes were attached is no loss: the first on this CPU.
        if cpu.hold.seen != 0 && maps::armed() {
            lose(cpu, Loss::HoldWithoutStart);
        }
        cpu.hold.seen = 1;
        return;
    }
    cpu.hold.start_ns = 0;
    let site = Site::slot(cpu.hold.site);
    if cpu.open_spans.depth != 0 {
        lose(cpu, Loss::SpanUnmatched);
    }
    let held_ns = now_ns.wrapping_sub(start_ns);
    if held_ns >> 63 != 0 {
        lose(cpu, Loss::ClockBackwards);
        return;
    }
    settle(clocks, site, held_ns);
    count_hold(cpu, site, held_ns);
    let longest = &mut cpu.longest_hold[maps::phase()][site & (Site::SLOTS - 1)];
    if held_ns > longest.duration_ns {
        note_longest(longest, held_ns, now_ns);
    }
    if constants::keep_cgroups() {
        add_to_cgroup(cpu, held_ns, None);
    }
}

/// Adds a hold to its site's totals and histogram.
#[inline(always)]
pub fn count_hold(cpu: &mut CpuState, site: usize, held_ns: u64) {
    let totals = &mut cpu.sites[site & (Site::SLOTS - 1)];
    totals.holds += 1;
    totals.held_ns += held_ns;
    if let Some(count) = cpu.holds[site & (Site::SLOTS - 1)].get_mut(bucket_of(held_ns)) {
        *count += 1;
    }
    if held_ns >= LONGEST_BUCKET_NS {
        lose(cpu, Loss::BucketOverflow);
    }
}

/// Adds a hold to its site's clock, before the lock is free for those who will read it.
#[inline(always)]
fn settle(clocks: *mut HolderClocks, site: usize, held_ns: u64) {
    // SAFETY: as in `acquired`; the site is in bounds.
    unsafe {
        let sequence = (*clocks).sequence;
        write_volatile(&raw mut (*clocks).sequence, sequence | 1);
        let clock = &raw mut (*clocks).held_ns[site & (Site::SLOTS - 1)];
        write_volatile(clock, read_volatile(clock) + held_ns);
        write_volatile(&raw mut (*clocks).since_ns, 0);
        write_volatile(&raw mut (*clocks).sequence, (sequence | 1) + 1);
    }
}

/// Books the wait that led to this acquisition.
#[inline(always)]
fn claim_wait(cpu: &mut CpuState, site: usize) {
    cpu.pending_wait.present = 0;
    let wait = &raw const cpu.pending_wait;
    book_wait(cpu, wait, site);
    if constants::keep_cgroups() {
        // SAFETY: the pending wait is part of this CPU's state.
        let waited_ns = unsafe { (*wait).waited_ns };
        add_to_cgroup(cpu, 0, Some(waited_ns));
    }
}

/// Books a wait of the target lock to the site that had waited.
#[inline(always)]
pub fn book_wait(cpu: &mut CpuState, wait: *const PendingWait, site: usize) {
    // SAFETY: the pending wait is part of this CPU's state, and nothing below writes it.
    let wait = unsafe { &*wait };
    let site = site & (Site::SLOTS - 1);
    let totals = &mut cpu.sites[site];
    totals.waits += 1;
    totals.waited_ns += wait.waited_ns;
    if let Some(count) = cpu.waits[site].get_mut(bucket_of(wait.waited_ns)) {
        *count += 1;
    }
    if wait.settled != 0 {
        for (sum_ns, blame_ns) in cpu.blame_ns[site].iter_mut().zip(&wait.blame_ns) {
            *sum_ns += *blame_ns;
        }
    }
    let longest = &mut cpu.longest_wait[maps::phase()][site];
    if wait.waited_ns > longest.duration_ns {
        note_longest(longest, wait.waited_ns, wait.began_ns + wait.waited_ns);
    }
    if wait.waited_ns >= LONGEST_BUCKET_NS {
        lose(cpu, Loss::BucketOverflow);
    }
}

/// Keeps who it was. Rare: as often as a maximum grows.
#[inline(always)]
fn note_longest(longest: &mut Longest, duration_ns: u64, ended_ns: u64) {
    let pid_tgid = bpf_get_current_pid_tgid();
    longest.duration_ns = duration_ns;
    longest.ended_ns = ended_ns;
    longest.pid = pid_tgid as u32;
    longest.tgid = (pid_tgid >> 32) as u32;
    // SAFETY: the helper has no precondition.
    longest.cgroup = unsafe { bpf_get_current_cgroup_id() };
    longest.comm = bpf_get_current_comm().unwrap_or_default();
}

/// Adds a hold or a wait to the totals of the task's cgroup.
#[inline(always)]
fn add_to_cgroup(cpu: &mut CpuState, held_ns: u64, waited_ns: Option<u64>) {
    // SAFETY: the helper has no precondition.
    let key = unsafe { bpf_get_current_cgroup_id() } + 1;
    let base = maps::this_cpu() * CGROUP_SLOTS;
    for probe in 0..MAX_PROBES {
        let index = (key as u32).wrapping_add(probe) & (CGROUP_SLOTS - 1);
        let Some(entry) = maps::CGROUPS.get_ptr_mut(base + index) else {
            return;
        };
        // SAFETY: the entry is in the map, and belongs to this CPU; interrupts are off.
        let entry = unsafe { &mut *entry };
        if entry.key == 0 {
            entry.key = key;
        }
        if entry.key == key {
            match waited_ns {
                None => {
                    entry.holds += 1;
                    entry.held_ns += held_ns;
                }
                Some(waited_ns) => {
                    entry.waits += 1;
                    entry.waited_ns += waited_ns;
                }
            }
            return;
        }
    }
    lose(cpu, Loss::CgroupTableFull);
}
