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

const ENDING: &str = "ending; a second signal gives up what is not yet written";
const STOPPED: &str = "ending, since a lockprof that is stopped would leave its probes attached; Ctrl-C gives \
                       up what is not yet written";

/// The signals that end a run.
///
/// Ctrl-Z is one of them: a daemon that is stopped would leave its probes attached, and a load that is stopped
/// is not the one that was asked about.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    stop: Signal,
}

impl Signals {
    pub fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))
                .context("cannot listen for SIGTSTP")?,
        })
    }

    /// Waits for one, and gives what is to be said of it. SIGINT and SIGTERM then have their default effect:
    /// the next one kills, the kernel detaches the probes, and the recording keeps what was written.
    pub async fn next(&mut self) -> &'static str {
        let said = tokio::select! {
            _ = self.interrupt.recv() => ENDING,
            _ = self.terminate.recv() => ENDING,
            _ = self.stop.recv() => STOPPED,
        };
        Self::let_the_next_one_kill();
        said
    }

    /// Gives SIGINT and SIGTERM their default effect.
    pub fn let_the_next_one_kill() {
        // SAFETY: the default disposition runs no handler.
        unsafe {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            libc::signal(libc::SIGTERM, libc::SIG_DFL);
        }
    }
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
