//! `cargo xtask`: one word for each thing that is done with this repository.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::signals;
use xtask::bench::{self, BenchOptions};
use xtask::compare::{self, CompareOptions};
use xtask::kernels::{self, KernelCommand};
use xtask::run::{RunOptions, VmCommand};
use xtask::setup::Purpose;
use xtask::test::TestOptions;
use xtask::{doctor, run, setup, test};

/// Set-up, build, tests and the lab of lockprof.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Options {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Find or install everything that the other commands need
    Setup,
    /// Show what is there and what is missing
    Doctor,
    /// Build lockprof and run `lockprof run ARGS`, on this machine or in a VM
    Run(RunOptions),
    /// Run everything that CI checks
    Test(TestOptions),
    /// Measure what lockprof costs, beside other tools, and write BENCHMARKS.md
    Bench(BenchOptions),
    /// Compare kernels: boot them in turn, run the same load in each, and say what differs
    Compare(CompareOptions),
    /// Run `lockprof COMMAND` in a VM
    Vm(VmCommand),
    /// The kernels for VMs
    #[command(subcommand)]
    Kernel(KernelCommand),
}

fn main() -> ExitCode {
    let options = Options::parse();
    match signals::install().and_then(|()| perform(options.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            // As a shell reports a command that a signal has ended.
            signals::pending().map_or(ExitCode::FAILURE, |signal| {
                ExitCode::from(128 + signal as u8)
            })
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    if matches!(task, Task::Doctor | Task::Kernel(KernelCommand::List)) {
        signals::end_with_the_reader();
    }
    match task {
        Task::Setup => setup::ensure(Purpose::Everything)
            .map(|_| eprintln!("set-up: everything is there"))
            .map(|()| ExitCode::SUCCESS),
        Task::Doctor => doctor::print().map(from_success),
        Task::Run(options) => run::run(&options),
        Task::Test(options) => test::test(&options).map(from_success),
        Task::Bench(options) => bench::bench(&options).map(from_success),
        Task::Compare(options) => compare::compare(&options),
        Task::Vm(options) => run::vm(&options),
        Task::Kernel(command) => kernels::perform(&command).map(|()| ExitCode::SUCCESS),
    }
}

fn from_success(success: bool) -> ExitCode {
    if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
