//! The mmap_lock of a process: of one that lockprof starts, which executes another program, and of one that is there.

use anyhow::{Context as _, Result, bail};
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;
use serde_json::Value;

use super::daemon::MEASURING;
use super::round::{Lab, Verdict, run};
use super::rwsem::MAY_BE_LOST;
use super::script::watching;
use super::summary::{ByLength, Summary, equal};
use crate::bench::peers::Peers;

/// The lock.
const LOCK: &str = "mmap_lock";
/// Threads of the load, and how often each maps and unmaps memory: two holds for writing each time.
const TASKS: u64 = 2;
const TIMES: u64 = 1000;
/// How often a process maps and unmaps memory before it executes the load.
const BEFORE: u64 = 500;
/// What a process takes the lock for between its fork and the moment from which it is followed, and that of the address space
/// that exec makes before it is its own.
const FEW: u64 = 20;
/// The script's histogram of holds: up to this length, in steps, in nanoseconds.
const LONGEST_NS: u64 = 200_000;
const STEP_NS: u64 = 250;
/// So many times as long as the other may the median hold of a run without the script be, or the script's: in a run with it,
/// either may have the other's programs between its clocks, in whatever order the kernel calls them, and they take twice as
/// long as such a hold where they are emulated. No sum is compared, for the host may stop the guest between two clocks.
const MEDIAN_FACTOR: f64 = 4.0;

/// Each hold of the process is counted, and nothing of any other's; also where it comes to another address space by exec.
/// A script on the same functions counts the same.
pub fn a_process_is_followed_through_exec(lab: &Lab<'_>) -> Result<Verdict> {
    let load = format!("/init map 1 {BEFORE} /init map {TASKS} {TIMES}");
    let words = format!("--lock {LOCK} --loss-threshold {MAY_BE_LOST} --warm-up 0 -- {load}");
    let mut request = lab.request(vec![
        watching(&script()),
        run("load", &words),
        Step::ending(0, libc::SIGINT),
        run("alone", &words),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
    let summary = Summary::of(lab, &outcome, "load")?;
    equal("tier", summary.text("/tier")?, "exact")?;
    equal("void", summary.value("/void")?, &false.into())?;
    summary.cpus_agree_with_sites()?;

    let holds = summary.all_attached_holds()? + summary.count("/losses/counted/hold_switched")?;
    let by_load = 2 * (BEFORE + TASKS * TIMES);
    let (process, taken) = most(&outcome)?;
    note!(
        "    {holds} holds, of {by_load} by the load itself; bpftrace: {taken} by process {process}"
    );
    if holds < by_load || holds.abs_diff(taken) > FEW {
        bail!("{by_load} holds or some more were expected, and about {taken}, not {holds}");
    }
    let alone = Summary::of(lab, &outcome, "alone")?;
    let median_ns = median_ns(&alone.holds_by_length()?)?;
    let script_ns = self::median_ns(&script_by_length(&outcome, &process))?;
    note!("    median hold of {median_ns} ns; bpftrace: {script_ns} ns");
    if median_ns > MEDIAN_FACTOR * script_ns || script_ns > MEDIAN_FACTOR * median_ns {
        bail!("a median hold of {median_ns} ns, and of {script_ns} ns by the script");
    }
    Ok(Verdict::Passed)
}

/// Threads that map memory and threads that ask about it wait for each other. Holds for writing lie one after the other, so
/// that all of them are no longer than the time, and no wait is without its hold.
pub fn threads_wait_for_each_other(lab: &Lab<'_>) -> Result<Verdict> {
    let load = format!(
        "--lock {LOCK} --readers --loss-threshold {MAY_BE_LOST} --workload mmap --tasks 4 --duration 3 --warm-up 0.5"
    );
    let outcome = lab.succeed(vec![run("waits", &load)])?;
    let summary = Summary::of(lab, &outcome, "waits")?;
    equal("void", summary.value("/void")?, &false.into())?;
    let sum = |read: bool, field: &str| -> Result<u64> {
        let is_one = |row: &&Value| {
            row["name"]
                .as_str()
                .unwrap_or_default()
                .starts_with("read:")
                == read
        };
        let rows = summary.rows("/sites")?.iter().filter(is_one);
        Ok(rows.filter_map(|row| row[field].as_u64()).sum())
    };
    let (holds, held_ns) = (sum(false, "holds")?, sum(false, "held_ns")?);
    let (contended, waited_ns) = (sum(false, "contended")?, sum(false, "waited_ns")?);
    let (reads, read_waits) = (sum(true, "holds")?, sum(true, "contended")?);
    let time_ns = summary.number("/duration_s")? * 1e9;
    note!(
        "    {holds} holds of {held_ns} ns, {contended} waits of {waited_ns} ns, in {time_ns} ns; {reads} holds and \
         {read_waits} waits of readers"
    );
    if contended == 0 || waited_ns == 0 {
        bail!("four threads were not seen to wait for each other in {holds} holds");
    }
    if contended > holds || read_waits > reads || held_ns as f64 > time_ns {
        bail!("{contended} waits, {holds} holds of {held_ns} ns in {time_ns} ns: that cannot be");
    }
    Ok(Verdict::Passed)
}

/// A process that is there: the guest's first, which takes its own lock for each process that it makes.
pub fn a_process_is_attached_to(lab: &Lab<'_>) -> Result<Verdict> {
    const PROCESSES: usize = 5;
    let attach = format!(
        "lockprof attach --windows off --budget off --no-report --lock {LOCK} --pid 1 --output /out/attached"
    );
    let mut steps = vec![Step::new(attach.split(' ')).background(Some(MEASURING))];
    steps.extend((0..PROCESSES).map(|_| Step::new(["/init", "host-name", "1", "1"])));
    steps.push(Step::ending(0, libc::SIGINT));
    let outcome = lab.succeed(steps)?;
    let summary = Summary::of(lab, &outcome, "attached")?;
    // A stack for each child until that executes: by mmap(2) and munmap(2).
    let holds = summary.all_attached_holds()?;
    note!("    {holds} holds");
    if holds < 2 * PROCESSES as u64 {
        bail!(
            "{PROCESSES} processes were made, and {holds} holds seen: {}",
            summary.value("/sites")?
        );
    }
    Ok(Verdict::Passed)
}

/// What counts how often each process takes each rwsem for writing, and a process's holds by length, until
/// it is ended.
fn script() -> String {
    let takes = |function: &str, taken: &str| {
        format!(
            "kretfunc:{function} {taken} {{ @began[tid, args->sem] = nsecs; @taken[pid, args->sem] = count(); }}\n"
        )
    };
    [
        takes("down_write", ""),
        takes("down_write_killable", "/retval == 0/"),
        takes("down_write_trylock", "/retval == 1/"),
        format!(
            "kfunc:up_write /@began[tid, args->sem]/ {{ @held[pid] = lhist(nsecs - @began[tid, args->sem], 0, \
             {LONGEST_NS}, {STEP_NS}); delete(@began[tid, args->sem]); }}\n"
        ),
    ]
    .concat()
}

/// A map of the script's by process and rwsem.
fn by_process<'a>(said: &'a str, map: &str) -> Vec<(&'a str, &'a str, u64)> {
    let start = format!("@{map}[");
    let lines = said.lines().filter_map(|line| {
        let (key, count) = line.strip_prefix(&start)?.split_once("]: ")?;
        let (process, rwsem) = key.split_once(", ")?;
        Some((process, rwsem, count.trim().parse().ok()?))
    });
    lines.collect()
}

/// The process that has taken an rwsem most often, and how often it has taken that one and the next: its mmap_locks before
/// and after exec.
fn most(outcome: &VmOutcome) -> Result<(String, u64)> {
    let said = outcome.steps[0].text();
    let mut taken = by_process(&said, "taken");
    taken.sort_unstable_by_key(|&(_, _, count)| std::cmp::Reverse(count));
    let (process, ..) = *taken
        .first()
        .with_context(|| format!("bpftrace has counted nothing: {said}"))?;
    let of_process = taken.iter().filter(|(one, ..)| *one == process);
    let counts = of_process.map(|(_, _, count)| count);
    Ok((process.to_owned(), counts.take(2).sum()))
}

/// The process's holds by the script: nearly all are of its mmap_locks.
fn script_by_length(outcome: &VmOutcome, process: &str) -> ByLength {
    let said = outcome.steps[0].text();
    let start = format!("@held[{process}]:");
    let lines = said.lines().skip_while(|line| !line.starts_with(&start));
    let rows = lines.skip(1).take_while(|line| line.starts_with('['));
    let rows = rows.filter_map(|line| {
        let (from, rest) = line.strip_prefix('[')?.split_once(", ")?;
        let (to, rest) = rest.split_once(')')?;
        let count = rest.split_ascii_whitespace().next()?;
        Some((from.parse().ok()?, to.parse().ok()?, count.parse().ok()?))
    });
    rows.collect()
}

/// The middle of the bucket in which the median is.
fn median_ns(holds: &ByLength) -> Result<f64> {
    let mut holds = holds.clone();
    holds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = holds.iter().map(|(.., count)| count).sum::<f64>() / 2.0;
    let mut seen = 0.0;
    let median = holds.iter().find(|(.., count)| {
        seen += count;
        seen >= half
    });
    let (from, to, _) = median.context("no hold was seen")?;
    Ok((from + to) / 2.0)
}
