//! Calls inside holds that are followed by task: of functions that whoever runs it has named, beside a script that counts the
//! same calls.

use anyhow::{Result, bail};
use lab::vm::{self, protocol::Step};
use serde_json::Value;

use super::round::{Lab, Verdict, run, succeed};
use super::rwsem::MAY_BE_LOST;
use super::script::{counted, watching};
use super::summary::{Summary, equal};
use crate::bench::peers::Peers;

/// Workers of the load, and iterations of each.
const WORKERS: u64 = 2;
const ITERATIONS: u64 = 500;

/// Makes the files of a cgroup, once for each cgroup that is made, and calls [`MAKES_FILE`] for each of them
/// (kernel/cgroup/cgroup.c, `css_populate_dir()`, 6.12 to 7.2).
const MAKES_FILES: &str = "css_populate_dir";
const MAKES_FILE: &str = "__kernfs_create_file";
/// Removes a cgroup.
const REMOVES: &str = "cgroup_destroy_locked";

/// The calls inside the holds of a mutex are those that a script counts while the task has it, and the own time of a call is
/// its time without the calls inside it.
pub fn calls_in_holds_of_a_mutex_are_counted(lab: &Lab<'_>) -> Result<Verdict> {
    let spans = [MAKES_FILES, MAKES_FILE, REMOVES];
    let asked = spans.map(|span| format!("--span {span}")).join(" ");
    let load = format!(
        "--lock cgroup_mutex {asked} --workload mkcgroup --tasks {WORKERS} --iterations {ITERATIONS} --warm-up 0"
    );
    let is_it = "(uint64)args->lock == kaddr(\"cgroup_mutex\")";
    let takes = |function: &str, taken: &str| {
        format!("kretfunc:{function} /{is_it}{taken}/ {{ @has[tid] = 1; }}\n")
    };
    let mut script = [
        takes("mutex_lock", ""),
        takes("mutex_lock_killable", " && retval == 0"),
        takes("mutex_lock_interruptible", " && retval == 0"),
        takes("mutex_trylock", " && retval == 1"),
        format!("kfunc:mutex_unlock /{is_it}/ {{ delete(@has[tid]); }}\n"),
    ]
    .concat();
    for span in spans {
        script += &format!(
            "kfunc:{span} {{ @{span}_all = count(); if (@has[tid]) {{ @{span} = count(); }} }}\n"
        );
    }
    let mut request = lab.request(vec![
        watching(&script),
        run("spans", &load),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = succeed(&request)?;
    let summary = Summary::of(lab, &outcome, "spans")?;
    equal("tier", summary.text("/tier")?, "exact")?;
    equal("detail", summary.text("/detail")?, "spans")?;
    summary.nothing_was_lost_in_holds()?;
    for span in spans {
        let (calls, inside) = summary.span_with_missed(span)?;
        let by_script = counted(&outcome, span)?;
        note!("    {span}: {calls} calls, {inside} inside holds; bpftrace: {by_script} inside");
        equal(&format!("{span} inside holds"), inside, by_script)?;
    }
    let made = counted(&outcome, MAKES_FILES)?;
    let by_load = WORKERS * ITERATIONS;
    if made < by_load {
        bail!("{MAKES_FILES} was called {made} times for {by_load} cgroups");
    }
    is_nested(&summary)
}

/// The calls of one function are inside the calls of another: what those have beside their own time is the time of these.
fn is_nested(summary: &Summary) -> Result<Verdict> {
    let sum = |span: &str, field: &str| -> Result<u64> {
        let rows = summary.rows("/spans")?.iter();
        let of_it = rows.filter(|row| row["name"] == span);
        Ok(of_it.filter_map(|row| row[field].as_u64()).sum())
    };
    let outer_ns = sum(MAKES_FILES, "in_hold_ns")?;
    let inside_ns = outer_ns.saturating_sub(sum(MAKES_FILES, "self_ns")?);
    let inner_ns = sum(MAKES_FILE, "in_hold_ns")?;
    note!(
        "    {MAKES_FILES}: {outer_ns} ns, {inside_ns} of them in others; {MAKES_FILE}: {inner_ns} ns"
    );
    equal("time of the calls inside", inside_ns, inner_ns)?;
    if inner_ns == 0 || inner_ns >= outer_ns {
        bail!("{inner_ns} ns of {outer_ns} ns: that cannot be");
    }
    let held = summary.rows("/sites")?.iter();
    let held_ns: u64 = held.filter_map(|row| row["held_ns"].as_u64()).sum();
    let spans: &[Value] = summary.rows("/spans")?;
    let own_ns: u64 = spans.iter().filter_map(|row| row["self_ns"].as_u64()).sum();
    if own_ns > held_ns {
        bail!("calls of {own_ns} ns in holds of {held_ns} ns: that cannot be");
    }
    Ok(Verdict::Passed)
}

/// What maps memory calls it once, with the lock for writing (mm/mmap.c or mm/vma.c, `mmap_region()`, 6.1 to 7.2).
const MAPS: &str = "perf_event_mmap";
/// Who takes the lock for it (mm/util.c).
const MAPPER: &str = "vm_mmap_pgoff";
/// What unmaps memory calls it when it has made its hold one for reading (`__vm_munmap()`, the same files).
const UNMAPS: &str = "unmap_vmas";
/// What starts and ends the threads maps and unmaps besides, at most.
const BESIDES: u64 = 200;

/// Who maps memory calls a function inside its hold of mmap_lock once, so that there are as many such calls as such holds;
/// what is called by who has given up the lock for writing, and reads, is outside. Where the kernel preempts, it refuses
/// some runs of the programs, and they are counted.
pub fn calls_in_holds_of_mmap_lock_are_counted(lab: &Lab<'_>) -> Result<Verdict> {
    let load = format!(
        "--lock mmap_lock --span {MAPS} --span {UNMAPS} --loss-threshold {MAY_BE_LOST} --workload mmap \
         --tasks {WORKERS} --iterations {ITERATIONS} --warm-up 0"
    );
    let outcome = lab.succeed(vec![run("spans", &load)])?;
    let summary = Summary::of(lab, &outcome, "spans")?;
    equal("tier", summary.text("/tier")?, "exact")?;
    let by_load = WORKERS * ITERATIONS;
    let holds = summary.attached_holds(MAPPER)?;
    let missed = summary.value("/attached/missed")?.as_object();
    let of_span = missed
        .into_iter()
        .flatten()
        .filter(|(program, _)| program.ends_with(MAPS));
    let refused: u64 = of_span.filter_map(|(_, count)| count.as_u64()).sum();
    let (mapped, inside) = summary.span_with_missed(MAPS)?;
    let (unmapped, unmapped_inside) = summary.span_with_missed(UNMAPS)?;
    note!(
        "    {MAPS}: {mapped} calls, {inside} inside holds, {refused} runs refused; {holds} holds of {MAPPER}; {UNMAPS}: \
         {unmapped} and {unmapped_inside}; of {by_load} by the load"
    );
    let expected = holds.saturating_sub(refused)..=holds + BESIDES;
    if holds == 0 || !expected.contains(&inside) || mapped < inside {
        bail!("{MAPS}: {expected:?} calls inside holds were expected");
    }
    if unmapped == 0 || unmapped_inside > BESIDES {
        bail!("{UNMAPS}: calls outside of holds for writing were expected");
    }
    Ok(Verdict::Passed)
}

/// A function that cannot be measured is refused before anything is attached, and the error says why.
pub fn functions_without_a_place_are_refused(lab: &Lab<'_>) -> Result<Verdict> {
    let cases = [
        ("no_such_function", "not in this kernel's symbols"),
        ("mutex_unlock", "takes cgroup_mutex or gives it back"),
    ];
    let steps = cases.map(|(function, _)| {
        let words = format!(
            "lockprof run --lock cgroup_mutex --span {function} --output /out/refused --workload cgroup"
        );
        Step::new(words.split(' '))
    });
    let outcome = vm::run(&lab.request(steps.into()))?;
    for ((function, words), step) in cases.into_iter().zip(&outcome.steps) {
        equal(&format!("{function}: its status"), step.status, 1)?;
        let said = String::from_utf8_lossy(&step.stderr);
        if !said.contains(words) {
            bail!("--span {function}: {words:?} was expected, not {said:?}");
        }
    }
    Ok(Verdict::Passed)
}
