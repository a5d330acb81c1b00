//! Another tool on the functions that lockprof has programs on.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;

use super::daemon::{attach, null_holds};
use super::round::{Lab, Verdict};
use super::script::{counted, watching};
use super::summary::{Summary, equal};
use crate::bench::observer::{LOCK, UNLOCK};
use crate::bench::peers::Peers;

/// Null holds of the load.
const NULL_HOLDS: u64 = 500;

/// bpftrace stands on the same functions before lockprof comes, and after it has gone: both see every hold, and what
/// it counts goes on. It counts the lock where setsid() takes it: bpftrace attaches and detaches one program after the
/// other, so that of the holds of other tasks it sees some ends without their beginnings.
pub fn a_script_on_the_same_functions_sees_the_same(lab: &Lab<'_>) -> Result<Verdict> {
    let script = format!(
        "kfunc:ksys_setsid {{ @setsid = count(); @inside[tid] = 1; }}
         kretfunc:{LOCK} /@inside[tid] && (uint64)args->lock == kaddr(\"tasklist_lock\")/ {{ @locked = count(); }}
         kfunc:{UNLOCK} /@inside[tid] && (uint64)args->lock == kaddr(\"tasklist_lock\")/ {{ @unlocked = count(); }}
         kretfunc:ksys_setsid {{ delete(@inside[tid]); }}"
    );
    let mut request = lab.request(vec![
        watching(&script),
        attach("attached"),
        null_holds(NULL_HOLDS),
        Step::ending(1, libc::SIGINT),
        null_holds(NULL_HOLDS),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
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

/// A bundled load for a lock of its own: the function by which it takes that, the locks of one run, and how often an
/// iteration takes each.
struct Taking {
    load: &'static str,
    function: &'static str,
    locks: usize,
    each: u64,
    /// How often what starts and ends the workers takes it besides, at most: they are named before their stacks are made.
    besides: u64,
}

const fn taking(load: &'static str, function: &'static str, locks: usize, each: u64) -> Taking {
    Taking {
        load,
        function,
        locks,
        each,
        besides: 0,
    }
}

/// The mmap_lock of a process, which starts and ends by it.
const fn mapping(load: &'static str, function: &'static str, each: u64) -> Taking {
    Taking {
        besides: 100,
        ..taking(load, function, 1, each)
    }
}

/// `nullhold` and its like are counted by other tests, with lockprof itself.
const TAKING: [Taking; 8] = [
    mapping("mmap", "down_write_killable", 2),
    mapping("mincore", "down_read", 1),
    taking("create", "down_write", 1, 2),
    taking("rename", "down_write", 2, 2),
    taking("cgroup", "mutex_lock", 1, 1),
    taking("pipe", "mutex_lock", 1, 2),
    taking("hostname", "down_write", 1, 1),
    taking("uname", "down_read", 1, 1),
];
/// Workers, and iterations of each.
const WORKERS: u64 = 2;
const ITERATIONS: u64 = 500;

/// By a script that counts calls by lock, each load takes its locks as often as it says, and none more often.
pub fn loads_take_their_locks(lab: &Lab<'_>) -> Result<Verdict> {
    let mut script = String::new();
    for Taking { load, function, .. } in TAKING {
        script +=
            &format!("kprobe:{function} /comm == \"{load}\"/ {{ @{load}[arg0] = count(); }}\n");
    }
    let mut steps = vec![watching(&script)];
    steps.extend(TAKING.iter().map(|Taking { load, .. }| {
        let words = format!(
            "lockprof workload {load} --tasks {WORKERS} --iterations {ITERATIONS} --warm-up 0"
        );
        Step::new(words.split(' '))
    }));
    steps.push(Step::ending(0, libc::SIGINT));
    let mut request = lab.request(steps);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
    let said = outcome.steps[0].text();
    for Taking {
        load,
        locks,
        each,
        besides,
        ..
    } in TAKING
    {
        let start = format!("@{load}[");
        let counts = said.lines().filter_map(|line| {
            let (_, count) = line.strip_prefix(&start)?.split_once("]: ")?;
            count.parse().ok()
        });
        let mut counts: Vec<u64> = counts.collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts.truncate(locks);
        note!("    {load}: {counts:?}");
        let taken = each * WORKERS * ITERATIONS;
        let expected = taken..=taken + besides;
        if counts.len() != locks || !counts.iter().all(|count| expected.contains(count)) {
            bail!("{load}: {expected:?} for each of {locks} was expected, not {counts:?}");
        }
    }
    Ok(Verdict::Passed)
}
