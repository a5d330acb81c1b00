//! `cargo xtask compare`: boots kernels in turn, runs the same lockprof and load in each, and compares
//! what was recorded.

mod boots;
mod experiment;
mod load;
mod schedule;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::cargo::{self, StaticBinaries};
use crate::kernel::{self, Kernel, build};
use crate::setup::{self, Purpose};
use crate::vm::{self, Accelerator};
use crate::{paths, process, run};

use boots::{Boot, Outcomes};
use experiment::Experiment;
use load::LoadArguments;

/// `cargo xtask compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareOptions {
    /// A kernel, as NAME=KERNEL or one of the project's own by name; two or more, and the first is what
    /// the others are compared with [default: base and defer-randomness-and-pids, built if they are not
    /// there]
    #[arg(long = "kernel", value_name = "NAME=KERNEL")]
    kernels: Vec<String>,
    /// Boots of each kernel by each clock: a boot is a sample
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    boots: u32,
    /// What the guests' nanosecond is: each clock shows what the other cannot
    #[arg(long, value_enum, default_value_t = Clocks::Both)]
    clock: Clocks,
    /// Virtual CPUs by the wall clock; by the instruction clock it is one
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: u32,
    /// The seed of the order of the boots [default: from the time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The folder for the recordings and the report [default: ./lockprof-compare-TIME]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Exit with status 4 if anything that was asked about became worse by more than this
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true,
          default_missing_value = "1")]
    fail_on_regression: Option<String>,
    /// Boot each kernel with 1, 2, 4 and 8 virtual CPUs too, so that the forecast can be held against
    /// them
    #[arg(long)]
    check_forecast: bool,
    /// The arguments of `lockprof run`: the load
    #[arg(last = true, required = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// `--clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clocks {
    /// The emulated machine's time: contention and throughput
    Wall,
    /// Guest instructions on one CPU: lengths of holds that repeat
    Instructions,
    /// Each for what it can show
    Both,
}

impl Clocks {
    fn list(self) -> &'static [vm::Clock] {
        match self {
            Self::Wall => &[vm::Clock::Wall],
            Self::Instructions => &[vm::Clock::Instructions],
            Self::Both => &[vm::Clock::Instructions, vm::Clock::Wall],
        }
    }
}

/// CPUs of the boots that the forecast is held against.
const CHECKED_CPUS: [u32; 4] = [1, 2, 4, 8];

/// Makes the experiment, and says what came out. The exit status is that of `lockprof compare`.
pub fn compare(options: &CompareOptions) -> Result<ExitCode> {
    let plan = match Plan::of(options) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(ExitCode::from(run::BAD_USAGE));
        }
    };
    let started = Instant::now();
    let kernels = plan
        .kernels
        .iter()
        .map(NamedKernel::find)
        .collect::<Result<Vec<Kernel>>>()?;
    let binaries = cargo::build_static(&setup::ensure(Purpose::Lab)?)?;
    let output = plan
        .output
        .clone()
        .map_or_else(|| run::default_output("lockprof-compare"), Ok)?;
    paths::make(output.clone())?;
    let boots = plan.boots(&kernels, &binaries, &output);
    let first = boots.first().context("there is nothing to boot")?;
    let accelerator = vm::accelerator(&first.request)?;
    let experiment = Experiment::new(&plan, &kernels, accelerator, &boots)?;
    experiment.write(&output)?;
    eprintln!(
        "compare: {} boots in the order of seed {}; recordings go to {}",
        boots.len(),
        plan.seed,
        output.display()
    );
    let outcomes = boots::run_all(&boots)?;
    experiment.finish(&output, &outcomes)?;
    let status = report(&plan, &binaries, &output, accelerator, &outcomes)?;
    eprintln!(
        "compare: {:.0} s in all: {}",
        started.elapsed().as_secs_f64(),
        outcomes.where_time_went()
    );
    Ok(status)
}

/// What is to be done, checked.
#[derive(Clone, Debug)]
struct Plan {
    kernels: Vec<NamedKernel>,
    boots: u32,
    clocks: &'static [vm::Clock],
    cpus: u32,
    seed: u64,
    output: Option<PathBuf>,
    fail_on_regression: Option<String>,
    check_forecast: bool,
    load: LoadArguments,
}

/// A kernel and what it is called in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedKernel {
    name: String,
    kernel: String,
}

impl Plan {
    fn of(options: &CompareOptions) -> Result<Self, String> {
        let load = LoadArguments::parse(&options.arguments)?;
        let mut kernels: Vec<NamedKernel> = options
            .kernels
            .iter()
            .map(|text| NamedKernel::parse(text))
            .collect::<Result<_, String>>()?;
        match kernels.len() {
            0 => {
                kernels = [build::BASE, build::DEFERRED]
                    .map(NamedKernel::own)
                    .to_vec()
            }
            1 => {
                return Err(format!(
                    "one kernel, {}, has nothing to be compared with: give two or more --kernel",
                    kernels[0].name
                ));
            }
            _ => {}
        }
        for (index, kernel) in kernels.iter().enumerate() {
            if kernels[..index]
                .iter()
                .any(|other| other.name == kernel.name)
            {
                return Err(format!("two kernels are called {}", kernel.name));
            }
        }
        Ok(Self {
            kernels,
            boots: options.boots,
            clocks: options.clock.list(),
            cpus: options.cpus,
            seed: options.seed.unwrap_or_else(seed_from_time),
            output: options.output.clone(),
            fail_on_regression: options.fail_on_regression.clone(),
            check_forecast: options.check_forecast,
            load,
        })
    }

    /// All boots in their order: the clocks one after the other, the kernels in turn.
    fn boots(&self, kernels: &[Kernel], binaries: &StaticBinaries, output: &Path) -> Vec<Boot> {
        let order = schedule::rounds(kernels.len(), self.boots, self.seed);
        let mut boots = Vec::new();
        let folder = |index: usize| output.join(&self.kernels[index].name);
        let name = |index: usize| self.kernels[index].name.as_str();
        for &clock in self.clocks {
            for turn in &order {
                let cpus = match clock {
                    vm::Clock::Wall => self.cpus,
                    vm::Clock::Instructions => 1,
                };
                let label = schedule::clock_name(clock);
                boots.push(Boot::profiled(
                    name(turn.kernel),
                    &kernels[turn.kernel],
                    binaries,
                    &self.load,
                    (clock, cpus),
                    folder(turn.kernel).join(format!("{label}-{}", turn.round + 1)),
                ));
            }
        }
        if self.check_forecast {
            for turn in &order {
                for cpus in CHECKED_CPUS {
                    boots.push(Boot::bare(
                        name(turn.kernel),
                        &kernels[turn.kernel],
                        binaries,
                        &self.load,
                        cpus,
                        folder(turn.kernel).join(format!("check-{cpus}-{}", turn.round + 1)),
                    ));
                }
            }
        }
        boots
    }
}

impl NamedKernel {
    fn parse(text: &str) -> Result<Self, String> {
        let Some((name, kernel)) = text.split_once('=') else {
            return build::BuildRequest::own(text)
                .map(|_| Self::own(text))
                .ok_or_else(|| {
                    format!(
                        "--kernel {text}: it takes NAME=KERNEL, where KERNEL is debian:6.12, the \
                         name of a built kernel, or the path of a bzImage; the project's own go by \
                         their names alone"
                    )
                });
        };
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(format!(
                "--kernel {text}: {name:?} cannot be a kernel's name"
            ));
        }
        if kernel.is_empty() {
            return Err(format!("--kernel {text}: there is no kernel behind the ="));
        }
        Ok(Self {
            name: name.to_owned(),
            kernel: kernel.to_owned(),
        })
    }

    fn own(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kernel: name.to_owned(),
        }
    }

    /// The kernel; one of the project's own is built if it is not there, and again if it is not the one
    /// that this checkout would build.
    fn find(&self) -> Result<Kernel> {
        match build::BuildRequest::own(&self.kernel) {
            Some(request) => build::ensure(&request),
            None => kernel::resolve(&self.kernel),
        }
    }
}

fn seed_from_time() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |now| now.as_secs())
}

/// So many boots of each kernel by the instruction clock with the project's own load, compared: what
/// `lockprof compare --format json` prints. For tests.
pub fn by_instructions(
    kernels: &[(&str, &Kernel)],
    boots: u32,
    binaries: &StaticBinaries,
) -> Result<serde_json::Value> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let words = ["--workload", "threadspawn"].map(str::to_owned);
    let load = LoadArguments::parse(&words).map_err(anyhow::Error::msg)?;
    let place = |name: &str| folder.path().join(name);
    let order = schedule::rounds(kernels.len(), boots, 1);
    let boots: Vec<Boot> = order
        .iter()
        .map(|turn| {
            let (name, kernel) = kernels[turn.kernel];
            let at = place(name).join(turn.round.to_string());
            let how = (vm::Clock::Instructions, 1);
            Boot::profiled(name, kernel, binaries, &load, how, at)
        })
        .collect();
    let outcomes = boots::run_all(&boots)?;
    if let Some(failure) = outcomes
        .boots
        .iter()
        .find_map(|boot| boot.result.as_ref().err())
    {
        bail!("{failure}");
    }
    let mut command = Command::new(&binaries.lockprof);
    command.arg("compare");
    for (index, (name, _)) in kernels.iter().enumerate() {
        if index > 0 {
            command.arg("--vs");
        }
        command.arg(format!("{name}={}", place(name).display()));
    }
    command.args(["--format", "json"]);
    let json = process::output(&mut command)?;
    serde_json::from_str(&json).context("lockprof compare printed no JSON")
}

/// The report in every form.
fn report(
    plan: &Plan,
    binaries: &StaticBinaries,
    output: &Path,
    accelerator: Accelerator,
    outcomes: &Outcomes,
) -> Result<ExitCode> {
    let names = || plan.kernels.iter().map(|kernel| kernel.name.as_str());
    if let Some(name) = names().find(|name| !outcomes.any_of(name)) {
        bail!(
            "no boot of {name} has come to its end, so there is nothing to compare; what was \
             recorded is in {}",
            output.display()
        );
    }
    let compare = || {
        let mut command = Command::new(&binaries.lockprof);
        command.arg("compare");
        for (index, name) in names().enumerate() {
            if index > 0 {
                command.arg("--vs");
            }
            command.arg(format!("{name}={}", output.join(name).display()));
        }
        for note in notes(plan, accelerator, outcomes) {
            command.arg("--note").arg(note);
        }
        command
    };
    for (format, file) in [
        ("markdown", "compare.md"),
        ("json", "compare.json"),
        ("html", "compare.html"),
    ] {
        let mut command = compare();
        command
            .args(["--format", format, "--output"])
            .arg(output.join(file));
        process::output(&mut command)?;
    }
    let mut command = compare();
    if let Some(percent) = &plan.fail_on_regression {
        command.arg(format!("--fail-on-regression={percent}"));
    }
    let mut child = process::spawn(&mut command)?;
    let status = process::wait(&mut child, &command)?;
    eprintln!(
        "compare: the report is {}; it can be made again from the recordings by `lockprof compare`",
        output.join("compare.html").display()
    );
    let code = status.code().unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// How the recordings were made, for the report's reader.
fn notes(plan: &Plan, accelerator: Accelerator, outcomes: &Outcomes) -> Vec<String> {
    let mut notes = vec![format!(
        "boots of the kernels in turn, in the random order of seed {}; in each boot the load alone, \
         with --detail holds, with --detail spans, and alone again",
        plan.seed
    )];
    notes.push(match accelerator {
        Accelerator::Tcg => "an emulated machine (QEMU TCG): neither clock is that of hardware; the \
                             wall clock is for contention and throughput, the instruction clock for \
                             lengths of holds"
            .to_owned(),
        Accelerator::Kvm => "a virtual machine (KVM); the instruction clock is that of an emulated \
                             one"
            .to_owned(),
    });
    let again = outcomes.again();
    if !again.is_empty() {
        notes.push(format!(
            "booted again, since the emulated machine died before the load began, or by the emulator's \
             own fault: {}",
            again.join(", ")
        ));
    }
    let failed = outcomes.failures();
    if !failed.is_empty() {
        notes.push(format!(
            "boots that failed and are left out: {}",
            failed.join(", ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: CompareOptions,
    }

    fn plan(words: &str) -> Result<Plan, String> {
        let words = std::iter::once("compare").chain(words.split(' '));
        let line = <Line as clap::Parser>::try_parse_from(words);
        Plan::of(&line.map_err(|error| error.to_string())?.options)
    }

    #[test]
    fn the_projects_pair_is_the_default() {
        let plan = plan("-- --workload threadspawn -t 24").unwrap();
        let names: Vec<&str> = plan
            .kernels
            .iter()
            .map(|kernel| kernel.name.as_str())
            .collect();
        assert_eq!(names, [build::BASE, build::DEFERRED]);
        assert_eq!((plan.boots, plan.cpus, plan.clocks.len()), (5, 24, 2));
    }

    #[test]
    fn kernels_have_names_of_their_own() {
        let good = plan("--kernel old=debian:6.12 --kernel new=./bzImage -- -- make").unwrap();
        assert_eq!(good.kernels[1].kernel, "./bzImage");
        for bad in [
            "--kernel a=debian:6.12 -- --workload threadspawn",
            "--kernel a=x --kernel a=y -- --workload threadspawn",
            "--kernel x --kernel y -- --workload threadspawn",
            "--kernel =x --kernel b=y -- --workload threadspawn",
            "--kernel a= --kernel b=y -- --workload threadspawn",
            "--kernel a/b=x --kernel b=y -- --workload threadspawn",
            "--boots 0 -- --workload threadspawn",
            "--workload threadspawn",
        ] {
            assert!(plan(bad).is_err(), "{bad}");
        }
    }
}
