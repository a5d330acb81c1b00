//! Null holds of the daemon's own, in the middle of a run. The programs know its task, so that these are in no
//! result.

use lockprof_abi::site_slot;

use super::super::programs::Programs;
use crate::known_locks::hold_by_setpgid;

/// How often the daemon looks for its own task. Another one may take the lock on its CPU in between.
const ATTEMPTS: usize = 100;
/// The same task so many times in a row is the daemon's.
const IN_A_ROW: usize = 5;

/// That the programs can tell this thread's holds from others.
#[derive(Clone, Copy, Debug)]
pub struct OwnHolds(());

impl OwnHolds {
    /// Null holds in an interval.
    pub const EACH: u64 = 10;

    /// Finds out which task this thread is, and tells the programs. `None` where they do not see its holds, or
    /// cannot tell by whom they are: then none is made, for it would be in the results.
    #[must_use]
    pub fn introduce(programs: &Programs) -> Option<Self> {
        let task = own_task(programs)?;
        programs.cpus.tell_control_task(task);
        let before = seen(programs);
        hold_by_setpgid(Self::EACH);
        if seen(programs) > before {
            Some(Self(()))
        } else {
            programs.cpus.tell_control_task(0);
            None
        }
    }

    /// Makes the holds of an interval.
    pub fn make(self) {
        hold_by_setpgid(Self::EACH);
    }

    /// Makes so many, and says how many of them were seen.
    #[must_use]
    pub fn make_and_look(self, times: u64, programs: &Programs) -> u64 {
        let before = seen(programs);
        hold_by_setpgid(times);
        seen(programs) - before
    }
}

/// The task_struct of this thread, out of what a program keeps of the last hold on its CPU.
fn own_task(programs: &Programs) -> Option<u64> {
    let mut last = (0, 0);
    for _ in 0..ATTEMPTS {
        let cpu = this_cpu()?;
        hold_by_setpgid(1);
        let (task, site) = programs.cpus.last_hold(cpu);
        let numbers = programs.cpus.numbers();
        let is_control = numbers.control_slots() >> site_slot(site, numbers.slots()) & 1 != 0;
        if this_cpu() != Some(cpu) || !is_control {
            continue;
        }
        last = if task == last.0 {
            (task, last.1 + 1)
        } else {
            (task, 1)
        };
        if last.1 == IN_A_ROW && task != 0 {
            return Some(task);
        }
    }
    None
}

fn this_cpu() -> Option<usize> {
    // SAFETY: the call has no precondition.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Controls that the programs have counted so far.
fn seen(programs: &Programs) -> u64 {
    let mut sum = 0;
    programs
        .cpus
        .each_booked(|cpu| sum += cpu.state.control_holds);
    sum
}
