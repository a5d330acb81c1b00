//! Contended waits: seen, claimed, and blamed.

use anyhow::{Result, bail};
use serde_json::Value;

use super::summary::{Summary, equal};
use super::{Lab, Verdict, run};

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
