//! All contended locks of a guest: what they are called, who has them, and what a script sees of them.

use anyhow::{Context as _, Result, bail};
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;
use serde_json::Value;

use super::round::{Lab, Verdict};
use super::script::{counted, watching};
use super::summary::{Summary, equal};
use crate::bench::peers::Peers;
use crate::bench::perf::{ATTACHES_IN_MS, PERF, Perf};

/// Processes of the load, of three threads each, that wait for their process's mmap_lock.
const PROCESSES: u64 = 2;
/// By how much two counts of the same waits may differ: lockprof has what other tasks wait for, too, and not what
/// waits before its measured time.
const MOST_APART: f64 = 0.1;

/// Who asks for the load's locks when it maps memory, on every kernel.
const MAPS: &str = "vm_mmap_pgoff";

/// `lockprof locks` with options beside the load, into /out/locks.
fn locks(options: &[&str]) -> Step {
    let own = "lockprof locks --quiet --no-report --windows off --output /out/locks";
    let load = "-- lockprof workload mmap --tasks 6 --threads-each 3 --iterations 2000 --warm-up 0";
    let options = options.iter().copied();
    Step::new(
        own.split_whitespace()
            .chain(options)
            .chain(load.split_whitespace()),
    )
}

/// The load's locks are one class, with a member for each process, whose owners are its own threads.
pub fn all_locks_are_named(lab: &Lab<'_>) -> Result<Verdict> {
    let outcome = lab.succeed(vec![locks(&[])])?;
    let summary = Summary::of(lab, &outcome, "locks")?;
    let class = class(&summary, "mmap_lock")?;
    equal("named by", text(class, "named_by")?, "task")?;
    equal("kind", text(class, "kind")?, "rwsem")?;
    let of_load = |row: &&Value| text(row, "name").is_ok_and(|name| name.starts_with("mmap "));
    let members = list(class, "members")?;
    let of_processes = members.iter().filter(of_load).count() as u64;
    // The load's first process makes the others.
    if !(PROCESSES..=PROCESSES + 1).contains(&of_processes) {
        bail!("{of_processes} processes of the load are members of mmap_lock: {members:?}");
    }
    let waits = count(class, "count")?;
    near("waits by process", sum(members.iter(), "count")?, waits)?;
    let by_process = sum(summary.rows("/processes")?.iter(), "count")?;
    let by_class = sum(summary.rows("/classes")?.iter(), "count")?;
    near("waits by process and by class", by_process, by_class)?;
    equal(
        "waits without a place",
        summary.count("/without_place/count")?,
        0,
    )?;
    let owners = summary.rows("/owners")?.iter();
    let of_class = owners.filter(|owner| owner["class"]["name"] == "mmap_lock");
    let known: Vec<&Value> = of_class
        .filter(|owner| {
            let name = owner["owner"]["name"].as_str();
            name.is_some_and(|name| name.starts_with("mmap "))
        })
        .collect();
    let (owned, own_ns) = (
        sum(known.iter().copied(), "waited_ns")?,
        sum(known.iter().copied(), "by_own_process_ns")?,
    );
    note!(
        "    {waits} waits for mmap_lock, {} of {} waited with an owner",
        owned,
        count(class, "waited_ns")?
    );
    if owned == 0 || own_ns * 10 < owned * 9 {
        bail!("{own_ns} of {owned} ns were behind the waiting process itself: {known:?}");
    }
    // Its three states are of each wait whose owner was seen.
    for owner in known {
        let found = &owner["found"];
        let states = ["on_cpu", "runnable", "asleep"].map(|state| found[state].as_u64());
        let states: u64 = states.into_iter().flatten().sum();
        equal("states", states, count(owner, "measured")?)?;
    }
    Ok(Verdict::Passed)
}

/// Where the kernel tells of which slab cache an address is, a lock in an object that no task points to is known by
/// the kernel's own types: those who fork wait for their common ancestor's anon_vma.
pub fn a_lock_in_a_slab_is_named(lab: &Lab<'_>) -> Result<Verdict> {
    let words = "lockprof locks --quiet --no-report --windows off --output /out/slab -- \
                 lockprof workload forkexit --tasks 6 --iterations 2000 --warm-up 0";
    let outcome = lab.succeed(vec![Step::new(words.split_whitespace())])?;
    let summary = Summary::of(lab, &outcome, "slab")?;
    let class = class(&summary, "anon_vma.rwsem")?;
    note!("    {} waits for anon_vma.rwsem", count(class, "count")?);
    equal("named by", text(class, "named_by")?, "slab")?;
    equal("kind", text(class, "kind")?, "rwsem")?;
    for member in list(class, "members")? {
        if !text(member, "name")?.starts_with("0xffff") {
            bail!("{member} is not told by its address");
        }
    }
    Ok(Verdict::Passed)
}

/// Of what the load waits for, the programs let in what one function has asked for, in both tables.
pub fn all_locks_of_one_caller(lab: &Lab<'_>) -> Result<Verdict> {
    let outcome = lab.succeed(vec![locks(&["--caller", MAPS])])?;
    let summary = Summary::of(lab, &outcome, "locks")?;
    let waits = count(class(&summary, "mmap_lock")?, "count")?;
    for class in summary.rows("/classes")? {
        for caller in list(class, "callers")? {
            equal("caller", text(caller, "caller")?, MAPS)?;
        }
    }
    let by_class = sum(summary.rows("/classes")?.iter(), "count")?;
    let by_process = sum(summary.rows("/processes")?.iter(), "count")?;
    let unknown = summary.count("/losses/counted/caller_unknown")?;
    note!("    {waits} waits for mmap_lock by {MAPS}; {unknown} waits of unknown callers");
    near("waits by process and by class", by_process, by_class)?;
    if waits == 0 || unknown > waits {
        bail!("{unknown} waits of unknown callers, and {waits} of {MAPS}");
    }
    Ok(Verdict::Passed)
}

/// bpftrace, on the same tracepoints, counts as many waits for rwsems and as much waited time.
pub fn all_locks_agree_with_a_script(lab: &Lab<'_>) -> Result<Verdict> {
    let script = "rawtracepoint:contention_begin
             /comm == \"mmap\" && (arg1 == 2 || arg1 == 4) && @lock[tid] == 0/
             { @lock[tid] = arg0; @began[tid] = nsecs; }
         rawtracepoint:contention_end /@lock[tid] != 0 && @lock[tid] == arg0/
             { @waits = count(); @waited = sum(nsecs - @began[tid]); @lock[tid] = 0; }
         END { clear(@lock); clear(@began); }";
    let mut request = lab.request(vec![
        watching(script),
        locks(&[]),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
    let of_script = [counted(&outcome, "waits")?, counted(&outcome, "waited")?];
    rwsems_agree(lab, &outcome, "bpftrace", of_script)
}

/// perf lock contention, with its own programs of eBPF, counts as many waits for rwsems of the load's tasks and as much
/// waited time.
pub fn all_locks_agree_with_perf(lab: &Lab<'_>) -> Result<Verdict> {
    // Without its source, or a compiler for its programs, there is nothing to be beside.
    let perf = match Perf::ready() {
        Ok(ready) => ready.build()?,
        Err(error) => return Ok(Verdict::Skipped(format!("perf cannot be built: {error:#}"))),
    };
    let words = [
        PERF,
        "lock",
        "contention",
        "-a",
        "-b",
        "-t",
        "-Y",
        "rwsem",
        "-x",
        ",",
    ];
    let mut request = lab.request(vec![
        Step::new(words).background(None),
        locks(&[]).delay(ATTACHES_IN_MS),
        Step::ending(0, libc::SIGINT),
    ]);
    request.files.push(perf.file());
    let outcome = super::round::succeed(&request)?;
    let said = [&outcome.steps[0].stdout[..], &outcome.steps[0].stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    // Waits, their time in nanoseconds, the longest, their mean, the task, its name.
    let mut of_perf = [0_u64; 2];
    for line in said.lines() {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        if let [waits, waited_ns, _, _, _, "mmap"] = fields[..] {
            for (sum, field) in of_perf.iter_mut().zip([waits, waited_ns]) {
                let number: u64 = field
                    .parse()
                    .with_context(|| format!("no number in {line}"))?;
                *sum += number;
            }
        }
    }
    if of_perf[0] == 0 {
        bail!("perf has seen no wait of the load: {said}");
    }
    rwsems_agree(lab, &outcome, "perf", of_perf)
}

/// Another tool has seen as many waits for rwsems, and as many nanoseconds of them.
fn rwsems_agree(
    lab: &Lab<'_>,
    outcome: &VmOutcome,
    tool: &str,
    of_tool: [u64; 2],
) -> Result<Verdict> {
    let summary = Summary::of(lab, outcome, "locks")?;
    let rwsems = summary.rows("/classes")?.iter();
    let rwsems: Vec<&Value> = rwsems.filter(|class| class["kind"] == "rwsem").collect();
    let whats = [("waits", "count"), ("waited time", "waited_ns")];
    for ((what, field), of_tool) in whats.into_iter().zip(of_tool) {
        let of_lockprof = sum(rwsems.iter().copied(), field)?;
        note!("    {what}: {tool} {of_tool}, lockprof {of_lockprof}");
        let apart = of_tool.abs_diff(of_lockprof) as f64 / of_tool.max(1) as f64;
        if of_tool == 0 || apart > MOST_APART {
            bail!("{what}: {tool} has seen {of_tool}, lockprof {of_lockprof}");
        }
    }
    Ok(Verdict::Passed)
}

/// Tasks write to one terminal, and whoever has its lock sleeps with it for less time than between two looks into
/// /proc: the program at the beginning of a wait has seen where, in as many of the waits as it says, where the kernel
/// allows it.
pub fn owners_are_found_asleep(lab: &Lab<'_>) -> Result<Verdict> {
    let words = "lockprof locks --quiet --no-report --windows off --output /out/terminal -- \
                 /init write-terminal";
    let outcome = lab.succeed(vec![Step::new(words.split_whitespace())])?;
    let summary = Summary::of(lab, &outcome, "terminal")?;
    let stacks = summary.value("/looked_at/owner_stacks")?;
    let doing = summary.rows("/owners_doing")?.iter();
    let seen: Vec<&Value> = doing.filter(|row| row["by"] == "tracepoint").collect();
    if stacks["by"] == "proc" {
        let why = text(stacks, "why")?;
        note!("    by looks into /proc alone: {why}");
        if !why.contains("bpf_task_from_pid") || !seen.is_empty() {
            bail!("stacks of owners, by {stacks}: {seen:?}");
        }
        return Ok(Verdict::Passed);
    }
    let every = count(stacks, "every")?;
    let writing = seen.iter().filter(|row| {
        let stack = row["stack"].as_array();
        let mut frames = stack.into_iter().flatten().filter_map(Value::as_str);
        frames.any(|frame| frame.starts_with("n_tty_write+"))
    });
    let writing = sum(writing.copied(), "seen")?;
    let seen = sum(seen.into_iter(), "seen")?;
    let asleep = summary.rows("/owners")?.iter();
    let asleep: u64 = asleep
        .filter_map(|row| row["found"]["asleep"].as_u64())
        .sum();
    // Locks that are spun for have samples of their own.
    let sleeping = summary.rows("/classes")?.iter();
    let sleeping = sleeping.filter(|class| class["kind"] == "mutex" || class["kind"] == "rwsem");
    let sampled = sum(sleeping, "sampled")?;
    note!(
        "    {asleep} waits found the owner asleep, {sampled} more were sampled: {seen} stacks, {writing} of \
         them in n_tty_write"
    );
    // All CPUs together have at most one more of each than what they have counted is a multiple of.
    if seen < 5 || seen > sampled || writing * 3 < seen * 2 {
        bail!("{seen} stacks of {sampled} samples, {writing} of them in n_tty_write");
    }
    if sampled * every > asleep + sampled + u64::from(lab.cpus) * every {
        bail!("{sampled} samples of {asleep} waits, and one of {every} is wanted");
    }
    // An interrupt may wait for a lock while the program runs: the kernel counts that.
    let lost = summary.lost_while_attached;
    if lost * 1000 > sum(summary.rows("/classes")?.iter(), "count")? {
        bail!("{lost} events were lost");
    }
    Ok(Verdict::Passed)
}

/// Two tables are read one after the other, so that what is waited for in between is in one of them.
fn near(what: &str, one: u64, other: u64) -> Result<()> {
    if one.abs_diff(other) * 100 > other {
        bail!("{what}: {one} and {other}");
    }
    Ok(())
}

fn class<'a>(summary: &'a Summary, name: &str) -> Result<&'a Value> {
    let mut classes = summary.rows("/classes")?.iter();
    classes
        .find(|class| class["name"] == name)
        .with_context(|| format!("no class is called {name}"))
}

fn text<'a>(row: &'a Value, field: &str) -> Result<&'a str> {
    row[field]
        .as_str()
        .with_context(|| format!("{field} is no text: {row}"))
}

fn list<'a>(row: &'a Value, field: &str) -> Result<&'a [Value]> {
    row[field]
        .as_array()
        .map(Vec::as_slice)
        .with_context(|| format!("{field} is no list: {row}"))
}

fn count(row: &Value, field: &str) -> Result<u64> {
    row[field]
        .as_u64()
        .with_context(|| format!("{field} is no count: {row}"))
}

/// A field of all rows; 0 where it is not known.
fn sum<'a>(rows: impl Iterator<Item = &'a Value>, field: &str) -> Result<u64> {
    let numbers = rows.map(|row| match &row[field] {
        Value::Null => Ok(0),
        _ => count(row, field),
    });
    numbers.sum()
}
