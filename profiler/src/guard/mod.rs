//! The guard: a process of its own that kills a daemon which is stopped or stuck, so that no probe stays
//! attached that nobody looks after. The kernel closes the links of a process that dies.
//!
//! It has a session of its own, so that what the terminal stops or ends is not the guard, and no descriptor
//! but the socket of the beats and standard error. It dies with the daemon, whose end closes the socket.

mod ending;
mod watch;

pub use watch::{GuardArguments, watch};

use std::{
    fs,
    io::Write as _,
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// How long the guard waits for the next sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// While it measures: a little longer than the programs themselves go on without a beat.
    Measuring,
    /// While probes are attached or detached, which may take the kernel long.
    Changing,
    /// For ever: no probe is attached, and it is going to be stopped.
    Paused,
}

impl Patience {
    /// As a beat, which is a byte: in seconds; 0 for ever.
    #[must_use]
    pub const fn seconds(self) -> u8 {
        match self {
            Self::Measuring => 12,
            Self::Changing => 60,
            Self::Paused => 0,
        }
    }
}

/// The guard of this process. It ends when this is dropped.
#[derive(Debug)]
pub struct Guard {
    /// None once it is to end.
    beats: Option<UnixStream>,
    process: Child,
}

impl Guard {
    /// Starts it; `recording` is where it says that it has killed this process.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(recording: &Path) -> Result<Self> {
        // It may be named from another folder than the guard's.
        let recording = fs::canonicalize(recording)
            .with_context(|| format!("cannot find the recording {}", recording.display()))?;
        let (reader, beats) =
            UnixStream::pair().context("cannot make a pair of sockets for the guard")?;
        // The daemon never waits for a guard that does not read.
        beats
            .set_nonblocking(true)
            .context("cannot set up the socket of the guard")?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("guard")
            .args(["--daemon", &std::process::id().to_string(), "--recording"])
            .arg(recording)
            .stdin(OwnedFd::from(reader))
            .stdout(Stdio::null());
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
        Ok(Self {
            beats: Some(beats),
            process,
        })
    }

    /// Tells it that this process lives, and how long it may be silent now. A guard that has died is no
    /// error: then a daemon that is stopped has probes that do nothing.
    pub fn tell(&self, patience: Patience) {
        if let Some(mut beats) = self.beats.as_ref() {
            let _sent = beats.write(&[patience.seconds()]);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.beats = None;
        // It ends with the socket, but nobody waits for that where the guard itself was stopped.
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}
