//! Functions that no probe is ever put on.

/// Functions in which a BPF program may deadlock or stop the machine, by the part of the name that
/// they share, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    (
        "queued_spin_lock_slowpath",
        "a program on the slow path of spin locks that touches a hash map deadlocks on the map's own spin lock (bpftrace issues #3144 and #3206)",
    ),
    (
        "queued_write_lock_slowpath",
        "the slow paths of locks are entered from BPF's own locks (bpftrace issue #3144)",
    ),
    (
        "queued_read_lock_slowpath",
        "the slow paths of locks are entered from BPF's own locks (bpftrace issue #3144)",
    ),
    (
        "raw_spin_lock",
        "probes on generic spin-lock functions have frozen machines (bcc issue #2300, bpftrace issue #534)",
    ),
    (
        "raw_spin_unlock",
        "probes on generic spin-lock functions have frozen machines (bcc issue #2300, bpftrace issue #534)",
    ),
    (
        "raw_spin_trylock",
        "probes on generic spin-lock functions have frozen machines (bcc issue #2300, bpftrace issue #534)",
    ),
    (
        "rt_spin_",
        "it is PREEMPT_RT's generic spin lock (bcc issue #2300)",
    ),
    (
        "virt_spin_lock",
        "it is a virtual machine's generic spin lock (bcc issue #2300)",
    ),
    (
        "rqspinlock",
        "it is the lock of BPF's own maps (kernel/bpf/rqspinlock.c, 6.15)",
    ),
];

/// Why a probe on this function is refused; `None` where it is not.
///
/// Every function of the generic spin locks and of the slow paths is refused: BPF's own maps and
/// ring buffers take those locks, and a program that runs inside one can wait for itself.
#[must_use]
pub fn refuse(target: &str) -> Option<String> {
    FORBIDDEN
        .iter()
        .find(|(part, _)| target.contains(part))
        .map(|(_, why)| format!("lockprof puts no probe on {target}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{
        by_task::functions_by_task,
        sites::{TRACEPOINT_BEGAN, TRACEPOINT_ENDED, rwlock_functions},
    };

    #[test]
    fn spin_locks_and_slow_paths_are_refused() {
        for target in [
            "queued_spin_lock_slowpath",
            "native_queued_spin_lock_slowpath",
            "__pv_queued_spin_lock_slowpath",
            "resilient_queued_spin_lock_slowpath",
            "queued_write_lock_slowpath",
            "queued_read_lock_slowpath",
            "_raw_spin_lock",
            "_raw_spin_lock_irqsave",
            "_raw_spin_lock_irq",
            "_raw_spin_lock_bh",
            "_raw_spin_unlock",
            "_raw_spin_unlock_irqrestore",
            "_raw_spin_trylock",
            "__raw_spin_lock",
            "do_raw_spin_lock",
            "do_raw_spin_unlock",
            "rt_spin_lock",
            "virt_spin_lock",
        ] {
            assert!(
                refuse(target).is_some_and(|why| why.contains("issue")),
                "{target}"
            );
        }
    }

    #[test]
    fn the_tools_own_hooks_are_not() {
        let tracepoints = [TRACEPOINT_BEGAN, TRACEPOINT_ENDED];
        for target in rwlock_functions()
            .chain(functions_by_task())
            .chain(tracepoints)
        {
            assert_eq!(refuse(target), None, "{target}");
        }
    }
}
