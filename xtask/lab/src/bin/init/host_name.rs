//! A load for a lock that the kernel's symbols have: uts_sem, which guards the machine's name.

use std::io;
use std::thread;

use anyhow::{Context as _, Result};

/// The word for it, before the number of threads, and how often each changes the name and reads it.
///
/// Each change takes uts_sem by `down_write`, each reading by `down_read`, once (`sys_sethostname()` and `sys_newuname()` of
/// kernel/sys.c, 6.1 to 7.3).
pub const CHANGE: &str = "host-name";

const NAME: &[u8] = b"guest";

/// Changes the name, and reads it, so often in each of so many threads.
pub fn change(tasks: &str, times: &str) -> Result<()> {
    let tasks: u32 = tasks.parse().context("the number of threads is none")?;
    let times: u32 = times.parse().context("how often is no number")?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..tasks)
            .map(|_| scope.spawn(move || (0..times).try_for_each(|_| change_and_read())))
            .collect();
        for thread in threads {
            let done = thread.join().ok().context("a thread has panicked")?;
            done.context("the machine's name")?;
        }
        Ok(())
    })
}

fn change_and_read() -> io::Result<()> {
    // SAFETY: the name lives as long as the program, and has that length.
    if unsafe { libc::sethostname(NAME.as_ptr().cast(), NAME.len()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: any bytes are a valid structure of texts.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for the answer.
    if unsafe { libc::uname(&raw mut names) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
