//! Threads of the kernel's alone: no library makes a stack, and none is told of the end.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::load::{Failure, Load, Operation};

/// What a thread shares with its maker: everything that threads of one process have to, and its file descriptors,
/// working directory and semaphores, so that nothing is copied. The kernel clears a word when it has ended, and wakes
/// who waits for that.
const SHARED: c_int = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;
/// A thread that returns at once needs next to nothing.
const STACK_BYTES: usize = 4096;

#[repr(align(16))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

thread_local! {
    static STACK: Stack = const { Stack(UnsafeCell::new([0; STACK_BYTES])) };
    /// The thread that runs on it; 0 where none does.
    static RUNNING: AtomicI32 = const { AtomicI32::new(0) };
}

pub(crate) fn load() -> Load {
    Load {
        tasks_per_iteration: 1,
        ..Load::of("Thread creation and teardown by clone alone", iterate)
    }
}

fn iterate() -> Result<(), Failure> {
    STACK.with(|stack| RUNNING.with(|running| one_thread(stack, running)))
}

fn one_thread(stack: &Stack, running: &AtomicI32) -> Result<(), Failure> {
    // SAFETY: one past the end of the stack's bytes, from where it grows down.
    let top = unsafe { stack.0.get().cast::<u8>().add(STACK_BYTES) };
    // SAFETY: nothing else runs on the stack, for the thread before has ended; `ends` touches nothing, not even what
    // belongs to a thread of the library's; and the word outlives the thread, whose end is waited for below.
    let made = unsafe {
        let nothing = ptr::null_mut::<c_void>();
        let word = running.as_ptr();
        libc::clone(ends, top.cast(), SHARED, nothing, word, nothing, word)
    };
    if made < 0 {
        return Err(Failure::last(Operation::Clone));
    }
    // The kernel stores the thread's number before that runs (CLONE_PARENT_SETTID), and 0 when it has ended.
    loop {
        let now = running.load(Ordering::Acquire);
        if now == 0 {
            return Ok(());
        }
        // SAFETY: the word is valid; the call returns when it is not `now` any more, when it is woken, or by a signal.
        unsafe {
            let forever = ptr::null::<libc::timespec>();
            libc::syscall(
                libc::SYS_futex,
                running.as_ptr(),
                libc::FUTEX_WAIT,
                now,
                forever,
            );
        }
    }
}

/// The library's clone() ends the thread, and no other, when this returns.
extern "C" fn ends(_argument: *mut c_void) -> c_int {
    0
}
