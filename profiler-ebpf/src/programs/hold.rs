//! Write holds of the target lock.
//!
//! Only clocks are read between the acquisition and the release; the rest is done before the lock is
//! asked for, or after it was given back. Which programs are attached makes one of three arrangements:
//!
//! - **exit**: `lock_requested` at the entry of `_raw_write_lock_irq`, and `lock_released` at the return
//!   of `_raw_write_unlock_irq`. Nothing runs inside an uncontended hold but the trampoline's call.
//! - **robust**: `lock_releasing` as well, at the entry of the unlock, which reads the clock there. The
//!   holder may be switched out as soon as it has released, where the kernel preempts: then its hold is
//!   booked by the next task that asks for the lock on this CPU.
//! - **inside**: `lock_acquired` at the return of the lock function in the place of `lock_requested`, so
//!   that it is known what is called inside a hold.
//!
//! A contended hold begins in contention_end, which is also where its wait ends, in all of them.
//!
//! In the first two, interrupts are on around the two clocks: see `interrupts`.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns,
    },
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use lockprof_abi::{CpuState, Loss, RELEASES};

use super::{
    booking, constants,
    maps::{self, lose},
    site, task,
};

#[fentry]
fn lock_requested(ctx: FEntryContext) -> i32 {
    if constants::is_target(ctx.arg(0))
        && let Some(cpu) = maps::cpu_state()
    {
        let interrupts = interrupts(cpu);
        let site = site::from_trampoline::<{ site::WRITER }>(ctx.as_ptr(), cpu);
        requested(cpu, site, interrupts);
    }
    0
}

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
fn lock_releasing(ctx: FEntryContext) -> i32 {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if constants::is_target(ctx.arg(0))
        && let Some(cpu) = maps::cpu_state()
    {
        releasing(cpu, now_ns);
    }
    0
}

#[fexit]
fn lock_released(ctx: FExitContext) -> i32 {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if constants::is_target(ctx.arg(0)) {
        released(now_ns);
    }
    0
}

#[kprobe]
fn kprobe_lock_requested(ctx: ProbeContext) -> u32 {
    if ctx.arg(0).is_some_and(constants::is_target)
        && let Some(cpu) = maps::cpu_state()
    {
        let interrupts = interrupts(cpu);
        let site = site::from_entry::<{ site::WRITER }>(ctx.regs, cpu);
        requested(cpu, site, interrupts);
    }
    0
}

#[kprobe]
fn kprobe_lock_releasing(ctx: ProbeContext) -> u32 {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if ctx.arg(0).is_some_and(constants::is_target)
        && let Some(cpu) = maps::cpu_state()
    {
        releasing(cpu, now_ns);
    }
    0
}

/// A kretprobe does not see the arguments, and the task may be moved between the entry and the
/// disabling of interrupts, so the lock is kept by task.
#[kprobe]
fn kprobe_lock_entered(ctx: ProbeContext) -> u32 {
    if let Some(lock) = ctx.arg(0) {
        keep_entry(lock);
        if constants::is_target(lock)
            && let Some(cpu) = maps::cpu_state()
        {
            finish_left(cpu);
        }
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

/// Keeps the lock that this task has asked for.
#[inline(always)]
fn keep_entry(lock: u64) {
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
fn take_entry() -> Option<u64> {
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

/// The lock is asked for. The clock is read last, so that nothing else of this is in the hold that is
/// reported; none of it is in the hold that the machine has.
///
/// An interrupt that comes meanwhile leaves work behind, which the kernel does when the program ends (it leaves
/// a section of RCU's): that would be in the hold. `interrupts` is their number when the program began.
#[inline(always)]
fn requested(cpu: &mut CpuState, site: u32, interrupts: u64) {
    finish_left(cpu);
    if cpu.wait_mark.began_ns != 0 {
        lose_wait(cpu);
    }
    open(cpu, site);
    cpu.hold.switches = task::switches();
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if !maps::awake(cpu, now_ns) {
        return begin_nothing(cpu);
    }
    // SAFETY: references are valid for reading and writing; an interrupt's program may run between any two
    // of these.
    unsafe {
        write_volatile(&raw mut cpu.hold.start_ns, now_ns);
        if read_volatile(&raw const cpu.interrupts) != interrupts {
            cpu.hold.interrupted = 1;
        }
    }
}

/// How many interrupts have come on this CPU.
#[inline(always)]
fn interrupts(cpu: &CpuState) -> u64 {
    // SAFETY: a reference is valid for reading.
    unsafe { read_volatile(&raw const cpu.interrupts) }
}

/// The lock has been taken: inside the hold.
#[inline(always)]
fn acquired(cpu: &mut CpuState, site: u32) {
    finish_left(cpu);
    open(cpu, site);
    let mark = cpu.wait_mark;
    if mark.began_ns != 0 {
        if mark.task == cpu.hold.task && mark.ended_ns != 0 && mark.window == cpu.hold.window {
            cpu.hold.wait_began_ns = mark.began_ns;
            cpu.hold.wait_ended_ns = mark.ended_ns;
            cpu.hold.claimed = 1;
            cpu.wait_mark.began_ns = 0;
        } else {
            lose_wait(cpu);
        }
    }
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if !maps::awake(cpu, now_ns) {
        return begin_nothing(cpu);
    }
    cpu.hold.held = 1;
    cpu.hold.start_ns = now_ns;
}

/// No daemon lives that would read what a hold leaves: its release then is that of a hold that began before
/// the programs were attached, and no loss.
#[cold]
#[inline(never)]
fn begin_nothing(cpu: &mut CpuState) {
    cpu.hold.seen = 0;
}

/// A wait that no hold followed on this CPU. Before the first hold that was seen in this window, it may have
/// begun before all programs were attached; one of another window is none of this one's.
#[cold]
#[inline(never)]
fn lose_wait(cpu: &mut CpuState) {
    cpu.wait_mark.began_ns = 0;
    cpu.wait_mark.lasts_in = 0;
    if maps::armed(cpu) && has_seen(cpu) && cpu.wait_mark.window == maps::window(cpu) {
        lose(cpu, Loss::WaitUnclaimed);
    }
}

/// Whether this CPU has seen a hold, or a release without one, in this window.
#[inline(always)]
fn has_seen(cpu: &CpuState) -> bool {
    cpu.hold.seen == maps::window(cpu) + 1
}

/// Whether the hold that is open on this CPU began in another window: then it is in none.
#[inline(always)]
fn is_of_another_window(cpu: &CpuState) -> bool {
    cpu.hold.window != maps::window(cpu)
}

/// A new hold, which has no beginning yet.
#[inline(always)]
fn open(cpu: &mut CpuState, site: u32) {
    let window = maps::window(cpu);
    let releases = maps::attached(cpu, RELEASES);
    let hold = &mut cpu.hold;
    hold.window = window;
    hold.end_ns = 0;
    hold.interrupted = 0;
    hold.claimed = 0;
    hold.task = task::current();
    hold.site = site;
    // Where another task may book the hold, its cgroup must be known.
    if constants::keep_task() || (constants::keep_cgroups() && releases) {
        // SAFETY: the helper has no precondition.
        hold.cgroup = unsafe { bpf_get_current_cgroup_id() };
    }
    if constants::keep_task() {
        hold.pid_tgid = bpf_get_current_pid_tgid();
        hold.comm = bpf_get_current_comm().unwrap_or_default();
    }
}

/// A hold that is still in the slot when the next one comes: nobody has booked it yet, or nobody has
/// seen its end.
#[inline(always)]
fn finish_left(cpu: &mut CpuState) {
    if cpu.hold.start_ns != 0 {
        book_left(cpu);
    }
}

#[cold]
#[inline(never)]
fn book_left(cpu: &mut CpuState) {
    if cpu.hold.end_ns != 0 {
        return booking::book(cpu, 0, false);
    }
    cpu.hold.start_ns = 0;
    cpu.hold.held = 0;
    if maps::armed(cpu) && !is_of_another_window(cpu) {
        lose(cpu, Loss::HoldOverwritten);
    }
}

/// The lock is about to be given back: inside the hold, interrupts are off.
#[inline(always)]
fn releasing(cpu: &mut CpuState, now_ns: u64) {
    if is_of_another_window(cpu) {
        return drop_stale(cpu);
    }
    let hold = &mut cpu.hold;
    if hold.held != 0 {
        hold.held = 0;
    } else if !is_own_hold(cpu) || is_switched(cpu) {
        return count_unseen(cpu, now_ns);
    }
    cpu.hold.end_ns = now_ns;
    cpu.hold.seen = cpu.hold.window + 1;
}

/// The lock has been given back, at `now_ns` or a little before.
#[inline(always)]
fn released(now_ns: u64) {
    let Some(cpu) = maps::cpu_state() else { return };
    let is_own = is_own_hold(cpu);
    if maps::attached(cpu, RELEASES) {
        // What was not seen has been counted, and the next task on this CPU may have booked it already.
        if is_own && cpu.hold.end_ns != 0 {
            booking::book(cpu, now_ns, true);
        }
    } else if is_of_another_window(cpu) && cpu.hold.end_ns == 0 {
        drop_stale(cpu);
    } else if !is_own || is_switched(cpu) {
        count_unseen(cpu, now_ns);
    } else {
        let seen = maps::window(cpu) + 1;
        booking::book(cpu, now_ns, true);
        cpu.hold.seen = seen;
    }
}

/// The release of a hold of another window, or of one that began before this window did: the slot is free
/// then, unless another task's hold is to be booked from it.
#[cold]
#[inline(never)]
fn drop_stale(cpu: &mut CpuState) {
    cpu.hold.held = 0;
    if cpu.hold.end_ns == 0 {
        cpu.hold.start_ns = 0;
    }
}

/// Whether the hold that this CPU has seen asked for is the current task's.
#[inline(always)]
fn is_own_hold(cpu: &CpuState) -> bool {
    cpu.hold.start_ns != 0 && cpu.hold.task == task::current()
}

/// Whether the holder was switched out since it asked: then the hold has no length.
#[inline(always)]
fn is_switched(cpu: &CpuState) -> bool {
    cpu.hold.switches != task::switches()
}

/// A hold that has no length. One that began before the probes were attached is no loss: the first that
/// this CPU sees; and none is lost that was not begun.
#[cold]
#[inline(never)]
fn count_unseen(cpu: &mut CpuState, now_ns: u64) {
    if is_own_hold(cpu) {
        cpu.hold.start_ns = 0;
        return lose(cpu, Loss::HoldSwitched);
    }
    if maps::armed(cpu) && maps::awake(cpu, now_ns) {
        if has_seen(cpu) {
            lose(cpu, Loss::HoldWithoutStart);
        }
        cpu.hold.seen = maps::window(cpu) + 1;
    }
}

/// A writer begins to wait for the target lock: nothing else is done on its way into the queue.
#[inline(always)]
pub fn wait_began(cpu: &mut CpuState) {
    let window = maps::window(cpu);
    let mark = &mut cpu.wait_mark;
    mark.window = window;
    mark.lasts_in = window;
    mark.ended_ns = 0;
    mark.task = task::current();
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    // A hold that has been asked for begins where its wait ends: half of it is not left out.
    if maps::awake(cpu, now_ns) || cpu.hold.start_ns != 0 {
        cpu.wait_mark.began_ns = now_ns;
    } else {
        cpu.wait_mark.began_ns = 0;
        cpu.wait_mark.lasts_in = 0;
        cpu.open_waits.seen = 0;
    }
}

/// A writer's wait for the target lock has ended: its hold begins here, where it was asked for.
#[inline(always)]
pub fn wait_ended(cpu: &mut CpuState, now_ns: u64) {
    // A hold that has ended and is not booked yet is another task's.
    if cpu.hold.start_ns != 0 && cpu.hold.end_ns == 0 {
        cpu.hold.start_ns = now_ns;
    }
    cpu.wait_mark.ended_ns = now_ns;
    cpu.wait_mark.lasts_in = 0;
}
