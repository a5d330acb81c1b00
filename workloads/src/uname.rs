//! Holds of uts_sem for reading, by asking what the machine is called.

use crate::load::{Failure, Load, Operation, Takes};

pub(crate) fn load() -> Load {
    Load {
        // sys_newuname() of kernel/sys.c, 6.1 to 7.3.
        takes: Some(Takes {
            lock: "uts_sem",
            exclusive: 0,
            shared: 1,
        }),
        ..Load::of("The machine's name asked for", iterate)
    }
}

fn iterate() -> Result<(), Failure> {
    // SAFETY: any bytes are a valid structure of texts.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for the answer.
    match unsafe { libc::uname(&raw mut names) } {
        0 => Ok(()),
        _ => Err(Failure::last(Operation::Uname)),
    }
}
