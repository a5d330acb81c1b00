//! Holds that are followed by task: what all kinds of such locks have in common. Which functions take and release them
//! each kind knows by itself (`mutex.rs`, `rwsem.rs`).
//!
//! Interrupts and preemption are on in such a hold, and the holder may sleep and move to another CPU. So it is kept by
//! task: a slot of the lock that all share would be overwritten by the next holder as soon as the lock is given back, and
//! its cache line would go from CPU to CPU inside the holds.
//!
//! - A program at the return of each function that takes the lock begins the hold. It finds the caller first and reads
//!   the clock last.
//! - A program at the entry of each function that gives it back ends the hold, and does nothing but that.
//! - A program at the return of that function books it, after the release.
//!
//! A contended hold begins in contention_end, which tells whether the lock was taken (kernel/locking/mutex.c,
//! `__mutex_lock_common()`, and rwsem.c, 5.19 to 7.3): so the holds of those that were already waiting for a mutex when the
//! programs were attached are exact, too, without their site. Of an rwsem it does not tell whether a reader or a writer
//! has it: there a wait whose beginning was not seen begins no hold, and the hold begins where the function returns.
//!
//! Every lock of the kind comes through here: the address is compared before anything else is done, the clock
//! included, which is three instructions inside a hold of the target and saves all others the reading of a clock.

use core::{
    arch::asm,
    ffi::c_void,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use lockprof_abi::{
    CpuState, Followed, IN_INTERRUPT, LCB_F_MUTEX, LCB_F_WRITE, Loss, NO_STACK, OTHER_READER,
    OTHER_SITE, READERS, TaskHold, is_reader,
};

use super::{
    blame,
    booking::{self, Ended},
    constants,
    contention::{self, Wait},
    maps::{self, SharedVariable, lose},
    memory::read_u64,
    site, task, waiters,
};

/// What a function that takes a lock says by its return value.
#[derive(Clone, Copy)]
pub enum Taken {
    /// It returns when it has taken it.
    Always,
    /// It returns 0 where it has taken it, else an error.
    Zero,
    /// It returns 1 where it has taken it, else 0.
    One,
}

/// A program at the return of a function that takes a lock: its parameters, which precede the return value in the
/// context, what that says, and what begins then.
macro_rules! acquisitions {
    ($($program:ident: $parameters:literal, $taken:ident, $begin:expr;)+) => {
        $(
            #[fexit]
            fn $program(ctx: FExitContext) -> i32 {
                if task_hold::is_target(ctx.arg(0)) {
                    let taken = match Taken::$taken {
                        Taken::Always => true,
                        Taken::Zero => ctx.arg::<i32>($parameters) == 0,
                        Taken::One => ctx.arg::<i32>($parameters) == 1,
                    };
                    if taken {
                        $begin(ctx.as_ptr());
                    }
                }
                0
            }
        )+
    };
}
pub(super) use acquisitions;

/// Programs at both ends of a function that gives the lock back, and what they do. Who has taken it knows which it is.
macro_rules! releases {
    ($($attribute:ident $program:ident($context:ident): $end:path;)+) => {
        $(
            #[$attribute]
            fn $program(ctx: $context) -> i32 {
                if $crate::programs::constants::is_target(ctx.arg(0)) {
                    $end(ctx.as_ptr());
                }
                0
            }
        )+
    };
}
pub(super) use releases;

/// The function calls another one that has a program of its own, unless the compiler has put that into it.
pub const CALLS: bool = true;
/// It calls none.
pub const ALONE: bool = false;

/// Whether a lock that is taken, or waited for, is the target. The mmap_lock of a process is that of the address space in
/// which its tasks run: where one of them takes it elsewhere than before, exec has made it a new one.
#[inline(always)]
pub fn is_target(lock: u64) -> bool {
    constants::is_target(lock) || (constants::follows_process() && has_come_to(lock))
}

#[inline(always)]
fn has_come_to(lock: u64) -> bool {
    let Some(of_process) = maps::process_lock() else {
        return false;
    };
    // SAFETY: the pointer is to the only element of the map; a word is read whole.
    let tgid = unsafe { read_volatile(&raw const (*of_process).tgid) };
    bpf_get_current_pid_tgid() >> 32 == tgid && move_to(lock) != 0
}

/// Takes a lock that a task of the process has taken for the target, if it is its mmap_lock; 1 then.
#[cold]
#[inline(never)]
fn move_to(lock: u64) -> u64 {
    if !waiters::is_mmap_lock_of_current(lock) {
        return 0;
    }
    if let Some(of_process) = maps::process_lock() {
        // SAFETY: as in `has_come_to`; a word is written whole. All tasks of a process run in the same address space.
        unsafe { write_volatile(&raw mut (*of_process).address, lock) };
    }
    1
}

/// The number, plus 1, of the latest window in which a release was seen: the first of a window belongs to a hold that
/// began before it, and is no loss. A lock has one holder but for readers, so there is one such hold.
static RELEASED_IN: SharedVariable<u32> = SharedVariable::new(0);

/// The place of the current task's hold, and its pid as it stands there. An interrupt has the place of its CPU where the
/// lock spins; of a lock that may be slept for it is nobody, who may take it by a function that does not sleep.
#[inline(always)]
fn own_place(context: *mut c_void) -> Option<(&'static mut TaskHold, u32)> {
    let (place, pid) = if is_in_interrupt(context) {
        (maps::interrupt_hold()?, IN_INTERRUPT)
    } else {
        let pid = bpf_get_current_pid_tgid() as u32;
        (maps::task_hold(pid)?, pid + 1)
    };
    // SAFETY: the place is in the map, aligned, and any bits are valid. A task with the same low bits of its pid may
    // write at the same time; every program checks the pid. What runs in interrupts of a CPU comes and goes whole.
    Some((unsafe { &mut *place }, pid))
}

/// Whether the program runs in an interrupt, which has a stack of its own wherever it has come into the kernel
/// (arch/x86/include/asm/irq_stack.h, 5.19 to 7.3); where it has come into user space, the task has no lock. No mutex is
/// taken in one, and no percpu-rwsem for writing.
#[inline(always)]
pub fn is_in_interrupt(context: *mut c_void) -> bool {
    constants::may_be_read() && is_on_another_stack(context)
}

/// Whether what runs the program has another stack than its task.
#[inline(always)]
pub fn is_on_another_stack(context: *mut c_void) -> bool {
    let (Some(stack), Some(bytes)) = (
        constants::offset_of(|layout| &raw const layout.task_stack),
        constants::offset_of(|layout| &raw const layout.stack_bytes),
    ) else {
        return false;
    };
    let Some(stack) = read_u64(task::current() + stack) else {
        return false;
    };
    u64::from(low_half(context).wrapping_sub(stack as u32)) >= bytes
}

/// The lower half of the address of a context, which lies on the stack of what runs the program. The verifier takes the
/// whole of it for a pointer, with which nothing can be calculated.
#[inline(always)]
fn low_half(context: *mut c_void) -> u32 {
    let half: u64;
    // SAFETY: the instruction copies the lower half of r1 to r1 (BPF_ALU | BPF_MOV | BPF_X), which makes a number of a
    // pointer for those who may see addresses (kernel/bpf/verifier.c, `check_alu_op()`, 5.19 to 7.3).
    unsafe {
        asm!(".quad 0x11bc", inlateout("r1") context => half);
    }
    half as u32
}

/// Whether a place has a hold that has begun in this window and has not ended, of the current task.
#[inline(always)]
fn is_open(cpu: &CpuState, hold: &TaskHold, pid: u32) -> bool {
    hold.start_ns != 0 && hold.end_ns == 0 && hold.pid == pid && hold.window == maps::window(cpu)
}

/// Whether a place has a hold to read.
#[inline(always)]
fn is_read(hold: &TaskHold) -> bool {
    constants::may_be_read() && hold.reads != 0
}

/// Makes a place the current task's, with a hold or a wait that is to begin. What is still there has not been booked.
#[inline(always)]
fn take_place(cpu: &mut CpuState, hold: &mut TaskHold, pid: u32) {
    if (hold.start_ns != 0 || hold.wait_began_ns != 0) && hold.window == maps::window(cpu) {
        lose_left(cpu, hold, pid);
    }
    // Word by word: of two that lie beside each other the compiler makes a loop over bytes, inside the hold. What only means
    // something beside one of these is left as it is.
    for word in [
        &raw mut hold.start_ns,
        &raw mut hold.end_ns,
        &raw mut hold.wait_began_ns,
        &raw mut hold.wait_ended_ns,
        &raw mut hold.off_since_ns,
    ] {
        // SAFETY: the pointer is to a word of a place that the reference keeps valid for writing.
        unsafe { write_volatile(word, 0) };
    }
    hold.pid = pid;
    hold.window = maps::window(cpu);
    hold.site = 0;
    hold.returned = 0;
    hold.reads = 0;
}

#[cold]
#[inline(never)]
fn lose_left(cpu: &mut CpuState, hold: &TaskHold, pid: u32) {
    if maps::armed(cpu) {
        let loss = if is_read(hold) {
            Loss::ReadWithoutEnd
        } else if hold.start_ns == 0 {
            // Its end was not seen, or comes later and finds no beginning: then the hold alone is booked.
            Loss::TargetWaitWithoutEnd
        } else if hold.end_ns != 0 || hold.pid == pid {
            // Nothing else counts it: its end was seen and is forgotten here, or both programs of its end were refused.
            Loss::HoldSwitched
        } else {
            // Its release finds no beginning, and counts it.
            Loss::HoldOverwritten
        };
        lose(cpu, loss);
    }
}

/// The lock has been taken, for nobody else at the same time: inside the hold.
#[inline(always)]
pub fn acquired<const CALLS: bool>(context: *mut c_void) {
    let (Some((hold, pid)), Some(cpu)) = (own_place(context), maps::cpu_state()) else {
        return;
    };
    let mut site = site::from_trampoline::<{ site::WRITER }>(context, cpu);
    // A word of the frame that was left by a reader.
    if constants::may_be_read() && is_reader(site) {
        site = OTHER_SITE;
    }
    // It has begun where it was waited for, or where the function has called another one.
    if is_open(cpu, hold, pid) && !is_read(hold) && (hold.returned == 0 || CALLS) {
        // Of two functions the outer one returns last, and knows who asked for the lock: the inner one's caller is the
        // outer one.
        hold.site = site;
        hold.returned = 1;
        return;
    }
    take_place(cpu, hold, pid);
    hold.site = site;
    hold.returned = 1;
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    begin(cpu, hold, now_ns);
}

/// The lock has been taken to read: inside the hold.
#[inline(always)]
pub fn read_acquired(context: *mut c_void) {
    let (Some((hold, pid)), Some(cpu)) = (own_place(context), maps::cpu_state()) else {
        return;
    };
    let site = reader_site(context, cpu);
    if is_open(cpu, hold, pid) && hold.reads != 0 {
        if hold.returned == 0 {
            // It has begun where it was waited for.
            hold.site = site;
            hold.returned = 1;
            return;
        }
        // Who reads already has one hold, until it reads no more. What a writer came after was another one, whose end was
        // not seen.
        if hold.reads != u16::MAX && blame::newest_start_ns() <= hold.start_ns {
            hold.reads += 1;
            return;
        }
    }
    take_place(cpu, hold, pid);
    hold.site = site;
    hold.returned = 1;
    hold.reads = 1;
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    begin(cpu, hold, now_ns);
}

/// Who reads: a reader whose return address is unknown, or is a writer's (a stale word of the frame), is a reader all the
/// same.
#[inline(always)]
fn reader_site(context: *mut c_void, cpu: &mut CpuState) -> u32 {
    let site = site::from_trampoline::<{ site::READER }>(context, cpu);
    if is_reader(site) { site } else { OTHER_READER }
}

#[inline(always)]
fn begin(cpu: &CpuState, hold: &mut TaskHold, now_ns: u64) {
    if maps::awake(cpu, now_ns) {
        hold.start_ns = now_ns;
    } else {
        begin_nothing();
    }
}

/// No daemon lives that would read what a hold leaves: its release then is that of a hold that began before the programs
/// were attached, and no loss.
#[cold]
#[inline(never)]
fn begin_nothing() {
    // SAFETY: the variable lives as long as the programs; a word is written whole.
    unsafe { write_volatile(RELEASED_IN.get(), 0) };
}

/// The lock is about to be given back by who had it for itself alone: inside the hold.
#[inline(always)]
pub fn releasing(context: *mut c_void) {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Some((hold, pid)) = own_place(context) else {
        return;
    };
    if hold.pid == pid && hold.start_ns != 0 && hold.end_ns == 0 && !is_read(hold) {
        hold.end_ns = now_ns;
    } else {
        count_unseen(now_ns);
    }
}

/// A hold of which nobody has seen the beginning.
#[cold]
#[inline(never)]
fn count_unseen(now_ns: u64) {
    let Some(cpu) = maps::cpu_state() else { return };
    if maps::armed(cpu) && maps::awake(cpu, now_ns) && note_release(cpu) {
        lose(cpu, Loss::HoldWithoutStart);
    }
}

/// Notes that a release was seen in this window; whether one was seen before.
#[inline(always)]
fn note_release(cpu: &CpuState) -> bool {
    let seen = maps::window(cpu) + 1;
    // SAFETY: the variable lives as long as the programs; a word is read and written whole. It is written once a window.
    unsafe {
        let before = read_volatile(RELEASED_IN.get()) == seen;
        if !before {
            write_volatile(RELEASED_IN.get(), seen);
        }
        before
    }
}

/// The lock is about to be given back by one of those that read it: inside the hold.
#[inline(always)]
pub fn read_releasing(context: *mut c_void) {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    match own_place(context) {
        Some((hold, pid)) if hold.pid == pid && hold.start_ns != 0 && is_read(hold) => {
            if hold.reads == 1 && hold.end_ns == 0 {
                hold.end_ns = now_ns;
            }
        }
        _ => count_unseen_read(now_ns),
    }
}

/// A read hold of which nobody has seen the beginning; the first on a CPU in a window may have begun before it.
#[cold]
#[inline(never)]
fn count_unseen_read(now_ns: u64) {
    let Some(cpu) = maps::cpu_state() else { return };
    let seen = maps::window(cpu) + 1;
    if maps::armed(cpu) && maps::awake(cpu, now_ns) && cpu.open_reads.seen == seen {
        lose(cpu, Loss::ReadWithoutStart);
    }
    cpu.open_reads.seen = seen;
}

/// The lock has been given back by who had it for itself alone.
#[inline(always)]
pub fn released(context: *mut c_void) {
    let (Some((hold, pid)), Some(cpu)) = (own_place(context), maps::cpu_state()) else {
        return;
    };
    if hold.pid != pid || hold.start_ns == 0 || is_read(hold) {
        return;
    }
    if hold.end_ns == 0 {
        return lose_open(cpu, hold, Loss::HoldSwitched);
    }
    let ended = end(hold);
    // What began in another window is in none.
    if hold.window == maps::window(cpu) {
        note_release(cpu);
        booking::book_ended(cpu, ended);
    }
}

/// The lock has been given back by one of those that read it.
#[inline(always)]
pub fn read_released(context: *mut c_void) {
    let (Some((hold, pid)), Some(cpu)) = (own_place(context), maps::cpu_state()) else {
        return;
    };
    if hold.pid != pid || hold.start_ns == 0 || !is_read(hold) {
        return;
    }
    if hold.reads > 1 {
        hold.reads -= 1;
        return;
    }
    if hold.end_ns == 0 {
        return lose_open(cpu, hold, Loss::ReadWithoutEnd);
    }
    let ended = end(hold);
    if hold.window == maps::window(cpu) {
        cpu.open_reads.seen = maps::window(cpu) + 1;
        booking::book_ended_read(cpu, ended);
    }
}

/// Who had the lock for itself alone has become one of those that read it, without a wait.
#[inline(always)]
pub fn downgraded(context: *mut c_void) {
    let (Some((hold, pid)), Some(cpu)) = (own_place(context), maps::cpu_state()) else {
        return;
    };
    let end_ns = hold.end_ns;
    let was_seen = hold.pid == pid && hold.start_ns != 0 && end_ns != 0;
    released(context);
    if !maps::attached(cpu, READERS) {
        return;
    }
    let site = reader_site(context, cpu);
    take_place(cpu, hold, pid);
    hold.site = site;
    hold.returned = 1;
    hold.reads = 1;
    // It begins where the other one has ended.
    let now_ns = if was_seen {
        end_ns
    } else {
        // SAFETY: the helper has no precondition.
        unsafe { bpf_ktime_get_ns() }
    };
    begin(cpu, hold, now_ns);
}

/// Frees the place of a hold that has ended.
#[inline(always)]
fn end(hold: &mut TaskHold) -> Ended {
    let ended = Ended {
        start_ns: hold.start_ns,
        end_ns: hold.end_ns,
        task: task::current(),
        site: hold.site,
        wait_began_ns: hold.wait_began_ns,
        wait_ended_ns: if hold.wait_began_ns == 0 {
            0
        } else {
            hold.wait_ended_ns
        },
        by_holder: true,
    };
    hold.start_ns = 0;
    hold.wait_began_ns = 0;
    ended
}

/// A hold that was given back where the kernel has refused the program that reads the clock at its end: another task was
/// switched out in that program, on this CPU.
#[cold]
#[inline(never)]
fn lose_open(cpu: &mut CpuState, hold: &mut TaskHold, loss: Loss) {
    hold.start_ns = 0;
    // Or the task's next wait would be taken for this one.
    hold.wait_began_ns = 0;
    if maps::armed(cpu) && hold.window == maps::window(cpu) {
        lose(cpu, loss);
    }
}

/// A task begins to wait until it has the target lock for itself alone: nothing else is done on its way into the queue. Of
/// a mutex it says so again when it has spun for the owner in vain, and each time that it is the first in the queue: all
/// of that is one wait.
#[inline(always)]
pub fn wait_began(context: *mut c_void, cpu: &mut CpuState) {
    let Some((hold, pid)) = own_place(context) else {
        return;
    };
    if is_waiting(cpu, hold, pid) {
        return;
    }
    take_place(cpu, hold, pid);
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if maps::awake(cpu, now_ns) {
        hold.wait_began_ns = now_ns;
    }
}

/// Whether a place is that of the current task, which waits in this window.
#[inline(always)]
fn is_waiting(cpu: &CpuState, hold: &TaskHold, pid: u32) -> bool {
    hold.pid == pid
        && hold.start_ns == 0
        && hold.wait_began_ns != 0
        && hold.window == maps::window(cpu)
}

/// A wait for the target lock has ended: with the lock, where `result` is 0, and then its hold begins here. Whether it was
/// one of those that this keeps, and no reader's.
#[inline(always)]
pub fn wait_ended(context: *mut c_void, cpu: &mut CpuState, now_ns: u64, result: i32) -> bool {
    let is_mutex = constants::is_followed(Followed::Mutex);
    let Some((hold, pid)) = own_place(context) else {
        return is_mutex;
    };
    let waited = is_waiting(cpu, hold, pid);
    if !waited && !is_mutex {
        return false;
    }
    if result != 0 {
        if waited {
            give_up(cpu, hold, now_ns);
        }
        return true;
    }
    if !waited {
        take_place(cpu, hold, pid);
    }
    if maps::awake(cpu, now_ns) || waited {
        hold.wait_ended_ns = now_ns;
        hold.start_ns = now_ns;
    } else {
        begin_nothing();
    }
    true
}

/// A reader's wait for the target lock has ended, with the lock: its hold begins here.
#[cold]
#[inline(never)]
pub fn read_wait_ended(context: *mut c_void, cpu: &mut CpuState, began_ns: u64, now_ns: u64) {
    let Some((hold, pid)) = own_place(context) else {
        return;
    };
    take_place(cpu, hold, pid);
    hold.reads = 1;
    hold.wait_began_ns = began_ns;
    hold.wait_ended_ns = now_ns;
    hold.start_ns = now_ns;
}

/// A wait that a signal has ended, without the lock: it is among those of all locks, for no hold follows that would have
/// it.
#[cold]
#[inline(never)]
fn give_up(cpu: &mut CpuState, hold: &mut TaskHold, now_ns: u64) {
    let waited_ns = now_ns.wrapping_sub(hold.wait_began_ns);
    hold.wait_began_ns = 0;
    if waited_ns >> 63 != 0 {
        return lose(cpu, Loss::ClockBackwards);
    }
    contention::add(
        cpu,
        &Wait {
            lock: constants::target_lock(),
            caller: 0,
            flags: if constants::is_followed(Followed::Mutex) {
                LCB_F_MUTEX
            } else {
                LCB_F_WRITE
            },
            stack_id: NO_STACK,
            hold_site: 0,
            sampled: false,
            waited_ns,
        },
    );
}
