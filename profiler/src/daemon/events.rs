//! What a run waits for: signals, moments, the load, and log records of the programs.

use std::time::Instant;

use anyhow::{Context as _, Result};
use tokio::{
    io::unix::AsyncFd,
    signal::unix::{Signal, SignalKind, signal},
    time::sleep_until,
};

use super::{
    load::{Load, LoadEvent},
    windows::Windows,
};
use crate::probe::links::Links;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGINT, SIGTERM or SIGHUP.
    End,
    /// SIGTSTP.
    Stop,
}

impl Asked {
    /// What is said where it ends the run.
    pub const fn answer(self) -> &'static str {
        match self {
            Self::End => "ending; a second signal gives up what is not yet written",
            Self::Stop => {
                "ending, since a load that is stopped cannot be measured; Ctrl-C gives up what is not \
                 yet written"
            }
        }
    }
}

/// The signals that end a run, or interrupt it.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None under nohup(1): who ignores it for us means it.
    hang_up: Option<Signal>,
    stop: Signal,
}

impl Signals {
    pub fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            hang_up: (!is_ignored(libc::SIGHUP))
                .then(|| signal(SignalKind::hangup()))
                .transpose()
                .context("cannot listen for SIGHUP")?,
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))
                .context("cannot listen for SIGTSTP")?,
        })
    }

    /// Waits for one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            () = received(&mut self.hang_up) => Asked::End,
            _ = self.stop.recv() => Asked::Stop,
        }
    }

    /// Gives SIGINT and SIGTERM their default effect: the next one kills, the kernel detaches the probes, and
    /// the recording keeps what was written. Not SIGHUP: of a terminal that is closed the kernel and the shell
    /// send one each.
    pub fn let_the_next_one_kill() {
        // SAFETY: the default disposition runs no handler.
        unsafe {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            libc::signal(libc::SIGTERM, libc::SIG_DFL);
        }
    }
}

/// Waits for a signal, for ever where it is not listened to.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether whoever started this process lets it ignore a signal.
fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: all-zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: no new action is given, and the structure for the present one is valid for writing.
    let failed = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    failed == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Waits for a moment, for ever where there is none.
pub async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Waits for the load, for ever where there is none.
pub async fn next(load: &mut Option<Load>) -> Result<LoadEvent> {
    match load {
        Some(load) => load.next().await,
        None => std::future::pending().await,
    }
}

/// Waits for changed links, for ever where none are being changed.
pub async fn changed(windows: &mut Option<Windows>) -> Result<(Links, Result<()>)> {
    match windows {
        Some(windows) => windows.changed().await,
        None => std::future::pending().await,
    }
}

/// The programs' log records, registered with the runtime.
pub type Logger = AsyncFd<aya_log::EbpfLogger<&'static dyn log::Log>>;

/// Passes on what the programs have logged.
pub async fn readable(logger: &mut Option<Logger>) -> Result<()> {
    let Some(logger) = logger else {
        return std::future::pending().await;
    };
    let mut guard = logger
        .readable_mut()
        .await
        .context("cannot wait for log records of the programs")?;
    guard.get_inner_mut().flush();
    guard.clear_ready();
    Ok(())
}
