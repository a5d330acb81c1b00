//! Who reads the mmap_lock of a process: who had it to write before (munmap(2) goes on as a reader), other processes, and
//! programs that take it with interrupts off and leave it to an interrupt to give back.

use anyhow::{Context as _, Result, bail};
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;

use super::round::{Lab, Verdict, run};
use super::rwsem::{MAY_BE_LOST, holds, is_exact, lost};
use super::script::{counted, watching};
use super::summary::Summary;
use crate::bench::peers::Peers;

/// Threads of the load, and how often each maps and unmaps memory; so often another process reads the load's.
const TASKS: u64 = 2;
const TIMES: u64 = 1000;
/// What the process takes its lock for besides, before exec and after it.
const FEW: u64 = 200;
/// How often the load changes its mask of signals.
const MASKED: u64 = 400;

/// Each write hold that is downgraded ends there, and is a read hold from there on; what another process reads is a hold of
/// the lock, too. A script on the same functions counts the same.
pub fn downgraded_and_read_by_others(lab: &Lab<'_>) -> Result<Verdict> {
    let words = format!(
        "--lock mmap_lock --readers --loss-threshold {MAY_BE_LOST} --warm-up 0 -- /init read-by-another {TASKS} {TIMES}"
    );
    let mut request = lab.request(vec![
        watching(&script()),
        run("readers", &words),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
    let summary = Summary::of(lab, &outcome, "readers")?;
    is_exact(&summary)?;
    let ((written, read), (lost, read_lost)) = (holds(&summary)?, lost(&summary)?);
    let script = of_one_lock(&outcome)?;
    note!(
        "    {written} and {read} holds, {lost} and {read_lost} lost; bpftrace: {} and {}, and {} downgraded",
        script.written,
        script.read,
        script.downgraded
    );
    if script.downgraded < TASKS * TIMES || script.read < TIMES {
        bail!("the load has not done what it is to do");
    }
    let (written, read) = (written + lost, read + read_lost);
    let is_near = |own: u64, its: u64| own.abs_diff(its) <= FEW;
    if !is_near(written, script.written) || !is_near(read, script.read + script.downgraded) {
        bail!("{written} and {read} holds: the script has seen others");
    }
    Ok(Verdict::Passed)
}

/// A program of bpftrace's walks the load's stack with interrupts off, and takes the load's mmap_lock for it, which an
/// interrupt gives back afterwards (kernel/bpf/mmap_unlock_work.h): each of those is a loss, but for the first of a CPU; and the
/// hold that was not seen to end is another one.
pub fn what_interrupts_give_back_is_known(lab: &Lab<'_>) -> Result<Verdict> {
    let script = "kfunc:recalc_sigpending /comm == \"masking\"/ { @inside = 1; @stacks[ustack(build_id)] = count(); @inside = 0; }
         kretfunc:down_read_trylock /comm == \"masking\" && @inside && retval == 1/ { @tried = count(); }";
    let words = format!(
        "--lock mmap_lock --readers --loss-threshold 100 --warm-up 0 -- /init mask {MASKED}"
    );
    let mut request = lab.request(vec![
        watching(script),
        run("given-back", &words),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
    let summary = Summary::of(lab, &outcome, "given-back")?;
    is_exact(&summary)?;
    let tried = counted(&outcome, "tried")?;
    let holds = summary.attached_holds("read:stack_map_get_build_id_offset")?;
    let (_, without_end) = lost(&summary)?;
    let lost = without_end + summary.count("/losses/counted/read_without_start")?;
    note!("    {tried} given back by interrupts: {holds} holds, {lost} lost");
    if tried < 2 * MASKED || holds != 0 || lost.abs_diff(tried) > u64::from(lab.cpus) {
        bail!(
            "{tried} were given back by interrupts, and each is a loss: {holds} holds and {lost} losses"
        );
    }
    Ok(Verdict::Passed)
}

/// What the script has counted of one lock.
struct OfOneLock {
    written: u64,
    read: u64,
    downgraded: u64,
}

/// The lock that was downgraded most often is the load's.
fn of_one_lock(outcome: &VmOutcome) -> Result<OfOneLock> {
    let said = outcome.steps[0].text();
    let of_map = |map: &str| {
        let start = format!("@{map}[");
        let counts = said.lines().filter_map(|line| {
            let (lock, count) = line.strip_prefix(&start)?.split_once("]: ")?;
            Some((lock, count.trim().parse::<u64>().ok()?))
        });
        counts.collect::<Vec<_>>()
    };
    let downgraded = of_map("downgraded");
    let most = downgraded.iter().max_by_key(|(_, count)| *count);
    let &(lock, downgraded) = most.with_context(|| format!("nothing was downgraded: {said}"))?;
    let of_lock = |map: &str| {
        let counts = of_map(map);
        let mut counts = counts.iter().filter(|(one, _)| *one == lock);
        counts.next().map_or(0, |(_, count)| *count)
    };
    Ok(OfOneLock {
        written: of_lock("written"),
        read: of_lock("read"),
        downgraded,
    })
}

/// What counts how often each rwsem is taken, and downgraded, until it is ended.
fn script() -> String {
    let takes = |function: &str, taken: &str, count: &str| {
        format!("kretfunc:{function} {taken} {{ @{count}[(uint64)args->sem] = count(); }}\n")
    };
    [
        takes("down_write", "", "written"),
        takes("down_write_killable", "/retval == 0/", "written"),
        takes("down_write_trylock", "/retval == 1/", "written"),
        takes("down_read", "", "read"),
        takes("down_read_killable", "/retval == 0/", "read"),
        takes("down_read_trylock", "/retval == 1/", "read"),
        takes("downgrade_write", "", "downgraded"),
    ]
    .concat()
}
