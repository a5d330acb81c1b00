//! The tools that a user has today, for guests.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::vm::{self, Clock, VmRequest};

use super::bpftrace::{self, Form};
use super::laboratory::Laboratory;
use super::perf::Perf;
use super::results::first_line;
use super::script::{Script, Settle};
use super::symbols::NO_RANDOM_ADDRESSES;
use super::tool::Tool;
use crate::guest::round::Lab;

/// Longer than bpftrace takes to attach and to end.
const TRIAL: Duration = Duration::from_secs(300);
/// The libraries are two hundred megabytes, once in the initramfs and once unpacked.
const MEMORY_MIB: u32 = 2048;

/// bpftrace with its libraries, and what else there is.
#[derive(Clone, Debug)]
pub struct Peers {
    /// bpftrace.
    pub bpftrace: Tool,
    /// klockstat, or why there is none.
    pub klockstat: Result<Tool, String>,
    /// perf, or why there is none.
    pub perf: Result<Perf, String>,
}

impl Peers {
    /// Fetches bpftrace into the user's cache, unless it is there.
    pub fn fetch() -> Result<Self> {
        Ok(Self {
            bpftrace: Tool::fetch("bpftrace", "usr/bin/bpftrace")?,
            klockstat: Err("it was not fetched".to_owned()),
            perf: Err("it was not built".to_owned()),
        })
    }

    /// The same with klockstat, which is fetched unless it is there.
    #[must_use]
    pub fn and_klockstat(self) -> Self {
        Self {
            klockstat: Tool::klockstat().map_err(|error| first_line(&error)),
            ..self
        }
    }

    /// The same with perf, which is built unless it is there.
    #[must_use]
    pub fn and_perf(self) -> Self {
        Self {
            perf: Perf::build().map_err(|error| first_line(&error)),
            ..self
        }
    }

    /// Gives a guest everything, and the memory for it.
    pub fn add_to(&self, request: &mut VmRequest) -> Result<()> {
        request.files.extend(self.bpftrace.files()?);
        if let Ok(klockstat) = &self.klockstat {
            request.files.extend(klockstat.files_apart()?);
        }
        request
            .files
            .extend(self.perf.as_ref().ok().map(Perf::file));
        request.memory_mib = Some(MEMORY_MIB);
        Ok(())
    }

    /// Whether the script works on a kernel, by a boot; the inner error says why not. A peer that takes the
    /// guest with it is no reason to lose what else is measured.
    pub fn can_trace(
        &self,
        laboratory: &Laboratory,
        lab: &Lab<'_>,
        form: Form,
    ) -> Result<Result<(), String>> {
        let tried = self.try_to_trace(laboratory, lab, form);
        lab::signals::check()?;
        Ok(tried.unwrap_or_else(|error| Err(first_line(&error))))
    }

    fn try_to_trace(
        &self,
        laboratory: &Laboratory,
        lab: &Lab<'_>,
        form: Form,
    ) -> Result<Result<(), String>> {
        // A measured boot without the loads.
        let script = Script::new(&[bpftrace::observer(form)], &[], Settle::INSTRUCTIONS);
        let observer = script.steps.iter().position(|step| step.background);
        let steps = script.steps;
        let mut request = laboratory.request(lab, steps);
        self.add_to(&mut request)?;
        // As in the measured boots.
        request.cpus = 1;
        request.clock = Clock::Instructions;
        request.append.push(NO_RANDOM_ADDRESSES.to_owned());
        request.timeout = Some(TRIAL);
        let outcome = vm::run(&request).context("cannot try bpftrace in a guest")?;
        let step = observer.and_then(|place| outcome.steps.get(place));
        let step = step.context("bpftrace has no outcome")?;
        if step.status == 0 {
            return Ok(Ok(()));
        }
        let end = match step.signal {
            Some(signal) => format!("signal {signal}"),
            None => format!("status {}", step.status),
        };
        let said = String::from_utf8_lossy(&step.stderr);
        let mut lines = said.lines().filter(|line| !line.trim().is_empty());
        let said = lines.next_back().map(|line| format!(": {line}"));
        Ok(Err(format!(
            "bpftrace {} ends with {end} in a guest{}",
            self.bpftrace.version,
            said.unwrap_or_default()
        )))
    }
}

/// The peers that cannot measure holds of a spinning lock, and why: (name, reason).
pub const UNABLE: [(&str, &str); 2] = [
    (
        "klockstat",
        "it hooks mutexes and rw semaphores alone, and tasklist_lock is neither",
    ),
    (
        "perf lock contention -b, where nobody contends",
        "it measures waits alone: it has no program on the path of such a pair",
    ),
];
