//! Holds and waits of a mutex: of cgroup_mutex, by a load that knows how often it takes it.

use anyhow::{Result, bail};
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;

use super::beside::counted;
use super::summary::{Summary, equal};
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
/// By how much the mean hold may differ from the script's. Each has the other's programs between its clocks at one end of a
/// hold.
const HELD_DIFFERENCE: f64 = 0.4;
/// Holds that are longer than this are in no mean: the host may stop a virtual machine between the two clocks.
const STOPPED_NS: u64 = 1 << 20;

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
    let mean_ns = mean_hold_ns(&summary)?;
    let script_ns = counted(&outcome, "held")? as f64 / counted(&outcome, "ended")? as f64;
    note!("    a mean hold of {mean_ns:.0} ns; bpftrace: {script_ns:.0} ns");
    if (mean_ns / script_ns - 1.0).abs() > HELD_DIFFERENCE {
        bail!("a mean hold of {mean_ns:.0} ns, and of {script_ns:.0} ns by the script");
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
            "kfunc:mutex_unlock /{is_it} && @began[tid]/ {{ $held = nsecs - @began[tid]; delete(@began[tid]); \
             if ($held < {STOPPED_NS}) {{ @held = sum($held); @ended = count(); }} }}\n"
        ),
    ]
    .concat()
}

/// The mean of the holds of all callers, as near as the buckets of their lengths tell it.
fn mean_hold_ns(summary: &Summary) -> Result<f64> {
    let rows = summary.rows("/sites")?.iter();
    let buckets = rows.filter_map(|row| row["hold_ns"]["buckets"].as_array());
    let (mut held_ns, mut holds) = (0.0, 0.0);
    for bucket in buckets.flatten() {
        let number = |index: usize| bucket[index].as_f64();
        let (Some(low), Some(high), Some(count)) = (number(0), number(1), number(2)) else {
            bail!("{bucket} is no bucket of holds");
        };
        if high <= STOPPED_NS as f64 {
            held_ns += f64::midpoint(low, high) * count;
            holds += count;
        }
    }
    if holds == 0.0 {
        bail!("no hold has a length below {STOPPED_NS} ns");
    }
    Ok(held_ns / holds)
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
