//! Contended waits: seen, claimed, and blamed.

use anyhow::{Result, bail};
use serde_json::Value;

use super::round::{Lab, Verdict, run};
use super::summary::{Summary, equal};

/// `kill(0, 0)` calls of each of the two readers.
const SIGNALS: u64 = 400;

/// Under load there are waits, each has a site, and the blame adds up to the waited time; readers
/// are counted exactly; and the tracepoints alone see the same waits.
pub fn waits_are_seen_and_blamed(lab: &Lab<'_>) -> Result<Verdict> {
    let load = "--workload threadspawn --tasks 4 --duration 3 --warm-up 1";
    let signals =
        format!("--workload signalgroup --tasks 2 --iterations {SIGNALS} --warm-up 0 --readers");
    let outcome = lab.succeed(vec![
        run("writers", load),
        run("wait", &format!("{load} --attach wait")),
        run("readers", &signals),
        run("readers-kprobe", &format!("{signals} --attach kprobe")),
    ])?;
    writers(&Summary::of(lab, &outcome, "writers")?)?;
    let wait = Summary::of(lab, &outcome, "wait")?;
    equal("tier", wait.text("/tier")?, "wait-only")?;
    equal(
        "holds where none are measured",
        wait.value("/write_holds")?,
        &Value::Null,
    )?;
    if waits_of(&wait)? == 0 {
        bail!("the tracepoints alone saw no wait for the lock");
    }
    for name in ["readers", "readers-kprobe"] {
        let readers = Summary::of(lab, &outcome, name)?;
        readers.is_sound()?;
        equal(
            &format!("{name}: read holds of kill"),
            readers.attached_holds("read:kill")?,
            2 * SIGNALS,
        )?;
    }
    Ok(Verdict::Passed)
}

/// Sampled call stacks with fewer callers to check would show nothing.
const FEW_SAMPLES: u64 = 20;

/// Who waits is read from a few words of the stack: what walks of the stack tell is the same for at least
/// 99 of 100, nearly every wait has a caller, and those for tasklist_lock are the known ones.
pub fn callers_agree_with_call_stacks(lab: &Lab<'_>) -> Result<Verdict> {
    let load =
        "--workload threadspawn --tasks 4 --duration 3 --warm-up 1 --attach wait --stacks every";
    let outcome = lab.succeed(vec![run("wait", load)])?;
    let wait = Summary::of(lab, &outcome, "wait")?;
    let checked = wait.count("/samples/callers_checked")?;
    let wrong = wait.count("/samples/callers_wrong")?;
    if checked < FEW_SAMPLES {
        bail!("only {checked} samples had a caller to check");
    }
    if wrong * 100 > checked {
        bail!("{wrong} of {checked} callers were wrong");
    }
    let (mut known, mut all) = (0, 0);
    for row in wait.rows("/contention")? {
        let (count, kind) = (row["count"].as_u64(), row["kind"].as_str());
        if !kind.is_some_and(|kind| kind.starts_with("rwlock") || kind == "spinlock") {
            continue;
        }
        all += count.unwrap_or(0);
        if row["site"].is_string() {
            known += count.unwrap_or(0);
        }
    }
    if known * 100 < all * 99 {
        bail!("{known} of {all} spinning waits have a caller");
    }
    let sites = wait.rows("/sites")?;
    let unknown = ["unknown", "other"].map(|name| {
        let row = sites.iter().find(|row| row["name"] == name);
        row.and_then(|row| row["contended"].as_u64()).unwrap_or(0)
    });
    equal("waits of the lock by nobody that is known", unknown, [0, 0])?;
    Ok(Verdict::Passed)
}

fn writers(summary: &Summary) -> Result<()> {
    summary.is_sound()?;
    summary.cpus_agree_with_sites()?;
    if waits_of(summary)? == 0 {
        bail!("no wait for the lock was seen under load");
    }
    // The window's edges reach lockprof by a pipe, a little late, so rates are compared, not counts.
    let reaps_per_second = summary.holds("reap")? as f64 / summary.number("/duration_s")?;
    let iterations_per_second = summary.number("/workload/per_second")?;
    let ratio = reaps_per_second / iterations_per_second;
    if !(0.8..1.25).contains(&ratio) {
        bail!("{reaps_per_second:.0} reaps/s in a load of {iterations_per_second:.0} lives/s");
    }
    let sum = |list: &str| -> Result<u64> {
        let rows = summary.rows(list)?.iter();
        Ok(rows.filter_map(|row| row["waited_ns"].as_u64()).sum())
    };
    let (waited, blamed) = (sum("/sites")?, sum("/blame")?);
    let unsettled = summary.count("/losses/counted/blame_unsettled")?;
    if unsettled == 0 {
        equal("waited and blamed time", waited, blamed)?;
    } else if blamed > waited {
        bail!("{blamed} ns are blamed of {waited} ns waited");
    }
    Ok(())
}

fn waits_of(summary: &Summary) -> Result<u64> {
    let rows = summary.rows("/sites")?.iter();
    Ok(rows.filter_map(|row| row["contended"].as_u64()).sum())
}
