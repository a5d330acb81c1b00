//! What `lockprof locks` aims at: that a wait costs less than perf's, with the same information.

use super::goal::{Goal, KERNEL, goal};
use crate::bench::locks::results::KernelWaits;
use crate::bench::locks::tables::floor;
use crate::bench::locks::{
    KERNELS, LOCKS, LOCKS_NO_STACKS, PERF_CALLERS, PERF_OWNERS, PERF_TASKS, WAIT, WAIT_NO_STACKS,
};

/// The share of perf's instructions that are to be enough.
const SHARE: f64 = 0.60;

/// A comparison: what both know then, lockprof, and what perf has to be run with for the same.
const COMPARED: [(&str, &str, &[&str]); 3] = [
    (
        "callers, tasks and owners, by three runs of perf at once (callers, -t, -o)",
        LOCKS,
        &[PERF_CALLERS, PERF_TASKS, PERF_OWNERS],
    ),
    (
        "owners without call stacks (perf -o; lockprof has class, lock and task besides)",
        LOCKS_NO_STACKS,
        &[PERF_OWNERS],
    ),
    (
        "callers alone (perf by callers, lockprof without owners and names)",
        WAIT,
        &[PERF_CALLERS],
    ),
];

/// Of each kernel that was measured, and of the one that the goals are about in any case.
pub fn goals(found: &[&KernelWaits]) -> Vec<Goal> {
    let of = |kernel: &str| {
        let mut all = found.iter().copied();
        all.find(|waits| waits.kernel == kernel)
    };
    let kernels = KERNELS.into_iter();
    let kernels = kernels.filter(|kernel| *kernel == KERNEL || of(kernel).is_some());
    kernels
        .flat_map(|kernel| {
            let slept = COMPARED.map(|compared| sleeping(kernel, of(kernel), compared));
            slept.into_iter().chain([spinning(kernel, of(kernel))])
        })
        .collect()
}

fn sleeping(
    kernel: &str,
    waits: Option<&KernelWaits>,
    (what, own, others): (&str, &str, &[&str]),
) -> Goal {
    let all = waits.map_or(&[][..], |waits| &waits.sleeping);
    let of = |name: &str| {
        let one = all.iter().find(|one| one.name == name)?;
        Some(one.whole() - floor(all)?)
    };
    let theirs = others.iter().map(|name| of(name)).sum();
    share(
        format!("{kernel}: a wait that is slept for, {what}"),
        of(own),
        theirs,
    )
    .because(breakdown(&of))
}

fn spinning(kernel: &str, waits: Option<&KernelWaits>) -> Goal {
    let all = waits.map_or(&[][..], |waits| &waits.spinning);
    let of = |name: &str| {
        let one = all.iter().find(|one| one.name == name)?;
        Some(one.in_hold.added + one.to_the_queue.added)
    };
    share(
        format!("{kernel}: a wait that is spun for, lockprof locks (perf by callers)"),
        of(LOCKS),
        of(PERF_CALLERS),
    )
}

fn share(what: String, own: Option<f64>, theirs: Option<f64>) -> Goal {
    goal(
        what,
        "at most 60 % of perf lock contention -b's instructions",
        own.zip(theirs).map(|(own, theirs)| own / theirs),
        |ratio| format!("{:.1} %", ratio * 100.0),
        |ratio| ratio <= SHARE,
    )
}

/// What each thing that lockprof does adds to a wait.
fn breakdown(of: &impl Fn(&str) -> Option<f64>) -> Option<String> {
    let least = of(WAIT_NO_STACKS)?;
    Some(format!(
        "of a wait's instructions {:.0} are the kernel's walk of the call stack, which perf has done as well, {:.0} \
         owners and names, and {least:.0} all else",
        of(WAIT)? - least,
        of(LOCKS_NO_STACKS)? - least
    ))
}

#[cfg(test)]
mod tests {
    use super::super::goal::NOT_MEASURED;
    use super::*;
    use crate::bench::locks::EMPTY;
    use crate::bench::locks::results::{PerRun, WaitObserver};

    fn found(all: &[(&str, f64)]) -> KernelWaits {
        let sleeping = all.iter().map(|&(name, began)| WaitObserver {
            name: name.to_owned(),
            began: PerRun {
                mean: began,
                differs_by: 0.0,
            },
            ended: PerRun {
                mean: 100.0,
                differs_by: 0.0,
            },
            ..WaitObserver::default()
        });
        KernelWaits {
            kernel: KERNEL.to_owned(),
            sleeping: sleeping.collect(),
            ..KernelWaits::default()
        }
    }

    #[test]
    fn perf_is_run_three_times_for_what_lockprof_has_at_once() {
        let all = [
            (EMPTY, 0.0),
            (WAIT_NO_STACKS, 200.0),
            (WAIT, 1200.0),
            (LOCKS_NO_STACKS, 500.0),
            (LOCKS, 1500.0),
            (PERF_CALLERS, 1500.0),
            (PERF_TASKS, 500.0),
            (PERF_OWNERS, 500.0),
        ];
        let goals = goals(&[&found(&all)]);
        let met: Vec<Option<bool>> = goals.iter().map(|goal| goal.met).collect();
        assert_eq!(met, [Some(true), Some(false), Some(false), None]);
        assert_eq!(goals[0].measured, "60.0 %");
        let why = "of a wait's instructions 1000 are the kernel's walk of the call stack, which perf has done as \
                   well, 300 owners and names, and 200 all else";
        assert_eq!(goals[2].in_the_way, why);
    }

    #[test]
    fn what_perf_could_not_be_asked_for_is_not_measured() {
        let all = [(EMPTY, 0.0), (LOCKS, 1500.0), (PERF_CALLERS, 1500.0)];
        let goals = goals(&[&found(&all)]);
        assert!(goals.iter().all(|goal| goal.met.is_none()));
        assert!(goals.iter().all(|goal| goal.measured == NOT_MEASURED));
    }
}
