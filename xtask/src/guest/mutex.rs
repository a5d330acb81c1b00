//! Holds and waits of a mutex: of cgroup_mutex, by a load that knows how often it takes it.

use anyhow::{Result, bail};
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;

use super::beside::counted;
use super::summary::{Summary, equal, lines_of};
use super::{Lab, Verdict, run};
use crate::bench::peers::Peers;

/// The lock.
const LOCK: &str = "cgroup_mutex";
/// Workers of the load, and iterations of each: one hold an iteration.
const WORKERS: u64 = 2;
const ITERATIONS: u64 = 2000;
/// Who makes and removes the load's cgroup takes the lock for each.
const CGROUP_MADE_AND_REMOVED: u64 = 2;
/// What the script prints when it has been attached for a while.
const READY: &str = "attached";
/// By how much the time of all holds may differ from the script's. Each has the other's programs between its clocks at
/// one end of a hold.
const HELD_DIFFERENCE: f64 = 0.4;

/// Each hold of the load is counted, and nothing that is none; a script on the same functions counts the same.
pub fn holds_are_counted_exactly(lab: &Lab<'_>) -> Result<Verdict> {
    let load = format!(
        "--lock {LOCK} --workload cgroup --tasks {WORKERS} --iterations {ITERATIONS} --warm-up 0"
    );
    let mut request = lab.request(vec![
        Step::new(["bpftrace", "-B", "line", "-e", &script()]).background(Some(READY)),
        run("mutex", &load),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::succeed(&request)?;
    let summary = Summary::of(lab, &outcome, "mutex")?;
    equal("tier", summary.text("/tier")?, "exact")?;
    equal("method", summary.text("/attach")?, "fentry")?;
    summary.nothing_was_lost_in_holds()?;
    summary.cpus_agree_with_sites()?;

    let holds = summary.all_attached_holds()?;
    let by_load = WORKERS * ITERATIONS;
    let by_kernel = by_workers_of_the_kernel(&outcome);
    let taken = counted(&outcome, "taken")?;
    note!("    {holds} holds; bpftrace: {taken}, {by_kernel} of them by workers of the kernel");
    equal(
        "what the script saw of tasks",
        taken - by_kernel,
        by_load + CGROUP_MADE_AND_REMOVED,
    )?;
    // What the kernel's workers do with a cgroup that has gone may come after the last probe has.
    let expected = by_load + CGROUP_MADE_AND_REMOVED..=taken;
    if !expected.contains(&holds) {
        bail!("{expected:?} holds were expected, not {holds}");
    }
    let (held_ns, script_ns) = (held_ns(&outcome)?, counted(&outcome, "held")?);
    note!("    held for {held_ns} ns; bpftrace: {script_ns} ns");
    let difference = (held_ns as f64 / script_ns as f64 - 1.0).abs();
    if difference > HELD_DIFFERENCE {
        bail!("holds of {held_ns} ns, and of {script_ns} ns by the script");
    }
    Ok(Verdict::Passed)
}

/// Two tasks that do nothing else wait for each other. Holds lie one after the other, so that all of them are no longer than
/// the time, and no wait is without its hold.
pub fn two_tasks_wait_for_each_other(lab: &Lab<'_>) -> Result<Verdict> {
    let load = format!("--lock {LOCK} --workload cgroup --tasks 2 --duration 3 --warm-up 0.5");
    let outcome = lab.succeed(vec![run("waits", &load)])?;
    let summary = Summary::of(lab, &outcome, "waits")?;
    summary.nothing_was_lost_in_holds()?;
    summary.cpus_agree_with_sites()?;
    let sum = |field: &str| -> Result<u64> {
        let rows = summary.rows("/sites")?.iter();
        Ok(rows.filter_map(|row| row[field].as_u64()).sum())
    };
    let (holds, held_ns) = (sum("holds")?, sum("held_ns")?);
    let (contended, waited_ns) = (sum("contended")?, sum("waited_ns")?);
    let time_ns = summary.number("/duration_s")? * 1e9;
    note!(
        "    {holds} holds of {held_ns} ns, {contended} waits of {waited_ns} ns, in {time_ns} ns"
    );
    if contended == 0 || waited_ns == 0 {
        bail!("two tasks were not seen to wait for each other in {holds} holds");
    }
    if contended > holds || held_ns as f64 > time_ns {
        bail!("{contended} waits, {holds} holds of {held_ns} ns in {time_ns} ns: that cannot be");
    }
    Ok(Verdict::Passed)
}

/// What counts the holds of the lock, and sums up their lengths, until it is ended.
fn script() -> String {
    let is_it = format!("(uint64)args->lock == kaddr(\"{LOCK}\")");
    let takes = |function: &str, taken: &str| {
        format!(
            "kretfunc:{function} /{is_it}{taken}/ {{ @began[tid] = nsecs; @taken = count(); @by[comm] = count(); }}\n"
        )
    };
    [
        format!("interval:s:2 /!@said/ {{ @said = 1; printf(\"{READY}\\n\"); }}\n"),
        takes("mutex_lock", ""),
        takes("mutex_lock_killable", " && retval == 0"),
        takes("mutex_lock_interruptible", " && retval == 0"),
        takes("mutex_trylock", " && retval == 1"),
        format!(
            "kfunc:mutex_unlock /{is_it} && @began[tid]/ {{ @held = sum(nsecs - @began[tid]); delete(@began[tid]); }}\n"
        ),
    ]
    .concat()
}

/// The time of all holds from attach to detach, in nanoseconds.
fn held_ns(outcome: &VmOutcome) -> Result<u64> {
    let lines = lines_of(outcome, "mutex")?;
    let cpus = lines.iter().filter_map(|line| line["cpus"].as_array());
    let sites = cpus.flatten().filter_map(|cpu| cpu["sites"].as_array());
    Ok(sites
        .flatten()
        .filter_map(|site| site["held_ns"].as_u64())
        .sum())
}

/// Acquisitions by workers of the kernel, as the script counted them.
fn by_workers_of_the_kernel(outcome: &VmOutcome) -> u64 {
    let said = outcome.steps[0].text();
    let of_workers = said.lines().filter_map(|line| {
        let (_, count) = line.strip_prefix("@by[kworker")?.split_once("]: ")?;
        count.parse::<u64>().ok()
    });
    of_workers.sum()
}
