//! What may happen to a machine while it is measured.

use anyhow::{Context as _, Result, bail};
use lab::vm::VmOutcome;
use lab::vm::initramfs::GuestFile;
use lab::vm::protocol::Step;

use super::daemon::{attach, null_holds};
use super::round::{Lab, Verdict, run};
use super::summary::{Summary, equal};

/// Programs that leave room for one on a function: BPF_MAX_TRAMP_LINKS is 38 (include/linux/bpf.h, 6.12).
const NEARLY_FULL: usize = 37;
/// The function that has no room.
const FULL: &str = "free_pid";
/// Lives of the load whose calls are seen.
const LIVES: u64 = 50;
/// Loads of null holds, and the one more with which each begins.
const LOADS: [u64; 3] = [100, 200, 400];
/// Longer than any hold of an emulated machine, unless a clock has jumped.
const A_JUMP_NS: f64 = 10e9;

/// A span for which a function has no room is absent, with the reason; what else there is to measure is measured.
pub fn a_span_without_room_is_absent(lab: &Lab<'_>) -> Result<Verdict> {
    let probe = format!("fentry:{FULL}");
    let others = ["lockprof-empty-probes"]
        .into_iter()
        .chain(std::iter::repeat_n(&*probe, NEARLY_FULL));
    let load =
        format!("--workload forkexit --tasks 1 --iterations {LIVES} --warm-up 0 --detail spans");
    let mut request = lab.request(vec![
        Step::new(others).background(Some("attached")),
        run("crowded", &load),
        Step::ending(0, libc::SIGINT),
        run("alone", &load),
    ]);
    request.files.push(GuestFile {
        guest: "/bin/lockprof-empty-probes".to_owned(),
        host: lab.binaries.empty_probes.clone(),
    });
    let outcome = super::round::succeed(&request)?;
    let absent = |name: &str| -> Result<Option<String>> {
        let summary = Summary::of(lab, &outcome, name)?;
        summary.is_sound()?;
        let rows = summary.rows("/spans_absent")?;
        let row = rows.iter().find(|row| row["name"] == FULL);
        Ok(row.map(|row| row["reason"].to_string()))
    };
    let why = absent("crowded")?.context("the span is said to be there")?;
    note!("    {FULL} is absent: {why}");
    if !why.contains("other programs") || !why.contains("have all the room") {
        bail!("the reason says nothing of other programs: {why}");
    }
    equal("absent where there is room", absent("alone")?, None)?;
    // The others are measured all the same: each life changes a pid within the hold of its end.
    for name in ["crowded", "alone"] {
        let summary = Summary::of(lab, &outcome, name)?;
        let (_, in_hold) = summary.span_with_missed("__change_pid")?;
        if in_hold < LIVES {
            bail!("{name}: {in_hold} calls of __change_pid in holds, of {LIVES} lives");
        }
    }
    Ok(Verdict::Passed)
}

/// A CPU is taken offline while lockprof measures, and brought back: every hold is seen on the CPU that is left,
/// and on both.
pub fn a_cpu_comes_and_goes(lab: &Lab<'_>) -> Result<Verdict> {
    let file = "/sys/devices/system/cpu/cpu1/online";
    let outcome = with_changes(lab, [(file, "0"), (file, "1")])?;
    every_hold_was_seen(lab, &outcome)
}

/// The first CPU is not there when the run begins, and comes back in it: nothing relies on it.
pub fn cpu_zero_is_offline(lab: &Lab<'_>) -> Result<Verdict> {
    let file = "/sys/devices/system/cpu/cpu0/online";
    let mut request = lab.request(vec![
        Step::default().write(file, "0"),
        attach("attached"),
        null_holds(LOADS[0]),
        null_holds(LOADS[1]),
        null_holds(LOADS[2]).write(file, "1"),
        Step::ending(1, libc::SIGINT),
    ]);
    // Linux lets the first CPU go only where it is told so, it is one of Intel's, and up to 6.4
    // (arch/x86/kernel/topology.c).
    request.append.push("cpu0_hotplug".to_owned());
    request.cpu_properties = Some("vendor=GenuineIntel".to_owned());
    let outcome = super::round::succeed(&request)?;
    every_hold_was_seen(lab, &outcome)
}

/// The kernel's clock is read from another device in the middle of the run: no hold is longer for that.
pub fn the_clock_source_changes(lab: &Lab<'_>) -> Result<Verdict> {
    let file = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let outcome = with_changes(lab, [(file, "acpi_pm"), (file, "tsc")])?;
    every_hold_was_seen(lab, &outcome)
}

/// Null holds before, between and after two writes to files of the kernel's.
fn with_changes(lab: &Lab<'_>, changes: [(&str, &str); 2]) -> Result<VmOutcome> {
    let [first, second, third] = LOADS.map(null_holds);
    let [(file, value), (again, back)] = changes;
    lab.succeed(vec![
        attach("attached"),
        first,
        second.write(file, value),
        third.write(again, back),
        Step::ending(0, libc::SIGINT),
    ])
}

fn every_hold_was_seen(lab: &Lab<'_>, outcome: &VmOutcome) -> Result<Verdict> {
    let summary = Summary::of(lab, outcome, "attached")?;
    summary.nothing_was_lost_in_holds()?;
    let expected = LOADS.iter().map(|holds| holds + 1).sum();
    equal("setsid holds", summary.holds("setsid")?, expected)?;
    let longest = summary.setsid("max")?;
    note!("    {expected} holds, the longest {longest:.0} ns");
    if longest > A_JUMP_NS {
        bail!("a hold of {longest} ns: a clock has jumped");
    }
    Ok(Verdict::Passed)
}
