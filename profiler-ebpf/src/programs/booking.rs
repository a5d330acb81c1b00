//! Books holds and waits: sums, histograms, the longest, cgroups, and blame. All of it happens after the
//! lock was given back, or before it is asked for again.

use core::{arch::asm, ptr::read_volatile};

use aya_ebpf::helpers::{
    bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
};
use lockprof_abi::{
    BUCKETS, CGROUP_PLACES, CGROUP_SLOTS, CpuState, Longest, Loss, MAX_PROBES, OTHER_CGROUPS,
    bucket_low_ns, bucket_of, is_reader, site_slot,
};

use super::{
    blame, constants,
    maps::{self, lose},
};

/// Durations from here on are in the last bucket with all that are longer.
const LONGEST_BUCKET_NS: u64 = bucket_low_ns(BUCKETS);

/// Who held or waited.
pub struct Who {
    cgroup: u64,
    pid_tgid: u64,
    comm: [u8; 16],
}

impl Who {
    /// The current task.
    #[inline(always)]
    pub fn current() -> Self {
        Self {
            // SAFETY: the helper has no precondition.
            cgroup: unsafe { bpf_get_current_cgroup_id() },
            pid_tgid: bpf_get_current_pid_tgid(),
            comm: bpf_get_current_comm().unwrap_or_default(),
        }
    }
}

/// Books the hold that has ended on this CPU, and the wait before it; the slot is free then. Where the
/// kernel preempts, the next task on this CPU may come in between: one of the two takes the hold, whole.
///
/// `now_ns` is the end of a hold whose release was not probed. By whom: the holder itself, or another
/// task, which takes what was kept of the holder.
#[inline(always)]
pub fn book(cpu: &mut CpuState, now_ns: u64, by_holder: bool) {
    let slot = &cpu.hold;
    // Read before the rest: where it is still the same afterwards, so was the rest.
    // SAFETY: a reference is valid for reading; no instruction at all keeps the compiler's order.
    let start_ns = unsafe {
        let start_ns = read_volatile(&raw const slot.start_ns);
        asm!("");
        start_ns
    };
    let released_ns = if slot.end_ns != 0 {
        slot.end_ns
    } else {
        now_ns
    };
    let interrupted = slot.interrupted != 0;
    let task = slot.task;
    let site = slot.site;
    let (wait_began_ns, wait_ended_ns) = wait_of(cpu);
    if start_ns == 0 || !take(&mut cpu.hold.start_ns, start_ns) {
        return;
    }
    if cpu.wait_mark.began_ns == wait_began_ns {
        cpu.wait_mark.began_ns = 0;
    }
    if wait_began_ns != 0 && wait_ended_ns == 0 {
        cpu.wait_mark.lasts_in = 0;
        return lose(cpu, Loss::TargetWaitWithoutEnd);
    }
    // What came before the wait is not in the hold behind it.
    if interrupted && wait_began_ns == 0 {
        return lose(cpu, Loss::HoldInterrupted);
    }
    let ended = Ended {
        start_ns,
        end_ns: released_ns,
        task,
        site,
        wait_began_ns,
        wait_ended_ns,
        by_holder,
    };
    book_ended(cpu, ended);
}

/// A hold that has ended, and the wait before it.
pub struct Ended {
    /// When it began (CLOCK_MONOTONIC, ns).
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// The holder, by the address of its task_struct.
    pub task: u64,
    /// Its site, by number.
    pub site: u32,
    /// When the wait began.
    pub wait_began_ns: u64,
    /// When the wait ended; 0 where there was none.
    pub wait_ended_ns: u64,
    /// Whether the current task is the holder.
    pub by_holder: bool,
}

impl Ended {
    /// For how long it was held; a loss, and `None`, where the clock went backwards.
    #[inline(always)]
    fn held_ns(&self, cpu: &mut CpuState) -> Option<u64> {
        let held_ns = self.end_ns.wrapping_sub(self.start_ns);
        if held_ns >> 63 != 0 {
            lose(cpu, Loss::ClockBackwards);
            return None;
        }
        Some(held_ns)
    }

    /// Books the wait before it, where there was one: behind holds with a number below `newest`.
    #[inline(always)]
    fn book_wait(&self, cpu: &mut CpuState, newest: u64) {
        if self.wait_ended_ns != 0 {
            let wait = Waited {
                began_ns: self.wait_began_ns,
                ended_ns: self.wait_ended_ns,
            };
            book_wait(cpu, self.site, &wait, newest, self.by_holder);
        }
    }
}

/// Books a hold that has ended, and the wait before it: what all kinds of locks have in common.
#[inline(always)]
pub fn book_ended(cpu: &mut CpuState, ended: Ended) {
    let Some(held_ns) = ended.held_ns(cpu) else {
        return;
    };
    let Ended {
        start_ns,
        end_ns,
        site,
        by_holder,
        ..
    } = ended;
    let slot = site_slot(site, constants::site_slots() as usize);
    let number = blame::ended(start_ns, end_ns, slot);
    // It leaves here: the rest would be verified once more for a place of its own.
    if cpu.is_control(ended.task, slot, constants::control_slots()) {
        maps::add(&mut cpu.control_holds, 1);
        return blame::check_late(cpu, end_ns);
    }
    let notable = count_hold(cpu, site, held_ns);
    blame::check_late(cpu, end_ns);
    if notable || constants::keep_cgroups() {
        note_hold(cpu, site, held_ns, end_ns, by_holder);
    }
    ended.book_wait(cpu, number);
}

/// Books a hold that has ended of one who read, and the wait before it. Nobody is blamed for it: others read meanwhile.
#[inline(always)]
pub fn book_ended_read(cpu: &mut CpuState, ended: Ended) {
    let Some(held_ns) = ended.held_ns(cpu) else {
        return;
    };
    if count_hold(cpu, ended.site, held_ns) {
        note_hold(cpu, ended.site, held_ns, ended.end_ns, ended.by_holder);
    }
    // No writer's hold has come between.
    ended.book_wait(cpu, blame::newest());
}

/// Makes the beginning of a hold 0, unless somebody else has: whether it was done.
#[inline(always)]
fn take(start: &mut u64, known_ns: u64) -> bool {
    let found_ns: u64;
    // SAFETY: the instruction compares the eight aligned bytes at r1 with r0, puts r2 there where they are
    // the same, and leaves in r0 what was there (BPF_STX | BPF_ATOMIC | BPF_DW, BPF_CMPXCHG; v5.12).
    unsafe {
        asm!(".quad 0x000000f1000021db", in("r1") start, in("r2") 0_u64, inlateout("r0") known_ns => found_ns);
    }
    found_ns == known_ns
}

/// A wait of the target lock.
pub struct Waited {
    /// When it began; 0 where there was none.
    pub began_ns: u64,
    /// When it ended; 0 where nobody saw that.
    pub ended_ns: u64,
}

/// When the wait before the hold in the slot began and ended. As numbers, and no structure that is passed on by its
/// address: the compiler would clear one in memory, byte by byte, for each hold that nobody waited for.
#[inline(always)]
fn wait_of(cpu: &CpuState) -> (u64, u64) {
    let slot = &cpu.hold;
    if slot.claimed != 0 {
        return (slot.wait_began_ns, slot.wait_ended_ns);
    }
    let mark = &cpu.wait_mark;
    let began_ns = mark.began_ns;
    // A mark of another task, or of another window, is not this hold's.
    if began_ns == 0 || mark.task != slot.task || mark.window != slot.window {
        return (0, 0);
    }
    (began_ns, mark.ended_ns)
}

/// Adds a hold to its site's totals and histogram; whether there is more to note of it.
#[inline(always)]
pub fn count_hold(cpu: &CpuState, site: u32, held_ns: u64) -> bool {
    let phase = maps::phase(cpu);
    let Some(state) = maps::site_state(site) else {
        return false;
    };
    maps::add(&mut state.held_ns, held_ns);
    count(&mut state.holds, held_ns);
    held_ns > state.longest_hold[phase].duration_ns
}

/// Counts a duration in a histogram.
#[inline(always)]
fn count(histogram: &mut [u32; BUCKETS], duration_ns: u64) {
    let mut bucket = bucket_of(duration_ns);
    // The verifier of 6.1 follows paths that no duration takes, to buckets that are none, and does not
    // understand the compiler's comparison, which has the constant first.
    // SAFETY: the instructions change this register alone, and jump over one of them.
    unsafe {
        asm!(
            "if {bucket} < {buckets} goto +1",
            "{bucket} = 0",
            bucket = inlateout(reg) bucket,
            buckets = const BUCKETS,
        );
    }
    if let Some(count) = histogram.get_mut(bucket) {
        maps::increment(count);
    }
}

/// What is rare at the end of a hold: the longest of its site, and a writer's totals by cgroup.
#[cold]
#[inline(never)]
pub fn note_hold(cpu: &mut CpuState, site: u32, held_ns: u64, ended_ns: u64, by_holder: bool) {
    if held_ns >= LONGEST_BUCKET_NS {
        lose(cpu, Loss::BucketOverflow);
    }
    let phase = maps::phase(cpu);
    if let Some(state) = maps::site_state(site)
        && held_ns > state.longest_hold[phase].duration_ns
        && let Some(who) = who(cpu, by_holder)
    {
        note_longest(&mut state.longest_hold[phase], held_ns, ended_ns, &who);
    }
    // Of readers only those that are longer than any before come here.
    if constants::keep_cgroups() && !is_reader(site) {
        let cgroup = cgroup(cpu, by_holder);
        add_to_cgroup(cpu, cgroup, held_ns, None);
    }
}

/// Who it was; `None` where nobody kept it.
#[inline(always)]
fn who(cpu: &CpuState, by_holder: bool) -> Option<Who> {
    if by_holder {
        Some(Who::current())
    } else if constants::keep_task() {
        Some(Who {
            cgroup: cpu.hold.cgroup,
            pid_tgid: cpu.hold.pid_tgid,
            comm: cpu.hold.comm,
        })
    } else {
        None
    }
}

#[inline(always)]
fn cgroup(cpu: &CpuState, by_holder: bool) -> u64 {
    if by_holder {
        // SAFETY: the helper has no precondition.
        unsafe { bpf_get_current_cgroup_id() }
    } else {
        cpu.hold.cgroup
    }
}

/// Books a wait of the target lock to the site that had waited, and behind whose holds it stood: those
/// with a number below `newest`.
#[cold]
#[inline(never)]
pub fn book_wait(cpu: &mut CpuState, site: u32, wait: &Waited, newest: u64, by_holder: bool) {
    let waited_ns = wait.ended_ns.wrapping_sub(wait.began_ns);
    if waited_ns >> 63 != 0 {
        return lose(cpu, Loss::ClockBackwards);
    }
    let phase = maps::phase(cpu);
    if let Some(state) = maps::site_state(site) {
        maps::add(&mut state.waited_ns, waited_ns);
        count(&mut state.waits, waited_ns);
        if waited_ns > state.longest_wait[phase].duration_ns
            && let Some(who) = who(cpu, by_holder)
        {
            note_longest(
                &mut state.longest_wait[phase],
                waited_ns,
                wait.ended_ns,
                &who,
            );
        }
    }
    if blame::lay(site, wait.began_ns, wait.ended_ns, newest) == 0 {
        lose(cpu, Loss::BlameUnsettled);
    }
    if waited_ns >= LONGEST_BUCKET_NS {
        lose(cpu, Loss::BucketOverflow);
    }
    if constants::keep_cgroups() {
        let cgroup = cgroup(cpu, by_holder);
        add_to_cgroup(cpu, cgroup, 0, Some(waited_ns));
    }
}

/// Keeps who it was. Rare: as often as a maximum grows.
#[inline(always)]
fn note_longest(longest: &mut Longest, duration_ns: u64, ended_ns: u64, who: &Who) {
    longest.duration_ns = duration_ns;
    longest.ended_ns = ended_ns;
    longest.pid = who.pid_tgid as u32;
    longest.tgid = (who.pid_tgid >> 32) as u32;
    longest.cgroup = who.cgroup;
    longest.comm = who.comm;
}

/// Adds a hold or a wait to the totals of the task's cgroup, or to those of all others where the table has no
/// place for it.
#[inline(always)]
fn add_to_cgroup(cpu: &mut CpuState, cgroup: u64, held_ns: u64, waited_ns: Option<u64>) {
    let key = cgroup + 1;
    let base = maps::this_cpu() * CGROUP_PLACES;
    for probe in 0..MAX_PROBES {
        let index = (key as u32).wrapping_add(probe) & (CGROUP_SLOTS - 1);
        if add_to_place(base + index, key, held_ns, waited_ns) {
            return;
        }
    }
    lose(cpu, Loss::CgroupTableFull);
    add_to_place(base + CGROUP_SLOTS, OTHER_CGROUPS, held_ns, waited_ns);
}

/// Adds to a place that is free or has this key already; whether it was.
#[inline(always)]
fn add_to_place(place: u32, key: u64, held_ns: u64, waited_ns: Option<u64>) -> bool {
    let Some(entry) = maps::CGROUPS.get_ptr_mut(place) else {
        return true;
    };
    // SAFETY: the entry is in the map, and belongs to this CPU; a task that preempts this program may only take
    // a free place that this one takes as well, and then the two share it.
    let entry = unsafe { &mut *entry };
    if !maps::claim(&mut entry.key, key) {
        return false;
    }
    match waited_ns {
        None => {
            maps::add(&mut entry.holds, 1);
            maps::add(&mut entry.held_ns, held_ns);
        }
        Some(waited_ns) => {
            maps::add(&mut entry.waits, 1);
            maps::add(&mut entry.waited_ns, waited_ns);
        }
    }
    true
}
