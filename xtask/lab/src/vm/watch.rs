//! Follows one boot: collects what it says, and decides whether it is still well.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::clock::Clock;
use super::console::Console;
use super::memory::GuestMemory;
use super::outcome::VmOutcome;
use super::protocol::{Frame, Kind};
use super::request::{Show, VmRequest};
use crate::signals;

/// A boot that has not reached init by then never will; each CPU more is another thread that is
/// emulated on what CPUs there are.
const BOOT: Duration = Duration::from_secs(120);
const BOOT_PER_CPU: Duration = Duration::from_secs(10);
/// After a splat, so long for the rest of its trace.
const AFTER_SPLAT: Duration = Duration::from_secs(5);
/// After init's last word, so long to power off.
const POWER_OFF: Duration = Duration::from_secs(30);
/// Lines of console in an error.
const END: usize = 40;

/// The state of one boot.
pub(super) struct Watch {
    outcome: VmOutcome,
    memory: GuestMemory,
    console: Console,
    started: Instant,
    timeout: Duration,
    boot: Duration,
    hello: bool,
    done: Option<Instant>,
    splat: Option<Instant>,
    trouble: Option<String>,
    status: Option<ExitStatus>,
}

impl Watch {
    pub(super) fn new(request: &VmRequest, memory: GuestMemory, started: Instant) -> Self {
        Self {
            outcome: VmOutcome::default(),
            memory,
            console: Console::default(),
            started,
            timeout: request.timeout.unwrap_or_else(|| timeout(request)),
            boot: BOOT + BOOT_PER_CPU * request.cpus,
            hello: false,
            done: None,
            splat: None,
            trouble: None,
            status: None,
        }
    }

    pub(super) fn console(&mut self, bytes: &[u8], show: Show) {
        for line in self.console.push(bytes) {
            if show.console {
                eprintln!("console: {line}");
            }
        }
        if self.splat.is_none() && self.console.splat().is_some() {
            self.splat = Some(Instant::now());
        }
    }

    pub(super) fn frame(&mut self, frame: Frame, show: Show) {
        match frame.kind {
            Kind::Hello => {
                self.hello = true;
                self.outcome.boot = self.started.elapsed();
            }
            Kind::Done => self.done = Some(Instant::now()),
            _ => {}
        }
        if let Err(error) = self.outcome.take(frame, &self.memory, show) {
            self.trouble.get_or_insert(format!("{error:#}"));
        }
    }

    pub(super) fn exited(&mut self, status: ExitStatus) {
        self.status = Some(status);
    }

    /// An error once the guest has had its time.
    pub(super) fn deadline(&self) -> Result<()> {
        let elapsed = self.started.elapsed();
        if self.splat.is_some_and(|at| at.elapsed() > AFTER_SPLAT) {
            bail!("the guest was stopped after a splat");
        }
        if self.done.is_some_and(|at| at.elapsed() > POWER_OFF) {
            bail!("the guest did everything, but does not power off");
        }
        if elapsed > self.timeout {
            let seconds = self.timeout.as_secs();
            bail!("the guest hangs: it is not done after {seconds} s (--timeout)");
        }
        if !self.hello && elapsed > self.boot {
            bail!("the guest hangs: it does not reach its init");
        }
        Ok(())
    }

    /// The outcome of a boot that is over, or why it failed, with the end of its console.
    pub(super) fn finish(mut self, ended: Result<()>, qemu_said: &str) -> Result<VmOutcome> {
        let problem = if let Some(splat) = self.console.splat() {
            Some(anyhow!(
                "the guest's kernel is broken, its console says: {splat}"
            ))
        } else if let Err(error) = ended {
            Some(error)
        } else if let Some(trouble) = &self.trouble {
            Some(anyhow!("the guest's init failed: {trouble}"))
        } else if self.done.is_none() {
            let status = self.status.map(|status| format!(" (QEMU: {status})"));
            Some(anyhow!(
                "the guest ended before everything was done{}",
                status.unwrap_or_default()
            ))
        } else {
            None
        };
        let Some(problem) = problem else {
            self.outcome.console = self.console.text().to_owned();
            self.outcome.wall = self.started.elapsed();
            return Ok(self.outcome);
        };
        // Whoever has broken it off does not ask why it ended.
        if signals::pending().is_some() {
            return Err(problem);
        }
        let end = self.console.end(END);
        let mut text = format!("{problem:#}");
        if !qemu_said.is_empty() {
            text.push_str(&format!("\nQEMU says: {qemu_said}"));
        }
        if end.is_empty() {
            text.push_str("\nThe console is empty.");
        } else {
            text.push_str(&format!("\nThe end of the console:\n{end}"));
        }
        Err(GuestFailure {
            text,
            reached_init: self.hello,
            emulators_fault: self.console.emulators_fault().map(str::to_owned),
        }
        .into())
    }
}

/// Why a boot failed, with the end of its console.
#[derive(Debug)]
pub struct GuestFailure {
    text: String,
    /// Whether init ran: before that, nothing of the script has been done.
    pub reached_init: bool,
    /// The splat, where the emulator has done what no processor does: another boot is as good.
    pub emulators_fault: Option<String>,
}

impl std::fmt::Display for GuestFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for GuestFailure {}

/// A generous limit: the boot, and what the steps themselves ask for times what emulation may
/// cost.
fn timeout(request: &VmRequest) -> Duration {
    let steps = request.script.steps.iter();
    let seconds: f64 = steps
        .map(|step| step.delay_ms as f64 / 1000.0 + duration(&step.argv))
        .sum();
    // Measured: 12 s of wall time for one virtual second of the instruction clock under load, on
    // a machine that does nothing else.
    let factor = match request.clock {
        Clock::Wall => 5.0,
        Clock::Instructions => 40.0,
    };
    BOOT + BOOT_PER_CPU * request.cpus + Duration::from_secs_f64(seconds * factor)
}

/// How long a command means to run, as far as its arguments say.
fn duration(argv: &[String]) -> f64 {
    let mut words = argv.iter();
    while let Some(word) = words.next() {
        let value = match word.as_str() {
            "--" => break,
            "-d" | "--duration" => words.next().map(String::as_str),
            _ => word
                .strip_prefix("--duration=")
                .or_else(|| word.strip_prefix("-d")),
        };
        if let Some(seconds) =
            value.and_then(|value| value.trim_end_matches('s').parse::<f64>().ok())
            && seconds.is_finite()
        {
            // The warm-up and the drain come on top of it.
            return seconds.clamp(0.0, 1e6) + 4.0;
        }
    }
    15.0
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::protocol::{GuestScript, Step};
    use super::*;

    #[test]
    fn the_time_limit_follows_the_commands() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(duration(&words("lockprof run -d 5 --workload x")), 9.0);
        assert_eq!(duration(&words("lockprof run --duration=60")), 64.0);
        assert_eq!(duration(&words("lockprof run -d7")), 11.0);
        assert_eq!(duration(&words("lockprof run -- sleep -d 5")), 15.0);
        assert_eq!(duration(&words("lockprof run -d inf")), 15.0);
        let steps = vec![Step::new(["x", "-d", "6"]), Step::new(["y", "-d6"])];
        let mut request = VmRequest::new(PathBuf::new(), PathBuf::new(), GuestScript::of(steps));
        assert_eq!(timeout(&request).as_secs(), 140 + 100);
        request.cpus = 1;
        request.clock = Clock::Instructions;
        assert_eq!(timeout(&request).as_secs(), 130 + 800);
    }
}
