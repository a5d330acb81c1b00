//! Holds of a mutex.
//!
//! Interrupts and preemption are on in such a hold, and the holder may sleep and move to another CPU. So it is kept by
//! task: a slot of the lock that all share would be overwritten by the next holder as soon as the lock is given back, and
//! its cache line would go from CPU to CPU inside the holds.
//!
//! - A program at the return of each function that takes a mutex begins the hold, where the return value says that it
//!   was taken. It finds the caller first and reads the clock last.
//! - A program at the entry of `mutex_unlock` ends it, and does nothing but that.
//! - A program at the return of `mutex_unlock` books it, after the release.
//!
//! A contended hold begins in contention_end, which tells whether the lock was taken (kernel/locking/mutex.c,
//! `__mutex_lock_common()`, 5.19 to 7.3): so the holds of those that were already waiting when the programs were attached
//! are exact, too, without their site.
//!
//! Every mutex of the machine comes through here: the address is compared before anything else is done, the clock
//! included, which is three instructions inside a hold of the target and saves all others the reading of a clock.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use lockprof_abi::{CpuState, LCB_F_MUTEX, Loss, NO_STACK, TaskHold};

use super::{
    booking::{self, Ended},
    constants,
    contention::{self, Wait},
    maps::{self, SharedVariable, lose},
    site, task,
};

/// The number, plus 1, of the latest window in which a release was seen: the first of a window belongs to a hold that
/// began before it, and is no loss. A mutex has one holder, so there is one such hold.
static RELEASED_IN: SharedVariable<u32> = SharedVariable::new(0);

/// What a function that takes a mutex says by its return value.
#[derive(Clone, Copy)]
enum Taken {
    /// It returns when it has taken it.
    Always,
    /// It returns 0 where it has taken it, else an error.
    Zero,
    /// It returns 1 where it has taken it, else 0.
    One,
}

/// The function calls another one that has a program of its own, unless the compiler has put that into it.
const CALLS: bool = true;
/// It calls none.
const ALONE: bool = false;

/// A program at the return of a function that takes a mutex: its parameters, which precede the return value in the
/// context, what that says, and whether it calls another such function.
macro_rules! acquisitions {
    ($($program:ident: $parameters:literal, $taken:ident, $calls:ident;)+) => {
        $(
            #[fexit]
            fn $program(ctx: FExitContext) -> i32 {
                if constants::is_target(ctx.arg(0)) {
                    let taken = match Taken::$taken {
                        Taken::Always => true,
                        Taken::Zero => ctx.arg::<i32>($parameters) == 0,
                        Taken::One => ctx.arg::<i32>($parameters) == 1,
                    };
                    if taken {
                        acquired::<$calls>(&ctx);
                    }
                }
                0
            }
        )+
    };
}

// kernel/locking/mutex.c, 6.1 to 7.3. Those with more than one parameter are of kernels with CONFIG_DEBUG_LOCK_ALLOC, in
// which most of the others are macros of them (include/linux/mutex.h).
acquisitions! {
    mutex_acquired_lock: 1, Always, ALONE;
    mutex_acquired_lock_interruptible: 1, Zero, ALONE;
    mutex_acquired_lock_killable: 1, Zero, ALONE;
    mutex_acquired_lock_io: 1, Always, CALLS;
    mutex_acquired_trylock: 1, One, ALONE;
    mutex_acquired_lock_nested: 2, Always, ALONE;
    mutex_acquired_lock_nest_lock: 2, Always, ALONE;
    mutex_acquired_lock_interruptible_nested: 2, Zero, ALONE;
    mutex_acquired_lock_killable_nested: 2, Zero, ALONE;
    mutex_acquired_lock_killable_nest_lock: 3, Zero, ALONE;
    mutex_acquired_lock_io_nested: 2, Always, ALONE;
    mutex_acquired_trylock_nest_lock: 2, One, ALONE;
}

#[fentry]
fn mutex_releasing(ctx: FEntryContext) -> i32 {
    if constants::is_target(ctx.arg(0)) {
        releasing();
    }
    0
}

#[fexit]
fn mutex_released(ctx: FExitContext) -> i32 {
    if constants::is_target(ctx.arg(0)) {
        released();
    }
    0
}

/// The place of the current task's hold, and its pid as it stands there.
#[inline(always)]
fn own_place() -> Option<(&'static mut TaskHold, u32)> {
    let pid = bpf_get_current_pid_tgid() as u32;
    let place = maps::task_hold(pid)?;
    // SAFETY: the place is in the map, aligned, and any bits are valid. A task with the same low bits of its pid may
    // write at the same time; every program checks the pid.
    Some((unsafe { &mut *place }, pid + 1))
}

/// Makes a place the current task's, with a hold or a wait that is to begin. What is still there has not been booked.
#[inline(always)]
fn take_place(cpu: &mut CpuState, hold: &mut TaskHold, pid: u32) {
    if (hold.start_ns != 0 || hold.wait_began_ns != 0) && hold.window == maps::window(cpu) {
        lose_left(cpu, hold, pid);
    }
    *hold = TaskHold {
        pid,
        window: maps::window(cpu),
        ..TaskHold::FREE
    };
}

#[cold]
#[inline(never)]
fn lose_left(cpu: &mut CpuState, hold: &TaskHold, pid: u32) {
    if maps::armed(cpu) {
        let loss = if hold.start_ns == 0 {
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

/// The lock has been taken: inside the hold.
#[inline(always)]
fn acquired<const CALLS: bool>(ctx: &FExitContext) {
    let (Some((hold, pid)), Some(cpu)) = (own_place(), maps::cpu_state()) else {
        return;
    };
    let site = site::from_trampoline::<{ site::WRITER }>(ctx.as_ptr(), cpu);
    // It has begun where it was waited for, or where the function has called another one.
    if hold.start_ns != 0
        && hold.end_ns == 0
        && hold.pid == pid
        && hold.window == maps::window(cpu)
        && (hold.returned == 0 || CALLS)
    {
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

/// The lock is about to be given back: inside the hold.
#[inline(always)]
fn releasing() {
    // SAFETY: the helper has no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Some((hold, pid)) = own_place() else {
        return;
    };
    if hold.pid == pid && hold.start_ns != 0 && hold.end_ns == 0 {
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

/// The lock has been given back.
#[inline(always)]
fn released() {
    let (Some((hold, pid)), Some(cpu)) = (own_place(), maps::cpu_state()) else {
        return;
    };
    if hold.pid != pid || hold.start_ns == 0 {
        return;
    }
    if hold.end_ns == 0 {
        return lose_open(cpu, hold);
    }
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
    // What began in another window is in none.
    if hold.window == maps::window(cpu) {
        note_release(cpu);
        booking::book_ended(cpu, ended);
    }
}

/// A hold that was given back where the kernel has refused the program that reads the clock at its end: another task was
/// switched out in that program, on this CPU.
#[cold]
#[inline(never)]
fn lose_open(cpu: &mut CpuState, hold: &mut TaskHold) {
    hold.start_ns = 0;
    // Or the task's next wait would be taken for this one.
    hold.wait_began_ns = 0;
    if maps::armed(cpu) && hold.window == maps::window(cpu) {
        lose(cpu, Loss::HoldSwitched);
    }
}

/// A task begins to wait for the target lock: nothing else is done on its way into the queue. It says so again when it has
/// spun for the owner in vain, and each time that it is the first in the queue: all of that is one wait.
#[inline(always)]
pub fn wait_began(cpu: &mut CpuState) {
    let Some((hold, pid)) = own_place() else {
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

/// A wait for the target lock has ended: with the lock, where `result` is 0, and then its hold begins here.
#[inline(always)]
pub fn wait_ended(cpu: &mut CpuState, now_ns: u64, result: i32) {
    let Some((hold, pid)) = own_place() else {
        return;
    };
    let waited = is_waiting(cpu, hold, pid);
    if result != 0 {
        if waited {
            give_up(cpu, hold, now_ns);
        }
        return;
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
            flags: LCB_F_MUTEX,
            stack_id: NO_STACK,
            hold_site: 0,
            sampled: false,
            waited_ns,
        },
    );
}
