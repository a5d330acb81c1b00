//! What a refresh of the daemon costs on this machine where every CPU has something to read: the daemon's
//! own code over counters that lie in memory. A tool of the lab; users have no need of it.

use std::{hint::black_box, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;
use lockprof::{
    daemon::{Collector, Source},
    kernel::{BtfFacts, Kallsyms, SiteNumbers},
    known_locks::{self, DEFAULT_LOCK},
    probe::cpus::CpuReading,
    recording::schema::Interval,
};
use lockprof_abi::{Caller, CgroupEntry, ContentionEntry, OffCpuEntry, Phase, WaiterEntry};

/// Slots of sites, and lengths of hold and wait at each, that a CPU has something new of in each interval.
const SLOTS: [usize; 3] = [3, 4, 5];
const BUCKETS: std::ops::Range<usize> = 60..72;

/// Print the CPU time of each refresh with so many CPUs, all active, in nanoseconds
#[derive(Debug, Parser)]
#[command(name = "lockprof-refresh", version)]
struct Arguments {
    /// CPUs
    #[arg(long)]
    cpus: usize,
    /// Refreshes
    #[arg(long, default_value_t = 20)]
    refreshes: usize,
}

/// Counters that have all grown whenever they are looked at.
struct Busy {
    cpus: Vec<CpuReading>,
    refreshes: u64,
}

impl Busy {
    fn new(cpus: usize, numbers: &SiteNumbers) -> Self {
        Self {
            cpus: vec![CpuReading::nothing(numbers.slots()); cpus],
            refreshes: 0,
        }
    }

    /// What the programs would have done meanwhile.
    fn grow(&mut self) {
        self.refreshes += 1;
        for cpu in &mut self.cpus {
            for slot in SLOTS {
                let state = cpu.site_mut(slot);
                state.held_ns += 1_000_000;
                state.waited_ns += 1_000_000;
                for bucket in BUCKETS {
                    state.holds[bucket] += 100;
                    state.waits[bucket] += 100;
                }
            }
        }
    }
}

impl Source for Busy {
    fn cpus(&self) -> usize {
        self.cpus.len()
    }

    fn activity(&self, _cpu: usize) -> u64 {
        self.refreshes
    }

    fn learned(&self) -> Vec<Caller> {
        Vec::new()
    }

    fn read_cpu(&self, cpu: usize, into: &mut CpuReading) {
        into.clone_from(&self.cpus[cpu]);
    }

    fn contention_places(&self) -> usize {
        0
    }

    fn read_contention(&self, _place: usize, _into: &mut ContentionEntry) -> bool {
        false
    }

    fn cgroup_places(&self) -> usize {
        0
    }

    fn read_cgroup(&self, _place: usize, _into: &mut CgroupEntry) -> bool {
        false
    }

    fn off_cpu_places(&self) -> usize {
        0
    }
    fn read_off_cpu(&self, _place: usize, _into: &mut OffCpuEntry) -> bool {
        false
    }
    fn waiter_places(&self) -> usize {
        0
    }
    fn read_waiter(&self, _place: usize, _into: &mut WaiterEntry) -> bool {
        false
    }
    fn stack(&self, _id: u32) -> Option<Vec<u64>> {
        None
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match refresh(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockprof-refresh: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn refresh(arguments: &Arguments) -> Result<()> {
    let numbers = SiteNumbers::of(known_locks::find(DEFAULT_LOCK));
    let mut source = Busy::new(arguments.cpus, &numbers);
    let mut collector = Collector::new(
        arguments.cpus,
        Kallsyms::default(),
        &BtfFacts::default(),
        numbers,
        known_locks::spans_of(DEFAULT_LOCK)
            .iter()
            .map(|known| known.span)
            .collect(),
        0,
    );
    for _ in 0..arguments.refreshes {
        source.grow();
        let before_ns = cpu_time_ns();
        let mut interval = Interval::default();
        collector.collect(&source, &mut interval, Phase::Measured, || ());
        let line = serde_json::to_vec(&interval).context("cannot write an interval")?;
        black_box(line);
        println!("{}", cpu_time_ns() - before_ns);
    }
    Ok(())
}

/// The CPU time of this process so far.
fn cpu_time_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live value of the type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
