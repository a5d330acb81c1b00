//! What stands in the way of each kind of probe: pure.

use super::super::capabilities::Capabilities;
use super::super::findings::Unlock;
use super::super::sites::{LOCK_FUNCTION, UNLOCK_FUNCTION};
use super::{Request, by_task};
use crate::{known_locks::FOLLOWED_HOLDS, recording::schema::LockFamily};

/// Why no probe of any kind can see a write hold of the lock.
pub(super) fn hold_obstacle(capabilities: &Capabilities, request: &Request) -> Option<String> {
    let kind = request.family();
    if let Some(of_kind) = request.by_task() {
        return by_task::obstacle(of_kind, capabilities, request);
    }
    match kind {
        // Of a kind that is not known it may be seen whether it is taken so.
        None | Some(LockFamily::Rwlock) => {}
        Some(kind) => {
            let (lock, kind) = (&request.lock, kind.name());
            return Some(format!("{lock} is a {kind}, and {FOLLOWED_HOLDS}"));
        }
    }
    let unlock = capabilities.unlock();
    let what = match unlock.value {
        Unlock::OutOfLine | Unlock::Unknown => return None,
        Unlock::Inlined => format!(
            "{UNLOCK_FUNCTION} is inlined into its callers, as in kernels without preemption, so the end of a hold cannot be probed"
        ),
        Unlock::BothInlined => format!(
            "{LOCK_FUNCTION} and {UNLOCK_FUNCTION} are inlined into their callers, so a hold cannot be probed"
        ),
        Unlock::Realtime => {
            return Some(format!(
                "{}, which may sleep while it holds the lock, and lockprof does not follow that",
                unlock.how
            ));
        }
    };
    Some(format!("{what} ({})", unlock.how))
}

/// Why fentry and fexit programs cannot follow such a lock.
pub(super) fn fentry_obstacle(capabilities: &Capabilities, request: &Request) -> Option<String> {
    if let Some(error) = &capabilities.btf.error {
        return Some(format!("they need the kernel's BTF: {error}"));
    }
    let trials = &capabilities.trials;
    let of_functions = || {
        let of_kind = request.by_task()?;
        by_task::fentry_obstacle(of_kind, capabilities, request)
    };
    both_obstacles(trials.fentry.obstacle(), trials.fexit.obstacle()).or_else(of_functions)
}

/// Why kprobes and kretprobes cannot.
pub(super) fn kprobe_obstacle(capabilities: &Capabilities, request: &Request) -> Option<String> {
    if let Some(of_kind) = request.by_task() {
        return Some(of_kind.not_by_kprobe.to_owned());
    }
    let trials = &capabilities.trials;
    both_obstacles(trials.kprobe.obstacle(), trials.kretprobe.obstacle())
}

fn both_obstacles(first: Option<&str>, second: Option<&str>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) if first != second => Some(format!("{first}; {second}")),
        (first, second) => first.or(second).map(str::to_owned),
    }
}

/// Why waits cannot be measured.
pub(super) fn contention_obstacle(capabilities: &Capabilities) -> Option<String> {
    if capabilities.contention_tracepoints().value == Some(false) {
        return Some(
            "this kernel has no contention tracepoints (Linux 5.19 and later have)".to_owned(),
        );
    }
    capabilities
        .trials
        .raw_tracepoint
        .obstacle()
        .map(str::to_owned)
}
