//! `lockprof doctor`: what this kernel offers, as a table and as JSON. Probing is in
//! [`crate::kernel`]; everything here is pure but [`doctor`].

mod table;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use serde::Serialize;

pub use table::render_table;

use crate::kernel::{
    AttachPlan, Capabilities, Finding, LOCK_FUNCTION, PlanError, PlannedLock, READ_LOCK_FUNCTION,
    READ_UNLOCK_FUNCTION, Request, SpinWaits, TRACEPOINT_BEGAN, TRACEPOINT_ENDED, Trial,
    UNLOCK_FUNCTION, Unlock, kernel_identity, plan,
    privileges::{self, HeldPrivilege},
};
use crate::known_locks::{self, DEFAULT_LOCK};
use crate::recording::schema::{AddressSource, Deferral, Kernel, Method, Tier};

/// The version of the JSON.
const SCHEMA: u32 = 1;

/// A function or tracepoint that a probe may be put on, and by which kinds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbePoint {
    /// The function or tracepoint.
    pub target: String,
    /// Whether by fentry and fexit; `None`: not known (or, for a tracepoint, does not apply).
    pub fentry: Option<bool>,
    /// Whether by kprobe and kretprobe.
    pub kprobe: Option<bool>,
    /// Whether as a raw tracepoint.
    pub raw_tracepoint: Option<bool>,
    /// How that was found out.
    pub how: String,
}

/// The whole of the JSON.
#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    lockprof: &'static str,
    kernel: Kernel,
    /// None where nothing was tried, and something may be possible.
    tier: Option<Tier>,
    /// The same.
    method: Option<Method>,
    reasons: &'a [String],
    /// Whether nothing was tried, for want of privileges.
    assumes_privileges: bool,
    /// What there would be with privileges if all that was not tried worked, where nothing was tried.
    at_best: Option<AtBest>,
    privileges: Vec<HeldPrivilege>,
    lock: &'a PlannedLock,
    probe_points: Vec<ProbePoint>,
    unlock: Finding<Unlock>,
    deferral: Finding<Deferral>,
    spin_waits: Finding<SpinWaits>,
    contention_tracepoints: Finding<Option<bool>>,
    /// The one at best, where nothing was tried.
    plan: &'a AttachPlan,
    capabilities: &'a Capabilities,
}

/// What is hoped for.
#[derive(Clone, Copy, Serialize)]
struct AtBest {
    tier: Tier,
    method: Method,
}

/// Whether a plan was made of what symbols, BTF and version say, and nothing was tried. That nothing is possible can
/// be known without a trial.
fn is_hoped_for(capabilities: &Capabilities, plan: &AttachPlan) -> bool {
    !capabilities.user.can_trace() && plan.tier != Tier::Unsupported
}

/// Finds out what this kernel offers, and says it as a table or as JSON.
///
/// # Errors
/// Only where JSON cannot be written: what cannot be found out is said to be unknown.
pub fn doctor(json: bool) -> Result<String> {
    let capabilities = Capabilities::probe();
    let plan = offered(&capabilities, &Request::default());
    if json {
        render_json(&capabilities, &plan)
    } else {
        Ok(render_table(&capabilities, &plan))
    }
}

/// What a run would get here. Without privileges: the best that it could get with them, by all that is known.
#[must_use]
pub fn offered(capabilities: &Capabilities, request: &Request) -> AttachPlan {
    let planned = match plan(capabilities, request) {
        Err(PlanError::Privileges) => {
            plan(&capabilities.assuming_privileges(), request).map(|mut plan| {
                plan.reasons = vec![
                    "Nothing was tried, for that takes CAP_BPF and CAP_PERFMON, which root has: symbols, BTF and \
                     version forbid nothing that this takes, and whether it works is not known."
                        .to_owned(),
                ];
                plan
            })
        }
        planned => planned,
    };
    planned.unwrap_or_else(|error| AttachPlan {
        tier: Tier::Unsupported,
        method: Method::Wait,
        arrangement: None,
        kinds: Vec::new(),
        spans: Vec::new(),
        reasons: match error {
            PlanError::Unsupported { reasons } => reasons,
            error => vec![error.to_string()],
        },
        lock: PlannedLock {
            name: request.lock.clone(),
            address: None,
            bytes: None,
            source: AddressSource::Unknown,
            how: "nothing can be attached".to_owned(),
            kind: capabilities.lock_kind(&request.lock, request.kind),
            writers_irq: request.writers_irq,
        },
        probes: Vec::new(),
    })
}

fn is_on_request(function: &str) -> bool {
    let mut known = known_locks::spans_of(DEFAULT_LOCK).iter();
    known.any(|known| known.span.name() == function && known.is_on_request)
}

/// Every probe point, and whether it can be used.
#[must_use]
pub fn probe_points(capabilities: &Capabilities) -> Vec<ProbePoint> {
    let trials = &capabilities.trials;
    let usable = |trials: [&Trial; 2], known: Option<bool>| {
        if known == Some(false)
            || trials
                .iter()
                .any(|trial| matches!(trial, Trial::Refused { .. } | Trial::Dead { .. }))
        {
            Some(false)
        } else if trials.iter().all(|trial| trial.works()) {
            known
        } else {
            None
        }
    };
    let tried = !trials.raw_tracepoint.is_untried();
    let functions = [
        LOCK_FUNCTION,
        UNLOCK_FUNCTION,
        READ_LOCK_FUNCTION,
        READ_UNLOCK_FUNCTION,
    ]
    .into_iter()
    .chain(
        known_locks::spans_of(DEFAULT_LOCK)
            .iter()
            .map(|known| known.span.name()),
    );
    let mut points: Vec<ProbePoint> = functions
        .map(|target| {
            let facts = capabilities.function(target);
            let in_btf = match (facts.btf, facts.symbol) {
                (Some(true), Some(false)) => Some(false),
                (in_btf, _) => in_btf,
            };
            let was_tried = tried && [LOCK_FUNCTION, UNLOCK_FUNCTION].contains(&target);
            let how = match (facts.symbol, facts.btf) {
                (Some(false), _) => match facts.variants.first() {
                    Some(variant) => format!("the kernel has {variant} instead"),
                    None => "not in kallsyms: inlined or absent".to_owned(),
                },
                _ if was_tried => "tried with a program".to_owned(),
                (Some(true), Some(true)) => "in kallsyms and in BTF".to_owned(),
                (Some(true), Some(false)) => "in kallsyms, not in BTF".to_owned(),
                (Some(true), None) => "in kallsyms; BTF cannot be read".to_owned(),
                (None, Some(true)) => "in BTF; kallsyms cannot be read".to_owned(),
                (None, Some(false)) => "not in BTF: inlined or absent".to_owned(),
                (None, None) => "neither kallsyms nor BTF can be read".to_owned(),
            };
            ProbePoint {
                target: target.to_owned(),
                fentry: usable([&trials.fentry, &trials.fexit], in_btf),
                kprobe: usable([&trials.kprobe, &trials.kretprobe], facts.symbol),
                raw_tracepoint: None,
                how: if is_on_request(target) {
                    format!("{how}; probed with --span alone")
                } else {
                    how
                },
            }
        })
        .collect();
    let contention = capabilities.contention_tracepoints();
    let raw = usable(
        [&trials.raw_tracepoint, &trials.raw_tracepoint],
        contention.value,
    );
    points.extend(
        [TRACEPOINT_BEGAN, TRACEPOINT_ENDED].map(|target| ProbePoint {
            target: target.to_owned(),
            fentry: None,
            kprobe: None,
            raw_tracepoint: raw,
            how: match (&trials.raw_tracepoint, target) {
                (Trial::Untried { .. }, _) => contention.how.clone(),
                (_, TRACEPOINT_BEGAN) => "tried with an empty program".to_owned(),
                _ => "as contention_begin".to_owned(),
            },
        }),
    );
    points
}

/// The JSON.
///
/// # Errors
/// Where it cannot be written.
pub fn render_json(capabilities: &Capabilities, plan: &AttachPlan) -> Result<String> {
    let hoped_for = is_hoped_for(capabilities, plan);
    let report = Report {
        schema: SCHEMA,
        lockprof: env!("CARGO_PKG_VERSION"),
        kernel: kernel_identity(capabilities),
        tier: (!hoped_for).then_some(plan.tier),
        method: (!hoped_for).then_some(plan.method),
        at_best: hoped_for.then_some(AtBest {
            tier: plan.tier,
            method: plan.method,
        }),
        reasons: &plan.reasons,
        assumes_privileges: !capabilities.user.can_trace(),
        privileges: privileges::with_held(capabilities.user.capabilities).collect(),
        lock: &plan.lock,
        probe_points: probe_points(capabilities),
        unlock: capabilities.unlock(),
        deferral: capabilities.deferral(),
        spin_waits: capabilities.spin_waits(),
        contention_tracepoints: capabilities.contention_tracepoints(),
        plan,
        capabilities,
    };
    let mut text = serde_json::to_string_pretty(&report).context("writing doctor's JSON")?;
    text.push('\n');
    Ok(text)
}
