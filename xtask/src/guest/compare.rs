//! Comparisons of real boots, and what patched kernels must still do.

use anyhow::{Context, Result, bail, ensure};
use lab::kernel::{self, build};
use lab::vm::protocol::Step;
use serde_json::Value;

use super::round::{Lab, Verdict};
use crate::compare;

/// What Linux 6.12 is compared with: the first of Debian's kernels that has the deferral.
const MERGED: &str = "debian:7.2";
/// The lock whose holds the deferral shortens.
const TASKS: &str = "tasklist_lock";
/// The mutex that making and removing a cgroup takes, and the holds of whom.
const CGROUPS: &str = "cgroup_mutex";
const LIVE: &str = "cgroup_kn_lock_live.hold";
/// Boots of each kernel that five main questions can be answered with.
const ENOUGH: u32 = 5;

/// One boot each by the instruction clock: the numbers are there, the semantic check is certain, and of a
/// single boot nothing else is claimed.
pub fn one_boot_of_each_is_compared(lab: &Lab<'_>) -> Result<Verdict> {
    let merged = kernel::resolve(MERGED)?;
    let report = compare::by_instructions(
        TASKS,
        &[("old", lab.kernel), ("new", &merged)],
        1,
        lab.binaries,
    )?;
    let setting = &report["comparisons"][0]["settings"][0];
    let reap = finding(setting, "reap.hold")?;
    let change = number(reap, "change")?;
    ensure!(
        (-0.9..-0.3).contains(&change),
        "the reap hold changed by {change}"
    );
    ensure!(reap["verdict"] != "better", "one boot is enough: {reap}");
    let main = finding(setting, "hold")?;
    ensure!(main["verdict"] == "too_few", "one boot is enough: {main}");
    calls_have_left(setting)?;
    let differences = report["comparisons"][0]["differences"].to_string();
    ensure!(
        differences.contains("configuration"),
        "their configurations differ, and nothing says so: {differences}"
    );
    Ok(Verdict::Passed)
}

/// One boot each by a mutex and its own load: callers, iterations and a forecast, and nothing of tasks.
pub fn one_boot_of_each_is_compared_by_a_mutex(lab: &Lab<'_>) -> Result<Verdict> {
    let merged = kernel::resolve(MERGED)?;
    let kernels = [("old", lab.kernel), ("new", &merged)];
    let report = compare::by_instructions(CGROUPS, &kernels, 1, lab.binaries)?;
    let setting = &report["comparisons"][0]["settings"][0];
    ensure!(setting["lock"] == CGROUPS, "{setting}");
    let hold = finding(setting, LIVE)?;
    ensure!(number(&hold["before"], "median")? > 1_000.0, "{hold}");
    ensure!(hold["verdict"] != "better", "one boot is enough: {hold}");
    let work = finding(setting, "work.per_iteration")?;
    ensure!(number(&work["after"], "median")? > 1_000.0, "{work}");
    let forecast = &report["forecast"];
    ensure!(forecast["unit"] == "iteration", "{report}");
    let stations = &forecast["kernels"][0]["locks"];
    ensure!(stations[0]["name"] == CGROUPS, "{stations}");
    let text = report.to_string();
    for word in ["per_life", "tasklist_lock", "free_pid"] {
        ensure!(!text.contains(word), "{word} is said of {CGROUPS}: {text}");
    }
    Ok(Verdict::Passed)
}

/// Memory that is allocated before the mutex is taken, on a kernel that differs in nothing else.
pub fn a_cgroup_allocated_early_shortens_the_hold(lab: &Lab<'_>) -> Result<Verdict> {
    let Some(base) = build::cached(build::BASE)? else {
        return Ok(Verdict::Skipped(format!("{} is not built", build::BASE)));
    };
    let kernels = [("base", &base), ("early", lab.kernel)];
    let report = compare::by_instructions(CGROUPS, &kernels, ENOUGH, lab.binaries)?;
    let setting = &report["comparisons"][0]["settings"][0];
    let hold = finding(setting, LIVE)?;
    ensure!(hold["verdict"] == "better", "{hold}");
    // The mean of a mkdir's hold, which is shorter, and of an rmdir's, which is not.
    let change = number(hold, "change")?;
    ensure!((-0.25..-0.05).contains(&change), "{hold}");
    let released = finding(setting, "css_release_work_fn.hold")?;
    ensure!(released["verdict"] == "same", "{released}");
    Ok(Verdict::Passed)
}

/// The change that started this project, on a kernel that differs in nothing else.
pub fn the_deferral_halves_the_reap_hold(lab: &Lab<'_>) -> Result<Verdict> {
    let Some(base) = build::cached(build::BASE)? else {
        return Ok(Verdict::Skipped(format!("{} is not built", build::BASE)));
    };
    let report = compare::by_instructions(
        TASKS,
        &[("base", &base), ("deferred", lab.kernel)],
        ENOUGH,
        lab.binaries,
    )?;
    let comparison = &report["comparisons"][0];
    let setting = &comparison["settings"][0];
    let reap = finding(setting, "reap.hold")?;
    ensure!(reap["verdict"] == "better", "{reap}");
    ensure!(number(reap, "change")? <= -0.5, "{reap}");
    for site in ["fork.hold", "exit.hold"] {
        let hold = finding(setting, site)?;
        ensure!(number(hold, "change")?.abs() <= 0.02, "{hold}");
        ensure!(hold["verdict"] == "same", "{hold}");
    }
    calls_have_left(setting)?;
    let verdict = comparison["verdict"].as_str().unwrap_or_default();
    for call in ["free_pid", "add_device_randomness"] {
        ensure!(verdict.contains(call), "{call} is not named: {verdict}");
    }
    Ok(Verdict::Passed)
}

/// Every call in a hold before, none after.
fn calls_have_left(setting: &Value) -> Result<()> {
    for span in ["free_pid", "add_device_randomness"] {
        let placement = setting["placements"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|placement| placement["span"] == span)
            .with_context(|| format!("nothing is said about {span}"))?;
        let a_life = number(&placement["before"], "in_hold_per_life")?;
        if !(0.98..1.02).contains(&a_life) {
            bail!("{span} is in {a_life} holds a life before: {placement}");
        }
        if number(&placement["after"], "in_hold")? != 0.0 {
            bail!("{span} is in a hold after: {placement}");
        }
        if number(&placement["after"], "calls")? == 0.0 {
            bail!("{span} is never called after: its probe is dead: {placement}");
        }
    }
    Ok(())
}

fn finding<'a>(setting: &'a Value, key: &str) -> Result<&'a Value> {
    let findings = setting["findings"].as_array().into_iter().flatten();
    let mut found = findings.filter(|finding| finding["quantity"] == key);
    found
        .next()
        .with_context(|| format!("the report has no {key}: {setting}"))
}

fn number(value: &Value, key: &str) -> Result<f64> {
    value[key]
        .as_f64()
        .with_context(|| format!("{key} is no number: {value}"))
}

/// Exec, fork, threads, ptrace, pidfds, sessions, orphans, namespaces and cgroups, without a word on the console.
pub fn tasks_end_as_they_should(lab: &Lab<'_>) -> Result<Verdict> {
    let request = lab.request(vec![Step::new(["/init", "smoke"])]);
    let outcome = super::round::succeed(&request)?;
    let checks = outcome.steps[0].text().lines().count();
    ensure!(
        checks == 10,
        "{checks} of 10 checks: {}",
        outcome.steps[0].text()
    );
    Ok(Verdict::Passed)
}
