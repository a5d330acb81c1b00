//! What the bench has found, as the machine-readable file has it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::kinds::results::KernelKinds;
use super::locks::results as locks;
pub use super::numbers::{Added, ContendedCosts, Cost, NotMeasured, Throughput, first_line};
use super::statistics::{Interval, ratio_interval};

/// The layout of the file.
const SCHEMA: u32 = 2;
/// The machine-readable file, in the root of the checkout.
pub const FILE: &str = "BENCHMARKS.json";

/// All parts; one that was not run is as it was before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The layout of the file.
    pub schema: u32,
    /// Instructions, kernel by kernel.
    pub deterministic: Vec<Part<KernelCosts>>,
    /// Throughput.
    pub load: Option<Part<Vec<LoadCosts>>>,
    /// The daemon.
    pub daemon: Option<Part<DaemonCosts>>,
    /// Waits, on the machine itself.
    #[serde(default)]
    pub waits: Option<Part<WaitCosts>>,
    /// What it costs to follow a lock of another kind, kernel by kernel.
    #[serde(default)]
    pub kinds: Vec<Part<KernelKinds>>,
    /// What `lockprof locks` costs a wait, kernel by kernel.
    #[serde(default)]
    pub locks_in_guest: Vec<Part<locks::KernelWaits>>,
    /// Its memory, by the number of possible CPUs.
    #[serde(default)]
    pub locks_memory: Option<Part<Vec<locks::Memory>>>,
    /// `lockprof locks`, on the machine itself.
    #[serde(default)]
    pub locks_on_host: Option<Part<locks::OnHost>>,
}

/// A part, and what it was measured with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part<T> {
    /// The machine and the versions of what was run, by name.
    pub with: Vec<(String, String)>,
    /// What was found.
    pub found: T,
}

/// What observers cost on one kernel, in instructions of the guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelCosts {
    /// As a user names it.
    pub kernel: String,
    /// What it calls itself.
    pub release: String,
    /// Boots, whose means these are.
    pub boots: usize,
    /// Each observer.
    pub observers: Vec<ObserverCosts>,
    /// Each observer where the lock is contended.
    #[serde(default)]
    pub contended: Vec<ContendedCosts>,
    /// Lengths that lockprof reports beside those counted, by site.
    #[serde(default)]
    pub lengths: Vec<SiteLengths>,
    /// What could not be measured, and why.
    pub not_measured: NotMeasured,
    /// Throughput of one task.
    pub throughput: Option<OneTask>,
}

/// Throughput of threadspawn -t 1 by the instruction clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OneTask {
    /// What was attached.
    pub observer: String,
    /// How often in each boot.
    pub turns: usize,
    /// Lives in 10^9 instructions without it, the mean of each boot.
    pub bare_per_second: Vec<f64>,
    /// What is left of them with it: the geometric mean of each boot's turns.
    pub shares: Vec<f64>,
}

impl OneTask {
    /// What is left of the throughput, with a boot as a sample.
    pub fn share(&self) -> Interval {
        ratio_interval(&self.shares)
    }
}

/// What one observer costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ObserverCosts {
    /// Its name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// For one pair of lock and unlock that nobody contends.
    pub pair: Cost,
    /// For the life of one task of threadspawn, which takes the lock three times.
    pub life: Option<Cost>,
    /// The mean null hold that the observer itself reports.
    pub reported_null_hold: Option<f64>,
}

/// Holds of one site, as counted from outside of the guest and as lockprof reports them, in one boot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteLengths {
    /// The site.
    pub site: String,
    /// Of the holds of one load.
    pub counted: Lengths,
    /// Of all holds of the boot while lockprof was attached.
    pub reported: Lengths,
    /// By what share a reported quantile may be off.
    pub relative_error: f64,
}

/// Lengths of holds, in instructions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// How many.
    pub holds: u64,
    /// The mean.
    pub mean: f64,
    /// 50, 90 and 99 %.
    pub quantiles: Vec<f64>,
}

/// What observers leave of the throughput of one load, by the wall clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadCosts {
    /// As a user names it.
    pub kernel: String,
    /// What it calls itself.
    pub release: String,
    /// Virtual CPUs, and as many tasks.
    pub cpus: u32,
    /// The load.
    pub load: String,
    /// How often everything was measured.
    pub rounds: usize,
    /// Iterations a second without an observer, the mean over the rounds.
    pub bare_per_second: f64,
    /// Each observer.
    pub observers: Vec<Throughput>,
}

/// What lockprof's wait-only tier sees of the waits of a machine, beside others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitCosts {
    /// The load.
    pub load: String,
    /// Its tasks, one on each CPU.
    pub tasks: usize,
    /// Nanoseconds of a run of contention_began under load, by the kernel's statistics.
    pub began_ns_per_run: Option<f64>,
    /// Each of the others.
    pub beside: Vec<Beside>,
    /// What could not be measured, and why.
    pub not_measured: NotMeasured,
}

/// lockprof in turn with another one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// What the other one is.
    pub what: String,
    /// What lockprof saw, and what the other one did, a second.
    pub pairs: Vec<(SeenWaits, SeenWaits)>,
}

/// Waits of locks whose waiters spin, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeenWaits {
    /// Of the target.
    pub target: Waits,
    /// Of all of them.
    pub all: Waits,
}

/// Waits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// How many.
    pub count: f64,
    /// How long together.
    pub waited_ns: f64,
}

impl Waits {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            waited_ns: self.waited_ns + other.waited_ns,
        }
    }
}

impl Beside {
    /// Each pair's share that lockprof saw of what the other one did, by what it is of.
    pub fn ratios(&self) -> [(&'static str, Vec<f64>); 4] {
        let of = |value: fn(&SeenWaits) -> f64| {
            let pairs = self.pairs.iter();
            pairs
                .map(|(ours, theirs)| value(ours) / value(theirs))
                .collect()
        };
        [
            ("the target's waits", of(|seen| seen.target.count)),
            ("the target's waited time", of(|seen| seen.target.waited_ns)),
            ("all waits", of(|seen| seen.all.count)),
            ("all waited time", of(|seen| seen.all.waited_ns)),
        ]
    }
}

/// What lockprof's daemon uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DaemonCosts {
    /// By possible CPUs, with one busy CPU, on the instruction clock.
    pub sizes: Vec<DaemonSize>,
    /// A refresh where every CPU has something to read, on the machine itself.
    #[serde(default)]
    pub refreshes: Vec<Refresh>,
    /// With every CPU busy, by the wall clock of an emulated machine.
    pub busy: Option<BusyDaemon>,
    /// On the machine itself, where lockprof may attach.
    pub host: Option<HostTimes>,
    /// `lockprof report` of ten minutes of 24 CPUs, on the machine itself.
    pub report: Option<ReportCosts>,
    /// `lockprof compare` of many boots, on the machine itself.
    #[serde(default)]
    pub compare: Option<CompareCosts>,
    /// What could not be measured, and why.
    pub not_measured: NotMeasured,
}

/// One refresh of the daemon, among so many possible CPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DaemonSize {
    /// As a user names it.
    pub kernel: String,
    /// Possible CPUs, one of which is active.
    pub possible_cpus: u32,
    /// Intervals that were measured.
    pub intervals: usize,
    /// The daemon's instructions for one interval, the median.
    pub instructions: f64,
    /// The largest resident memory at an interval's end.
    pub resident_bytes: u64,
}

/// The daemon's own code over counters that lie in memory and have all grown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// CPUs, all of them active.
    pub cpus: u32,
    /// Its CPU time, in seconds: the median.
    pub cpu_s: f64,
    /// Refreshes.
    pub refreshes: usize,
}

/// The daemon on a machine where every CPU is busy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BusyDaemon {
    /// As a user names it.
    pub kernel: String,
    /// Virtual CPUs.
    pub cpus: u32,
    /// CPU time by time, as a share of one CPU.
    pub cpu_share: f64,
    /// The largest resident memory at an interval's end.
    pub resident_bytes: u64,
    /// From the launch to the last probe attached, in seconds.
    pub launch_to_attach_s: f64,
    /// For detaching, in seconds.
    pub detach_s: f64,
    /// What a minute of the recording takes on disk, in bytes.
    pub recording_bytes_per_minute: f64,
}

/// lockprof on the machine itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostTimes {
    /// The tier that it has there.
    pub tier: String,
    /// Runs; the first one is a warm-up and is not among them.
    pub runs: usize,
    /// From the launch to all probes attached, in seconds: the median.
    pub launch_to_attach_s: f64,
    /// For detaching, in seconds: the median.
    pub detach_s: f64,
}

/// `lockprof compare`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompareCosts {
    /// Boots of each of two kernels, with one recording each.
    pub boots_of_each: usize,
    /// The size of all recordings.
    pub recording_bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// The largest resident memory.
    pub resident_bytes: u64,
}

/// `lockprof report`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportCosts {
    /// The recording's size.
    pub recording_bytes: u64,
    /// Intervals in it.
    pub intervals: usize,
    /// Time, in seconds.
    pub seconds: f64,
    /// The largest resident memory.
    pub resident_bytes: u64,
    /// The page's size.
    #[serde(default)]
    pub page_bytes: u64,
}

impl KernelCosts {
    /// As a part that was measured with all of this.
    #[must_use]
    pub fn with(self, with: &[(String, String)]) -> Part<Self> {
        Part {
            with: with.to_vec(),
            found: self,
        }
    }
}

impl Results {
    /// Reads the file; nothing where there is none.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let results: Self = serde_json::from_str(&text)
            .with_context(|| format!("cannot understand {}", path.display()))?;
        if results.schema != SCHEMA {
            bail!(
                "{} has schema {}, not {SCHEMA}",
                path.display(),
                results.schema
            );
        }
        Ok(results)
    }

    /// Writes the file.
    pub fn write(&mut self, folder: &Path) -> Result<()> {
        self.schema = SCHEMA;
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).context("cannot write the results")?;
        fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }
}
