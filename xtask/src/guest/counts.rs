//! What lockprof counts is what the load did.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;

use super::round::{Lab, Verdict, run, succeed};
use super::summary::{Summary, equal};

/// Children that each of the load's two workers makes.
const ITERATIONS: u64 = 300;
/// Calls of add_device_randomness in a short run that no task's life makes.
const OTHER_RANDOMNESS: u64 = 20;
/// Lives of the two calibrating loads, their main processes included.
const CALIBRATION_LIVES: u64 = 4 + 2 * CONTROL_LIVES;
/// Lives of the controls, before the load and after it: ten children, and two threads each that contend a mutex, an
/// rwsem, an rwlock and the lock itself.
const CONTROL_LIVES: u64 = 10 + 4 * 2;

/// A run of a load with an exact number of lives.
fn by(attach: &str) -> Step {
    let load = format!("--workload forkexit --tasks 2 --iterations {ITERATIONS} --warm-up 0");
    run(attach, &format!("{load} --attach {attach}"))
}

/// Fork, exit and reap holds, and the spans in them, are those of the load, by fentry as by kprobe.
pub fn lives_are_counted_exactly(lab: &Lab<'_>) -> Result<Verdict> {
    let outcome = lab.succeed(vec![by("fentry"), by("kprobe")])?;
    let mut counts = Vec::new();
    for (name, step) in ["fentry", "kprobe"].iter().zip(&outcome.steps) {
        let summary = Summary::of(lab, &outcome, name)?;
        equal(&format!("{name}: tier"), summary.text("/tier")?, "exact")?;
        equal(&format!("{name}: method"), summary.text("/attach")?, name)?;
        summary.nothing_was_lost_in_holds()?;
        summary.cpus_agree_with_sites()?;
        let lives = summary.count("/ground_truth/lives_by_load")?;
        equal(
            &format!("{name}: the load's lives"),
            lives,
            2 * ITERATIONS + 2 + 1,
        )?;
        let expected = lives + CALIBRATION_LIVES;
        let exits = summary.attached_holds("exit")?;
        let reaps = summary.attached_holds("reap")?;
        equal(&format!("{name}: exit holds"), exits, expected)?;
        equal(&format!("{name}: reap holds"), reaps, expected)?;
        // A kernel thread may be made meanwhile: /proc/stat counts it, and so does fork.
        let forks = summary.attached_holds("fork")?;
        let created = summary.count("/ground_truth/tasks_created_by_kernel")?;
        equal(
            &format!("{name}: fork holds and /proc/stat"),
            forks,
            created,
        )?;
        if forks < expected {
            bail!("{name}: {forks} fork holds of {expected} lives");
        }
        // /proc/stat as init read it has lockprof's own life besides.
        if let Some(made) = step.tasks_made()
            && made <= created
        {
            bail!("{name}: init saw {made} tasks, lockprof {created}");
        }
        spans_are_those_of_the_kernel(&summary, name, expected, forks)?;
        counts.push((exits, reaps, summary.attached_holds("setsid")?));
    }
    equal("fentry and kprobe", counts[0], counts[1])?;
    Ok(Verdict::Passed)
}

/// The same where nothing or one clock is inside the holds: each life is counted, or lost and said to be.
pub fn lives_are_counted_from_outside(lab: &Lab<'_>) -> Result<Verdict> {
    let outcome = lab.succeed(vec![
        outside("auto", ""),
        outside("robust", "--arrangement robust"),
        outside("kprobe", "--attach kprobe"),
    ])?;
    for name in ["auto", "robust", "kprobe"] {
        all_lives_or_losses(&Summary::of(lab, &outcome, name)?, name)?;
    }
    Ok(Verdict::Passed)
}

/// Where the release itself switches holders out, their holds are booked by others, and inside the hold
/// stands the clock that ends it.
pub fn full_preemption_loses_no_hold(lab: &Lab<'_>) -> Result<Verdict> {
    let mut request = lab.request(vec![outside("auto", ""), by("fentry")]);
    request.append.push("preempt=full".to_owned());
    let outcome = succeed(&request)?;
    let auto = Summary::of(lab, &outcome, "auto")?;
    equal("arrangement", auto.text("/arrangement")?, "robust")?;
    all_lives_or_losses(&auto, "auto")?;
    all_lives_or_losses(&Summary::of(lab, &outcome, "fentry")?, "inside")?;
    Ok(Verdict::Passed)
}

fn outside(name: &str, how: &str) -> Step {
    let load = format!("--workload forkexit --tasks 2 --iterations {ITERATIONS} --warm-up 0");
    // A task may be switched out between a clock and the lock more often than on hardware.
    let load = format!("{load} --loss-threshold 5 --detail holds {how}");
    run(name, load.trim_end())
}

/// The run is not void, and no hold of a life is missing that is not counted as lost.
fn all_lives_or_losses(summary: &Summary, name: &str) -> Result<()> {
    summary.cpus_agree_with_sites()?;
    summary.is_valid()?;
    let lost = summary.lost_while_attached;
    let lives = 2 * ITERATIONS + 2 + 1 + CALIBRATION_LIVES;
    let created = summary.count("/ground_truth/tasks_created_by_kernel")?;
    for (site, expected) in [("exit", lives), ("reap", lives), ("fork", created)] {
        let counted = summary.attached_holds(site)?;
        note!("    {name}: {site} {counted} of {expected}, {lost} lost");
        if counted > expected || counted + lost < expected {
            bail!("{name}: {counted} {site} holds and {lost} lost of {expected}");
        }
    }
    Ok(())
}

/// One free_pid a life, inside the reap's hold before the deferral was merged and never since; the
/// same of add_device_randomness, which also runs once a fork outside of holds
/// (add_latent_entropy, include/linux/random.h, called by copy_process).
///
/// A kernel that preempts may switch tasks inside a program that runs outside of a hold, and skips
/// the program for the other task; it counts that, so calls seen and calls missed make up all.
fn spans_are_those_of_the_kernel(
    summary: &Summary,
    name: &str,
    lives: u64,
    forks: u64,
) -> Result<()> {
    let merged = summary.text("/kernel/deferral")? == "merged";
    let inside = if merged { 0 } else { lives };
    let (freed, freed_inside) = summary.span_with_missed("free_pid")?;
    equal(&format!("{name}: free_pid"), freed, lives)?;
    equal(&format!("{name}: free_pid in holds"), freed_inside, inside)?;
    let (mixed, mixed_inside) = summary.span_with_missed("add_device_randomness")?;
    equal(
        &format!("{name}: add_device_randomness in holds"),
        mixed_inside,
        inside,
    )?;
    // Whatever else adds to the pool meanwhile (a timer, a device) is few.
    if mixed < lives + forks || mixed > lives + forks + OTHER_RANDOMNESS {
        bail!("{name}: add_device_randomness ran {mixed} times in {lives} lives");
    }
    let (reaped, reaped_inside) = summary.span_with_missed("release_task")?;
    equal(&format!("{name}: release_task"), reaped, lives)?;
    equal(&format!("{name}: release_task in holds"), reaped_inside, 0)
}
