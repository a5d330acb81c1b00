//! `cargo xtask bench`: what the profiler costs, beside its peers.

pub mod bpftrace;
pub mod check;
pub mod deterministic;
pub mod hold_counter;
pub mod laboratory;
pub mod observer;
pub mod peers;
pub mod results;
pub mod script;
pub mod statistics;
pub mod symbols;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::paths;
use crate::setup::{self, Purpose};
use deterministic::Extent;
use laboratory::Laboratory;
use results::{Part, Results};

/// The kernels of the deterministic part.
pub const KERNELS: [&str; 2] = ["debian:6.12", "debian:7.2"];

/// `cargo xtask bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchOptions {
    /// Only this part; what the files have of the others stays
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<PartName>,
    /// Only these kernels, in the deterministic part [default: debian:6.12 and debian:7.2]
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<String>,
    /// Boots of each kernel in the deterministic part, which must agree within 1 %
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    boots: u8,
    /// Compare lockprof's instructions with those of BENCHMARKS.json, as CI does, and write nothing
    #[arg(long, conflicts_with_all = ["only", "kernel", "boots"])]
    check: bool,
}

/// The parts of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PartName {
    /// Instructions of one CPU, which repeat
    Deterministic,
}

/// Runs the bench, and writes its files.
pub fn bench(options: &BenchOptions) -> Result<bool> {
    let environment = setup::ensure(Purpose::Lab)?;
    if options.check {
        check::run(&environment)?;
        return Ok(true);
    }
    let folder = paths::workspace()?;
    let mut results = Results::read(&folder)?;
    let laboratory = Laboratory::build(&environment)?;
    let wanted = |part| options.only.is_none_or(|only| only == part);
    if wanted(PartName::Deterministic) {
        let mut found = Vec::new();
        for kernel in kernels(&options.kernel) {
            let boots = usize::from(options.boots);
            found.push(deterministic::run(
                &laboratory,
                &kernel,
                Extent::Whole,
                boots,
            )?);
        }
        results.deterministic = Some(Part {
            with: Vec::new(),
            found,
        });
        results.write(&folder)?;
    }
    Ok(true)
}

fn kernels(chosen: &[String]) -> Vec<String> {
    if chosen.is_empty() {
        KERNELS.map(str::to_owned).to_vec()
    } else {
        chosen.to_vec()
    }
}
