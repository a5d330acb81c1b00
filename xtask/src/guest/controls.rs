//! What lockprof does itself, so that it is known whether its probes see it; and probes that do not.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;
use serde_json::{Value, json};

use super::daemon::MEASURING;
use super::round::{Lab, Verdict, run};
use super::summary::{Summary, equal};

/// What has to be proved where two CPUs contend locks and a load may be started.
const PROVED: [&str; 11] = [
    r#""holds""#,
    r#"{"site":"fork"}"#,
    r#"{"site":"exit"}"#,
    r#"{"site":"reap"}"#,
    r#"{"span":"free_pid"}"#,
    r#"{"span":"add_device_randomness"}"#,
    r#"{"span":"release_task"}"#,
    r#""contended_holds""#,
    r#"{"waits":"mutex"}"#,
    r#"{"waits":"rwsem"}"#,
    r#"{"waits":"rwlock"}"#,
];

/// The status of a void run.
const VOID: i32 = 3;
/// The switch of all probes of functions.
const FTRACE: &str = "kernel.ftrace_enabled";
/// In which the daemon reads its counters several times.
const SOME_INTERVALS_MS: u64 = 2_000;

/// Each kind of probe sees what lockprof does, by fentry and by kprobe; and none of it is in the numbers.
pub fn controls_are_proved(lab: &Lab<'_>) -> Result<Verdict> {
    let by = |method: &str| {
        let arguments = format!("--attach {method} --interval 0.2 --workload nullhold -t 1 -d 1");
        run(method, &arguments)
    };
    let outcome = lab.succeed(vec![by("fentry"), by("kprobe")])?;
    for method in ["fentry", "kprobe"] {
        let summary = Summary::of(lab, &outcome, method)?;
        let controls = summary.rows("/controls")?;
        for proves in PROVED {
            let proves: Value = serde_json::from_str(proves)?;
            let of_this: Vec<&Value> = controls
                .iter()
                .filter(|control| control["proves"] == proves)
                .collect();
            // Before the measured time, and before the footer.
            let mut outcomes = of_this.iter().map(|control| &control["outcome"]);
            // What was proved once stays so: waits cannot be ordered.
            if of_this.len() != 2 || !outcomes.any(|outcome| outcome == "proved") {
                bail!("{method}: {proves} is not proved: {controls:#?}");
            }
        }
        let by_interval = summary.value("/control_holds")?;
        note!("    {method}: null holds in intervals: {by_interval}");
        equal(
            &format!("{method}: null holds that were seen"),
            &by_interval["seen"],
            &by_interval["done"],
        )?;
        if by_interval["done"].as_u64().unwrap_or(0) < 30 {
            bail!("{method}: few null holds were made: {by_interval}");
        }
        equal(
            &format!("{method}: holds of setpgid in the numbers"),
            summary.holds("setpgid")?,
            0,
        )?;
    }
    Ok(Verdict::Passed)
}

/// With ftrace switched off no probe of a function runs: the doctor says so, a run falls to the tier below, and one
/// that goes on is void.
pub fn dead_probes_are_found(lab: &Lab<'_>) -> Result<Verdict> {
    let request = lab.request(vec![
        Step::new(["lockprof", "doctor", "--json"]).sysctl(FTRACE, "0"),
        run("lower", "--workload threadspawn -t 1 -d 1"),
        Step::new([
            "lockprof",
            "attach",
            "--no-report",
            "--windows",
            "off",
            "--interval",
            "0.2",
            "--output",
            "/out/dying",
        ])
        .sysctl(FTRACE, "1")
        .background(Some(MEASURING)),
        Step::default().delay(SOME_INTERVALS_MS).sysctl(FTRACE, "0"),
        // A kernel whose probes are taken away while ftrace is off warns of what is left of them (ftrace_shutdown() of
        // kernel/trace/ftrace.c, 6.12).
        Step::default().delay(SOME_INTERVALS_MS).sysctl(FTRACE, "1"),
        Step::ending(2, libc::SIGINT),
    ]);
    let outcome = lab::vm::run(&request)?;
    let cause = "kernel.ftrace_enabled is 0";
    let doctor: Value = serde_json::from_str(&outcome.steps[0].text())?;
    equal("the doctor's tier", &doctor["tier"], &json!("wait-only"))?;
    let reasons = doctor["reasons"].to_string();
    if !reasons.contains(cause) {
        bail!("the doctor does not tell the cause: {reasons}");
    }
    equal("the status of the lower tier", outcome.steps[1].status, 0)?;
    let lower = Summary::of(lab, &outcome, "lower")?;
    equal("the tier of the run", lower.text("/tier")?, "wait-only")?;
    let said = String::from_utf8_lossy(&outcome.steps[2].stderr);
    equal("the status of the dying run", outcome.steps[2].status, VOID)?;
    if !said.contains("the probes see nothing any more") || !said.contains(cause) {
        bail!("the dying run does not tell: {said}");
    }
    let dying = Summary::of(lab, &outcome, "dying")?;
    equal("void", dying.value("/void")?, &Value::Bool(true))?;
    let died_s = dying.number("/died/at_s")?;
    let all_s = dying.number("/attached/seconds")?;
    note!("    the probes died {died_s:.1} s after the attach, of {all_s:.1} s");
    if died_s >= all_s {
        bail!("they died at {died_s} s of {all_s} s");
    }
    Ok(Verdict::Passed)
}
