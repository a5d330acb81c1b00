//! Holds and waits of a reader-writer semaphore: of uts_sem, by a load that knows how often it takes it. What has no symbol,
//! a folder's i_rwsem, is in `folder.rs`; what becomes a read hold, and what other processes and interrupts do with the lock, in
//! `mmap_readers.rs`.
//!
//! What nothing in user space brings about on these kernels, so that no test does: `down_read_interruptible` that fails
//! (`exec_update_lock` by `perf_event_open()` alone, whose other holders cannot be held up); two reads of one rwsem by one
//! task; and a read that another task gives back (`up_read_non_owner()` of bcache and of filesystems that are modules). What
//! a frozen filesystem holds (FIFREEZE) is a percpu-rwsem, which is another kind, and none that is built in freezes.

use anyhow::{Result, bail};
use lab::vm::{self, protocol::Step};

use super::round::{Lab, Verdict, run};
use super::script::{counted, watching};
use super::summary::{Summary, equal};
use crate::bench::peers::Peers;

/// The lock.
const LOCK: &str = "uts_sem";
/// Threads of the load, and how often each takes the lock to write, and to read.
const TASKS: u64 = 2;
const TIMES: u64 = 2000;

/// The share of holds, in per cent, that may be lost: where the kernel preempts, as Linux 7.2 does, it refuses the runs of a
/// program in which another task was switched out on the same CPU, for as long as that one does not go on.
pub const MAY_BE_LOST: u64 = 75;

/// A run of the load.
fn changing(name: &str, how: &str, times: u64) -> Step {
    let load = format!("--warm-up 0 -- /init host-name {TASKS} {times}");
    let how = format!("{how} --loss-threshold {MAY_BE_LOST}");
    run(name, &format!("--lock {LOCK}:rwsem {how} {load}"))
}

/// Each hold of the load is counted, for writing and for reading, and nothing that is none; a script on the same functions
/// counts the same.
pub fn holds_are_counted_exactly(lab: &Lab<'_>) -> Result<Verdict> {
    let mut request = lab.request(vec![
        watching(&script(&format!("kaddr(\"{LOCK}\")"))),
        changing("readers", "--readers", TIMES),
        Step::ending(0, libc::SIGINT),
        changing("writers", "--detail holds", TIMES),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
    let of_load = TASKS * TIMES;

    let writers = Summary::of(lab, &outcome, "writers")?;
    is_exact(&writers)?;
    let (written, read) = holds(&writers)?;
    let (lost, _) = lost(&writers)?;
    note!("    without readers: {written} and {read} holds, {lost} lost");
    equal("holds for reading without readers", read, 0)?;
    is_all(&writers, "holds without readers", written + lost, of_load)?;
    writers.cpus_agree_with_sites()?;

    let readers = Summary::of(lab, &outcome, "readers")?;
    is_exact(&readers)?;
    let (written, read) = holds(&readers)?;
    let (by_script, read_by_script) = (counted(&outcome, "written")?, counted(&outcome, "read")?);
    let (lost, read_lost) = self::lost(&readers)?;
    note!(
        "    {written} and {read} holds, {lost} and {read_lost} lost; bpftrace: {by_script} and {read_by_script}"
    );
    is_all(&readers, "holds for writing", written + lost, of_load)?;
    // Whoever begins may ask what the machine is called.
    let read = read + read_lost;
    is_all(
        &readers,
        "the load's holds for reading",
        read.min(of_load),
        of_load,
    )?;
    if by_script > of_load || read_by_script.abs_diff(read) > of_load / 20 {
        bail!("{of_load} holds for writing and some more for reading were expected");
    }
    Ok(Verdict::Passed)
}

/// What kind of lock it is is found out by who takes it meanwhile; of one that nobody takes it is said that it has to be
/// told.
pub fn the_kind_is_found_out(lab: &Lab<'_>) -> Result<Verdict> {
    // It is killed.
    const ENDLESS: u64 = 4_000_000_000;
    let attach = |name: &str, lock: &str| {
        let words = format!(
            "lockprof attach --windows off --budget off --no-report --loss-threshold {MAY_BE_LOST} --lock {lock} -d 1 --output /out/{name}"
        );
        Step::new(words.split(' '))
    };
    let outcome = vm::run(&lab.request(vec![
        Step::new(["/init", "host-name", "1", &ENDLESS.to_string()]).background(None),
        attach("taken", LOCK),
        Step::ending(0, libc::SIGKILL),
        attach("idle", LOCK),
    ]))?;
    let said = |step: usize| String::from_utf8_lossy(&outcome.steps[step].stderr).into_owned();
    let (taken, idle) = (said(1), said(3));
    for line in taken
        .lines()
        .chain(idle.lines())
        .filter(|line| line.contains(LOCK))
    {
        note!("    {line}");
    }
    if !taken.contains("the kind of uts_sem is rwsem: in 50 ms it was given back by up_write (") {
        bail!("{taken}");
    }
    if !idle.contains("say it, as in --lock uts_sem:mutex") {
        bail!("{idle}");
    }
    let summary = Summary::of(lab, &outcome, "taken")?;
    equal("kind", summary.text("/lock/kind")?, "rwsem")?;
    let (written, _) = holds(&summary)?;
    if written == 0 {
        bail!("no hold of {LOCK} was seen");
    }
    Ok(Verdict::Passed)
}

pub(super) fn is_exact(summary: &Summary) -> Result<()> {
    equal("tier", summary.text("/tier")?, "exact")?;
    equal("method", summary.text("/attach")?, "fentry")?;
    equal("void", summary.value("/void")?, &false.into())
}

/// Fails unless these are all holds of the load, with those that were lost. Where the kernel has refused programs, the last
/// hold of each task may be one that nobody knows of: no later one of that task finds it.
pub(super) fn is_all(summary: &Summary, what: &str, holds: u64, of_load: u64) -> Result<()> {
    let refused = summary.value("/attached/missed")?.as_object();
    let refused = refused
        .into_iter()
        .flatten()
        .any(|(_, count)| count.as_u64() != Some(0));
    let unknown = if refused { TASKS } else { 0 };
    if holds > of_load || of_load - holds > unknown {
        bail!("{what}: {holds} are not {of_load}, of which {unknown} at most are unknown");
    }
    Ok(())
}

/// Holds for writing and for reading that the programs say are in no number. Each has one loss.
pub(super) fn lost(summary: &Summary) -> Result<(u64, u64)> {
    let of = |loss: &str| summary.count(&format!("/losses/counted/{loss}"));
    Ok((of("hold_switched")?, of("read_without_end")?))
}

fn is_reader(site: &str) -> bool {
    site.starts_with("read:")
}

/// Holds for writing and for reading, from attach to detach.
pub(super) fn holds(summary: &Summary) -> Result<(u64, u64)> {
    let by_site = summary.value("/attached/holds")?.as_object();
    let mut holds = (0, 0);
    for (site, count) in by_site.into_iter().flatten() {
        let count = count.as_u64().unwrap_or(0);
        if is_reader(site) {
            holds.1 += count;
        } else {
            holds.0 += count;
        }
    }
    Ok(holds)
}

/// What counts the holds of the rwsem at an address until it is ended, and how often it was refused: at once, and to who waited.
pub(super) fn script(address: &str) -> String {
    let is_it = format!("(uint64)args->sem == {address}");
    let takes = |function: &str, taken: &str, count: &str| {
        format!("kretfunc:{function} /{is_it}{taken}/ {{ @{count} = count(); }}\n")
    };
    [
        takes("down_write", "", "written"),
        takes("down_write_killable", " && retval == 0", "written"),
        takes("down_write_killable", " && retval != 0", "killed"),
        takes("down_write_trylock", " && retval == 1", "written"),
        takes("down_write_trylock", " && retval == 0", "refused"),
        takes("down_read", "", "read"),
        takes("down_read_killable", " && retval == 0", "read"),
        takes("down_read_killable", " && retval != 0", "killed"),
        takes("down_read_interruptible", " && retval == 0", "read"),
        takes("down_read_trylock", " && retval == 1", "read"),
        takes("down_read_trylock", " && retval == 0", "refused"),
    ]
    .concat()
}
