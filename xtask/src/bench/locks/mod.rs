//! What `lockprof locks` costs, beside others that look at every contended lock.

pub mod memory;
pub mod on_host;
pub mod results;
pub mod script;
pub mod sleeping;
pub mod tables;

use anyhow::Result;
use lab::kernel;

use super::contended::{self, Contention};
use super::laboratory::Laboratory;
use super::observer::{self, Observer};
use super::peers::Peers;
use super::perf::Perf;
use super::results::NotMeasured;
use super::symbols::Symbols;
use crate::guest::round::Lab;
use results::KernelWaits;
use script::By;

/// The kernels.
pub const KERNELS: [&str; 2] = ["debian:6.12", "debian:7.2"];
/// Of one observer where CPUs spin, a boot by itself: one that fails takes the others' numbers with it.
const SPINNING_BOOTS: usize = 1;

/// By which names the goals find them.
pub const EMPTY: &str = "empty-tracepoints";
/// Programs that read the clock.
pub const CLOCK: &str = "clock-tracepoints";
/// lockprof without owners and names.
pub const WAIT: &str = "wait";
/// The same without call stacks.
pub const WAIT_NO_STACKS: &str = "wait-no-stacks";
/// With owners and names, and without call stacks.
pub const LOCKS_NO_STACKS: &str = "locks-no-stacks";
/// As a user has it.
pub const LOCKS: &str = "locks";
/// perf with the owners of locks.
pub const PERF_OWNERS: &str = "perf-owners";
/// perf by callers, as it is by default.
pub const PERF_CALLERS: &str = "perf-callers";
/// perf by the locks' addresses.
pub const PERF_LOCKS: &str = "perf-locks";
/// perf by waiting task.
pub const PERF_TASKS: &str = "perf-tasks";

/// Measures one kernel, in guests: what does not depend on how busy the machine is.
pub fn in_guest(
    laboratory: &Laboratory,
    peers: &Result<Peers, String>,
    kernel: &str,
    boots: usize,
) -> Result<KernelWaits> {
    let image = kernel::resolve(kernel)?;
    let lab = Lab::new(&image, &laboratory.binaries);
    let mut waits = KernelWaits {
        kernel: kernel.to_owned(),
        boots,
        ..KernelWaits::default()
    };
    for observers in groups(peers, &mut waits.not_measured) {
        let peers = peers.as_ref().ok();
        let seen = sleeping::run(laboratory, &lab, peers, &observers, boots);
        let seen = waits.not_measured.or_note(&names(&observers), seen)?;
        if let Some((release, seen)) = seen {
            waits.release = release;
            waits.sleeping.extend(seen);
        }
    }
    if let Err(why) = &laboratory.hold_counter {
        waits.not_measured.note("locks that are spun for", why);
        return Ok(waits);
    }
    let symbols = Symbols::of(&laboratory.request(&lab, Vec::new()), std::iter::empty())?;
    let contention = Contention::of_tasklist_lock(&symbols)?;
    for observer in spinning(peers) {
        let what = format!("{}, where CPUs spin", observer.what);
        let peers = peers.as_ref().ok();
        let one = [observer];
        let seen = contended::run(laboratory, &lab, &contention, peers, &one, SPINNING_BOOTS);
        let seen = waits.not_measured.or_note(&what, seen)?;
        waits.spinning.extend(seen.into_iter().flatten());
    }
    Ok(waits)
}

fn names(observers: &[Observer]) -> String {
    let names: Vec<&str> = observers.iter().map(|one| one.what.as_str()).collect();
    names.join("; ")
}

/// Where tasks sleep: lockprof's own share a boot, and each of the others' tools has its own.
fn groups(peers: &Result<Peers, String>, not_measured: &mut NotMeasured) -> Vec<Vec<Observer>> {
    let mut groups = vec![own()];
    match peers {
        Ok(peers) => {
            match &peers.perf {
                Ok(_) => groups.push(perf()),
                Err(why) => not_measured.note("perf lock contention -b", why),
            }
            groups.push([By::Lock, By::TaskAndStack].map(By::observer).to_vec());
        }
        Err(why) => not_measured.note("other tools", why),
    }
    groups
}

/// Programs that do nothing, and lockprof with more and more of what it has.
fn own() -> Vec<Observer> {
    let floors = observer::floors().into_iter();
    let floors = floors.chain(observer::floors_of_contention());
    let mut all: Vec<Observer> = floors
        .filter(|floor| [EMPTY, CLOCK].contains(&floor.name.as_str()))
        .collect();
    let without = ["--stacks", "none"];
    all.extend([
        Observer::waits(
            WAIT_NO_STACKS,
            "lockprof attach --attach wait, without call stacks",
            &without,
        ),
        Observer::waits(
            WAIT,
            "lockprof attach --attach wait: without owners and names",
            &[],
        ),
        Observer::locks(
            LOCKS_NO_STACKS,
            "lockprof locks, without call stacks",
            &without,
        ),
        Observer::locks(LOCKS, "lockprof locks", &[]),
    ]);
    all
}

fn perf() -> Vec<Observer> {
    vec![
        Perf::observer_by(PERF_CALLERS, None),
        Perf::observer_by(PERF_LOCKS, Some("-l")),
        Perf::observer_by(PERF_TASKS, Some("-t")),
        Perf::observer_by(PERF_OWNERS, Some("-o")),
    ]
}

/// Where CPUs spin for tasklist_lock.
fn spinning(peers: &Result<Peers, String>) -> Vec<Observer> {
    let mut all = vec![Observer::locks(LOCKS, "lockprof locks", &[])];
    if let Ok(peers) = peers {
        if peers.perf.is_ok() {
            all.push(Perf::observer_by(PERF_CALLERS, None));
            all.push(Perf::observer_by(PERF_TASKS, Some("-t")));
        }
        all.push(By::Lock.observer());
    }
    all
}
