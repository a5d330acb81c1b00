//! The daemon's own life: what it learns, what it leaves behind, and what stands beside it.

use anyhow::{Context, Result, bail};
use lab::kernel::SYMBOLS;
use lab::vm::VmOutcome;
use lab::vm::initramfs::GuestFile;
use lab::vm::protocol::Step;
use serde_json::Value;

use super::round::{Lab, Verdict, run};
use super::summary::{Summary, equal};

/// What `lockprof attach` prints when its measured time has begun.
pub const MEASURING: &str = "measuring";
/// Null holds of the load between two profilers.
const NULL_HOLDS: u64 = 500;

pub fn attach(name: &str) -> Step {
    Step::new([
        "lockprof",
        "attach",
        "--no-report",
        // Where interrupts are off at both ends of a hold, so that none is lost to one.
        "--arrangement",
        "inside",
        "--output",
        &format!("/out/{name}"),
    ])
    .background(Some(MEASURING))
}

/// A load that holds the lock so often, and once more when it begins.
pub fn null_holds(times: u64) -> Step {
    null_hold_load(&["--iterations", &times.to_string()])
}

/// A load of null holds from its first moment on, of this length.
pub fn null_hold_load(length: &[&str]) -> Step {
    let words = "lockprof workload nullhold --tasks 1 --warm-up 0";
    Step::new(words.split(' ').chain(length.iter().copied()))
}

fn life(name: &str, attach: &str) -> Step {
    let load = "--workload forkexit --tasks 1 --iterations 50 --warm-up 0";
    run(name, &format!("{load} --attach {attach}"))
}

/// Where /proc/kallsyms has functions alone, the lock's address is that of the System.map; a map of another kernel is
/// left alone, and the address is learned.
pub fn data_is_found_by_a_map(lab: &Lab<'_>) -> Result<Verdict> {
    let steps = vec![shown(), without_data("right"), without_data("wrong")];
    let outcome = lab.succeed(steps)?;
    let shown = Summary::of(lab, &outcome, SHOWN)?;
    found_by(lab, &outcome, &shown, "right", "kallsyms")?;
    found_by(lab, &outcome, &shown, "wrong", "learned")
}

/// The same by the kernel's own image with symbols, as its build leaves it.
pub fn data_is_found_by_an_image(lab: &Lab<'_>) -> Result<Verdict> {
    let mut request = lab.request(vec![shown(), without_data("image")]);
    request.files.push(GuestFile {
        guest: "/vmlinux".to_owned(),
        host: lab.image().with_file_name(SYMBOLS),
    });
    let outcome = super::round::succeed(&request)?;
    let shown = Summary::of(lab, &outcome, SHOWN)?;
    found_by(lab, &outcome, &shown, "image", "kallsyms")
}

/// The name of the run in which the kernel shows all its symbols.
const SHOWN: &str = "shown";

fn shown() -> Step {
    life(SHOWN, "fentry")
}

/// A run in which it shows those of functions alone.
fn without_data(map: &str) -> Step {
    let mut step = life(map, "fentry");
    let words = ["/init", "without-data", map].map(str::to_owned);
    step.argv.splice(0..0, words);
    step
}

/// The lock was found in this way, and where it is.
fn found_by(
    lab: &Lab<'_>,
    outcome: &VmOutcome,
    shown: &Summary,
    name: &str,
    source: &str,
) -> Result<Verdict> {
    let found = Summary::of(lab, outcome, name)?;
    equal("source", found.text("/lock/address_source")?, source)?;
    let (address, expected) = (found.text("/lock/address")?, shown.text("/lock/address")?);
    equal("address", address, expected)?;
    Ok(Verdict::Passed)
}

/// Where kallsyms hides the lock's address, the learned one is the same, and all sites are unknown.
pub fn a_hidden_address_is_learned(lab: &Lab<'_>) -> Result<Verdict> {
    let outcome = lab.succeed(vec![
        life("shown", "fentry"),
        life("hidden", "fentry")
            .sysctl("kernel.kptr_restrict", "2")
            .env("LOCKPROF_LOG", "info"),
        life("hidden-kprobe", "kprobe"),
    ])?;
    let shown = Summary::of(lab, &outcome, "shown")?;
    let hidden = Summary::of(lab, &outcome, "hidden")?;
    equal("source", shown.text("/lock/address_source")?, "kallsyms")?;
    equal(
        "source where hidden",
        hidden.text("/lock/address_source")?,
        "learned",
    )?;
    equal(
        "address",
        shown.text("/lock/address")?,
        hidden.text("/lock/address")?,
    )?;
    // The program that learned it has logged it, before the lock was held.
    let log = String::from_utf8_lossy(&outcome.steps[1].stderr);
    if !log.contains("the lock that is asked for lies at") {
        bail!("the learning program logged nothing: {log}");
    }
    for name in ["hidden", "hidden-kprobe"] {
        let hidden = Summary::of(lab, &outcome, name)?;
        hidden.is_sound()?;
        let unknown = hidden.holds("unknown")?;
        if unknown == 0 {
            bail!("{name}: no hold was seen of the learned lock");
        }
        equal(
            &format!("{name}: holds by unknown sites and by all"),
            unknown,
            hidden.count("/write_holds")?,
        )?;
    }
    Ok(Verdict::Passed)
}

/// Two profilers at once count the same, and neither loses anything.
pub fn two_profilers_count_the_same(lab: &Lab<'_>) -> Result<Verdict> {
    let outcome = lab::vm::run(&lab.request(vec![
        attach("first"),
        attach("second"),
        null_holds(NULL_HOLDS),
        Step::new(["lockprof", "--version"]).signalling(1, libc::SIGINT),
        Step::new(["lockprof", "--version"]).signalling(0, libc::SIGINT),
    ]))?;
    let first = Summary::of(lab, &outcome, "first")?;
    let second = Summary::of(lab, &outcome, "second")?;
    first.nothing_was_lost_in_holds()?;
    second.nothing_was_lost_in_holds()?;
    // The first one measures while the second one calibrates: it sees all of the second's holds.
    let by_first = first.holds("setsid")?;
    // Before the second one attaches, its guard makes a session of its own.
    equal(
        "setsid holds",
        by_first,
        second.attached_holds("setsid")? + 1,
    )?;
    equal(
        "setsid holds of the load",
        second.holds("setsid")?,
        NULL_HOLDS + 1,
    )?;
    Ok(Verdict::Passed)
}

/// Asks for what the kernel has loaded.
pub fn doctor() -> Step {
    Step::new(["lockprof", "doctor", "--json"])
}

/// How many BPF programs were loaded, by the doctor of this step.
fn programs(outcome: &VmOutcome, step: usize) -> Result<usize> {
    let text = outcome.steps[step].text();
    let json: Value = serde_json::from_str(&text)
        .with_context(|| format!("the doctor's JSON of step {step} is broken: {text:.200}"))?;
    let shared = json
        .pointer("/capabilities/others/programs")
        .and_then(Value::as_object)
        .with_context(|| format!("the doctor does not list programs: {text:.400}"))?;
    Ok(shared
        .values()
        .filter_map(Value::as_array)
        .map(Vec::len)
        .sum())
}

/// By the doctors of three steps: while lockprof was attached there were more programs than before, and afterwards as
/// many as before.
pub fn programs_were_there_and_are_gone(
    outcome: &VmOutcome,
    [before, during, after]: [usize; 3],
) -> Result<()> {
    let (before, during) = (programs(outcome, before)?, programs(outcome, during)?);
    if during < before + 4 {
        bail!("the doctor saw {during} programs while lockprof was attached, {before} before");
    }
    equal("programs afterwards", programs(outcome, after)?, before)
}

/// Killed, the daemon leaves no program, and a recording that can be read.
pub fn sigkill_leaves_nothing(lab: &Lab<'_>) -> Result<Verdict> {
    let request = lab.request(vec![
        doctor(),
        attach("killed"),
        doctor(),
        doctor().signalling(1, libc::SIGKILL),
        // The kernel frees programs after a grace period of RCU, in which the one above runs.
        doctor(),
    ]);
    let outcome = lab::vm::run(&request)?;
    programs_were_there_and_are_gone(&outcome, [0, 2, 4])?;
    equal(
        "the killed daemon's signal",
        outcome.steps[1].signal,
        Some(libc::SIGKILL),
    )?;
    let killed = Summary::of(lab, &outcome, "killed")?;
    equal("cut short", killed.value("/cut_short")?, &Value::Bool(true))?;
    Ok(Verdict::Passed)
}

/// What the kernel takes from it when its cgroup has no memory left: the recording can be read, and no program is
/// left.
pub fn a_daemon_without_memory_leaves_nothing(lab: &Lab<'_>) -> Result<Verdict> {
    const CGROUP: &str = "/sys/fs/cgroup/daemon";
    let file = |name: &str| format!("{CGROUP}/{name}");
    let idle = || Step::new(["lockprof", "--version"]);
    let request = lab.request(vec![
        doctor().write("/sys/fs/cgroup/cgroup.subtree_control", "+memory"),
        // Init goes there for the start of the step, and back.
        attach("starved")
            .folder(CGROUP)
            .write(&file("cgroup.procs"), "0"),
        doctor().write("/sys/fs/cgroup/cgroup.procs", "0"),
        null_holds(NULL_HOLDS),
        // What the kernel tells of it looks like a kernel that is broken.
        idle()
            .sysctl("kernel.printk", "1")
            .write(&file("memory.max"), "1M"),
        Step {
            await_step: Some(1),
            ..doctor()
        },
        // The kernel frees programs after a grace period of RCU, in which the one above runs.
        doctor().sysctl("kernel.printk", "7"),
    ]);
    let outcome = lab::vm::run(&request)?;
    programs_were_there_and_are_gone(&outcome, [0, 2, 6])?;
    let signal = outcome.steps[1].signal;
    equal("its signal", signal, Some(libc::SIGKILL))?;
    let starved = Summary::of(lab, &outcome, "starved")?;
    equal(
        "cut short",
        starved.value("/cut_short")?,
        &Value::Bool(true),
    )?;
    Ok(Verdict::Passed)
}
