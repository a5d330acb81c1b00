//! The guard: a process of its own that kills a daemon which is stopped or stuck, so that no probe stays
//! attached that nobody looks after. The kernel closes the links of a process that dies. And however the daemon
//! ends, the guard ends what its load has left running.
//!
//! It has a session of its own, so that what the terminal stops or ends is not the guard, and no descriptor
//! but the socket of the beats, the recording and standard error; it has no capability but those that it takes to
//! find and end a load. The end of the daemon closes the socket, and ends it.

mod ending;
mod watch;

pub use watch::{GuardArguments, watch};

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::CommandExt as _},
    process::{Child, Command},
};

use anyhow::{Context as _, Result};

use crate::{offspring::Mark, recording::RecordingWriter};

/// How long the guard waits for the next sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// While it measures: a little longer than the programs themselves go on without a beat.
    Measuring,
    /// While probes are attached or detached, which may take the kernel long: more than a minute for windows of spans of
    /// an emulated Linux 7.2 whose CPU is shared. Programs begin nothing meanwhile.
    Changing,
    /// For ever: no probe is attached.
    Unlimited,
}

impl Patience {
    /// As a beat, which is a byte: in seconds; 0 for ever.
    #[must_use]
    pub const fn seconds(self) -> u8 {
        match self {
            Self::Measuring => 12,
            Self::Changing => 180,
            Self::Unlimited => 0,
        }
    }
}

/// The guard of this process. It ends when this is dropped.
#[derive(Debug)]
pub struct Guard {
    beats: UnixStream,
    process: Child,
}

impl Guard {
    /// Starts it; `recording` is where it says that it has killed this process, and `load` tells the processes
    /// that are to end with this one.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(recording: &RecordingWriter, load: &Mark) -> Result<Self> {
        let file = recording
            .file()
            .context("cannot open the recording twice, for the guard")?;
        let (reader, beats) =
            UnixStream::pair().context("cannot make a pair of sockets for the guard")?;
        // The daemon never waits for a guard that does not read.
        beats
            .set_nonblocking(true)
            .context("cannot set up the socket of the guard")?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("guard")
            .args(["--daemon", &std::process::id().to_string(), "--load"])
            .arg(load)
            .arg("--recording")
            .arg(recording.path())
            .stdin(OwnedFd::from(reader))
            .stdout(file);
        // SAFETY: between fork and exec only an async-signal-safe call is made.
        unsafe {
            command.pre_exec(|| {
                // It cannot fail: a process that was just forked leads no group.
                libc::setsid();
                Ok(())
            });
        }
        let process = command
            .spawn()
            .context("cannot start the guard, which kills a daemon that is stopped")?;
        Ok(Self { beats, process })
    }

    /// Whether it has ended, which it does not do by itself. It never says anything: only its end is there to read.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match (&self.beats).read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Tells it that this process lives, and how long it may be silent now. A guard that has died is no
    /// error: then a daemon that is stopped has probes that do nothing.
    pub fn tell(&self, patience: Patience) {
        let _sent = (&self.beats).write(&[patience.seconds()]);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Before the socket closes: what the load has left behind by then is meant to stay.
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}
