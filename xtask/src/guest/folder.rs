//! The i_rwsem of a folder, which has no symbol and is followed by its address: what makes, renames and removes files, and
//! lists them; and readers that are killed while they wait for it.

use anyhow::{Result, bail};
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;

use super::round::{Lab, Verdict, run};
use super::rwsem::{MAY_BE_LOST, holds, is_all, is_exact, lost, script};
use super::script::{counted, watching};
use super::summary::{Summary, equal};
use crate::bench::peers::Peers;

/// The folder, on a tmpfs: the lock stays where it is as long as the folder does.
const FOLDER: &str = "/tmp/followed";
/// Where its lock's address is written.
const ADDRESS: &str = "/tmp/address";
/// Threads of the load, and how often each does all that it does.
const TASKS: u64 = 2;
const TIMES: u64 = 500;
/// How often each takes the lock then, to write, and, at the least, to read.
const WRITES: u64 = 5;
const READS: u64 = 3;
/// Readers that are killed. With each the lock is taken twice to write and once to read.
const KILLED: u64 = 25;

/// Each hold of the load is counted, for writing and for reading; a script on the same functions counts the same.
pub fn holds_are_counted_exactly(lab: &Lab<'_>) -> Result<Verdict> {
    let load = format!("/init folder-holds {FOLDER} {TASKS} {TIMES}");
    let (outcome, summary) = follow(lab, &load)?;
    let holds = compare(&summary, &outcome)?;
    is_all(
        &summary,
        "holds for writing",
        holds.0,
        WRITES * TASKS * TIMES,
    )?;
    // Whoever looks up a name that another one is about to change reads once more, which the script has counted, too.
    let read = READS * TASKS * TIMES;
    is_all(
        &summary,
        "the load's holds for reading",
        holds.1.min(read),
        read,
    )?;
    Ok(Verdict::Passed)
}

/// Who is killed while it waits has no hold, and does not disturb those of others.
pub fn killed_readers_have_no_hold(lab: &Lab<'_>) -> Result<Verdict> {
    let load = format!("/init killed-readers {FOLDER} {KILLED}");
    let (outcome, summary) = follow(lab, &load)?;
    let holds = compare(&summary, &outcome)?;
    let killed = counted(&outcome, "killed")?;
    note!("    {killed} were killed while they waited");
    equal("killed readers", killed, KILLED)?;
    is_all(&summary, "holds for writing", holds.0, 2 * KILLED)?;
    is_all(&summary, "holds for reading", holds.1, KILLED)?;
    Ok(Verdict::Passed)
}

/// Runs a load beside the script, with the folder's lock followed.
fn follow(lab: &Lab<'_>, load: &str) -> Result<(VmOutcome, Summary)> {
    let words = format!(
        "--lock ADDRESS:rwsem --readers --loss-threshold {MAY_BE_LOST} --warm-up 0 -- {load}"
    );
    let found = Step {
        await_step: Some(0),
        ..at_address(watching(&script("ADDRESS")))
    };
    let mut request = lab.request(vec![
        finding(),
        Step::new(["/init", "learn", FOLDER, ADDRESS]),
        found,
        at_address(run("folder", &words)),
        Step::ending(2, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
    let summary = Summary::of(lab, &outcome, "folder")?;
    is_exact(&summary)?;
    Ok((outcome, summary))
}

/// A script that writes where the lock is of the folder in which one of a certain name is made.
fn finding() -> Step {
    let script = "kfunc:vfs_mkdir /str(args->dentry->d_name.name) == \"learned\"/ { \
                  printf(\"0x%lx\\n\", (uint64)args->dir + offsetof(struct inode, i_rwsem)); exit(); }";
    Step::new(["bpftrace", "-B", "line", "-o", ADDRESS, "-e", script]).background(None)
}

/// The step with the address in the place of the word for it.
fn at_address(step: Step) -> Step {
    let before = ["/init", "with-address", ADDRESS].map(str::to_owned);
    let argv = before.into_iter().chain(step.argv.clone()).collect();
    Step { argv, ..step }
}

/// The holds for writing and for reading, with those that the programs say are in no number. The kernel may refuse some of the
/// script's programs, too.
fn compare(summary: &Summary, outcome: &VmOutcome) -> Result<(u64, u64)> {
    let ((written, read), (lost, read_lost)) = (holds(summary)?, lost(summary)?);
    let script = (counted(outcome, "written")?, counted(outcome, "read")?);
    note!(
        "    {written} and {read} holds, {lost} and {read_lost} lost; bpftrace: {} and {}",
        script.0,
        script.1
    );
    let all = (written + lost, read + read_lost);
    let is_near = |own: u64, its: u64| own.abs_diff(its) <= own / 20;
    if !is_near(all.0, script.0) || !is_near(all.1, script.1) {
        bail!("{all:?} holds, and {script:?} by the script");
    }
    Ok(all)
}
