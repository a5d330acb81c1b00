//! Holds and waits of a mutex: of cgroup_mutex, by a load that knows how often it takes it.

use anyhow::{Context as _, Result, bail};
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;
use serde_json::Value;

use super::round::{Lab, Verdict, run};
use super::script::{counted, watching};
use super::summary::{Summary, equal};
use crate::bench::peers::Peers;
use crate::bench::tool::Tool;

/// The lock.
const LOCK: &str = "cgroup_mutex";
/// Workers of the load, and iterations of each: one hold an iteration.
const WORKERS: u64 = 2;
const ITERATIONS: u64 = 2000;
/// Who makes and removes the load's cgroup takes the lock for each.
const CGROUP_MADE_AND_REMOVED: u64 = 2;
/// What klockstat prints when it has attached.
const KLOCKSTAT_READY: &str = "Tracing mutex/sem lock events";
/// What stands above its table of holds.
const KLOCKSTATS_HEAD: &str = "Total Hold";
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
        watching(&script()),
        run("mutex", &load),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
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

/// klockstat on the same lock counts the same holds. Its mean is not of those in which the host did not stop the
/// machine, so that lockprof's may be shorter, but no longer.
pub fn klockstat_counts_the_same(lab: &Lab<'_>) -> Result<Verdict> {
    let load = format!(
        "--lock {LOCK} --workload cgroup --tasks {WORKERS} --iterations {ITERATIONS} --warm-up 0"
    );
    let klockstat = Tool::klockstat()?;
    let words = klockstat.words_apart();
    let more = ["-L", LOCK, "-n", "100", "-s", "1"].map(str::to_owned);
    let step = Step::new(words.into_iter().chain(more)).background(Some(KLOCKSTAT_READY));
    let mut request = lab.request(vec![
        klockstat.by_the_line(step),
        run("mutex", &load),
        Step::ending(0, libc::SIGINT),
    ]);
    request.files.extend(klockstat.files_apart()?);
    let outcome = super::round::succeed(&request)?;
    let summary = Summary::of(lab, &outcome, "mutex")?;
    summary.nothing_was_lost_in_holds()?;
    let rows = klockstats_holds(&outcome.steps[0].text())?;
    let by_load = rows.iter().max_by_key(|row| row.count);
    let by_load = by_load.context("klockstat has counted nothing")?;
    let all: u64 = rows.iter().map(|row| row.count).sum();
    let holds = summary.all_attached_holds()?;
    let own_ns = mean_hold_ns(&summary)?;
    let its_ns = by_load.mean_without_longest_ns();
    note!(
        "    {holds} holds; klockstat: {all}; a mean hold of {own_ns:.0} ns; klockstat: {its_ns:.0} ns"
    );
    equal("the load's holds", by_load.count, WORKERS * ITERATIONS)?;
    // What the kernel's workers do with a cgroup that has gone may come after lockprof's last probe has.
    let expected = by_load.count + CGROUP_MADE_AND_REMOVED..=all;
    if !expected.contains(&holds) {
        bail!("{expected:?} holds were expected, not {holds}");
    }
    if own_ns / its_ns - 1.0 > HELD_DIFFERENCE {
        bail!("a mean hold of {own_ns:.0} ns, and of {its_ns:.0} ns by klockstat");
    }
    Ok(Verdict::Passed)
}

/// A row of klockstat's table of holds.
#[derive(Debug, PartialEq)]
struct KlockstatRow {
    count: u64,
    longest_ns: f64,
    held_ns: f64,
}

impl KlockstatRow {
    /// Without the one in which the host stopped the machine, if it did so once.
    fn mean_without_longest_ns(&self) -> f64 {
        (self.held_ns - self.longest_ns) / self.count.saturating_sub(1).max(1) as f64
    }
}

/// Its rows: `CALLER AVERAGE UNIT COUNT LONGEST UNIT ALL UNIT`, behind a head that names holds.
fn klockstats_holds(said: &str) -> Result<Vec<KlockstatRow>> {
    let table = said.split_once(KLOCKSTATS_HEAD);
    let (_, table) = table.with_context(|| format!("klockstat has no table of holds: {said}"))?;
    let rows = table.lines().skip(1).map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, count, longest, longest_unit, held, held_unit] = words[..] else {
            return None;
        };
        Some(KlockstatRow {
            count: count.parse().ok()?,
            longest_ns: nanoseconds(longest, longest_unit)?,
            held_ns: nanoseconds(held, held_unit)?,
        })
    });
    Ok(rows.map_while(|row| row).collect())
}

fn nanoseconds(number: &str, unit: &str) -> Option<f64> {
    let in_ns = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * in_ns)
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
    // Each was asked for by a function, none by the trampoline of the probes through which that came.
    let nameless = |row: &&Value| {
        row["site"]
            .as_str()
            .is_some_and(|site| site.starts_with("0x"))
    };
    if let Some(row) = summary.rows("/contention")?.iter().find(nameless) {
        bail!("who asked for it has no name: {row}");
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
    let (mut held_ns, mut holds) = (0.0, 0.0);
    for (low, high, count) in summary.holds_by_length()? {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn klockstats_table_of_holds_is_read_to_its_end() {
        let said = "Tracing\n\n Caller  Avg Wait    Count   Max Wait   Total Wait\n \
                    a+0x4    4.6 us     4000     5.1 ms      18.3 ms\n\n \
                    Caller  Avg Hold    Count   Max Hold   Total Hold\n \
                    a+0x4    1.1 us     4000    28.2 us       4.4 ms\n \
                    b+0x4  354.0 ns        1   354.0 ns     354.0 ns\nExiting trace\n";
        let rows = klockstats_holds(said).unwrap();
        let first = KlockstatRow {
            count: 4000,
            longest_ns: 28_200.0,
            held_ns: 4.4e6,
        };
        assert_eq!((rows.len(), &rows[0]), (2, &first));
        assert!((first.mean_without_longest_ns() - 1093.2).abs() < 0.1);
        assert!(klockstats_holds("Tracing\n").is_err());
    }
}
