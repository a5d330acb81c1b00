//! What the bench has found of `lockprof locks`, as the machine-readable file has it.

use serde::{Deserialize, Serialize};

use crate::bench::numbers::{ContendedCosts, NotMeasured, Throughput};

/// What observers of all locks cost a wait on one kernel, in instructions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelWaits {
    /// As a user names it.
    pub kernel: String,
    /// What it calls itself.
    pub release: String,
    /// Boots, whose means these are.
    pub boots: usize,
    /// Each observer where tasks sleep for the lock.
    pub sleeping: Vec<WaitObserver>,
    /// Each observer where CPUs spin for it.
    pub spinning: Vec<ContendedCosts>,
    /// What could not be measured, and why.
    pub not_measured: NotMeasured,
}

/// What the programs of one observer execute for a wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitObserver {
    /// Its name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Waits whose ends were counted, the least of a boot.
    pub waits: u64,
    /// On contention_begin.
    pub began: PerRun,
    /// On contention_end.
    pub ended: PerRun,
}

impl WaitObserver {
    /// Both.
    pub fn whole(&self) -> f64 {
        self.began.mean + self.ended.mean
    }
}

/// Instructions of one run of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PerRun {
    /// The mean over the boots' means.
    pub mean: f64,
    /// The largest difference of two boots.
    pub differs_by: f64,
}

/// What the daemon takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// As a user names the kernel, or what the machine itself runs.
    pub kernel: String,
    /// Possible CPUs.
    pub possible_cpus: usize,
    /// The largest resident memory, with the maps that are mapped into it.
    pub resident_bytes: u64,
    /// Its maps, by the kernel's account.
    pub map_bytes: u64,
}

/// On the machine itself, by its clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OnHost {
    /// What the kernel calls itself.
    pub release: String,
    /// CPUs.
    pub cpus: usize,
    /// How often everything was measured.
    pub rounds: usize,
    /// The load averages of the last minute before the first round and after the last one.
    pub busy: [f64; 2],
    /// Iterations a second without an observer, the mean over the rounds.
    pub bare_per_second: f64,
    /// What is left with each observer.
    pub observers: Vec<Throughput>,
    /// The same of the iterations in a second of the load's own CPU time, which others that want the CPUs do not
    /// take.
    pub by_cpu_time: Vec<Throughput>,
    /// While it runs there.
    pub memory: Option<Memory>,
    /// What could not be measured, and why.
    pub not_measured: NotMeasured,
}
