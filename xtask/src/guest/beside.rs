//! Another tool on the functions that lockprof has programs on.

use anyhow::{Context as _, Result};
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;

use super::daemon::{attach, null_holds};
use super::summary::{Summary, equal};
use super::{Lab, Verdict};
use crate::bench::observer::{LOCK, UNLOCK};
use crate::bench::peers::Peers;

/// Null holds of the load.
const NULL_HOLDS: u64 = 500;
/// What the script prints when it has been attached for a while.
const READY: &str = "attached";

/// bpftrace stands on the same functions before lockprof comes, and after it has gone: both see every hold, and what
/// it counts goes on. It counts the lock where setsid() takes it: bpftrace attaches and detaches one program after the
/// other, so that of the holds of other tasks it sees some ends without their beginnings.
pub fn a_script_on_the_same_functions_sees_the_same(lab: &Lab<'_>) -> Result<Verdict> {
    let script = format!(
        "kfunc:ksys_setsid {{ @setsid = count(); @inside[tid] = 1; }}
         kretfunc:{LOCK} /@inside[tid] && (uint64)args->lock == kaddr(\"tasklist_lock\")/ {{ @locked = count(); }}
         kfunc:{UNLOCK} /@inside[tid] && (uint64)args->lock == kaddr(\"tasklist_lock\")/ {{ @unlocked = count(); }}
         kretfunc:ksys_setsid {{ delete(@inside[tid]); }}
         interval:s:2 /!@said/ {{ @said = 1; printf(\"{READY}\\n\"); }}"
    );
    let mut request = lab.request(vec![
        Step::new(["bpftrace", "-B", "line", "-e", &script]).background(Some(READY)),
        attach("attached"),
        null_holds(NULL_HOLDS),
        Step::ending(1, libc::SIGINT),
        null_holds(NULL_HOLDS),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::succeed(&request)?;
    let attached = Summary::of(lab, &outcome, "attached")?;
    attached.nothing_was_lost_in_holds()?;
    equal("setsid holds", attached.holds("setsid")?, NULL_HOLDS + 1)?;
    // Before lockprof attaches, its guard makes a session of its own; a load makes one, too.
    let others = 1 + NULL_HOLDS + 1;
    let setsid = counted(&outcome, "setsid")?;
    equal(
        "calls of setsid() and their holds",
        setsid,
        attached.attached_holds("setsid")? + others,
    )?;
    let (locked, unlocked) = (counted(&outcome, "locked")?, counted(&outcome, "unlocked")?);
    note!("    bpftrace: {setsid} calls of setsid(), {locked} acquisitions, {unlocked} releases");
    equal("calls of setsid() and acquisitions", setsid, locked)?;
    equal("acquisitions and releases", locked, unlocked)?;
    Ok(Verdict::Passed)
}

/// A map of bpftrace's, as it prints it at its end.
pub fn counted(outcome: &VmOutcome, map: &str) -> Result<u64> {
    let said = outcome.steps[0].text();
    let mut lines = said.lines();
    let start = format!("@{map}: ");
    let count = lines.find_map(|line| line.strip_prefix(&start));
    count
        .with_context(|| format!("bpftrace has not counted @{map}: {said}"))?
        .trim()
        .parse()
        .context("bpftrace's count is no number")
}
