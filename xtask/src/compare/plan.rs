//! What `cargo xtask compare` is asked for, checked: which kernels, how often, by which clocks.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use lab::kernel::{Kernel, build};
use lab::vm;
use workloads::Workload;

use super::boots::Boot;
use super::load::LoadArguments;
use super::lock::Lock;
use super::named_kernel::NamedKernel;
use super::schedule;
use super::seen::Look;
use crate::cargo::StaticBinaries;

/// `cargo xtask compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareOptions {
    /// A kernel, as NAME=KERNEL or one of the project's own by name; two or more, and the first is what
    /// the others are compared with [default: base and defer-randomness-and-pids, built if they are not
    /// there]
    #[arg(long = "kernel", value_name = "NAME=KERNEL")]
    kernels: Vec<String>,
    /// A patch for Debian's Linux 6.12, by file or as one of xtask/lab/patches by name: the kernel that it makes is
    /// built if it is not there, and compared with base; may be given several times
    #[arg(long = "patch", value_name = "NAME|FILE", conflicts_with = "kernels")]
    patches: Vec<String>,
    /// The lock, as NAME or, where lockprof has to be told its kind, as NAME:KIND [default: tasklist_lock]
    #[arg(long, value_name = "NAME[:KIND]", value_parser = Lock::parse)]
    lock: Option<Lock>,
    /// A bundled load, with a task for each CPU, in the place of ARGS [default: one that takes the lock]
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "arguments")]
    workload: Option<Workload>,
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
    /// Exit with status 4 if anything that was asked about became worse by more than this, and with 1
    /// where nobody can say, as `lockprof compare` does
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, value_parser = percentage)]
    fail_on_regression: Option<Option<f64>>,
    /// Boot each kernel with 1, 2, 4 and 8 virtual CPUs too, so that the forecast can be held against
    /// them
    #[arg(long)]
    check_forecast: bool,
    /// The arguments of `lockprof run` that say which load
    #[arg(last = true, value_name = "ARGS")]
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

/// A percentage, checked before anything is booted.
fn percentage(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent),
        _ => Err("0 or more".to_owned()),
    }
}

/// CPUs of the boots that the forecast is held against.
const CHECKED_CPUS: [u32; 4] = [1, 2, 4, 8];

/// What is to be done, checked.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kernels: Vec<NamedKernel>,
    pub(super) boots: u32,
    pub(super) clocks: &'static [vm::Clock],
    pub(super) cpus: u32,
    pub(super) seed: u64,
    pub(super) output: Option<PathBuf>,
    pub(super) fail_on_regression: Option<Option<f64>>,
    pub(super) check_forecast: bool,
    pub(super) load: LoadArguments,
}

impl Plan {
    pub(super) fn of(options: &CompareOptions) -> Result<Self, String> {
        let lock = options.lock.clone().unwrap_or_default();
        let load = if options.arguments.is_empty() {
            let bundled = options.workload.map_or_else(|| lock.load(), Ok)?;
            LoadArguments::bundled(lock, bundled, options.cpus)
        } else {
            LoadArguments::parse(lock, &options.arguments)?
        };
        let mut kernels: Vec<NamedKernel> = options
            .kernels
            .iter()
            .map(|text| NamedKernel::parse(text))
            .collect::<Result<_, String>>()?;
        match kernels.len() {
            0 => {
                let own = [build::DEFERRED.to_owned()];
                let patches = match options.patches.as_slice() {
                    [] => &own,
                    patches => patches,
                };
                let base = NamedKernel::own(build::BASE);
                kernels.push(base);
                for patch in patches {
                    kernels.push(NamedKernel::patched(patch)?);
                }
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
            fail_on_regression: options.fail_on_regression,
            check_forecast: options.check_forecast,
            load,
        })
    }

    /// All boots in their order: the clocks one after the other, the kernels in turn.
    pub(super) fn boots(
        &self,
        kernels: &[Kernel],
        binaries: &StaticBinaries,
        output: &Path,
    ) -> Vec<Boot> {
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
                let boot = Boot::profiled(
                    name(turn.kernel),
                    &kernels[turn.kernel],
                    binaries,
                    &self.load,
                    (clock, cpus),
                    folder(turn.kernel).join(format!("{label}-{}", turn.round + 1)),
                );
                boots.push(if turn.kernel == 0 {
                    boot.looked_at(Look {
                        lockprof: binaries.lockprof.clone(),
                        has_waits: self.clocks.contains(&vm::Clock::Wall),
                    })
                } else {
                    boot
                });
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

fn seed_from_time() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |now| now.as_secs())
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
            "--workload no-load",
            "--workload threadspawn -- --workload threadspawn",
        ] {
            assert!(plan(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lock_brings_a_load_with_a_task_for_each_cpu() {
        let load = |words: &str| plan(words).map(|plan| plan.load);
        let lock = |name: &str| Lock::parse(name).unwrap();
        let bundled = LoadArguments::bundled;
        let cgroups = lock("cgroup_mutex");
        for (words, expected) in [
            (
                "--boots 5",
                bundled(Lock::default(), Workload::Threadspawn, 24),
            ),
            (
                "--lock cgroup_mutex --cpus 4",
                bundled(cgroups.clone(), Workload::Mkcgroup, 4),
            ),
            (
                "--lock cgroup_mutex --workload cgroup",
                bundled(cgroups, Workload::Cgroup, 24),
            ),
            (
                "--lock event_mutex:mutex --workload pipe",
                bundled(lock("event_mutex:mutex"), Workload::Pipe, 24),
            ),
        ] {
            assert_eq!(load(words), Ok(expected), "{words}");
        }
        for (words, why) in [
            ("--lock event_mutex:mutex", "no bundled load"),
            ("--lock 0xffffffff83806080", "is an address"),
            ("-- --lock cgroup_mutex --workload cgroup", "before the --"),
        ] {
            let error = load(words).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_patch_is_compared_with_base() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.patch");
        std::fs::write(&file, "").unwrap();
        let file = file.to_str().unwrap();
        let kernels = |words: &str| plan(words).map(|plan| plan.kernels);
        let names = |words: &str| -> Vec<String> {
            let kernels = kernels(words).unwrap().into_iter();
            kernels.map(|kernel| kernel.name).collect()
        };
        assert_eq!(names("--patch defer-more"), [build::BASE, "defer-more"]);
        assert_eq!(names(&format!("--patch {file}")), [build::BASE, "mine"]);
        let mine = &kernels(&format!("--patch {file}")).unwrap()[1];
        assert_eq!(mine.request().patches, [file]);
        for (words, why) in [
            ("--patch defer-more-7.3", "by --kernel"),
            ("--patch base", "by --kernel"),
            ("--patch no-patch", "no such file"),
            ("--patch defer-more --kernel a=b", "cannot be used with"),
        ] {
            let error = kernels(words).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_limit_is_checked_before_anything_is_booted() {
        let limit = |words: &str| {
            plan(&format!("{words} -- --workload threadspawn")).map(|plan| plan.fail_on_regression)
        };
        assert_eq!(limit("--fail-on-regression=5"), Ok(Some(Some(5.0))));
        assert_eq!(limit("--fail-on-regression"), Ok(Some(None)));
        assert_eq!(limit("--seed 1"), Ok(None));
        assert!(limit("--fail-on-regression=abc").is_err());
        assert!(limit("--fail-on-regression=-1").is_err());
    }
}
