//! Threads created and joined: will-it-scale's threadspawn1.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

use crate::load::{Failure, Load, Operation};

pub(crate) fn load() -> Load {
    Load {
        tasks_per_iteration: 1,
        ..Load::of("Thread creation and teardown", iterate)
    }
}

// std::thread allocates, sets an alternate signal stack in the new thread and names it: system
// calls that the C program does not make.
fn iterate() -> Result<(), Failure> {
    let mut thread = MaybeUninit::uninit();
    // SAFETY: `thread` is valid for a write, null attributes mean the default ones, and
    // `empty_body` ignores its argument.
    let error = unsafe {
        libc::pthread_create(
            thread.as_mut_ptr(),
            ptr::null(),
            empty_body,
            ptr::null_mut(),
        )
    };
    // The pthread functions return the error number; they leave errno alone.
    if error != 0 {
        return Err(Failure {
            operation: Operation::PthreadCreate,
            errno: error,
        });
    }
    // SAFETY: pthread_create succeeded, so it initialised `thread`, and nobody else joins or
    // detaches that thread; a null result pointer means that the result is not wanted.
    let error = unsafe { libc::pthread_join(thread.assume_init(), ptr::null_mut()) };
    if error != 0 {
        return Err(Failure {
            operation: Operation::PthreadJoin,
            errno: error,
        });
    }
    Ok(())
}

extern "C" fn empty_body(_argument: *mut c_void) -> *mut c_void {
    ptr::null_mut()
}
