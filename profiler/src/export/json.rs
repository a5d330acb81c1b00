//! The summary for programs. What is not known is `null`, never 0.
//!
//! Field names are a contract (the tests hold them); fields may be added. Lengths are in the unit
//! that `unit` names, whatever their `_ns` says: on the instruction clock one "nanosecond" is one
//! instruction.

mod every_lock;
mod windows;

use anyhow::Result;
use lockprof_abi::{LockClass, Loss};
use serde_json::{Map, Value, json};

use super::Exporter;
use crate::{
    profile::{
        Attached, Contention, Durations, GroundTruthCheck, LockKind, Losses, OffBy, OffCpu,
        Profile, SeriesPoint, SiteProfile, symbol_of,
    },
    recording::schema::{
        InProgress, LongestEvent, OpenEvent, READERS_AND_HANDOVER, RunTime, SCHEMA, Tier,
    },
    site::Site,
};

/// One object with everything but call stacks.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Exporter for Json {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(&summary(profile))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn summary(profile: &Profile) -> Value {
    let header = &profile.header;
    let mut summary = json!({
        "schema": SCHEMA,
        "lockprof": header.lockprof,
        "void": profile.void(),
        "cut_short": profile.cut_short,
        "started_at_s": header.started_at_s,
        "attached_at": header.attached_at,
        "kernel": header.kernel,
        "tier": header.tier,
        "attach": header.attach.method,
        "arrangement": header.attach.arrangement,
        "reasons": header.attach.reasons,
        "probes": header.attach.probes,
        "lock": header.lock,
        "detail": header.detail,
        "readers": header.readers,
        "clock": header.clock,
        "unit": profile.unit().name(),
        "duration_s": profile.measured_s,
        "interval_s": header.interval_s,
        "command_line": header.command_line,
        "workload": workload(profile),
        "held_share": profile.held_share(),
        "write_holds": profile.write_holds(),
        "sites": profile.sites.iter().map(|site| self::site(profile, site)).collect::<Value>(),
        "spans": spans(profile),
        "spans_absent": profile.absent_spans.iter()
            .map(|(name, reason)| json!({"name": name, "reason": reason}))
            .collect::<Value>(),
        "inner_waits": profile.inner_waits.iter().map(contention).collect::<Value>(),
        "blame": blame(profile),
        "cpus": cpus(profile),
        "contention": profile.contention.iter().map(contention).collect::<Value>(),
        "samples": samples(profile),
        // Of holds, and of waits of whose holds are followed: without any nobody knows.
        "cgroups": (profile.header.tier != Tier::WaitOnly).then_some(&profile.cgroups),
        "probe": probe(profile),
        "own": own(profile),
        "losses": losses(&profile.losses),
        "attached": attached(profile, &profile.attached),
        "ground_truth": ground_truth(&profile.ground_truth),
        "series": profile.series.iter().map(|point| series(profile, point)).collect::<Value>(),
        "ended": profile.footer.as_ref().map(|footer| footer.ended),
    });
    // The macro has no room for more.
    summary["budget"] = json!(header.budget);
    let footer = profile.footer.as_ref();
    summary["budget_at_end"] = json!(footer.and_then(|footer| footer.budget.as_ref()));
    summary["killed_by_guard"] = json!(profile.killed);
    summary["stopped_s"] = json!(profile.stopped_s);
    summary["controls"] = profile
        .controls
        .made()
        .map(|control| json!(control))
        .collect();
    summary["control_holds"] = json!(profile.controls.holds());
    summary["died"] = json!(profile.controls.died());
    summary["unseen"] = json!({
        "holds": profile.no_holds(),
        "waits": profile.no_waits(),
        "not_proved": profile.not_proved(),
    });
    summary["off_cpu"] = json!(profile.off_cpu.as_deref().map(off_cpu));
    let found = footer.and_then(|footer| footer.in_progress.as_ref());
    summary["in_progress"] = found.map_or(Value::Null, in_progress);
    for (name, value) in windows::fields(profile)
        .into_iter()
        .chain(every_lock::fields(profile))
    {
        summary[name] = value;
    }
    summary
}

/// What holders did instead of running.
fn off_cpu(all: &[OffCpu]) -> Vec<Value> {
    let one = |off: &OffCpu| {
        let (by, path) = match &off.by {
            OffBy::Sleep(path) => ("sleep", Some(path)),
            OffBy::Preemption => ("preemption", None),
            OffBy::Unknown => ("unknown", None),
        };
        json!({
            "site": off.site.map(Site::name),
            "by": by,
            "path": path,
            "stretches": off.stretches,
            "asleep_ns": off.asleep_ns,
            "runnable_ns": off.runnable_ns,
            "longest_ns": off.longest_ns,
        })
    };
    all.iter().map(one).collect()
}

fn workload(profile: &Profile) -> Value {
    let Some(workload) = &profile.header.workload else {
        return Value::Null;
    };
    let lives = profile.lives();
    json!({
        "name": workload.name,
        "tasks": workload.tasks,
        "mode": workload.mode,
        "command": workload.command,
        "iterations": profile.iterations(),
        "per_second": profile.iterations_per_second(),
        "lives": lives,
        "lives_per_second": lives.and_then(|lives| profile.per_second(lives)),
        "status": profile.footer.as_ref().and_then(|footer| footer.load_status),
    })
}

fn site(profile: &Profile, site: &SiteProfile) -> Value {
    json!({
        "name": site.site.name(),
        "symbol": site.site.symbol(),
        "holds": site.hold.as_ref().map(Durations::count),
        "held_ns": site.hold.as_ref().map(|hold| hold.total_ns),
        "held_share": site.hold.as_ref().and_then(|hold| profile.share_of_holds(hold.total_ns)),
        "contended": site.wait.as_ref().map(Durations::count),
        "waited_ns": site.wait.as_ref().and_then(Durations::known_total_ns),
        "hold_ns": site.hold.as_ref().map(durations),
        "wait_ns": site.wait.as_ref().map(durations),
        "longest": site.longest_hold.as_ref().map(longest),
        "longest_wait": site.longest_wait.as_ref().map(longest),
    })
}

fn durations(durations: &Durations) -> Value {
    let buckets = durations.histogram.buckets();
    json!({
        "mean": durations.mean_ns(),
        "p50": durations.quantile_ns(0.5),
        "p90": durations.quantile_ns(0.9),
        "p99": durations.quantile_ns(0.99),
        "max": durations.max_ns(),
        "max_is_bound": durations.max_is_bound(),
        "relative_error": durations.histogram.scale().relative_error(),
        "buckets": buckets.map(|(low, high, count)| json!([low, high, count])).collect::<Value>(),
    })
}

fn in_progress(found: &InProgress) -> Value {
    let cut = found.cut.as_ref().map(|cut| {
        json!({
            "waits": cut.waits,
            "at_least_ns": cut.at_least_ns,
            "longest": open_events(&cut.longest),
        })
    });
    json!({
        "events": open_events(&found.events),
        "more": found.more,
        "unseen": found.unseen,
        "cut": cut,
    })
}

fn open_events(events: &[OpenEvent]) -> Value {
    let events = events.iter().map(|event| {
        json!({
            "kind": event.kind,
            "at_least_ns": event.at_least_ns,
            "since_attach": event.since_attach,
            "address": event.lock,
            "lock": event.name,
            "lock_kind": LockKind::of(event.flags).name(),
            "caller": event.caller.as_deref().map(symbol_of),
            "site": event.site,
            "cpu": event.cpu,
            "pid": event.pid,
            "tgid": event.tgid,
            "comm": event.comm,
        })
    });
    events.collect()
}

fn longest(event: &LongestEvent) -> Value {
    json!({
        "ns": event.ns,
        "at_s": event.at_s,
        "cpu": event.cpu,
        "pid": event.pid,
        "tgid": event.tgid,
        "comm": event.comm,
        "cgroup": event.cgroup,
    })
}

/// One row for each span and holder, and one without a site for the calls outside every hold: the
/// `calls` of a span's rows sum up to all its calls.
fn spans(profile: &Profile) -> Value {
    let spans = profile.spans.iter();
    spans
        .map(|span| {
            json!({
                "name": span.span.name(),
                "site": span.site.map(|site| site.name()),
                "calls": span.calls,
                "calls_in_hold": span.calls_in_hold(),
                "in_hold_ns": span.in_hold_ns,
                "self_ns": span.self_ns,
            })
        })
        .collect()
}

fn contention(contention: &Contention) -> Value {
    json!({
        "lock": contention.lock(),
        // What stands for a class is no address.
        "address": LockClass::from_key(contention.address)
            .is_none()
            .then(|| format!("{:#x}", contention.address)),
        "kind": contention.kind.name(),
        "site": contention.caller,
        "is_target": contention.is_target,
        "is_others": contention.is_others,
        "in_hold_of": contention.in_hold_of.map(|site| site.name()),
        "count": contention.waits.count(),
        "sampled": contention.waits.sampled,
        "waited_ns": contention.waits.known_total_ns(),
        "wait_ns": durations(&contention.waits),
    })
}

/// Waits of which call stacks were taken, and callers that those have checked.
fn samples(profile: &Profile) -> Value {
    let samples = &profile.samples;
    json!({
        "every": profile.header.sample_every,
        "spinning_waits": samples.spinning,
        "taken": samples.taken,
        "sleeping_waits": samples.sleeping,
        "walked": samples.walked,
        "callers_checked": samples.checked,
        "callers_wrong": samples.wrong,
    })
}

fn blame(profile: &Profile) -> Value {
    let pairs = profile.blame.iter();
    pairs
        .map(|pair| {
            json!({
                "waiter": pair.waiter.name(),
                "holder": pair.holder.map_or(READERS_AND_HANDOVER, |site| site.name()),
                "waited_ns": pair.waited_ns,
            })
        })
        .collect()
}

fn cpus(profile: &Profile) -> Value {
    let holds = profile.holds_known();
    let waits = profile.target_waits_known();
    let cpus = profile.cpus.iter();
    cpus.map(|cpu| {
        json!({
            "cpu": cpu.cpu,
            "holds": holds.then_some(cpu.holds),
            "held_ns": holds.then_some(cpu.held_ns),
            "contended": waits.then_some(cpu.waits),
            "waited_ns": waits.then_some(cpu.waited_ns),
        })
    })
    .collect()
}

fn probe(profile: &Profile) -> Value {
    let Some(calibration) = &profile.calibration else {
        return json!({"null_hold_ns": null, "run_ns_per_event": null});
    };
    let null_hold = profile.null_hold();
    json!({
        "null_hold_ns": null_hold.map(|null_hold| null_hold.mean_ns),
        "null_hold_p50_ns": null_hold.map(|null_hold| null_hold.p50_ns),
        "null_holds": null_hold.map(|null_hold| null_hold.holds),
        "run_ns_per_event": run_ns_per_event(&calibration.run_time),
        "run_time": calibration.run_time,
    })
}

/// The mean over all runs of all programs.
fn run_ns_per_event(programs: &[RunTime]) -> Option<f64> {
    let runs: f64 = programs.iter().map(|program| program.runs as f64).sum();
    let ns: f64 = programs
        .iter()
        .map(|program| program.runs as f64 * program.ns_per_run)
        .sum();
    (runs > 0.0).then(|| ns / runs)
}

fn own(profile: &Profile) -> Value {
    let run = || profile.series.iter().filter(|point| point.is_of_run());
    json!({
        "cpu_s": run().map(|point| point.own_cpu_s).sum::<f64>(),
        "of_s": run().map(|point| point.seconds).sum::<f64>(),
        "resident_bytes": run().map(|point| point.own_resident_bytes).max(),
        "attached_s": profile.footer.as_ref().map(|footer| footer.attached_s),
        "launch_to_attach_s": profile.footer.as_ref().map(|footer| footer.launch_to_attach_s),
        "detach_s": profile.footer.as_ref().map(|footer| footer.detach_s),
    })
}

fn losses(losses: &Losses) -> Value {
    let counted: Map<String, Value> = Loss::ALL
        .iter()
        .map(|loss| {
            let count = losses.counted.get(loss).copied().unwrap_or(0);
            (loss.name().to_owned(), count.into())
        })
        .collect();
    json!({
        "counted": counted,
        "missed": losses.missed,
        "unknown": losses.unknown().collect::<Vec<_>>(),
        "target_events": losses.target_events,
        "target_losses": losses.target_losses,
        "target_share": losses.share(),
        "uncounted": losses.uncounted,
        "judged_of": losses.judged_of,
        "threshold": losses.threshold,
        "not_written": losses.not_written,
    })
}

fn attached(profile: &Profile, attached: &Attached) -> Value {
    let Attached {
        holds,
        spans,
        tasks_created,
        missed,
    } = attached;
    let holds = holds.as_ref().map(|holds| {
        let holds = holds
            .iter()
            .map(|(site, &count)| (site.name().to_owned(), count.into()));
        holds.collect::<Map<String, Value>>()
    });
    let spans: Map<String, Value> = spans
        .iter()
        .map(|(span, calls)| {
            let calls = json!({"calls": calls.calls, "calls_in_hold": calls.calls_in_hold});
            (span.name().to_owned(), calls)
        })
        .collect();
    json!({
        "seconds": profile.footer.as_ref().map(|footer| footer.attached_s),
        "holds": holds,
        "spans": spans,
        "missed": missed,
        "tasks_created": tasks_created,
    })
}

fn ground_truth(check: &GroundTruthCheck) -> Value {
    json!({
        "windows": check.windows,
        "lives_by_load": check.lives_by_load,
        "null_holds_by_load": check.null_holds_by_load,
        "tasks_created_by_kernel": check.tasks_created_by_kernel,
        "fork_holds": check.fork_holds,
        "exit_holds": check.exit_holds,
        "reap_holds": check.reap_holds,
        "setsid_holds": check.setsid_holds,
        "fork_difference": check.fork_difference(),
    })
}

fn series(profile: &Profile, point: &SeriesPoint) -> Value {
    let per_second = |count: Option<u64>| point.per_second(count? as f64);
    json!({
        "at_s": point.at_s,
        "seconds": point.seconds,
        "phase": point.stage,
        "held_share": point.held_share(),
        "cpu_held_share": point.holds.map(|_| {
            let cpus = point.cpus.iter();
            cpus.map(|cpu| (cpu.cpu.to_string(), cpu.held.into())).collect::<Map<String, Value>>()
        }),
        "holds": point.holds,
        "mean_hold_ns": point.mean_hold_ns(),
        "lives_per_second": per_second(point.lives),
        "iterations_per_second": per_second(point.iterations),
        "tasks_created_per_second": per_second(Some(point.tasks_created)),
        "steal_share": point.steal_share(profile.header.kernel.cpus_online),
        "own_cpu_share": point.per_second(point.own_cpu_s),
        "own_resident_bytes": point.own_resident_bytes,
    })
}
