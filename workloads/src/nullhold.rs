//! The shortest hold of tasklist_lock for writing.

use crate::load::{Failure, Load, Operation, Session};

pub(crate) fn load() -> Load {
    Load {
        // ksys_setsid() of kernel/sys.c takes the lock for writing before it looks whether the
        // caller leads a session already; if so, it refuses and releases the lock.
        session: Session::Own,
        null_holds_per_iteration: 1,
        ..Load::of("setsid refused with EPERM", iterate)
    }
}

fn iterate() -> Result<(), Failure> {
    // SAFETY: setsid has no arguments and touches no memory of the caller.
    if unsafe { libc::setsid() } != -1 {
        return Err(Failure {
            operation: Operation::Setsid,
            errno: 0,
        });
    }
    let failure = Failure::last(Operation::Setsid);
    if failure.errno == libc::EPERM {
        Ok(())
    } else {
        Err(failure)
    }
}
