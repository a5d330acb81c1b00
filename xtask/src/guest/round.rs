//! One round of a test: its kernel, what boots there, and what the test says and finds.

use std::cell::RefCell;
use std::path::PathBuf;

use anyhow::{Result, bail};
use lab::kernel::Kernel;
use lab::vm::protocol::{GuestScript, Step};
use lab::vm::{self, VmOutcome, VmRequest};

use crate::cargo::StaticBinaries;

/// What a test that did not fail has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as it must be.
    Passed,
    /// It could not be tried, for this reason.
    Skipped(String),
}

/// What a test works with.
pub struct Lab<'a> {
    /// The kernel of this round.
    pub kernel: &'a Kernel,
    /// The static binaries.
    pub binaries: &'a StaticBinaries,
    /// Virtual CPUs of a guest.
    pub cpus: u32,
}

impl<'a> Lab<'a> {
    /// With guests of two CPUs.
    pub const fn new(kernel: &'a Kernel, binaries: &'a StaticBinaries) -> Self {
        Self {
            kernel,
            binaries,
            cpus: 2,
        }
    }

    /// A boot of this kernel with these steps; change what is to be different.
    pub fn request(&self, steps: Vec<Step>) -> VmRequest {
        let script = GuestScript::of(steps);
        VmRequest {
            cpus: self.cpus,
            ..self.binaries.request(self.kernel.image.clone(), script)
        }
    }

    /// Boots and runs the steps; every one must exit with 0.
    pub fn succeed(&self, steps: Vec<Step>) -> Result<VmOutcome> {
        succeed(&self.request(steps))
    }

    /// The release that the kernel of this round reports is not asked for by name anywhere: this
    /// is its file, for messages.
    pub fn image(&self) -> &PathBuf {
        &self.kernel.image
    }
}

/// `lockprof run` with these arguments, apart by blanks, into /out/NAME: everything in one window, for exact
/// counts.
pub fn run(name: &str, arguments: &str) -> Step {
    run_in_windows(name, &format!("--windows off {arguments}"))
}

/// The same in windows, where nothing else is asked for.
pub fn run_in_windows(name: &str, arguments: &str) -> Step {
    let fixed = format!("lockprof run --quiet --no-report --output /out/{name}");
    Step::new(fixed.split(' ').chain(arguments.split(' ')))
}

/// Boots and runs the steps; every one must exit with 0.
pub fn succeed(request: &VmRequest) -> Result<VmOutcome> {
    let outcome = vm::run(request)?;
    for (step, done) in request.script.steps.iter().zip(&outcome.steps) {
        if done.status != 0 {
            bail!(
                "{:?} ended with {}:\n{}{}",
                step.argv,
                done.status,
                done.text(),
                String::from_utf8_lossy(&done.stderr)
            );
        }
    }
    Ok(outcome)
}

thread_local! {
    /// What the test that runs in this thread has said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// See `note!`.
pub fn say(line: &str) {
    SAID.with_borrow_mut(|said| {
        said.push_str(line);
        said.push('\n');
    });
}

/// All that it has said, which is forgotten then.
pub fn said() -> String {
    SAID.take()
}
