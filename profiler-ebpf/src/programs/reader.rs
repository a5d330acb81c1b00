//! Read holds of the target lock (`--readers`). A reader keeps interrupts on, so an interrupt may
//! read inside its hold: a small stack per CPU. Where the kernel preempts, a reader still does not
//! move (the lock disables preemption).

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use lockprof_abi::{CpuState, Loss, OTHER_READER, READ_DEPTH, is_reader};

use super::{
    blame,
    booking::{Waited, book_wait, count_hold, note_hold},
    constants,
    maps::{self, lose},
    site,
};

#[fexit]
fn read_acquired(ctx: FExitContext) -> i32 {
    if constants::is_target(ctx.arg(0)) {
        if let Some(cpu) = maps::cpu_state() {
            let site = site::from_trampoline::<{ site::READER }>(ctx.as_ptr(), cpu);
            acquired(cpu, site);
        }
    }
    0
}

#[fentry]
fn read_released(ctx: FEntryContext) -> i32 {
    if constants::is_target(ctx.arg(0)) {
        released();
    }
    0
}

/// A kretprobe does not see the arguments. A reader keeps interrupts on: an interrupt that reads
/// another lock between this and the return comes and goes whole, so that a count tells its returns
/// from the reader's.
#[kprobe]
fn kprobe_read_entered(ctx: ProbeContext) -> u32 {
    let Some(lock) = ctx.arg(0) else { return 0 };
    let pid = bpf_get_current_pid_tgid() as u32;
    let Some(slot) = maps::task_slot(pid) else {
        return 0;
    };
    // SAFETY: the slot is in the map. A task with the same low bits of its pid may write at the same
    // time; the return checks the pid.
    let slot = unsafe { &mut *slot };
    let Some(cpu) = maps::cpu_state() else {
        return 0;
    };
    let waits = slot.reader_pid == pid + 1 && slot.reader_window == maps::window(cpu);
    if !constants::is_target(lock) {
        slot.nested_reads += u32::from(waits);
        return 0;
    }
    if waits {
        lose(cpu, Loss::ReadEntryLost);
    }
    slot.reader_pid = pid + 1;
    slot.reader_window = maps::window(cpu);
    slot.nested_reads = 0;
    0
}

#[kretprobe]
fn kretprobe_read_acquired(ctx: RetProbeContext) -> u32 {
    let pid = bpf_get_current_pid_tgid() as u32;
    let Some(slot) = maps::task_slot(pid) else {
        return 0;
    };
    // SAFETY: as in `kprobe_read_entered`.
    let slot = unsafe { &mut *slot };
    if slot.reader_pid != pid + 1 {
        return 0;
    }
    if slot.nested_reads > 0 {
        slot.nested_reads -= 1;
        return 0;
    }
    slot.reader_pid = 0;
    if let Some(cpu) = maps::cpu_state()
        && slot.reader_window == maps::window(cpu)
    {
        let site = site::from_return::<{ site::READER }>(ctx.regs, cpu);
        acquired(cpu, site);
    }
    0
}

#[kprobe]
fn kprobe_read_released(ctx: ProbeContext) -> u32 {
    if ctx.arg(0).is_some_and(constants::is_target) {
        released();
    }
    0
}

#[inline(always)]
fn acquired(cpu: &mut CpuState, site: u32) {
    // A reader whose return address is unknown, or is a writer's (a stale word of the frame), is a
    // reader all the same.
    let site = if is_reader(site) { site } else { OTHER_READER };
    let seen = maps::window(cpu) + 1;
    if cpu.pending_read_wait.window == seen {
        cpu.pending_read_wait.window = 0;
        if cpu.pending_read_wait.pid == bpf_get_current_pid_tgid() as u32 {
            let wait = Waited {
                began_ns: cpu.pending_read_wait.began_ns,
                ended_ns: cpu.pending_read_wait.began_ns + cpu.pending_read_wait.waited_ns,
            };
            book_wait(cpu, site, &wait, blame::newest(), true);
        } else {
            lose(cpu, Loss::ReadWaitUnclaimed);
        }
    }
    let depth = if cpu.open_reads.seen == seen {
        cpu.open_reads.depth
    } else {
        cpu.open_reads.seen = seen;
        0
    };
    if depth as usize >= READ_DEPTH {
        lose(cpu, Loss::ReadOverflow);
        return;
    }
    let frame = &mut cpu.open_reads.frames[depth as usize & (READ_DEPTH - 1)];
    frame.site = site;
    frame.pid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    frame.start_ns = now_ns;
    // A hold inside another is told from it by their number alone: it ends as that one does.
    if depth == 0 && !maps::awake(cpu, now_ns) {
        cpu.open_reads.seen = 0;
        return;
    }
    cpu.open_reads.depth = depth + 1;
}

#[inline(always)]
fn released() {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Some(cpu) = maps::cpu_state() else { return };
    if cpu.open_reads.seen != maps::window(cpu) + 1 {
        return;
    }
    let depth = cpu.open_reads.depth;
    if depth == 0 {
        if maps::armed(cpu) && maps::awake(cpu, now_ns) {
            lose(cpu, Loss::ReadWithoutStart);
        }
        return;
    }
    cpu.open_reads.depth = depth - 1;
    let frame = &cpu.open_reads.frames[(depth - 1) as usize & (READ_DEPTH - 1)];
    let (site, pid, start_ns) = (frame.site, frame.pid, frame.start_ns);
    if pid != bpf_get_current_pid_tgid() as u32 {
        lose(cpu, Loss::ReadWithoutStart);
        return;
    }
    let held_ns = now_ns.wrapping_sub(start_ns);
    if held_ns >> 63 != 0 {
        lose(cpu, Loss::ClockBackwards);
        return;
    }
    if count_hold(cpu, site, held_ns) {
        note_hold(cpu, site, held_ns, now_ns, true);
    }
}
