//! What a workload knows for certain about its own run.

use serde::{Deserialize, Serialize};

use crate::{Mode, Workload};

/// What a workload did, exactly: for checking what a profiler saw.
///
/// "Window" is the measured part of the run; "whole run" includes the start, the warm-up and the
/// tail between the end of the window and the workers' stop.
///
/// The task counts hold for the whole run and include the workers themselves. They exclude one
/// life: that of the workload's main process, which is the spawner's to count. Every task counted
/// has been released by the kernel when the ground truth is printed: a thread may outlive its
/// `pthread_join` by a moment, but not the reaping of its process, for which the main process
/// waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroundTruth {
    /// Which workload.
    pub workload: Workload,
    /// What its workers were.
    pub mode: Mode,
    /// How many workers.
    pub tasks: u32,
    /// Whether each worker was pinned to a CPU of its own.
    pub affinity: bool,
    /// Whether SIGINT or SIGTERM ended the run before its time. It stays false when the run was
    /// asked to go on until a signal.
    pub stopped_early: bool,
    /// How long the warm-up took, in seconds.
    pub warm_up_s: f64,
    /// How long the window was, in seconds: measured, not asked for.
    pub duration_s: f64,
    /// Iterations of all workers in the window.
    pub iterations: u64,
    /// Iterations of all workers in the whole run. Each was finished: workers stop between two.
    pub iterations_attempted_total: u64,
    /// Iterations in the window by seconds of the window; none where the run was stopped before it began.
    pub per_second: Option<f64>,
    /// Iterations of the slowest worker in the window.
    pub per_task_min: u64,
    /// Iterations of the fastest worker in the window.
    pub per_task_max: u64,
    /// Processes and threads created in the whole run, but for the main process.
    pub tasks_created: u64,
    /// Processes and threads that ended and were reaped in the whole run, but for the main process.
    pub tasks_reaped: u64,
    /// `setsid()` calls refused with EPERM in the whole run.
    pub null_holds: u64,
    /// `setsid()` calls that succeeded in the whole run: one for each process of `nullhold`.
    pub setsid_calls: u64,
    /// `setpgid()` calls in the whole run: one for each process of `signalgroup`.
    pub setpgid_calls: u64,
    /// How often the iterations took the lock that the load is for, in the whole run. What starts and ends the workers
    /// takes such locks uncounted. None of the loads for tasklist_lock, which the counts above tell, and in recordings
    /// of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockTaken>,
}

/// A lock, or some of a class, and how often a load took them: those for which its workers wait for one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockTaken {
    /// The structure with its member and whose it is, or the lock's symbol.
    pub name: String,
    /// For writing, or for itself where it is no reader-writer lock.
    pub exclusive: u64,
    /// For reading.
    pub shared: u64,
}
