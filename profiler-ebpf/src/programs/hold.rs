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
    BUCKETS, CGROUP_SLOTS, CpuState, FREE, HELD, HolderClocks, Longest, Loss, MAX_PROBES,
    PROGRESS_BITS, PendingWait, SETTLING, Site, SiteState, bucket_low_ns, bucket_of,
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
    if constants::is_target(ctx.arg(0))
        && let Some(cpu) = maps::cpu_state()
    {
        let site = site::from_trampoline::<{ site::WRITER }>(ctx.as_ptr(), cpu);
        acquired(cpu, site);
    }
    0
}

/// The clock is read before the lock is looked at: few locks but the target are released here, and a
/// hold is shorter by the look.
#[fentry]
fn lock_released(ctx: FEntryContext) -> i32 {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if constants::is_target(ctx.arg(0)) {
        released(now_ns);
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
    let Some(cpu) = maps::cpu_state() else {
        return 0;
    };
    match take_entry() {
        None => lose(cpu, Loss::EntryLost),
        Some(lock) if constants::is_target(lock) => {
            let site = site::from_return::<{ site::WRITER }>(ctx.regs, cpu);
            acquired(cpu, site);
        }
        Some(_) => {}
    }
    0
}

#[kprobe]
fn kprobe_lock_released(ctx: ProbeContext) -> u32 {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if ctx.arg(0).is_some_and(constants::is_target) {
        released(now_ns);
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
/// (it is in the hold that the machine has: the bench tells).
#[inline(always)]
fn acquired(cpu: &mut CpuState, site: u32) {
    if cpu.hold.start_ns != 0 {
        lose(cpu, Loss::HoldOverwritten);
    }
    if cpu.pending_wait.present != 0 {
        claim_wait(cpu, site);
    }
    cpu.hold.site = site;
    let clocks = maps::CLOCKS.get();
    // SAFETY: the variable lives as long as the programs. This CPU holds the lock, so it alone writes
    // the clocks; waiters read them between two looks at the progress. x86-64 keeps the order of
    // stores, and volatile keeps the compiler's.
    unsafe {
        write_volatile(&raw mut (*clocks).site, site);
        let now_ns = bpf_ktime_get_ns();
        cpu.hold.start_ns = now_ns;
        write_volatile(&raw mut (*clocks).progress, progress(now_ns, HELD));
    }
}

/// The hold ended at `now_ns`. What is rare comes last, in functions of its own, so that no register
/// is saved for it.
#[inline(always)]
fn released(now_ns: u64) {
    let Some(cpu) = maps::cpu_state() else { return };
    let start_ns = cpu.hold.start_ns;
    if start_ns == 0 {
        return released_unseen(cpu);
    }
    cpu.hold.start_ns = 0;
    let site = Site::slot(cpu.hold.site);
    let held_ns = now_ns.wrapping_sub(start_ns);
    if held_ns >> 63 != 0 {
        settle(site, start_ns, 0);
        return lose(cpu, Loss::ClockBackwards);
    }
    settle(site, start_ns, held_ns);
    let notable = count_hold(cpu, site, held_ns);
    if notable || constants::keep_cgroups() {
        note_hold(cpu, site, held_ns, now_ns);
    }
}

/// A hold whose beginning this CPU has not seen. One that began before the probes were attached is no
/// loss: the first.
#[inline(always)]
fn released_unseen(cpu: &mut CpuState) {
    if maps::armed(cpu) {
        if cpu.hold.seen != 0 {
            lose(cpu, Loss::HoldWithoutStart);
        }
        cpu.hold.seen = 1;
    }
}

/// Adds a hold to its site's totals and histogram; whether there is more to note of it.
#[inline(always)]
pub fn count_hold(cpu: &mut CpuState, site: usize, held_ns: u64) -> bool {
    let phase = maps::phase(cpu);
    let state = site_state(cpu, site);
    state.held_ns += held_ns;
    let bucket = bucket_of(held_ns);
    if let Some(count) = state.holds.get_mut(bucket) {
        *count += 1;
    }
    held_ns > state.longest_hold[phase].duration_ns
}

/// What is rare at the end of a hold: the longest of its site, and a writer's totals by cgroup.
#[cold]
#[inline(never)]
pub fn note_hold(cpu: &mut CpuState, site: usize, held_ns: u64, now_ns: u64) {
    if held_ns >= LONGEST_BUCKET_NS {
        lose(cpu, Loss::BucketOverflow);
    }
    let phase = maps::phase(cpu);
    let longest = &mut site_state(cpu, site).longest_hold[phase];
    if held_ns > longest.duration_ns {
        note_longest(longest, held_ns, now_ns);
    }
    // Of readers only those that are longer than any before come here.
    if constants::keep_cgroups() && site < Site::WRITERS {
        add_to_cgroup(cpu, held_ns, None);
    }
}

#[inline(always)]
fn site_state(cpu: &mut CpuState, site: usize) -> &mut SiteState {
    &mut cpu.sites[site & (Site::SLOTS - 1)]
}

#[inline(always)]
fn progress(since_ns: u64, state: u64) -> u64 {
    since_ns << PROGRESS_BITS | state
}

/// Adds a hold to its site's clock, before the lock is free for those who will read it.
#[inline(always)]
fn settle(site: usize, start_ns: u64, held_ns: u64) {
    let clocks: *mut HolderClocks = maps::CLOCKS.get();
    // SAFETY: as in `acquired`; the site is in bounds.
    unsafe {
        write_volatile(&raw mut (*clocks).progress, progress(start_ns, SETTLING));
        let clock = &raw mut (*clocks).held_ns[site & (Site::SLOTS - 1)];
        write_volatile(clock, read_volatile(clock) + held_ns);
        write_volatile(&raw mut (*clocks).progress, progress(start_ns, FREE));
    }
}

/// Books the wait that led to this acquisition.
#[cold]
#[inline(never)]
fn claim_wait(cpu: &mut CpuState, site: u32) {
    let site = Site::slot(site);
    let wait = &raw const cpu.pending_wait;
    cpu.pending_wait.present = 0;
    // The acquisition of another wait may have been missed.
    if cpu.pending_wait.pid != bpf_get_current_pid_tgid() as u32 {
        lose(cpu, Loss::WaitUnclaimed);
        return;
    }
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
    let phase = maps::phase(cpu);
    let state = site_state(cpu, site);
    state.waited_ns += wait.waited_ns;
    let bucket = bucket_of(wait.waited_ns);
    if let Some(count) = state.waits.get_mut(bucket) {
        *count += 1;
    }
    if wait.settled != 0 {
        for (sum_ns, blame_ns) in state.blame_ns.iter_mut().zip(&wait.blame_ns) {
            *sum_ns += *blame_ns;
        }
    }
    let longest = &mut state.longest_wait[phase];
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
