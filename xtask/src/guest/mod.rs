//! Tests that run lockprof in guests.
//!
//! A test is a function over a [`Lab`]: it boots what it needs, and returns an error where the
//! guest does not behave as it must. Guests of one CPU run beside each other, as many as this machine has CPUs.

/// Says something of the test that runs in this thread: it stands before the test's own line.
macro_rules! note {
    ($($words:tt)*) => {
        $crate::guest::round::say(&format!($($words)*))
    };
}

mod absence;
mod beside;
mod budget;
mod callers;
mod clock;
mod compare;
mod container;
mod contention;
mod controls;
mod counts;
mod daemon;
mod every_lock;
mod faults;
mod folder;
mod mmap_lock;
mod mmap_readers;
mod modules;
mod mutex;
mod off_cpu;
mod overflow;
mod percpu_rwsem;
mod privileges;
pub mod round;
mod rwlock;
mod rwsem;
mod script;
mod silence;
mod spans;
pub mod summary;
mod verifier;
mod windows;

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lab::kernel::{self, Kernel, build};
use lab::signals;
use lab::vm::protocol::Step;

use crate::cargo::StaticBinaries;
use crate::kernels;
use round::{Lab, Verdict};

/// A test, once for each of its kernels.
#[derive(Clone, Copy)]
pub struct GuestTest {
    /// Its name, by which it is reported and chosen.
    pub name: &'static str,
    /// The kernels that it needs, as a user names them.
    pub kernels: &'static [&'static str],
    /// Virtual CPUs of its guests, at the most: one where probes are changed under load, for the emulator dies of
    /// kernel text that changes under other CPUs.
    pub cpus: u32,
    /// The test itself.
    pub run: fn(&Lab<'_>) -> Result<Verdict>,
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

/// A test on every kernel, with two CPUs.
const fn everywhere(name: &'static str, run: fn(&Lab<'_>) -> Result<Verdict>) -> GuestTest {
    GuestTest {
        name,
        kernels: &kernel::TESTED,
        cpus: 2,
        run,
    }
}

/// A test on every kernel, with one CPU.
const fn everywhere_alone(name: &'static str, run: fn(&Lab<'_>) -> Result<Verdict>) -> GuestTest {
    GuestTest {
        cpus: 1,
        ..everywhere(name, run)
    }
}

/// A test that holds what is counted against what the load knows, with two CPUs.
const fn counting(name: &'static str, run: fn(&Lab<'_>) -> Result<Verdict>) -> GuestTest {
    GuestTest {
        kernels: &kernel::COUNTED,
        ..everywhere(name, run)
    }
}

/// A test of what the kernels do in the same way, with two CPUs: on the oldest and on the newest of them.
const fn at_both_ends(name: &'static str, run: fn(&Lab<'_>) -> Result<Verdict>) -> GuestTest {
    GuestTest {
        kernels: &["debian:6.1", "debian:7.3"],
        ..everywhere(name, run)
    }
}

/// What the tests have taken when a kernel of the project's own is built for them at the latest: that, its tests and the
/// bench take the rest of the hour.
const BUILT_WITHIN: Duration = Duration::from_secs(30 * 60);

/// All tests.
pub const TESTS: &[GuestTest] = &[
    everywhere("guest_boots_and_counts_its_own_tasks", boots),
    GuestTest {
        name: "programs_are_verified_quickly",
        kernels: &["debian:7.2"],
        cpus: 1,
        run: verifier::programs_are_verified_quickly,
    },
    counting(
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
        cpus: 2,
        run: counts::full_preemption_loses_no_hold,
    },
    // Where RCU is preemptible, as in 7.2, an interrupt just before the program at the request leaves it work
    // that one of 100,000 holds has in it.
    GuestTest {
        name: "interrupts_are_in_no_hold",
        kernels: &["debian:6.1", "debian:6.12"],
        cpus: 1,
        run: clock::interrupts_are_in_no_hold,
    },
    everywhere_alone("fentry_and_kprobe_agree", clock::fentry_and_kprobe_agree),
    everywhere(
        "waits_are_seen_and_blamed",
        contention::waits_are_seen_and_blamed,
    ),
    everywhere_alone("callers_are_learned", callers::callers_are_learned),
    GuestTest {
        name: "callers_without_a_place_are_the_others",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: callers::callers_without_a_place_are_the_others,
    },
    GuestTest {
        name: "a_spinlock_is_not_said_to_be_idle",
        kernels: &["debian:6.12"],
        cpus: 4,
        run: absence::a_spinlock_is_not_said_to_be_idle,
    },
    everywhere(
        "callers_agree_with_call_stacks",
        contention::callers_agree_with_call_stacks,
    ),
    // Debian's 7.2 calls its data functions.
    GuestTest {
        name: "data_is_found_by_a_map",
        kernels: &["debian:6.1", "debian:6.12"],
        cpus: 1,
        run: daemon::data_is_found_by_a_map,
    },
    GuestTest {
        name: "data_is_found_by_an_image",
        kernels: &[build::BASE],
        cpus: 1,
        run: daemon::data_is_found_by_an_image,
    },
    everywhere_alone(
        "a_hidden_address_is_learned",
        daemon::a_hidden_address_is_learned,
    ),
    everywhere(
        "two_profilers_count_the_same",
        daemon::two_profilers_count_the_same,
    ),
    everywhere("controls_are_proved", controls::controls_are_proved),
    GuestTest {
        name: "dead_probes_are_found",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: controls::dead_probes_are_found,
    },
    GuestTest {
        name: "cgroups_without_a_place_are_the_others",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: overflow::cgroups_without_a_place_are_the_others,
    },
    GuestTest {
        name: "a_containers_root_is_not_the_machines",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: container::a_containers_root_is_not_the_machines,
    },
    everywhere_alone("windows_agree", windows::windows_agree),
    GuestTest {
        name: "attach_keeps_its_budget",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: budget::attach_keeps_its_budget,
    },
    everywhere_alone(
        "some_capabilities_are_enough",
        privileges::some_capabilities_are_enough,
    ),
    everywhere_alone("sigkill_leaves_nothing", daemon::sigkill_leaves_nothing),
    GuestTest {
        name: "a_daemon_without_memory_leaves_nothing",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: daemon::a_daemon_without_memory_leaves_nothing,
    },
    GuestTest {
        name: "a_script_on_the_same_functions_sees_the_same",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: beside::a_script_on_the_same_functions_sees_the_same,
    },
    everywhere("loads_take_their_locks", beside::loads_take_their_locks),
    counting(
        "mutex_holds_are_counted_exactly",
        mutex::holds_are_counted_exactly,
    ),
    everywhere(
        "klockstat_counts_the_same",
        mutex::klockstat_counts_the_same,
    ),
    everywhere_alone("holders_leave_their_cpu", off_cpu::holders_leave_their_cpu),
    counting("mutex_waits_are_seen", mutex::two_tasks_wait_for_each_other),
    counting(
        "rwsem_holds_are_counted_exactly",
        rwsem::holds_are_counted_exactly,
    ),
    at_both_ends(
        "percpu_rwsem_writers_are_counted_exactly",
        percpu_rwsem::writers_are_counted_exactly,
    ),
    counting(
        "rwlock_holds_are_counted_exactly",
        rwlock::holds_are_counted_exactly,
    ),
    // The headers of the others are not to be had, or not their compiler.
    GuestTest {
        name: "rwlock_every_way_is_a_hold",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: rwlock::every_way_is_a_hold,
    },
    at_both_ends(
        "folder_holds_are_counted_exactly",
        folder::holds_are_counted_exactly,
    ),
    at_both_ends(
        "killed_readers_have_no_hold",
        folder::killed_readers_have_no_hold,
    ),
    everywhere_alone("rwsem_kind_is_found_out", rwsem::the_kind_is_found_out),
    counting(
        "mmap_lock_is_followed_through_exec",
        mmap_lock::a_process_is_followed_through_exec,
    ),
    counting(
        "mmap_lock_waits_are_seen",
        mmap_lock::threads_wait_for_each_other,
    ),
    at_both_ends(
        "mmap_lock_is_downgraded_and_read_by_others",
        mmap_readers::downgraded_and_read_by_others,
    ),
    at_both_ends(
        "what_interrupts_give_back_is_known",
        mmap_readers::what_interrupts_give_back_is_known,
    ),
    everywhere(
        "mmap_lock_of_a_process_that_is_there",
        mmap_lock::a_process_is_attached_to,
    ),
    // Linux 6.1 attaches no program to a function with more than six parameters; where the kernel preempts, as 7.2 does, holds
    // are lost with the calls in them.
    GuestTest {
        name: "spans_in_holds_of_a_mutex_are_counted",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: spans::calls_in_holds_of_a_mutex_are_counted,
    },
    everywhere(
        "spans_in_holds_of_mmap_lock_are_counted",
        spans::calls_in_holds_of_mmap_lock_are_counted,
    ),
    GuestTest {
        name: "spans_without_a_place_are_refused",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: spans::functions_without_a_place_are_refused,
    },
    everywhere("all_locks_are_named", every_lock::all_locks_are_named),
    everywhere(
        "all_locks_of_one_caller",
        every_lock::all_locks_of_one_caller,
    ),
    GuestTest {
        name: "a_lock_in_a_slab_is_named",
        kernels: &["debian:7.2"],
        cpus: 2,
        run: every_lock::a_lock_in_a_slab_is_named,
    },
    everywhere(
        "all_locks_owners_are_found_asleep",
        every_lock::owners_are_found_asleep,
    ),
    GuestTest {
        name: "all_locks_agree_with_a_script",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: every_lock::all_locks_agree_with_a_script,
    },
    GuestTest {
        name: "all_locks_agree_with_perf",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: every_lock::all_locks_agree_with_perf,
    },
    everywhere(
        "nothing_begins_without_a_beat",
        silence::nothing_begins_without_a_beat,
    ),
    GuestTest {
        name: "control_z_leaves_nothing_attached",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: silence::control_z_leaves_nothing_attached,
    },
    GuestTest {
        name: "a_stopped_daemon_is_killed",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: silence::a_stopped_daemon_is_killed,
    },
    GuestTest {
        name: "a_starved_daemon_is_killed",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: silence::a_starved_daemon_is_killed,
    },
    GuestTest {
        name: "a_span_without_room_is_absent",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: faults::a_span_without_room_is_absent,
    },
    GuestTest {
        name: "cpu_zero_is_offline",
        kernels: &["debian:6.1"],
        cpus: 2,
        run: faults::cpu_zero_is_offline,
    },
    GuestTest {
        name: "a_cpu_comes_and_goes",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: faults::a_cpu_comes_and_goes,
    },
    GuestTest {
        name: "the_clock_source_changes",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: faults::the_clock_source_changes,
    },
    GuestTest {
        name: "a_modules_function_is_not_the_kernels",
        kernels: &["debian:6.12"],
        cpus: 1,
        run: modules::a_modules_function_is_not_the_kernels,
    },
    GuestTest {
        name: "one_boot_of_each_is_compared",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: compare::one_boot_of_each_is_compared,
    },
    GuestTest {
        name: "one_boot_of_each_is_compared_by_a_mutex",
        kernels: &["debian:6.12"],
        cpus: 2,
        run: compare::one_boot_of_each_is_compared_by_a_mutex,
    },
    GuestTest {
        name: "tasks_end_as_they_should",
        kernels: &[
            "debian:6.12",
            build::BASE,
            build::DEFERRED,
            "defer-randomness",
            "defer-more",
            "allocate-cgroup-early",
            "base-7.3",
            "defer-more-7.3",
        ],
        cpus: 4,
        run: compare::tasks_end_as_they_should,
    },
    GuestTest {
        name: "the_deferral_halves_the_reap_hold",
        kernels: &[build::DEFERRED],
        cpus: 4,
        run: compare::the_deferral_halves_the_reap_hold,
    },
    GuestTest {
        name: "a_cgroup_allocated_early_shortens_the_hold",
        kernels: &["allocate-cgroup-early"],
        cpus: 4,
        run: compare::a_cgroup_allocated_early_shortens_the_hold,
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

/// A kernel that is to be fetched, or one of the project's own, where it is built, or is one of the few that are built
/// for the tests: where that ends within the hour that all tests may take, of which this much is over.
fn find(name: &str, over: Duration) -> Result<Result<Kernel, String>> {
    let Some(request) = build::BuildRequest::own(name) else {
        return kernel::resolve(name).map(Ok);
    };
    if let Some(kernel) = build::cached(name)? {
        return Ok(Ok(kernel));
    }
    let command = request.command();
    if !build::BUILT_BY_TESTS.contains(&name) {
        return Ok(Err(format!(
            "this kernel is built by hand alone: `{command}`"
        )));
    }
    if over > BUILT_WITHIN {
        let minutes = over.as_secs() / 60;
        return Ok(Err(format!(
            "{minutes} minutes are over, and to build this kernel would take the tests past the hour: `{command}`"
        )));
    }
    kernels::build(&request).map(Ok)
}

/// Runs the tests whose name contains `filter`, kernel by kernel, and never stops at a failure.
///
/// `started` is when all tests did.
pub fn run_all(
    tests: &[GuestTest],
    binaries: &StaticBinaries,
    filter: &str,
    started: Instant,
) -> Result<Tally> {
    let mut kernels = tests
        .iter()
        .flat_map(|test| test.kernels)
        .copied()
        .collect::<Vec<_>>();
    kernels.sort_by(|a, b| kernel::version::compare(a, b));
    kernels.dedup();
    let tally = Mutex::new(Tally::default());
    let processors = Processors::of_this_machine();
    for name in kernels {
        let tests = tests.iter().filter(|test| test.kernels.contains(&name));
        let mut tests: Vec<_> = tests.filter(|test| test.name.contains(filter)).collect();
        if tests.is_empty() {
            continue;
        }
        // Those that have the machine for themselves first: so those of one CPU are beside each other.
        tests.sort_by_key(|test| std::cmp::Reverse(test.cpus));
        // A kernel that cannot be fetched or built fails its own tests and no others.
        let kernel = find(name, started.elapsed());
        thread::scope(|scope| {
            for test in tests {
                let taken = processors.take(test.cpus);
                if signals::pending().is_some() {
                    return;
                }
                let (kernel, tally) = (&kernel, &tally);
                scope.spawn(move || {
                    let _taken = taken;
                    let ended = run_one(test, name, kernel, binaries);
                    ended.tell(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
                });
            }
        });
        signals::check()?;
    }
    tally
        .into_inner()
        .map_err(|_error| anyhow::anyhow!("a test has panicked"))
}

fn run_one(
    test: &GuestTest,
    kernel_name: &str,
    kernel: &Result<Result<Kernel, String>>,
    binaries: &StaticBinaries,
) -> Ended {
    let started = Instant::now();
    let result = match kernel {
        Ok(Ok(kernel)) => (test.run)(&Lab {
            cpus: test.cpus,
            ..Lab::new(kernel, binaries)
        }),
        Ok(Err(why)) => Ok(Verdict::Skipped(why.clone())),
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    Ended {
        name: format!("{}[{kernel_name}]", test.name),
        result,
        seconds: started.elapsed().as_secs_f64(),
        said: round::said(),
    }
}

/// How a test ended.
struct Ended {
    name: String,
    result: Result<Verdict>,
    seconds: f64,
    said: String,
}

impl Ended {
    /// Prints it, and counts it.
    fn tell(self, tally: &mut Tally) {
        let Self {
            name,
            result,
            seconds,
            said,
        } = self;
        match result {
            Ok(Verdict::Passed) => {
                println!("{said}guest {name} … ok ({seconds:.1} s)");
                tally.passed += 1;
            }
            Ok(Verdict::Skipped(why)) => {
                println!("{said}guest {name} … skipped: {why} ({seconds:.1} s)");
                tally.skipped.push(format!("{name}: {why}"));
            }
            Err(error) => {
                println!("{said}guest {name} … FAILED ({seconds:.1} s)\n{error:#}");
                tally.failed.push(name);
            }
        }
    }
}

/// The CPUs of this machine, of which each guest takes as many as it has.
struct Processors {
    all: u32,
    free: Mutex<u32>,
    given_back: Condvar,
}

/// Some of them; given back when dropped.
struct Taken<'a>(&'a Processors, u32);

impl Processors {
    fn of_this_machine() -> Self {
        let all = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new(u32::try_from(all).unwrap_or(u32::MAX))
    }

    fn new(all: u32) -> Self {
        Self {
            all,
            free: Mutex::new(all),
            given_back: Condvar::new(),
        }
    }

    /// Waits until so many are free; all of them, where it wants more than there are.
    fn take(&self, wanted: u32) -> Taken<'_> {
        let wanted = wanted.min(self.all);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given_back.wait_while(free, |free| *free < wanted);
        *waited.unwrap_or_else(PoisonError::into_inner) -= wanted;
        Taken(self, wanted)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let free = self.0.free.lock();
        *free.unwrap_or_else(PoisonError::into_inner) += self.1;
        self.0.given_back.notify_all();
    }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn guests_have_no_more_processors_than_there_are() {
        let processors = Processors::new(2);
        let (busy, most) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            // A guest of four has both for itself.
            for wanted in [1, 1, 2, 1, 4, 1, 1, 2] {
                let taken = processors.take(wanted);
                scope.spawn(|| {
                    let now = busy.fetch_add(taken.1, Ordering::SeqCst) + taken.1;
                    most.fetch_max(now, Ordering::SeqCst);
                    busy.fetch_sub(taken.1, Ordering::SeqCst);
                    drop(taken);
                });
            }
        });
        assert!(most.into_inner() <= 2);
        assert_eq!(*processors.free.lock().unwrap(), 2);
    }
}
