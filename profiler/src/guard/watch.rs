//! The guard's own process: waits for beats, and kills when they stay away.

use std::{
    fs::{self, File},
    io::{self, Read as _, stdin, stdout},
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::{Patience, ending};
use crate::{
    kernel::privileges, offspring::Mark, proc::StatLine, recording::schema::Killed, renounce,
    tell::tell,
};

/// `lockprof guard`, which the daemon starts: with the beats as standard input, and the recording as standard
/// output.
#[derive(Args, Debug)]
pub struct GuardArguments {
    /// The daemon's process
    #[arg(long)]
    daemon: u32,
    /// What tells the processes of its load
    #[arg(long)]
    load: Mark,
    /// What its recording is called
    #[arg(long)]
    recording: PathBuf,
}

/// What is known of a daemon's life.
///
/// It counts its own seconds instead of looking at a clock: where the whole machine stands still, so does the
/// guard, and a daemon is not killed for that.
#[derive(Clone, Copy, Debug)]
struct Life {
    patience_s: u8,
    silent_s: u8,
}

impl Life {
    const fn new() -> Self {
        Self {
            patience_s: Patience::Changing.seconds(),
            silent_s: 0,
        }
    }

    /// How long to wait for the next sign of life, in milliseconds as poll(2) takes them: where the silence may
    /// last for ever, nobody counts its seconds.
    const fn wait_ms(&self) -> i32 {
        if self.patience_s == 0 { -1 } else { 1000 }
    }

    /// A sign of life.
    const fn beat(&mut self, patience_s: u8) {
        self.patience_s = patience_s;
        self.silent_s = 0;
    }

    /// A second without one, of a process in this state (proc_pid_stat(5)). Whether to kill it, and why.
    fn second(&mut self, state: Option<char>) -> Option<Killed> {
        // A debugger has it, and knows.
        if state == Some('t') {
            self.silent_s = 0;
            return None;
        }
        self.silent_s = self.silent_s.saturating_add(1);
        let is_over = self.patience_s != 0 && self.silent_s >= self.patience_s;
        is_over.then(|| Killed {
            silent_s: self.silent_s.into(),
            stopped: state == Some('T'),
        })
    }
}

/// Watches over the daemon until it ends, or kills it.
///
/// # Errors
/// The daemon cannot be watched.
pub fn watch(arguments: &GuardArguments) -> Result<()> {
    // Whatever a caller of the daemon's left open is not the guard's to keep open.
    // SAFETY: nothing above standard error is in use yet in this process.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    let daemon = open_process(arguments.daemon)?;
    if let Err(error) = renounce::for_good(privileges::TO_END_A_LOAD) {
        log::warn!("the guard cannot give up the capabilities that it does not need: {error}");
    }
    let mut life = Life::new();
    // Without the buffer of standard input, which would keep beats that nobody waits for.
    let mut beats = File::from(
        stdin()
            .as_fd()
            .try_clone_to_owned()
            .context("cannot use standard input")?,
    );
    let mut read = [0; 64];
    loop {
        // Its end closes the socket.
        match wait_for(beats.as_raw_fd(), life.wait_ms())? {
            Event::Ready => match beats.read(&mut read).context("cannot read the beats")? {
                // In order it would have killed this process.
                0 => {
                    arguments.load.kill(None);
                    return Ok(());
                }
                length => life.beat(read[length - 1]),
            },
            Event::Interrupted => {}
            Event::TimedOut => {
                if let Some(killed) = life.second(state_of(arguments.daemon)) {
                    return kill(arguments, &daemon, killed);
                }
            }
        }
    }
}

/// Kills the daemon, says so, waits for its end, kills its load, and ends its recording.
fn kill(arguments: &GuardArguments, daemon: &OwnedFd, killed: Killed) -> Result<()> {
    // SAFETY: the call takes integers and no pointer that is not null.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            daemon.as_raw_fd(),
            libc::SIGKILL,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if sent != 0 {
        return Err(io::Error::last_os_error())
            .with_context(|| format!("cannot kill the process {}", arguments.daemon));
    }
    // At once, for who waits for the daemon's end may read no longer.
    tell(&format!(
        "{}; the kernel detaches its probes, and {} has what was written until then",
        killed.sentence(),
        arguments.recording.display()
    ));
    while wait_for(daemon.as_raw_fd(), -1)? != Event::Ready {}
    arguments.load.kill(None);
    let recording = stdout().as_fd().try_clone_to_owned();
    let recording = File::from(recording.context("cannot use standard output")?);
    ending::append(&recording, killed)
        .with_context(|| format!("cannot end the recording {}", arguments.recording.display()))
}

/// What a wait has ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// There is something to read.
    Ready,
    /// The time is over.
    TimedOut,
    /// A signal came.
    Interrupted,
}

/// Waits until a descriptor can be read, or has ended.
fn wait_for(descriptor: i32, timeout_ms: i32) -> Result<Event> {
    let mut polled = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the structure is valid, and there is one of it.
    match unsafe { libc::poll(&raw mut polled, 1, timeout_ms) } {
        0 => Ok(Event::TimedOut),
        1.. => Ok(Event::Ready),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(Event::Interrupted),
            error => Err(error).context("cannot wait for the daemon"),
        },
    }
}

/// A descriptor of the parent process: a number alone may be another's by the time it is used.
fn open_process(process: u32) -> Result<OwnedFd> {
    // SAFETY: the call takes two integers; it gives a descriptor or -1.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    let Ok(descriptor @ 0..) = i32::try_from(descriptor) else {
        return Err(io::Error::last_os_error())
            .with_context(|| format!("cannot open the process {process}"));
    };
    // SAFETY: pidfd_open() gave this descriptor to us and to nobody else.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: the call has no precondition.
    if unsafe { libc::getppid() }.unsigned_abs() != process {
        bail!("the guard watches over the process that started it, and {process} did not");
    }
    Ok(descriptor)
}

/// The state of a process, as /proc tells it.
fn state_of(process: u32) -> Option<char> {
    StatLine::parse(&fs::read(format!("/proc/{process}/stat")).ok()?)?.state()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Silent seconds until it is killed, of 100.
    fn killed_after(life: &mut Life, state: char) -> Option<Killed> {
        (0..100).find_map(|_| life.second(Some(state)))
    }

    #[test]
    fn a_silent_daemon_is_killed_and_the_reason_told() {
        let measuring = Patience::Measuring.seconds();
        for (state, stopped) in [('T', true), ('S', false), ('R', false), ('D', false)] {
            let mut life = Life::new();
            life.beat(measuring);
            let silent_s = measuring.into();
            let expected = Some(Killed { silent_s, stopped });
            assert_eq!(killed_after(&mut life, state), expected, "{state}");
        }
    }

    #[test]
    fn neither_a_debugged_nor_a_paused_daemon_is_killed() {
        let mut life = Life::new();
        life.beat(Patience::Measuring.seconds());
        assert_eq!(life.wait_ms(), 1000);
        assert_eq!(killed_after(&mut life, 't'), None);
        life.beat(Patience::Unlimited.seconds());
        assert_eq!(life.wait_ms(), -1);
        assert_eq!(killed_after(&mut life, 'T'), None);
    }

    #[test]
    fn each_beat_begins_the_count_anew() {
        let mut life = Life::new();
        for _ in 0..20 {
            life.beat(3);
            assert_eq!(life.second(Some('S')), None);
            assert_eq!(life.second(Some('S')), None);
        }
        assert!(life.second(Some('S')).is_some());
        // Before the first beat, probes are being attached.
        let mut life = Life::new();
        let seconds = Patience::Changing.seconds();
        for _ in 1..seconds {
            assert_eq!(life.second(Some('R')), None);
        }
        assert!(life.second(Some('R')).is_some());
    }
}
