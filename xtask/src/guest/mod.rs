//! Tests that run lockprof in guests.
//!
//! A test is a function over a [`Lab`]: it boots what it needs, and returns an error where the
//! guest does not behave as it must.

mod clock;
mod compare;
mod contention;
mod counts;
mod daemon;
mod silence;
pub mod summary;
mod windows;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::cargo::StaticBinaries;
use crate::kernel::{self, Kernel, build};
use crate::signals;
use crate::vm::protocol::{GuestScript, Step};
use crate::vm::{self, VmOutcome, VmRequest};

/// What a test that did not fail has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as it must be.
    Passed,
    /// It could not be tried, for this reason.
    Skipped(String),
}

/// A test, once for each of its kernels.
#[derive(Clone, Copy)]
pub struct GuestTest {
    /// Its name, by which it is reported and chosen.
    pub name: &'static str,
    /// The kernels that it needs, as a user names them.
    pub kernels: &'static [&'static str],
    /// The test itself.
    pub run: fn(&Lab<'_>) -> Result<Verdict>,
}

/// What a test works with.
pub struct Lab<'a> {
    /// The kernel of this round.
    pub kernel: &'a Kernel,
    /// The static binaries.
    pub binaries: &'a StaticBinaries,
}

impl Lab<'_> {
    /// A boot of this kernel with these steps, on two CPUs; change what is to be different.
    pub fn request(&self, steps: Vec<Step>) -> VmRequest {
        VmRequest::new(
            self.kernel.image.clone(),
            self.binaries,
            GuestScript::of(steps),
        )
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
fn run(name: &str, arguments: &str) -> Step {
    run_in_windows(name, &format!("--windows off {arguments}"))
}

/// The same in windows, where nothing else is asked for.
fn run_in_windows(name: &str, arguments: &str) -> Step {
    let fixed = format!("lockprof run --quiet --no-report --output /out/{name}");
    Step::new(fixed.split(' ').chain(arguments.split(' ')))
}

/// The tests' counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many passed.
    pub passed: usize,
    /// The names of those that failed.
    pub failed: Vec<String>,
    /// The names of those that were skipped, and why.
    pub skipped: Vec<String>,
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

/// A test on every kernel.
const fn everywhere(name: &'static str, run: fn(&Lab<'_>) -> Result<Verdict>) -> GuestTest {
    GuestTest {
        name,
        kernels: &kernel::TESTED,
        run,
    }
}

/// All tests.
pub const TESTS: &[GuestTest] = &[
    everywhere("guest_boots_and_counts_its_own_tasks", boots),
    everywhere(
        "lives_are_counted_exactly",
        counts::lives_are_counted_exactly,
    ),
    everywhere(
        "lives_are_counted_from_outside",
        counts::lives_are_counted_from_outside,
    ),
    GuestTest {
        name: "full_preemption_loses_no_hold",
        kernels: &["debian:6.12", "debian:7.2"],
        run: counts::full_preemption_loses_no_hold,
    },
    // Where RCU is preemptible, as in 7.2, an interrupt just before the program at the request leaves it work
    // that one of 100,000 holds has in it.
    GuestTest {
        name: "interrupts_are_in_no_hold",
        kernels: &["debian:6.1", "debian:6.12"],
        run: clock::interrupts_are_in_no_hold,
    },
    everywhere("fentry_and_kprobe_agree", clock::fentry_and_kprobe_agree),
    everywhere(
        "waits_are_seen_and_blamed",
        contention::waits_are_seen_and_blamed,
    ),
    everywhere(
        "callers_agree_with_call_stacks",
        contention::callers_agree_with_call_stacks,
    ),
    everywhere(
        "a_hidden_address_is_learned",
        daemon::a_hidden_address_is_learned,
    ),
    everywhere(
        "two_profilers_count_the_same",
        daemon::two_profilers_count_the_same,
    ),
    everywhere("windows_agree", windows::windows_agree),
    everywhere("sigkill_leaves_nothing", daemon::sigkill_leaves_nothing),
    everywhere(
        "nothing_begins_without_a_beat",
        silence::nothing_begins_without_a_beat,
    ),
    GuestTest {
        name: "control_z_leaves_nothing_attached",
        kernels: &["debian:6.12"],
        run: silence::control_z_leaves_nothing_attached,
    },
    GuestTest {
        name: "a_stopped_daemon_is_killed",
        kernels: &["debian:6.12"],
        run: silence::a_stopped_daemon_is_killed,
    },
    GuestTest {
        name: "one_boot_of_each_is_compared",
        kernels: &["debian:6.12"],
        run: compare::one_boot_of_each_is_compared,
    },
    GuestTest {
        name: "tasks_end_as_they_should",
        kernels: &[
            "debian:6.12",
            build::BASE,
            build::DEFERRED,
            "defer-randomness",
            "defer-more",
        ],
        run: compare::tasks_end_as_they_should,
    },
    GuestTest {
        name: "the_deferral_halves_the_reap_hold",
        kernels: &[build::DEFERRED],
        run: compare::the_deferral_halves_the_reap_hold,
    },
];

/// The ground under all other tests: an idle guest makes no task but the step itself.
fn boots(lab: &Lab<'_>) -> Result<Verdict> {
    let outcome = lab.succeed(vec![Step::new(["lockprof", "--version"])])?;
    match outcome.steps[0].tasks_made() {
        Some(1) => Ok(Verdict::Passed),
        made => bail!("an idle guest made {made:?} tasks for one step"),
    }
}

/// A kernel that is to be fetched, or one of the project's own, where it is built: that takes longer than
/// all tests together.
fn find(name: &str) -> Result<Option<Kernel>> {
    match build::BuildRequest::own(name) {
        Some(_) => build::cached(name),
        None => kernel::resolve(name).map(Some),
    }
}

/// Runs the tests whose name contains `filter`, kernel by kernel, and never stops at a failure.
pub fn run_all(tests: &[GuestTest], binaries: &StaticBinaries, filter: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut kernels = tests
        .iter()
        .flat_map(|test| test.kernels)
        .copied()
        .collect::<Vec<_>>();
    kernels.sort_by(|a, b| kernel::version::compare(a, b));
    kernels.dedup();
    for name in kernels {
        let tests = tests.iter().filter(|test| test.kernels.contains(&name));
        // A kernel that cannot be fetched fails its own tests and no others.
        let kernel = find(name);
        for test in tests.filter(|test| test.name.contains(filter)) {
            signals::check()?;
            let started = Instant::now();
            let result = match &kernel {
                Ok(Some(kernel)) => (test.run)(&Lab { kernel, binaries }),
                Ok(None) => Ok(Verdict::Skipped(format!(
                    "this kernel is not built here; `cargo xtask compare --kernel {0} --kernel \
                     {name} …` would build it",
                    build::BASE
                ))),
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            let full = format!("{}[{name}]", test.name);
            let seconds = started.elapsed().as_secs_f64();
            match result {
                Ok(Verdict::Passed) => {
                    println!("guest {full} … ok ({seconds:.1} s)");
                    tally.passed += 1;
                }
                Ok(Verdict::Skipped(why)) => {
                    println!("guest {full} … skipped: {why} ({seconds:.1} s)");
                    tally.skipped.push(format!("{full}: {why}"));
                }
                Err(error) => {
                    println!("guest {full} … FAILED ({seconds:.1} s)\n{error:#}");
                    tally.failed.push(full);
                }
            }
        }
    }
    Ok(tally)
}

/// All tests skipped, for a machine that cannot run guests.
pub fn skip_all(tests: &[GuestTest], why: &str) -> Tally {
    let names = tests.iter().flat_map(|test| {
        test.kernels
            .iter()
            .map(move |kernel| format!("{}[{kernel}]: {why}", test.name))
    });
    Tally {
        skipped: names.collect(),
        ..Tally::default()
    }
}
