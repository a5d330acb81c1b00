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
/// Workers of the load, on a CPU each, and iterations of each: one hold an iteration.
const WORKERS: u64 = 2;
const ITERATIONS: u64 = 2000;
/// Who makes and removes the load's cgroup takes the lock for each.
const CGROUP_MADE_AND_REMOVED: u64 = 2;
/// What the script prints when it has been attached for a while.
const READY: &str = "attached";

/// Each hold of the load is counted, and nothing that is none; a script on the same functions counts the same. Holds lie
/// one after the other, so that they are no longer than the time, and of two tasks some have waited.
pub fn holds_are_counted_exactly(lab: &Lab<'_>) -> Result<Verdict> {
    let is_it = format!("(uint64)args->lock == kaddr(\"{LOCK}\")");
    let takes = |function: &str, taken: &str| {
        format!(
            "kretfunc:{function} /{is_it}{taken}/ {{ @taken = count(); @by[comm] = count(); @began[tid] = nsecs; }}\n"
        )
    };
    let script = [
        format!("interval:s:2 /!@said/ {{ @said = 1; printf(\"{READY}\\n\"); }}\n"),
        takes("mutex_lock", ""),
        takes("mutex_lock_killable", " && retval == 0"),
        takes("mutex_lock_interruptible", " && retval == 0"),
        takes("mutex_trylock", " && retval == 1"),
        format!(
            "kfunc:mutex_unlock /{is_it} && @began[tid]/ {{ @held = sum(nsecs - @began[tid]); delete(@began[tid]); }}\n"
        ),
    ]
    .concat();
    let load = format!(
        "--lock {LOCK} --workload cgroup --tasks {WORKERS} --iterations {ITERATIONS} --warm-up 0"
    );
    let mut request = lab.request(vec![
        Step::new(["bpftrace", "-B", "line", "-e", &script]).background(Some(READY)),
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
    Ok(Verdict::Passed)
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
