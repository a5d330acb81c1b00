//! Holders that are not running, beside a script on the same tracepoints.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;

use super::round::{Lab, Verdict, run};
use super::rwsem::MAY_BE_LOST;
use super::script::{counted, watching};
use super::summary::{Summary, lines_of};
use crate::bench::peers::Peers;

/// By how much the counts of the same stretches may differ: to lockprof a hold begins where its wait ends, to the
/// script where the function returns, and a holder may leave in between; where the kernel preempts, it refuses programs of either.
const DIFFERENCE: f64 = 0.1;
/// The same of their times: one that is missed may be a long one.
const TIME_DIFFERENCE: f64 = 0.3;
/// Fewer stretches than this are too few to compare.
const FEWEST: u64 = 20;

/// Workers hold cgroup_mutex for longer than their time slices, and sleep for other locks with it. They have one CPU: an
/// emulator with several may run the scheduler's code while it is rewritten for the programs there, and hangs.
pub fn holders_leave_their_cpu(lab: &Lab<'_>) -> Result<Verdict> {
    // Where the kernel preempts it does so in programs, too, and refuses those that another holder has then.
    let load = format!(
        "--lock cgroup_mutex --off-cpu --workload mkcgroup --tasks 4 --iterations 600 --warm-up 0 \
         --loss-threshold {MAY_BE_LOST}"
    );
    let mut request = lab.request(vec![
        watching(&script()),
        run("off", &load),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = super::round::succeed(&request)?;
    Summary::of(lab, &outcome, "off")?.is_valid()?;
    let lines = lines_of(&outcome, "off")?;
    let rows = || {
        lines
            .iter()
            .filter_map(|line| line["off_cpu"].as_array())
            .flatten()
    };
    let sum = |field: &str| -> u64 { rows().filter_map(|row| row[field].as_u64()).sum() };
    let (stretches, off_ns) = (sum("stretches"), sum("asleep_ns") + sum("runnable_ns"));
    let (by_script, script_ns) = (counted(&outcome, "stretches")?, counted(&outcome, "off")?);
    note!("    {stretches} stretches of {off_ns} ns; bpftrace: {by_script} of {script_ns} ns");
    if by_script < FEWEST {
        bail!("holders left their CPU {by_script} times alone");
    }
    let apart = |own: u64, its: u64| (own as f64 / its as f64 - 1.0).abs();
    if apart(stretches, by_script) > DIFFERENCE || apart(off_ns, script_ns) > TIME_DIFFERENCE {
        bail!(
            "{stretches} stretches of {off_ns} ns, and {by_script} of {script_ns} ns by the script"
        );
    }
    Ok(Verdict::Passed)
}

/// What sees the same without a table of lockprof's: who has taken the lock and not given it back.
fn script() -> String {
    let is_it = "(uint64)args->lock == kaddr(\"cgroup_mutex\")";
    format!(
        "kretfunc:mutex_lock /{is_it}/ {{ @has[tid] = 1; }}
         kfunc:mutex_unlock /{is_it}/ {{ delete(@has[tid]); }}
         tracepoint:sched:sched_switch {{
             if (@has[args->prev_pid]) {{ @since[args->prev_pid] = nsecs; }}
             if (@since[args->next_pid]) {{
                 @stretches = count();
                 @off = sum(nsecs - @since[args->next_pid]);
                 delete(@since[args->next_pid]);
             }}
         }}"
    )
}
