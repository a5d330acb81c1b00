//! The load that was asked for.

use std::{ffi::OsString, thread};

use anyhow::{Result, bail};
use workloads::WorkloadCommand;

use crate::{
    daemon::{LoadSpec, readable},
    recording::schema::Workload,
};

/// CPUs that this process may use.
pub(super) fn usable_cpus() -> u32 {
    thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
}

/// One that comes with lockprof.
pub(super) fn bundled_spec(command: &WorkloadCommand) -> LoadSpec {
    let arguments = command.to_arguments();
    let mut words = vec!["lockprof".to_owned(), "workload".to_owned()];
    words.extend(arguments.iter().cloned());
    LoadSpec::Bundled {
        workload: Workload {
            name: command.workload().name().to_owned(),
            tasks: Some(command.options().tasks),
            mode: Some(command.options().mode.name().to_owned()),
            command: words,
        },
        arguments,
    }
}

/// A command of the user's.
pub(super) fn command_spec(command: &[OsString]) -> Result<LoadSpec> {
    let Some(program) = command.first() else {
        bail!("the command to profile is empty");
    };
    Ok(LoadSpec::Command {
        workload: Workload {
            name: readable(program),
            tasks: None,
            mode: None,
            command: command.iter().map(|word| readable(word)).collect(),
        },
        words: command.to_vec(),
    })
}
