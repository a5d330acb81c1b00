//! Tables that are full.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;
use serde_json::Value;

use super::daemon::MEASURING;
use super::round::{Lab, Verdict};
use super::summary::{Summary, equal};

/// Cgroups that come and go: more than a CPU's table has places.
const CGROUPS: usize = 320;
/// Holds that may be booked between the readings of the two tables: at both ends of the measured time, on one CPU.
const BETWEEN_READINGS: u64 = 2;

/// Cgroups beyond those that the table of a CPU has room for have a row together: no hold is missing.
pub fn cgroups_without_a_place_are_the_others(lab: &Lab<'_>) -> Result<Verdict> {
    let attach = "lockprof attach --windows off --budget off --arrangement inside --detail holds --cgroups --no-report --output /out/run";
    let mut steps = vec![Step::new(attach.split(' ')).background(Some(MEASURING))];
    // Init goes from cgroup to cgroup, and what it starts there forks and ends there.
    steps.extend((0..CGROUPS).map(|number| {
        let cgroup = format!("/sys/fs/cgroup/c{number}");
        Step::new(["lockprof", "--version"])
            .folder(&cgroup)
            .write(&format!("{cgroup}/cgroup.procs"), "0")
    }));
    steps.push(Step::ending(0, libc::SIGINT));
    let request = lab.request(steps);
    let outcome = super::round::succeed(&request)?;
    let run = Summary::of(lab, &outcome, "run")?;
    let Some(cgroups) = run.value("/cgroups")?.as_object() else {
        bail!("the run has no cgroups");
    };
    let holds = |totals: &Value| totals["holds"].as_u64().unwrap_or(0);
    let others = cgroups.get("others").map_or(0, holds);
    let lost = run.count("/losses/counted/cgroup_table_full")?;
    let waits = cgroups
        .get("others")
        .map_or(0, |totals| totals["waits"].as_u64().unwrap_or(0));
    equal(
        "holds and waits of others and those without a place",
        others + waits,
        lost,
    )?;
    if others == 0 {
        bail!("{CGROUPS} cgroups had a place each");
    }
    let all: u64 = cgroups.values().map(holds).sum();
    let by_site = run.count("/write_holds")?;
    if all.abs_diff(by_site) > BETWEEN_READINGS {
        bail!("{all} holds by cgroup, {by_site} by site");
    }
    Ok(Verdict::Passed)
}
