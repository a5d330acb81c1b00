//! A load whose owners of a mutex sleep for a short time: several tasks write to one terminal, which is full most of
//! the time.
//!
//! Who writes has `tty->atomic_write_lock`, a mutex, and sleeps with it until there is room for the rest
//! (drivers/tty/tty_io.c, iterate_tty_write(); drivers/tty/n_tty.c, n_tty_write(); 5.19 to 7.3).

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The word that runs the load.
pub const WRITE: &str = "write-terminal";

/// Tasks that write.
const WRITERS: usize = 3;
/// How often each of them does.
const WRITES: usize = 4000;
/// Bytes of a write.
const BYTES: usize = 4096;
/// How long the reader rests between two reads: that is for how long the owner of the lock sleeps.
const REST: Duration = Duration::from_micros(50);

/// Writes, and reads it all.
pub fn run() -> Result<()> {
    let (mut master, terminal) = open().context("cannot open a terminal")?;
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let mut terminal = terminal.try_clone()?;
            Ok(thread::spawn(move || {
                (0..WRITES).try_for_each(|_| terminal.write_all(&[b'x'; BYTES]))
            }))
        })
        .collect::<io::Result<_>>()?;
    let mut left = WRITERS * WRITES * BYTES;
    let mut buffer = [0; BYTES];
    while left > 0 {
        let read = master.read(&mut buffer).context("cannot read")?;
        ensure!(read > 0, "the terminal has ended");
        left = left.saturating_sub(read);
        thread::sleep(REST);
    }
    for writer in writers {
        let written = writer.join();
        written.unwrap_or_else(|_panic| Err(io::Error::other("a writer has died")))?;
    }
    Ok(())
}

/// Both sides of a new terminal that passes on what is written as it is.
fn open() -> Result<(File, File)> {
    let _ = fs::create_dir("/dev/pts");
    // SAFETY: the strings end with a zero, and this file system takes no data.
    let mounted = unsafe {
        libc::mount(
            c"devpts".as_ptr(),
            c"/dev/pts".as_ptr(),
            c"devpts".as_ptr(),
            0,
            std::ptr::null(),
        )
    };
    ensure!(
        mounted == 0,
        "cannot mount /dev/pts: {}",
        io::Error::last_os_error()
    );
    let master = File::options()
        .read(true)
        .write(true)
        .open("/dev/ptmx")
        .context("/dev/ptmx")?;
    let locked: libc::c_int = 0;
    // SAFETY: the request reads one integer, which lives.
    let unlocked = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked) };
    ensure!(unlocked == 0, io::Error::last_os_error());
    // SAFETY: the request takes flags of open() and gives a descriptor.
    let peer = unsafe {
        libc::ioctl(
            master.as_raw_fd(),
            libc::TIOCGPTPEER,
            libc::O_RDWR | libc::O_NOCTTY,
        )
    };
    ensure!(peer >= 0, io::Error::last_os_error());
    // SAFETY: the kernel gave this descriptor to us and to nobody else.
    let terminal = unsafe { File::from_raw_fd(peer) };
    // SAFETY: termios is plain data, for which zeroes are a value.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is that of a live local, here and below.
    let known = unsafe { libc::tcgetattr(peer, &raw mut settings) };
    ensure!(known == 0, io::Error::last_os_error());
    // SAFETY: as above.
    let raw = unsafe {
        libc::cfmakeraw(&raw mut settings);
        libc::tcsetattr(peer, libc::TCSANOW, &raw const settings)
    };
    ensure!(raw == 0, io::Error::last_os_error());
    Ok((master, terminal))
}
