//! A load for the mutex of a pipe, which stays where it is for all runs of the load: the pipe has a name, and is held open.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::folders;

/// `held-fifo FIFO FILE`: makes one, opens it until something has written an address to the file, says [`HELD`] then, and
/// holds it open until SIGINT.
pub const HELD: &str = "held-fifo";
/// `fifo FIFO TASKS TIMES`: writes a byte and reads one so often in each of so many threads, and says how many seconds that
/// has taken. `pipe_write()` and `pipe_read()` of fs/pipe.c, 6.1 to 7.3, take the mutex once each.
pub const LOAD: &str = "fifo";

/// One of these by its words; `None` where it is none.
pub fn run(words: &[&str]) -> Option<Result<()>> {
    match *words {
        [HELD, fifo, file] => Some(hold(Path::new(fifo), Path::new(file))),
        [LOAD, fifo, tasks, times] => Some(load(Path::new(fifo), tasks, times)),
        _ => None,
    }
}

fn hold(fifo: &Path, file: &Path) -> Result<()> {
    let path = CString::new(fifo.as_os_str().as_encoded_bytes())?;
    // SAFETY: the path is a string.
    if unsafe { libc::mkfifo(path.as_ptr(), 0o600) } != 0 {
        let error = io::Error::last_os_error();
        return Err(error).with_context(|| format!("cannot make {}", fifo.display()));
    }
    let held = open(fifo)?;
    while folders::address(file).is_none() {
        open(fifo)?;
        thread::sleep(folders::AGAIN);
    }
    println!("{HELD}");
    wait_for_sigint()?;
    drop(held);
    Ok(())
}

fn wait_for_sigint() -> Result<()> {
    // SAFETY: any bits are a valid set of signals.
    let mut awaited: libc::sigset_t = unsafe { std::mem::zeroed() };
    let mut came = 0;
    // SAFETY: the sets and the number are writable, and this process has one thread.
    let done = unsafe {
        libc::sigaddset(&raw mut awaited, libc::SIGINT);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const awaited, std::ptr::null_mut());
        libc::sigwait(&raw const awaited, &raw mut came)
    };
    match done {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)).context("sigwait"),
    }
}

fn open(fifo: &Path) -> Result<File> {
    let opened = File::options().read(true).write(true).open(fifo);
    opened.with_context(|| format!("cannot open {}", fifo.display()))
}

fn load(fifo: &Path, tasks: &str, times: &str) -> Result<()> {
    let tasks: u32 = tasks.parse().context("the number of threads is none")?;
    let times: u32 = times.parse().context("how often is no number")?;
    let opened = open(fifo)?;
    let started = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..tasks)
            .map(|_| scope.spawn(|| (0..times).try_for_each(|_| through(&opened))))
            .collect();
        for thread in threads {
            let done = thread.join().ok().context("a thread has panicked")?;
            done.context("nothing goes through the pipe")?;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    println!("{}", started.elapsed().as_secs_f64());
    Ok(())
}

fn through(mut pipe: &File) -> io::Result<()> {
    pipe.write_all(&[0])?;
    pipe.read_exact(&mut [0])
}
