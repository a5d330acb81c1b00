//! Loads for reader-writer semaphores: for uts_sem, which the kernel's symbols have and which guards the machine's name,
//! and for the mmap_lock of a process that executes something else.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, bail};

/// The word for it, before the number of threads, and how often each changes the name and reads it.
///
/// Each change takes uts_sem by `down_write`, each reading by `down_read`, once (`sys_sethostname()` and `sys_newuname()` of
/// kernel/sys.c, 6.1 to 7.3).
pub const CHANGE: &str = "host-name";

/// The word before the number of threads, how often each maps memory, and what is executed then, if anything.
///
/// Each takes the process's mmap_lock by `down_write_killable` twice, to map and to unmap.
pub const MAP: &str = "map";

/// The word before the number of threads, and how often each asks who has locked which part of a file.
///
/// Each time file_rwsem is taken by `percpu_down_write`, once (`locks_start()` of fs/locks.c, 6.1 to 7.3).
pub const LIST: &str = "list-locks";

/// What tells it.
const LOCKS: &str = "/proc/locks";
/// The word before the number of threads, and how often each maps memory: then so often another process reads this one's
/// memory (process_vm_readv(2)), which takes the lock to read each time.
pub const READ_BY_ANOTHER: &str = "read-by-another";
/// `read PROCESS ADDRESS TIMES`: who does that.
pub const READ: &str = "read";

/// The word before how often the process changes which signals it does not want, as [`MASKING`]. The kernel does so with
/// interrupts off (`recalc_sigpending()` of kernel/signal.c, 6.1 to 7.3).
pub const MASK: &str = "mask";
const MASKING: &CStr = c"masking";

const NAME: &[u8] = b"guest";

/// Changes the name, and reads it, so often in each of so many threads.
pub fn change(tasks: &str, times: &str) -> Result<()> {
    in_threads(tasks, times, change_and_read)
}

/// Asks who has locked what so often in each of so many threads.
pub fn list(tasks: &str, times: &str) -> Result<()> {
    in_threads(tasks, times, || {
        let mut some = [0; 64];
        File::open(LOCKS)?.read_at(&mut some, 0)?;
        Ok(())
    })
}

/// Does something so often in each of so many threads.
fn in_threads(tasks: &str, times: &str, one: fn() -> io::Result<()>) -> Result<()> {
    let tasks: u32 = tasks.parse().context("the number of threads is none")?;
    let times: u32 = times.parse().context("how often is no number")?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..tasks)
            .map(|_| scope.spawn(move || (0..times).try_for_each(|_| one())))
            .collect();
        for thread in threads {
            let done = thread.join().ok().context("a thread has panicked")?;
            done.context("the kernel has refused it")?;
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

/// Maps some memory so often in each of so many threads, and executes a program, if there is one.
pub fn map(tasks: &str, times: &str, program: &[&str]) -> Result<()> {
    in_threads(tasks, times, map_and_unmap)?;
    let [program, arguments @ ..] = program else {
        return Ok(());
    };
    let failed = Command::new(program).args(arguments).exec();
    Err(failed).with_context(|| format!("cannot execute {program}"))
}

fn map_and_unmap() -> io::Result<()> {
    const LENGTH: usize = 4096;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            LENGTH,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is of that length, and nothing refers to it.
    match unsafe { libc::munmap(address, LENGTH) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Maps memory, and has another process read what this one has.
pub fn be_read(tasks: &str, times: &str) -> Result<()> {
    in_threads(tasks, times, map_and_unmap)?;
    let read = Command::new("/init")
        .arg(READ)
        .arg(std::process::id().to_string())
        .arg((NAME.as_ptr() as usize).to_string())
        .arg(times)
        .status()
        .context("cannot execute /init")?;
    if !read.success() {
        bail!("the other process has ended with {read}");
    }
    Ok(())
}

/// Reads a byte of another process's memory so often.
pub fn read(process: &str, address: &str, times: &str) -> Result<()> {
    let process: i32 = process.parse().context("the process is none")?;
    let address: usize = address.parse().context("the address is none")?;
    let times: u32 = times.parse().context("how often is no number")?;
    let mut byte = 0_u8;
    let length = size_of_val(&byte);
    let here = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: length,
    };
    let there = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: length,
    };
    for _ in 0..times {
        // SAFETY: there is room for a byte here; the other address is looked at by the kernel alone.
        let read =
            unsafe { libc::process_vm_readv(process, &raw const here, 1, &raw const there, 1, 0) };
        if usize::try_from(read).ok() != Some(length) {
            return Err(io::Error::last_os_error()).context("process_vm_readv");
        }
    }
    Ok(())
}

/// Blocks a signal and lets it come again, so often.
pub fn mask(times: &str) -> Result<()> {
    let times: u32 = times.parse().context("how often is no number")?;
    // SAFETY: the name is a string.
    unsafe { libc::prctl(libc::PR_SET_NAME, MASKING.as_ptr()) };
    // SAFETY: any bits are a valid set of signals.
    let mut one: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is writable.
    unsafe { libc::sigaddset(&raw mut one, libc::SIGUSR1) };
    for how in [libc::SIG_BLOCK, libc::SIG_UNBLOCK]
        .into_iter()
        .cycle()
        .take(2 * times as usize)
    {
        // SAFETY: the set is valid, and the old one is not asked for.
        if unsafe { libc::sigprocmask(how, &raw const one, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error()).context("sigprocmask");
        }
    }
    Ok(())
}
