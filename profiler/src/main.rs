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
    tell::tell,
};

fn main() -> ExitCode {
    let launched = Instant::now();
    lockprof::file_size::let_writes_fail();
    let arguments = Arguments::parse();
    env_logger::Builder::from_env(env_logger::Env::new().filter_or("LOCKPROF_LOG", "warn")).init();
    if let Err(error) = arguments.command.renounce() {
        log::warn!("cannot give up the capabilities that are not needed: {error}");
    }
    match execute(arguments.command, launched) {
        Ok(status) => status,
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command, launched: Instant) -> Result<ExitCode> {
    match command {
        Command::Run(arguments) => {
            arguments.check().unwrap_or_else(|error| error.exit());
            let (settings, with_report) = arguments.settings(launched)?;
            run::measure(&settings, with_report, None)
        }
        Command::Attach(arguments) => {
            arguments.check().unwrap_or_else(|error| error.exit());
            let (settings, with_report) = arguments.settings(launched)?;
            run::measure(&settings, with_report, None)
        }
        Command::Locks(arguments) => {
            let (settings, with_report) = arguments.settings(launched)?;
            run::measure(&settings, with_report, arguments.grouping.chosen())
        }
        Command::Report(arguments) => {
            arguments.check().unwrap_or_else(|error| error.exit());
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
