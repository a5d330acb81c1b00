//! What `lockprof locks` takes of memory.

use anyhow::{Context, Result};
use lab::kernel;
use lab::vm::Clock;
use lab::vm::fdinfo::{self, Process};
use lab::vm::protocol::Step;

use super::results::Memory;
use crate::bench::laboratory::Laboratory;
use crate::bench::observer::Observer;
use crate::guest::round::{self, Lab};

/// A kernel that has room for so many CPUs.
const KERNEL: &str = "debian:6.1";
/// Possible CPUs.
const SIZES: [usize; 4] = [2, 24, 256, 1024];
/// Enough for the per-CPU memory of 1024 CPUs.
const MEMORY_MIB: u32 = 2048;
/// The load, and what it prints when it begins.
const LOAD: &str = "lockprof workload mmap --tasks 6 --threads-each 3 --until-signalled";
const LOAD_READY: &str = "measurement";
/// Milliseconds under load.
const RUNS_MS: u64 = 1550;

/// By the number of possible CPUs, one of which is active.
pub fn by_cpus(laboratory: &Laboratory) -> Result<Vec<Memory>> {
    SIZES.into_iter().map(|size| of(laboratory, size)).collect()
}

fn of(laboratory: &Laboratory, possible_cpus: usize) -> Result<Memory> {
    let kernel = kernel::resolve(KERNEL)?;
    let lab = Lab::new(&kernel, &laboratory.binaries);
    let steps = vec![
        Observer::locks("locks", "", &[]).step(),
        Step::new(LOAD.split(' ')).background(Some(LOAD_READY)),
        Step::new(["/init", fdinfo::STEP]).delay(RUNS_MS),
        Step::ending(1, libc::SIGINT),
        Step::ending(0, libc::SIGINT),
    ];
    let mut request = laboratory.request(&lab, steps);
    request.cpus = 1;
    request.clock = Clock::Instructions;
    request.memory_mib = Some(MEMORY_MIB);
    request
        .append
        .push(format!("possible_cpus={possible_cpus}"));
    let outcome = round::succeed(&request)
        .with_context(|| format!("a boot with {possible_cpus} possible CPUs failed"))?;
    let seconds = outcome.wall.as_secs_f64();
    eprintln!("bench: locks with {possible_cpus} possible CPUs took {seconds:.0} s");
    let asked = outcome.steps.get(2).context("a step has no outcome")?;
    let processes: Vec<Process> =
        serde_json::from_str(&asked.text()).context("init does not say what maps take")?;
    let process = processes.first().context("lockprof has no programs")?;
    Ok(Memory {
        kernel: KERNEL.to_owned(),
        possible_cpus,
        resident_bytes: process.resident_bytes,
        map_bytes: process.map_bytes,
    })
}
