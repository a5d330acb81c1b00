//! A daemon that is stopped: what its programs do, and what ends it.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;
use serde_json::Value;

use super::daemon::{
    MEASURING, attach, doctor, null_hold_load, null_holds, programs_were_there_and_are_gone,
};
use super::round::{Lab, Verdict};
use super::summary::{Summary, equal};

/// Seconds after a beat from which programs begin nothing, and one more.
const SILENT_MS: u64 = 11_000;
/// After which the guard would have killed.
const GUARDED_MS: u64 = 4_000;
/// In which all probes are attached, by an emulated CPU.
const ATTACHED_MS: u64 = 8_000;
/// A daemon that goes on beats at once.
const BEATEN_MS: u64 = 1_000;

/// The loads of which each hold is counted.
const WITH_A_BEAT: u64 = 101 + 401;

/// Holds that interrupts may cost the robust arrangement, of some hundreds.
const INTERRUPTED: u64 = 20;

/// While the daemon is stopped, the programs count for ten seconds and then nothing; what they do not begin is
/// no loss; when it goes on, they do.
pub fn nothing_begins_without_a_beat(lab: &Lab<'_>) -> Result<Verdict> {
    let profiler = |name: &str, arrangement: &str| {
        let output = format!("/out/{name}");
        let words = [
            "lockprof",
            "attach",
            "--no-report",
            "--no-guard",
            "--output",
        ];
        Step::new(
            words
                .into_iter()
                .chain([&*output, "--arrangement", arrangement]),
        )
        .background(Some(MEASURING))
    };
    let request = lab.request(vec![
        profiler("inside", "inside"),
        profiler("robust", "robust"),
        null_holds(100),
        Step::default().signalling(0, libc::SIGSTOP),
        Step::default().signalling(1, libc::SIGSTOP),
        null_holds(200).delay(SILENT_MS),
        Step::default().signalling(0, libc::SIGCONT),
        Step::default().signalling(1, libc::SIGCONT),
        null_holds(400).delay(BEATEN_MS),
        Step::ending(1, libc::SIGINT),
        Step::ending(0, libc::SIGINT),
    ]);
    let outcome = lab::vm::run(&request)?;
    let inside = Summary::of(lab, &outcome, "inside")?;
    let robust = Summary::of(lab, &outcome, "robust")?;
    inside.nothing_was_lost_in_holds()?;
    // The first one measures while the second one calibrates, and loses none to interrupts.
    for (what, counted, expected) in [
        ("measured", robust.holds("setsid")?, WITH_A_BEAT),
        (
            "all",
            robust.attached_holds("setsid")?,
            inside.holds("setsid")?,
        ),
    ] {
        note!("    {what}: {counted} of {expected} holds");
        if counted > expected || counted + INTERRUPTED < expected {
            bail!("{what}: {counted} holds of {expected}");
        }
    }
    // Holds that were not begun would be more.
    let lost = robust.count("/losses/target_losses")?;
    if lost > INTERRUPTED {
        bail!("robust: {lost} holds were lost");
    }
    Ok(Verdict::Passed)
}

/// By Ctrl-Z `attach` detaches, is stopped for as long as one likes, and goes on; a run with a load ends in order.
pub fn control_z_leaves_nothing_attached(lab: &Lab<'_>) -> Result<Verdict> {
    let request = lab.request(vec![
        attach("attached"),
        null_holds(100),
        Step::default().signalling(0, libc::SIGTSTP),
        null_holds(200).delay(SILENT_MS + GUARDED_MS),
        Step::default().signalling(0, libc::SIGCONT),
        null_holds(400).delay(ATTACHED_MS),
        Step::ending(0, libc::SIGINT),
        Step::new([
            "lockprof",
            "run",
            "--no-report",
            "--output",
            "/out/driven",
            "--warm-up",
            "0",
            "--",
            "lockprof",
            "workload",
            "nullhold",
            "--tasks",
            "1",
            "--duration",
            "60",
        ])
        .background(Some("measuring 1 s")),
        Step::ending(7, libc::SIGTSTP),
    ]);
    let outcome = lab::vm::run(&request)?;
    for (step, name) in [(0, "attached"), (7, "driven")] {
        equal(
            &format!("{name}: its status"),
            outcome.steps[step].status,
            0,
        )?;
        let summary = Summary::of(lab, &outcome, name)?;
        equal(name, summary.value("/cut_short")?, &Value::Bool(false))?;
    }
    let attached = Summary::of(lab, &outcome, "attached")?;
    attached.nothing_was_lost_in_holds()?;
    let held = attached.holds("setsid")?;
    equal("setsid holds while it was not stopped", held, WITH_A_BEAT)?;
    let stopped_s = attached.number("/stopped_s")?;
    let silent_s = (SILENT_MS + GUARDED_MS) as f64 / 1e3;
    if stopped_s < silent_s {
        bail!("it was stopped for {silent_s} s and says {stopped_s} s");
    }
    let said = String::from_utf8_lossy(&outcome.steps[7].stderr);
    if !said.contains("a load that is stopped cannot be measured") {
        bail!("Ctrl-Z was not explained: {said}");
    }
    Ok(Verdict::Passed)
}

/// How a daemon is kept from its work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Stopped,
    Starved,
}

/// A stopped daemon is killed by its guard although nothing else ends: no program is left, and the recording
/// tells.
pub fn a_stopped_daemon_is_killed(lab: &Lab<'_>) -> Result<Verdict> {
    is_killed(lab, Kept::Stopped)
}

/// The same of one that gets no time any more, which its state does not tell.
pub fn a_starved_daemon_is_killed(lab: &Lab<'_>) -> Result<Verdict> {
    is_killed(lab, Kept::Starved)
}

fn is_killed(lab: &Lab<'_>, kept: Kept) -> Result<Verdict> {
    // It ends before the guard kills: the emulator dies of kernel text that changes under a load.
    let load = null_hold_load(&["--duration", "8"]).background(None);
    let request = lab.request(vec![
        doctor(),
        attach("kept"),
        doctor(),
        match kept {
            Kept::Stopped => load.signalling(1, libc::SIGSTOP),
            Kept::Starved => Step {
                starve_step: Some(1),
                ..load
            },
        },
        // It ends, or this boot does not.
        Step {
            await_step: Some(1),
            ..doctor()
        },
        // The kernel frees programs after a grace period of RCU, in which the one above runs.
        doctor(),
    ]);
    let outcome = lab::vm::run(&request)?;
    programs_were_there_and_are_gone(&outcome, [0, 2, 5])?;
    let daemon = &outcome.steps[1];
    equal("the daemon's signal", daemon.signal, Some(libc::SIGKILL))?;
    let said = String::from_utf8_lossy(&daemon.stderr);
    if !said.contains("lockprof was killed by its guard") {
        bail!("the guard said nothing: {said}");
    }
    let summary = Summary::of(lab, &outcome, "kept")?;
    equal(
        "cut short",
        summary.value("/cut_short")?,
        &Value::Bool(true),
    )?;
    equal(
        "whether it was stopped",
        summary.value("/killed_by_guard/stopped")?,
        &Value::Bool(kept == Kept::Stopped),
    )?;
    equal(
        "silent seconds",
        summary.count("/killed_by_guard/silent_s")?,
        12,
    )?;
    Ok(Verdict::Passed)
}
