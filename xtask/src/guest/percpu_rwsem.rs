//! Holds of those who write a percpu-rwsem: of file_rwsem, by a load that knows how often it takes it.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;

use super::round::{Lab, Verdict, run, succeed};
use super::rwsem::MAY_BE_LOST;
use super::script::{counted, watching};
use super::summary::{Summary, equal};
use crate::bench::peers::Peers;

/// The lock.
const LOCK: &str = "file_rwsem";
/// Threads of the load, and how often each takes the lock.
const TASKS: u64 = 2;
const TIMES: u64 = 1000;

/// Each hold of the load is counted, and nothing that is none; a script on the same functions counts the same.
pub fn writers_are_counted_exactly(lab: &Lab<'_>) -> Result<Verdict> {
    let script = format!(
        "kretfunc:percpu_down_write /(uint64)args->sem == kaddr(\"{LOCK}\")/ {{ @written = count(); }}"
    );
    let load = format!("--warm-up 0 -- /init list-locks {TASKS} {TIMES}");
    let how = format!("--lock {LOCK} --detail holds --loss-threshold {MAY_BE_LOST}");
    let mut request = lab.request(vec![
        watching(&script),
        run("writers", &format!("{how} {load}")),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = succeed(&request)?;
    let summary = Summary::of(lab, &outcome, "writers")?;
    equal("tier", summary.text("/tier")?, "exact")?;
    equal("kind", summary.text("/lock/kind")?, "percpu_rwsem")?;
    equal("void", summary.value("/void")?, &false.into())?;
    summary.cpus_agree_with_sites()?;
    let (holds, lost) = (summary.all_attached_holds()?, summary.lost_while_attached);
    let by_script = counted(&outcome, "written")?;
    note!("    {holds} holds, {lost} lost; bpftrace: {by_script}");
    if holds > TASKS * TIMES || holds + lost < TASKS * TIMES || by_script < holds {
        bail!("{} holds were expected", TASKS * TIMES);
    }
    Ok(Verdict::Passed)
}
