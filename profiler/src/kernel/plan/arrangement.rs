//! Where the programs of a hold stand: pure.

use super::super::capabilities::Capabilities;
use super::super::preemption::PreemptionMode;
use super::{PlannedLock, Request};
use crate::recording::schema::{Arrangement, Method, WindowKind};

/// Tracepoints at which an interrupt begins, without `_entry`
/// (arch/x86/include/asm/trace/irq_vectors.h, include/trace/events/irq.h and ipi.h, 6.1 to 7.3). Without
/// one here are Hyper-V's and Xen's vectors, posted interrupts and NMIs.
pub(in super::super) const INTERRUPTS: &[&str] = &[
    "local_timer",
    "reschedule",
    "call_function",
    "call_function_single",
    "irq_work",
    "x86_platform_ipi",
    "thermal_apic",
    "threshold_apic",
    "deferred_error_apic",
    "error_apic",
    "spurious_apic",
    "irq_handler",
    "ipi",
];

/// Decides where the programs of a hold stand, and says why not in the cheapest way. In windows of spans
/// they stand inside in any case.
pub(super) fn choose(
    capabilities: &Capabilities,
    request: &Request,
    method: Method,
    kinds: &[WindowKind],
    lock: &PlannedLock,
) -> (Option<Arrangement>, Option<String>) {
    if !matches!(method, Method::Fentry | Method::Kprobe) {
        return (None, None);
    }
    if let Some(by_task) = lock.by_task() {
        let meanwhile = if by_task.sleeps {
            "interrupts, other tasks, and sleep"
        } else {
            "interrupts, where they are on"
        };
        let reason = format!(
            "Two programs are inside each hold, one where the lock was taken and one where it is given back. Holds have in \
             them what comes meanwhile: {meanwhile}."
        );
        return (Some(Arrangement::Inside), Some(reason));
    }
    if !kinds.contains(&WindowKind::Holds) {
        return (Some(Arrangement::Inside), None);
    }
    if let Some(asked) = request.arrangement {
        return (Some(asked), None);
    }
    if method == Method::Kprobe {
        return (Some(Arrangement::Robust), None);
    }
    let (arrangement, mut reason) = match obstacle_to_exit(capabilities) {
        None => {
            let reason = "Clocks are read before and after each hold, and no program runs inside one that nobody waited for";
            (Arrangement::Exit, reason.to_owned())
        }
        Some(why) => {
            let reason = format!("One program is inside each hold, at its release: {why}");
            (Arrangement::Robust, reason)
        }
    };
    if kinds.contains(&WindowKind::Spans) {
        reason += "; that is in windows of holds, and in those of spans two programs are inside each hold, and two for each call in it";
    }
    (Some(arrangement), Some(reason + "."))
}

/// Why the end of a hold cannot be read after the release.
fn obstacle_to_exit(capabilities: &Capabilities) -> Option<String> {
    if !capabilities.sees_interrupts() {
        return Some(
            "this kernel's BTF has no tracepoints of interrupts, which come right after the release"
                .to_owned(),
        );
    }
    if capabilities.symbols.hidden || capabilities.symbols.error.is_some() {
        return Some(
            "addresses of functions are hidden, so that it cannot be told which interrupt waited for a release"
                .to_owned(),
        );
    }
    match capabilities.machine.preemption_mode {
        Some(PreemptionMode::None | PreemptionMode::Voluntary) => None,
        Some(mode @ (PreemptionMode::Lazy | PreemptionMode::Full)) => Some(format!(
            "this kernel preempts ({}), so that the holder may be switched out as soon as it has released",
            mode.name()
        )),
        None => Some(
            "it is not known whether this kernel preempts, so that the holder may be switched out as soon as it has released"
                .to_owned(),
        ),
    }
}
