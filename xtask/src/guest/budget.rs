//! A budget is kept while the machine is busy, and where it cannot be kept nothing stays attached.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;

use super::daemon::null_hold_load;
use super::round::{Lab, Verdict};
use super::summary::{Summary, equal};

/// By how much more of the time than was decided last probes may have been attached: more was allowed before,
/// and windows are whole.
const ABOVE_THE_SHARE: f64 = 0.2;

/// A share of the time that a busy machine leaves, and what is said where it leaves nothing.
pub fn attach_keeps_its_budget(lab: &Lab<'_>) -> Result<Verdict> {
    let attach = |name: &str, budget: &str| {
        Step::new([
            "lockprof",
            "attach",
            "--no-report",
            "--quiet",
            "--windows",
            "0.2",
            "--duration",
            "10",
            "--loss-threshold",
            "1",
            "--budget",
            budget,
            "--output",
            &format!("/out/{name}"),
        ])
    };
    let request = lab.request(vec![
        null_hold_load(&["--until-signalled"]).background(Some("measurement")),
        // An emulated daemon alone takes more of its CPU than any real one.
        attach("within", "20%"),
        attach("beyond", "2%"),
        Step::ending(0, libc::SIGTERM),
    ]);
    // Probes are not changed under load where several CPUs are emulated.
    let outcome = lab::vm::run(&request)?;
    equal("within: its status", outcome.steps[1].status, 0)?;
    let within = Summary::of(lab, &outcome, "within")?;
    let share = within.number("/budget_at_end/share")?;
    let windows = within.value("/windows")?.as_array().cloned();
    let seconds = |kind: Option<&str>| -> f64 {
        let of_kind = windows.iter().flatten().filter(|window| {
            kind.is_none_or(|kind| window["kind"] == kind && window["edge"] != true)
        });
        of_kind
            .filter_map(|window| window["seconds"].as_f64())
            .sum()
    };
    let attached = (seconds(Some("holds")) + seconds(Some("waits"))) / seconds(None);
    note!("    {share:.2} of the time were allowed last, {attached:.2} had probes");
    if share >= 1.0 || attached > share + ABOVE_THE_SHARE {
        bail!("probes were attached for {attached} of the time, where {share} was allowed");
    }
    equal("beyond: its status", outcome.steps[2].status, 1)?;
    let said = String::from_utf8_lossy(&outcome.steps[2].stderr);
    if !said.contains("nothing is attached: of the 2 % that are allowed") {
        bail!("it does not say why nothing is attached: {said}");
    }
    Ok(Verdict::Passed)
}
