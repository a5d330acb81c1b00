//! Loads that drive `tasklist_lock` or another lock, in the manner of will-it-scale, each with its own
//! ground truth.
//!
//! | workload | one iteration | what it does to the lock |
//! |---|---|---|
//! | `threadspawn` | create a thread with an empty body, join it | tasklist_lock held for writing by fork, exit and reap |
//! | `barethread` | clone a thread that ends at once, wait for its end | as threadspawn, without what the C library does |
//! | `forkexit` | fork, the child exits, wait for it | tasklist_lock held for writing by fork, exit and reap |
//! | `nullhold` | `setsid()` by a session leader, refused with EPERM | the shortest hold of tasklist_lock for writing |
//! | `signalgroup` | `kill(0, 0)` | tasklist_lock held for reading |
//! | `mmap` | map four pages, touch one, unmap them | the process's own mmap_lock held for writing by mmap and munmap |
//! | `mincore` | ask whether a page is in memory | the process's own mmap_lock held for reading |
//! | `create` | make a file in a folder that all share, remove it | the folder's i_rwsem held for writing by both |
//! | `rename` | make a file, move it into another folder, remove it | both folders' i_rwsems held for writing, at once by the move |
//! | `cgroup` | set a limit of a cgroup to what it is | cgroup_mutex held |
//! | `mkcgroup` | make a cgroup, remove it | cgroup_mutex held by both, and by the kernel's workers that free it |
//! | `pipe` | write a byte into a pipe that all share, read one | the pipe's mutex held by both |
//! | `filelock` | lock a range of a file with thousands of locked ones, unlock it | the file's flc_lock, a spinlock, held by both |
//! | `hostname` | set the name of a namespace to what it is | uts_sem held for writing |
//! | `uname` | ask what the machine is called | uts_sem held for reading |
//!
//! # The output is a contract
//!
//! [`run`] prints will-it-scale's lines on standard output, and flushes each at its moment:
//!
//! 1. `testcase:DESCRIPTION`, and `warmup` just before the workers are released. By then all of
//!    them exist, are pinned and have their session.
//! 2. `measurement` when the measured window begins: after the counters were read, so that a
//!    profiler that starts its window at this line starts late by the latency of a pipe, never
//!    early. Without a warm-up the line comes before the release, and no iteration precedes it.
//! 3. `min:X max:Y total:Z` after each second of both phases: the slowest and the fastest worker
//!    and the sum.
//! 4. `average:W` when the window ends: after the counters were read and while the workers still
//!    run (with `--iterations`, when the last worker is done). Then they are stopped. Not where the window has not
//!    begun.
//! 5. `ground-truth: {json}`, the last line, when every task of the workload is gone.
//!
//! A run that fails prints neither of the last two. [`parse_line`] reads these lines.
//!
//! SIGINT, SIGTERM and SIGHUP end the run early, with lines 4 and 5. A second signal, two seconds later or
//! more, kills workers that do not stop, such as frozen ones, and the run fails. When the reader of the output goes
//! away, the run ends at its next line. When the workload's main process dies, so do the workers.

mod affinity;
mod barethread;
mod catalogue;
mod cgroup;
mod cli;
mod create;
mod driver;
mod filelock;
mod folder;
mod forkexit;
mod ground_truth;
mod hostname;
mod limits;
mod lines;
mod load;
mod mincore;
mod mkcgroup;
mod mmap;
mod nullhold;
mod pipe;
mod rename;
mod signalgroup;
mod threadspawn;
mod uname;

pub use cli::{Length, Mode, Options, Workload, WorkloadArgs, WorkloadCommand};
pub use driver::counters::Counters;
pub use ground_truth::{GroundTruth, LockTaken};
pub use lines::{GROUND_TRUTH_PREFIX, WorkloadLine, parse_line};

use std::io::Write;

/// Runs a workload to its end and prints its lines on standard output.
///
/// It forks, blocks and consumes SIGINT, SIGTERM, SIGHUP and SIGCHLD while it runs, and waits for any
/// child: the process must have one thread and should have no children of its own.
///
/// # Errors
///
/// When a worker cannot be started, fails or is killed, or when standard output cannot be written.
/// No worker is left behind.
pub fn run(args: &WorkloadArgs) -> anyhow::Result<GroundTruth> {
    run_to(&args.command, &mut std::io::stdout())
}

/// Does what [`run`] does, and prints the lines to `output`.
///
/// # Errors
///
/// As [`run`].
pub fn run_to(command: &WorkloadCommand, output: &mut dyn Write) -> anyhow::Result<GroundTruth> {
    driver::run(command.workload(), command.options(), output)
}
