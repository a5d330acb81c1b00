//! The boots: one after the other, or side by side where they do not disturb each other.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lab::kernel::Kernel;
use lab::signals;
use lab::vm::protocol::GuestScript;
use lab::vm::{self, Clock, VmOutcome, VmRequest};

use super::load::{HOLDS, LoadArguments, Machine, Profiled};
use super::seen::Look;
use crate::cargo::StaticBinaries;
use crate::{run, workers};

/// A boot that is to be made.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The kernel's name.
    pub kernel: String,
    /// What is booted.
    pub request: VmRequest,
    /// Where its recordings go.
    pub folder: PathBuf,
    /// The folders of its steps.
    steps: Vec<&'static str>,
    /// By what its holds are looked at, where there have to be some.
    look: Option<Look>,
}

/// How a boot went.
#[derive(Clone, Debug)]
pub struct BootOutcome {
    /// Its name: kernel, clock and number.
    pub name: String,
    /// The kernel's name.
    pub kernel: String,
    /// Its clock.
    pub clock: Clock,
    /// How long it took.
    pub wall: Duration,
    /// Why it was made again: the first one never began, or the emulator was at fault.
    pub again: Option<String>,
    /// The kernel's release, or why it failed.
    pub result: Result<String, String>,
}

/// lockprof does not do what a step asks of it, or the lock is not there: it would be so in any other boot.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// How all boots went, in their order.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// One each.
    pub boots: Vec<BootOutcome>,
}

impl Boot {
    /// One with every step.
    pub fn profiled(
        name: &str,
        kernel: &Kernel,
        binaries: &StaticBinaries,
        load: &LoadArguments,
        (clock, cpus): (Clock, u32),
        folder: PathBuf,
    ) -> Self {
        let tasks = (clock == Clock::Instructions).then_some(1);
        Self::new(
            name,
            kernel,
            binaries,
            load,
            (clock, cpus),
            tasks,
            &load.steps(),
            folder,
        )
    }

    /// One with the load alone, and a task for each CPU.
    pub fn bare(
        name: &str,
        kernel: &Kernel,
        binaries: &StaticBinaries,
        load: &LoadArguments,
        cpus: u32,
        folder: PathBuf,
    ) -> Self {
        let steps = [("bare", Profiled::Bare)];
        Self::new(
            name,
            kernel,
            binaries,
            load,
            (Clock::Wall, cpus),
            Some(cpus),
            &steps,
            folder,
        )
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "two constructors give them names"
    )]
    fn new(
        name: &str,
        kernel: &Kernel,
        binaries: &StaticBinaries,
        load: &LoadArguments,
        (clock, cpus): (Clock, u32),
        tasks: Option<u32>,
        steps: &[(&'static str, Profiled)],
        folder: PathBuf,
    ) -> Self {
        let mut request = VmRequest {
            cpus,
            clock,
            ..binaries.request(kernel.image.clone(), GuestScript::default())
        };
        // A machine that cannot tell is an emulated one.
        let accelerator = vm::accelerator(&request).unwrap_or(vm::Accelerator::Tcg);
        let machine = Machine {
            clock,
            accelerator,
            real_cpus: vm::real_cpus(),
            tasks,
        };
        request.script.steps = steps
            .iter()
            .map(|&(folder, profiled)| load.step(folder, profiled, machine))
            .collect();
        // Boots are samples: no two are alike in what the machine's clock does not repeat.
        request.script.seed = fastrand::u64(..);
        Self {
            kernel: name.to_owned(),
            request,
            folder,
            steps: steps.iter().map(|&(folder, _)| folder).collect(),
            look: None,
        }
    }

    /// The same boot, in which the lock has to be seen.
    pub fn looked_at(self, look: Look) -> Self {
        Self {
            look: Some(look),
            ..self
        }
    }

    /// Kernel, clock and number: `base/wall-3`.
    pub fn name(&self) -> String {
        let folder = self.folder.file_name().unwrap_or_default();
        format!("{}/{}", self.kernel, folder.to_string_lossy())
    }

    /// Boots it, and puts its recordings where they belong: all of them, or none.
    fn run(&self) -> Result<VmOutcome> {
        let outcome = vm::run(&self.request)?;
        for (name, step) in self.steps.iter().zip(&outcome.steps) {
            let said = String::from_utf8_lossy(&step.stderr);
            match step.status {
                0 => {}
                status if status == i32::from(run::BAD_USAGE) => {
                    return Err(Refused(said.trim_end().to_owned()).into());
                }
                status => bail!("the step {name} ended with {status}: {}", said.trim_end()),
            }
        }
        outcome.write_files(&self.folder)?;
        if let Some(look) = &self.look
            && let Some(why) = look.why_nothing(&self.folder.join(HOLDS))?
        {
            return Err(Refused(why).into());
        }
        Ok(outcome)
    }
}

/// Runs all boots. One that fails is told, and the others go on; a signal ends it, and so does what lockprof refuses.
pub fn run_all(boots: &[Boot]) -> Result<Outcomes> {
    let mut outcomes = Outcomes::default();
    let groups = boots.chunk_by(|a, b| a.request.clock == b.request.clock);
    let started = Instant::now();
    let weight = |boots: &[Boot]| boots.iter().map(weight).sum::<f64>();
    let all = weight(boots);
    let mut done = 0;
    for group in groups {
        let in_turn = run_group(group, &|in_group| Told {
            number: done + in_group,
            of: boots.len(),
            share: weight(&boots[..done + in_group]) / all,
            started,
        })?;
        outcomes.boots.extend(in_turn);
        done += group.len();
    }
    Ok(outcomes)
}

/// Why a guest ended before its init: then nothing was measured that could be left out by choice, and
/// another boot is as good. An emulated machine with many CPUs may die while the kernel rewrites its own
/// text (QEMU 7.2 leaves a CPU at the breakpoint that is there meanwhile).
fn never_began(error: &anyhow::Error) -> Option<String> {
    let failure = error.downcast_ref::<vm::GuestFailure>()?;
    let text = failure.to_string();
    let first = text.lines().next().unwrap_or_default().to_owned();
    (!failure.reached_init).then_some(first)
}

/// How far it is.
struct Told {
    number: usize,
    of: usize,
    /// What share of all the work is done, as far as that can be known.
    share: f64,
    started: Instant,
}

/// How long a boot takes, in boots by the instruction clock, which run side by side: about so.
fn weight(boot: &Boot) -> f64 {
    match boot.request.clock {
        Clock::Instructions => 1.0,
        Clock::Wall => 1.3 * boot.steps.len() as f64,
    }
}

/// Boots of one clock.
fn run_group(boots: &[Boot], told: &(dyn Fn(usize) -> Told + Sync)) -> Result<Vec<BootOutcome>> {
    let side_by_side = boots
        .first()
        .map_or(1, |boot| boot.request.clock.side_by_side());
    let finished = AtomicUsize::new(0);
    let refused = AtomicBool::new(false);
    let outcomes = workers::each(boots, side_by_side, |boot| {
        if refused.load(Ordering::SeqCst) {
            return None;
        }
        let outcome = match run_one(boot) {
            Ok(outcome) => outcome,
            Err(why) => {
                refused.store(true, Ordering::SeqCst);
                return Some(Err(why));
            }
        };
        // What a signal has ended has not failed.
        if signals::pending().is_none() {
            tell(&outcome, &told(finished.fetch_add(1, Ordering::SeqCst) + 1));
        }
        Some(Ok(outcome))
    })?;
    outcomes.into_iter().flatten().collect()
}

/// One boot; one that died before its load began is made again.
///
/// # Errors
/// lockprof refuses what it is asked for: no other boot would go better.
fn run_one(boot: &Boot) -> Result<BootOutcome> {
    let started = Instant::now();
    let mut result = boot.run();
    let mut again = result.as_ref().err().and_then(never_began);
    if let Some(why) = again.as_ref().filter(|_| signals::pending().is_none()) {
        eprintln!(
            "compare: {} died before its load began ({why}); it is booted again, and the report \
             says so",
            boot.name()
        );
        result = boot.run();
    }
    if let Some(refused) = result
        .as_ref()
        .err()
        .and_then(|error| error.downcast_ref::<Refused>())
    {
        bail!(
            "{} has nothing to compare, and no other boot would: {refused}",
            boot.name()
        );
    }
    if let Ok(outcome) = &result {
        again = again.or_else(|| outcome.again.clone());
    }
    Ok(BootOutcome {
        name: boot.name(),
        kernel: boot.kernel.clone(),
        clock: boot.request.clock,
        wall: started.elapsed(),
        again,
        result: result
            .map(|outcome| outcome.release)
            .map_err(|error| format!("{error:#}")),
    })
}

fn tell(outcome: &BootOutcome, told: &Told) {
    let Told {
        number,
        of,
        share,
        started,
    } = told;
    let left = started.elapsed().as_secs_f64() * (1.0 / share - 1.0);
    let left = if number == of {
        String::new()
    } else {
        format!("; about {:.0} min left", (left / 60.0).ceil())
    };
    let seconds = outcome.wall.as_secs_f64();
    match &outcome.result {
        Ok(release) => eprintln!(
            "compare: boot {number} of {of}, {} (Linux {release}): {seconds:.0} s{left}",
            outcome.name
        ),
        Err(why) => eprintln!(
            "compare: boot {number} of {of}, {} FAILED after {seconds:.0} s: {why}",
            outcome.name
        ),
    }
}

impl Outcomes {
    /// Whether a boot of this kernel came to its end.
    pub fn any_of(&self, kernel: &str) -> bool {
        let mut boots = self.boots.iter();
        boots.any(|boot| boot.kernel == kernel && boot.result.is_ok())
    }

    /// The names of those that failed.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.boots.iter().filter(|boot| boot.result.is_err());
        failed.map(|boot| boot.name.clone()).collect()
    }

    /// The names of those that were made again.
    pub fn again(&self) -> Vec<String> {
        let again = self.boots.iter().filter(|boot| boot.again.is_some());
        again.map(|boot| boot.name.clone()).collect()
    }

    /// Seconds by clock.
    pub fn where_time_went(&self) -> String {
        let clocks = [(Clock::Instructions, "instruction"), (Clock::Wall, "wall")];
        let parts = clocks.map(|(clock, name)| {
            let boots = self.boots.iter().filter(|boot| boot.clock == clock);
            let (count, wall) = boots.fold((0, Duration::ZERO), |(count, wall), boot| {
                (count + 1, wall + boot.wall)
            });
            (count > 0).then(|| {
                let mean = wall.as_secs_f64() / f64::from(count);
                let at_once = match clock.side_by_side() {
                    1 => String::new(),
                    several => format!(", {several} at a time"),
                };
                format!("{count} boots by the {name} clock, {mean:.0} s each{at_once}")
            })
        });
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}
