//! Waits in a guest: lockprof's wait-only tier in turn with `perf lock contention -b`, which Debian's machines
//! do not have.

use anyhow::{Context, Result};
use lab::kernel;
use lab::vm::protocol::Step;

use super::laboratory::Laboratory;
use super::loads;
use super::peers::Peers;
use super::perf::PERF;
use super::results::{Beside, SeenWaits, Waits};
use super::waits::{LOAD, of_summary, spins};
use crate::guest::round::{self, Lab};
use crate::guest::summary::Summary;

/// What is measured here.
pub const IN_GUEST: &str = "perf lock contention -b, in a guest";
/// The kernel.
const KERNEL: &str = "debian:6.12";
/// Virtual CPUs, and as many tasks: no more than are real.
const CPUS: u32 = 2;
/// Seconds of each turn, without a warm-up.
const SECONDS: &str = "3";
/// Pairs: by this clock intervals do not become narrow.
const PAIRS: usize = 10;
/// The lock, as perf names it.
const TARGET: &str = "tasklist_lock";

/// Measures it in one boot.
pub fn run(laboratory: &Laboratory, peers: &Peers) -> Result<Beside> {
    let kernel = kernel::resolve(KERNEL)?;
    let lab = Lab::new(&kernel, &laboratory.binaries);
    let perf = peers
        .perf
        .as_ref()
        .map_err(|why| anyhow::anyhow!("{why}"))?;
    let steps = (0..PAIRS).flat_map(|pair| {
        let (ours, theirs) = (own(pair), by_perf(pair));
        if pair.is_multiple_of(2) {
            [ours, theirs]
        } else {
            [theirs, ours]
        }
    });
    let mut request = laboratory.request(&lab, steps.collect());
    request.files.push(perf.file());
    request.cpus = CPUS;
    let outcome = round::succeed(&request).context("a boot with perf failed")?;
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        let (_, ours) = of_summary(Summary::of(&lab, &outcome, &own_name(pair))?.value("")?)?;
        let place = 2 * pair + usize::from(pair.is_multiple_of(2));
        let step = outcome.steps.get(place).context("a step has no outcome")?;
        let seconds = loads::ground_truth(step)?.duration_s;
        let path = perf_name(pair);
        let printed = outcome.files.get(&path);
        let printed = printed.with_context(|| format!("perf left no {path}"))?;
        pairs.push((ours, seen(&String::from_utf8_lossy(printed), seconds)));
    }
    Ok(Beside {
        what: format!("perf lock contention -b by address, in a guest of {KERNEL}"),
        pairs,
    })
}

fn own_name(pair: usize) -> String {
    format!("own-{pair}")
}

fn perf_name(pair: usize) -> String {
    format!("perf-{pair}")
}

fn own(pair: usize) -> Step {
    let tasks = CPUS.to_string();
    let output = format!("/out/{}", own_name(pair));
    let run = [
        "lockprof",
        "run",
        "--windows",
        "off",
        "--quiet",
        "--no-report",
        "--attach",
        "wait",
    ];
    let load = ["--workload", LOAD, "--tasks", &tasks, "--warm-up", "0"];
    let rest = ["--duration", SECONDS, "--output", &output];
    Step::new(run.into_iter().chain(load).chain(rest))
}

fn by_perf(pair: usize) -> Step {
    let output = format!("/out/{}", perf_name(pair));
    let perf = [PERF, "lock", "contention", "-a", "-b", "-l", "-x", ","];
    let load = loads::step(LOAD, CPUS, "0", &["--duration", SECONDS]);
    let perf = perf
        .into_iter()
        .chain(["-E", "100000", "--output", &output, "--"]);
    Step::new(perf.map(str::to_owned).chain(load.argv))
}

/// What perf has written: `contended,total,max,average,address,symbol,type`, in nanoseconds.
fn seen(printed: &str, seconds: f64) -> SeenWaits {
    let mut seen = SeenWaits::default();
    for line in printed.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(',').map(str::trim).collect();
        let [count, waited, _, _, _, symbol, kind] = words[..] else {
            continue;
        };
        let (Ok(count), Ok(waited_ns)) = (count.parse::<f64>(), waited.parse::<f64>()) else {
            continue;
        };
        if !spins(kind) {
            continue;
        }
        let waits = Waits {
            count: count / seconds,
            waited_ns: waited_ns / seconds,
        };
        seen.all = seen.all.plus(waits);
        if symbol == TARGET {
            seen.target = seen.target.plus(waits);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfs_rows_are_read() {
        let printed = "# output: contended, total wait, max wait, avg wait, address, symbol, type\n\
                       4, 800, 300, 200, ffffffff83008080, tasklist_lock, rwlock:W\n\
                       2, 100, 90, 50, ffffffff83008140, pidmap_lock, spinlock\n\
                       9, 900, 90, 100, ffff888100000000, , mutex\n";
        let seen = seen(printed, 2.0);
        assert_eq!((seen.target.count, seen.target.waited_ns), (2.0, 400.0));
        assert_eq!((seen.all.count, seen.all.waited_ns), (3.0, 450.0));
    }

    #[test]
    fn who_is_first_changes_from_pair_to_pair() {
        assert_eq!(own(3).argv.last().map(String::as_str), Some("/out/own-3"));
        let perf = by_perf(0).argv;
        let load = perf.iter().position(|word| word == "--").unwrap_or(0);
        assert_eq!(perf[load + 1..load + 3], ["lockprof", "workload"]);
    }
}
