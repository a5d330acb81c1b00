//! `cargo xtask bench`: what the profiler costs, beside its peers.

pub mod deterministic;
pub mod observer;

use anyhow::Result;
use clap::Args;

use crate::cargo;
use crate::setup::{self, Purpose};

/// `cargo xtask bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchOptions {
    /// Only this kernel
    #[arg(long, value_name = "KERNEL", default_value = "debian:6.12")]
    kernel: Vec<String>,
}

/// Runs the bench.
pub fn bench(options: &BenchOptions) -> Result<bool> {
    let environment = setup::ensure(Purpose::Lab)?;
    let binaries = cargo::build_static(&environment)?;
    cargo::build(&environment, &[("lockprof", "lockprof-empty-probes")])?;
    for kernel in &options.kernel {
        deterministic::run(kernel, &binaries)?;
    }
    Ok(true)
}
