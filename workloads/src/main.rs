//! The workloads as a program of their own; `lockprof workload` is the same with another name.

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser;
use workloads::WorkloadArgs;

/// Loads that drive tasklist_lock or an mmap_lock and print their own ground truth
#[derive(Parser)]
#[command(name = "workloads", version)]
struct Cli {
    #[command(flatten)]
    workload: WorkloadArgs,
}

fn main() -> ExitCode {
    match workloads::run(&Cli::parse().workload) {
        Ok(_ground_truth) => ExitCode::SUCCESS,
        // The reader has seen enough, as in `workloads threadspawn | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workloads: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
