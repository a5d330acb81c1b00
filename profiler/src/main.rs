//! lockprof's command line.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Instant,
};

use anyhow::Result;
use clap::Parser as _;
use lockprof::{
    cli::{Arguments, Command},
    doctor, guard, run,
};

fn main() -> ExitCode {
    let launched = Instant::now();
    let arguments = Arguments::parse();
    env_logger::Builder::from_env(env_logger::Env::new().filter_or("LOCKPROF_LOG", "warn")).init();
    match execute(arguments.command, launched) {
        Ok(status) => status,
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockprof: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command, launched: Instant) -> Result<ExitCode> {
    match command {
        Command::Run(arguments) => {
            let (settings, with_report) = arguments.settings(launched)?;
            run::measure(&settings, with_report)
        }
        Command::Attach(arguments) => {
            let (settings, with_report) = arguments.settings(launched)?;
            run::measure(&settings, with_report)
        }
        Command::Report(arguments) => {
            if let Err(error) = arguments.check() {
                error.exit();
            }
            run::report(&arguments)
        }
        Command::Compare(arguments) => run::compare(&arguments),
        Command::Workload(arguments) => workloads::run(&arguments).map(|_truth| ExitCode::SUCCESS),
        Command::Guard(arguments) => guard::watch(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Doctor(arguments) => {
            io::stdout().write_all(doctor::doctor(arguments.json)?.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
