//! `cargo xtask bench`: what the profiler costs, beside its peers.

pub mod bpftrace;
pub mod check;
pub mod contended;
pub mod contention_tables;
pub mod cost;
pub mod daemon;
pub mod deterministic;
pub mod goals;
pub mod hold_counter;
pub mod kept;
pub mod kinds;
pub mod laboratory;
pub mod load;
pub mod loads;
pub mod locks;
pub mod markdown;
pub mod numbers;
pub mod observer;
pub mod peers;
pub mod perf;
pub mod pieces;
pub mod plot;
pub mod recording;
pub mod reference;
pub mod results;
pub mod script;
pub mod statistics;
pub mod symbols;
pub mod throughput;
pub mod tool;
pub mod versions;
pub mod wait_guest;
pub mod wait_script;
pub mod wait_tables;
pub mod waits;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lab::kernel::version;
use lab::signals;

use crate::checkout;
use crate::setup::{self, Purpose};
use deterministic::Extent;
use laboratory::Laboratory;
use peers::Peers;
use results::{Beside, KernelCosts, Part, Results, WaitCosts, first_line};

/// What the names of lockprof's own observers begin with.
const OWN: &str = "lockprof-";

/// `cargo xtask bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchOptions {
    /// Only this part; what the files have of the others stays
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<PartName>,
    /// Only these kernels, in the parts that count instructions [default: debian:6.12 and debian:7.2]
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<String>,
    /// Boots of each kernel in the deterministic part, which must agree within 1 %
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..))]
    boots: u8,
    /// Rounds of the load part, in each of which every observer has its turn
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u8).range(2..))]
    rounds: u8,
    /// Compare lockprof's instructions with those of BENCHMARKS.json, as CI does, and write nothing
    #[arg(long, conflicts_with_all = ["only", "kernel", "boots", "rounds"])]
    check: bool,
    /// Measure nothing: write BENCHMARKS.md and its picture again, from BENCHMARKS.json
    #[arg(long, conflicts_with_all = ["only", "kernel", "boots", "rounds", "check"])]
    tables: bool,
}

/// The parts of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PartName {
    /// Instructions of one CPU, which repeat
    Deterministic,
    /// Of those lockprof's own alone: what others cost stays as it was measured
    Own,
    /// Throughput on several CPUs, by the wall clock
    Load,
    /// What the daemon itself uses, and how long it takes to attach, detach and report
    Daemon,
    /// What is seen of the waits of the machine itself, and of a guest's
    Waits,
    /// Of those the guest's alone
    WaitsInGuest,
    /// What it costs to follow a lock of another kind
    Kinds,
    /// What `lockprof locks` costs a wait, in guests
    LocksInGuest,
    /// What it takes of memory
    LocksMemory,
    /// What it leaves of the throughput of the machine itself
    LocksOnHost,
}

impl PartName {
    /// Those that look at other tools as well.
    const WITH_PEERS: [Self; 7] = [
        Self::Deterministic,
        Self::Kinds,
        Self::Load,
        Self::Waits,
        Self::WaitsInGuest,
        Self::LocksInGuest,
        Self::LocksOnHost,
    ];
}

/// Runs the bench, and writes its files.
pub fn bench(options: &BenchOptions) -> Result<bool> {
    let folder = checkout::root()?;
    if options.tables {
        write(&mut Results::read(&folder)?, &folder)?;
        return Ok(true);
    }
    let environment = setup::ensure(Purpose::Lab)?;
    if options.check {
        check::run(&environment)?;
        return Ok(true);
    }
    let mut results = Results::read(&folder)?;
    let laboratory = Laboratory::build(&environment)?;
    let mut with = versions::read()?;
    let wanted = |part| options.only.is_none_or(|only| only == part);
    let peers = if PartName::WITH_PEERS.into_iter().any(wanted) {
        let fetched = Peers::fetch().map_err(|error| first_line(&error));
        fetched.map(Peers::and_perf)
    } else {
        Err("no part that needs it".to_owned())
    };
    signals::check()?;
    if let Ok(peers) = &peers {
        with.push(("bpftrace".to_owned(), peers.bpftrace.version.clone()));
        let perf = peers.perf.as_ref().ok();
        with.extend(perf.map(|perf| ("perf".to_owned(), perf.source.clone())));
    }
    if wanted(PartName::Deterministic) {
        for kernel in kernels(&options.kernel) {
            let boots = usize::from(options.boots);
            let found = deterministic::run(&laboratory, &kernel, Extent::Whole(&peers), boots)?;
            put(
                &mut results.deterministic,
                found.clone().with(&with),
                kernel_of,
            );
            // What was measured is not lost to what comes next.
            write(&mut results, &folder)?;
            if kernel == goals::KERNEL {
                let mut found = found;
                let of_one_task = throughput::run(&laboratory, &kernel);
                found.throughput = found
                    .not_measured
                    .or_note("throughput of one task", of_one_task)?;
                put(&mut results.deterministic, found.with(&with), kernel_of);
            }
            write(&mut results, &folder)?;
        }
    }
    if options.only == Some(PartName::Own) {
        for kernel in kernels(&options.kernel) {
            let boots = usize::from(options.boots);
            let found = deterministic::run(&laboratory, &kernel, Extent::Own, boots)?;
            put_own(&mut results.deterministic, found, &with);
            write(&mut results, &folder)?;
        }
    }
    if wanted(PartName::Load) {
        let peers = peers.as_ref();
        if let Err(why) = peers {
            eprintln!("bench: without bpftrace: {why}");
        }
        let rounds = usize::from(options.rounds);
        results.load = Some(Part {
            with: with.clone(),
            found: load::run(&laboratory, peers.ok(), load::CPUS, rounds)?,
        });
        write(&mut results, &folder)?;
    }
    if wanted(PartName::Daemon) {
        results.daemon = Some(Part {
            with: with.clone(),
            found: daemon::run(&laboratory)?,
        });
        write(&mut results, &folder)?;
    }
    if wanted(PartName::Waits) {
        let lockprof = &laboratory.binaries.lockprof;
        let mut found = waits::run(lockprof, peers.as_ref())?;
        if let Ok(peers) = &peers {
            let in_guest = wait_guest::run(&laboratory, peers);
            let in_guest = found.not_measured.or_note(wait_guest::IN_GUEST, in_guest)?;
            found.beside.extend(in_guest);
        }
        results.waits = Some(Part {
            with: with.clone(),
            found,
        });
        write(&mut results, &folder)?;
    }
    if options.only == Some(PartName::WaitsInGuest) {
        let peers = peers.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        let found = wait_guest::run(&laboratory, peers)?;
        put_guest(&mut results.waits, found, &with);
        write(&mut results, &folder)?;
    }
    if wanted(PartName::Kinds) {
        let peers = peers.clone().map(Peers::and_klockstat);
        let klockstat = peers.as_ref().ok();
        let klockstat = klockstat.and_then(|peers| peers.klockstat.as_ref().ok());
        let mut with = with.clone();
        with.extend(klockstat.map(|tool| ("libbpf-tools".to_owned(), tool.version.clone())));
        for kernel in kernels(&options.kernel) {
            let boots = usize::from(options.boots);
            let part = Part {
                with: with.clone(),
                found: kinds::run(&laboratory, &peers, &kernel, boots)?,
            };
            put(&mut results.kinds, part, |found| &found.kernel);
            write(&mut results, &folder)?;
        }
    }
    if wanted(PartName::LocksInGuest) {
        for kernel in kernels(&options.kernel) {
            let boots = usize::from(options.boots);
            let part = Part {
                with: with.clone(),
                found: locks::in_guest(&laboratory, &peers, &kernel, boots)?,
            };
            put(&mut results.locks_in_guest, part, |waits| &waits.kernel);
            write(&mut results, &folder)?;
        }
    }
    if wanted(PartName::LocksMemory) {
        results.locks_memory = Some(Part {
            with: with.clone(),
            found: locks::memory::by_cpus(&laboratory)?,
        });
        write(&mut results, &folder)?;
    }
    if wanted(PartName::LocksOnHost) {
        let rounds = usize::from(options.rounds).max(locks::on_host::LEAST_ROUNDS);
        results.locks_on_host = Some(Part {
            with: with.clone(),
            found: locks::on_host::run(&laboratory, &peers, rounds)?,
        });
        write(&mut results, &folder)?;
    }
    Ok(true)
}

/// Writes the results, their tables and their picture.
fn write(results: &mut Results, folder: &Path) -> Result<()> {
    results.write(folder)?;
    let kernels = results.deterministic.iter().map(|part| &part.found);
    let mut kernels = kernels.filter(|costs| costs.kernel == goals::KERNEL);
    if let Some(costs) = kernels.next() {
        save(&folder.join(markdown::PICTURE), &plot::draw(costs)?)?;
    }
    save(&folder.join(markdown::MARKDOWN), &markdown::render(results))
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("bench: wrote {}", path.display());
    Ok(())
}

/// Puts what was found of a kernel in the place of what was known of it.
fn put<T>(all: &mut Vec<Part<T>>, now: Part<T>, kernel: fn(&T) -> &String) {
    all.retain(|old| kernel(&old.found) != kernel(&now.found));
    all.push(now);
    all.sort_by(|a, b| version::compare(kernel(&a.found), kernel(&b.found)));
}

fn kernel_of(costs: &KernelCosts) -> &String {
    &costs.kernel
}

/// Puts what lockprof costs on a kernel in the place of what was known of that, and leaves what others cost.
fn put_own(all: &mut Vec<Part<KernelCosts>>, now: KernelCosts, with: &[(String, String)]) {
    let Some(old) = all.iter_mut().find(|old| old.found.kernel == now.kernel) else {
        return put(all, now.with(with), kernel_of);
    };
    let is_own = |name: &str| name.starts_with(OWN);
    let before = old.with.iter().find(|(what, _)| what == "lockprof");
    let others = before.map(|(_, commit)| ("others beside lockprof of".to_owned(), commit.clone()));
    let known = |what: &str| with.iter().any(|(name, _)| name == what);
    let rest: Vec<_> = old
        .with
        .iter()
        .filter(|(name, _)| !known(name))
        .cloned()
        .collect();
    old.with = with.iter().cloned().chain(others).chain(rest).collect();
    let found = &mut old.found;
    found.release = now.release;
    found.observers.retain(|observer| !is_own(&observer.name));
    found.observers.extend(now.observers);
    found.contended.retain(|observer| !is_own(&observer.name));
    found.contended.extend(now.contended);
    found.lengths = now.lengths;
    // That was with another lockprof.
    found.throughput = None;
}

/// Puts what was seen in a guest in the place of what was known of that, and leaves what was seen elsewhere.
fn put_guest(waits: &mut Option<Part<WaitCosts>>, now: Beside, with: &[(String, String)]) {
    let part = waits.get_or_insert_default();
    let in_guest = with
        .iter()
        .filter(|(what, _)| ["lockprof", "perf"].contains(&what.as_str()))
        .map(|(what, of)| (format!("{what} in the guest"), of.clone()));
    let in_guest: Vec<_> = in_guest.collect();
    part.with
        .retain(|(what, _)| in_guest.iter().all(|(new, _)| new != what));
    part.with.extend(in_guest);
    let costs = &mut part.found;
    costs
        .not_measured
        .0
        .retain(|(what, _)| what != wait_guest::IN_GUEST);
    costs.beside.retain(|beside| beside.what != now.what);
    costs.beside.push(now);
}

fn kernels(chosen: &[String]) -> Vec<String> {
    if chosen.is_empty() {
        deterministic::KERNELS.map(str::to_owned).to_vec()
    } else {
        chosen.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_was_measured_again_replaces_itself() {
        let costs = |kernel: &str, boots| Part {
            with: Vec::new(),
            found: KernelCosts {
                kernel: kernel.to_owned(),
                boots,
                ..KernelCosts::default()
            },
        };
        let mut all = vec![costs("debian:6.12", 1), costs("debian:7.2", 1)];
        put(&mut all, costs("debian:7.2", 2), kernel_of);
        put(&mut all, costs("debian:6.1", 2), kernel_of);
        let found = all
            .iter()
            .map(|part| (part.found.kernel.as_str(), part.found.boots));
        let expected = [("debian:6.1", 2), ("debian:6.12", 1), ("debian:7.2", 2)];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_others_cost_stays_when_lockprof_is_measured_again() {
        let costs = |names: &[(&str, usize)], boots| KernelCosts {
            kernel: "debian:6.12".to_owned(),
            boots,
            observers: names
                .iter()
                .map(|(name, added)| results::ObserverCosts {
                    name: (*name).to_owned(),
                    pair: results::Cost {
                        added: *added as f64,
                        ..results::Cost::default()
                    },
                    ..results::ObserverCosts::default()
                })
                .collect(),
            ..KernelCosts::default()
        };
        let with = |commit: &str| vec![("lockprof".to_owned(), commit.to_owned())];
        let first = costs(&[("empty", 1), ("lockprof-holds-fentry", 2)], 2);
        let mut all = vec![first.with(&with("one"))];
        let again = costs(&[("lockprof-holds-fentry", 3)], 2);
        put_own(&mut all, again, &with("two"));
        let found = &all[0].found.observers;
        let found = found.iter().map(|one| (one.name.as_str(), one.pair.added));
        let expected = [("empty", 1.0), ("lockprof-holds-fentry", 3.0)];
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let words: Vec<&str> = all[0].with.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["two", "one"]);
    }

    #[test]
    fn what_was_seen_on_the_machine_itself_stays_when_a_guest_is_measured_again() {
        let beside = |what: &str, pairs| Beside {
            what: what.to_owned(),
            pairs: vec![<(results::SeenWaits, results::SeenWaits)>::default(); pairs],
        };
        let with = |commit: &str| vec![("lockprof".to_owned(), commit.to_owned())];
        let mut costs = WaitCosts {
            beside: vec![beside("a script", 1)],
            ..WaitCosts::default()
        };
        costs.not_measured.note(wait_guest::IN_GUEST, "no compiler");
        let mut part = Some(Part {
            with: with("one"),
            found: costs,
        });
        for (pairs, commit) in [(2, "two"), (3, "three")] {
            put_guest(&mut part, beside("perf", pairs), &with(commit));
        }
        let part = part.unwrap();
        let found = &part.found;
        assert_eq!(found.beside, [beside("a script", 1), beside("perf", 3)]);
        assert!(found.not_measured.0.is_empty());
        let words: Vec<&str> = part.with.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["one", "three"]);
    }
}
