//! A trace as Chrome's JSON, which Perfetto opens: what each interval did, the share that each CPU
//! held the lock as counters, and the longest holds and waits where they happened; of a recording of all locks
//! how many tasks waited at a time, by class, and the longest waits.
//!
//! <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU> has the format:
//! `ts` and `dur` are in microseconds, `M` names a track, `X` is a slice, `C` a counter, `i` an instant.
//!
//! The format has no field for the clock of `ts`. So times are those of CLOCK_MONOTONIC, by which most tools can
//! stamp their events too, and the moment of the attach is there by the other clocks as well.

mod every_lock;

use anyhow::Result;
use serde_json::{Value, json};

use super::Exporter;
use crate::{
    profile::{Profile, SeriesPoint, Stage},
    recording::schema::{Anchor, LongestEvent},
    text::printable,
    units,
};

/// The track of the whole lock, and of its intervals.
const LOCK: u32 = 1;
const INTERVALS: u32 = 0;
/// The tracks of the longest holds and waits: one for each CPU.
const LONGEST: u32 = 2;

/// The format has no counter without a value.
const COUNTERS_IN_WINDOWS: &str = "A counter keeps its last value through windows without the probes of \
     holds, or with more, where it is not measured: the track of intervals has them.";

/// Chrome trace JSON.
#[derive(Clone, Copy, Debug)]
pub struct Trace;

impl Exporter for Trace {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        let lock = match profile.locks {
            Some(_) => "all contended locks".into(),
            None => printable(&profile.header.lock.name),
        };
        let mut events = vec![
            name("process_name", LOCK, INTERVALS, &lock),
            name("thread_name", LOCK, INTERVALS, "intervals"),
        ];
        let cpus = cpus(profile);
        let axis = Axis::of(profile);
        events.extend(profile.header.attached_at.map(|at| attached(at, axis)));
        for point in &profile.series {
            events.push(interval(point, profile, axis));
            if matches!(point.stage, Stage::Measured | Stage::WarmUp | Stage::Ending) {
                events.extend(counters(point, &cpus, axis));
            }
        }
        // A counter holds its value until the next one: it ends with the recording.
        if let Some(last) = profile.series.last() {
            events.extend(ends(last, &cpus, axis));
        }
        match &profile.locks {
            Some(locks) => events.extend(every_lock::events(locks, axis)),
            None => events.extend(longest_of_sites(profile, axis)),
        }
        let mut trace = json!({
            "displayTimeUnit": "ns",
            "otherData": {
                "lockprof": profile.header.lockprof,
                "kernel": profile.header.kernel.release,
                "tier": profile.header.tier,
                "clock": profile.header.clock,
                "unit": profile.unit().name(),
                "ts": axis.meaning(),
                "void": profile.void(),
                "losses": profile.losses.happened().collect::<std::collections::BTreeMap<_, _>>(),
            },
            "traceEvents": events,
        });
        if let Some(at) = profile.header.attached_at {
            trace["otherData"]["attached_at"] = clocks(at);
        }
        if profile.locks.is_some() {
            trace["otherData"]["waits"] = every_lock::ABOUT.into();
        } else if profile.header.windows.is_some() {
            trace["otherData"]["counters"] = COUNTERS_IN_WINDOWS.into();
        }
        let mut bytes = serde_json::to_vec(&trace)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn name(what: &str, process: u32, thread: u32, name: &str) -> Value {
    json!({"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}})
}

/// CPUs that held the lock at any time.
fn cpus(profile: &Profile) -> Vec<u32> {
    let seen = profile.series.iter().flat_map(|point| &point.cpus);
    let mut cpus: Vec<u32> = seen.map(|cpu| cpu.cpu).collect();
    cpus.sort_unstable();
    cpus.dedup();
    cpus
}

fn micros(seconds: f64) -> f64 {
    (seconds * 1e9).round() / 1e3
}

/// What `ts` counts from.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// CLOCK_MONOTONIC of the attach; not known of older recordings.
    attached_ns: Option<u64>,
}

impl Axis {
    fn of(profile: &Profile) -> Self {
        let attached_at = profile.header.attached_at;
        Self {
            attached_ns: attached_at.map(|at| at.monotonic_ns),
        }
    }

    /// The `ts` of a time since the attach.
    fn ts(self, seconds: f64) -> f64 {
        (self.attached_ns.unwrap_or(0) as f64 + (seconds * 1e9).round()) / 1e3
    }

    const fn meaning(self) -> &'static str {
        match self.attached_ns {
            Some(_) => "microseconds of CLOCK_MONOTONIC",
            None => "microseconds since the probes were attached",
        }
    }
}

/// As texts: a viewer's numbers are doubles, which have no room for nanoseconds since 1970.
fn clocks(at: Anchor) -> Value {
    json!({
        "CLOCK_MONOTONIC ns": at.monotonic_ns.to_string(),
        "CLOCK_BOOTTIME ns": at.boottime_ns.to_string(),
        "CLOCK_REALTIME ns": at.realtime_ns.to_string(),
    })
}

/// The moment that other tools' times can be laid beside, through all tracks.
fn attached(at: Anchor, axis: Axis) -> Value {
    json!({
        "ph": "i",
        "s": "g",
        "name": "probes attached",
        "pid": LOCK,
        "tid": INTERVALS,
        "ts": axis.ts(0.0),
        "args": clocks(at),
    })
}

fn start_s(point: &SeriesPoint) -> f64 {
    (point.at_s - point.seconds).max(0.0)
}

fn interval(point: &SeriesPoint, profile: &Profile, axis: Axis) -> Value {
    let mut interval = json!({
        "ph": "X",
        "name": profile.stage_name(point.stage),
        "pid": LOCK,
        "tid": INTERVALS,
        "ts": axis.ts(start_s(point)),
        "dur": micros(point.seconds),
        "args": {
            profile.holds_in_words(): point.holds,
            "held": point.held_share().map(units::percent),
            "mean hold ns": point.mean_hold_ns(),
            "iterations": point.iterations,
            "tasks created": point.tasks_created,
        },
    });
    if profile.is_taken_by_each_task() {
        interval["args"]["task lives"] = json!(point.lives);
    }
    interval
}

fn counter(ts: f64, name: &str, unit: &str, value: f64) -> Value {
    json!({"ph": "C", "name": name, "pid": LOCK, "ts": ts, "args": {unit: value}})
}

/// At the start of its interval, for the whole of it.
fn counters(point: &SeriesPoint, cpus: &[u32], axis: Axis) -> Vec<Value> {
    let at = axis.ts(start_s(point));
    let mut all = Vec::new();
    if point.holds.is_some() {
        for &cpu in cpus {
            let share = point.cpus.iter().find(|share| share.cpu == cpu);
            let held = share.map_or(0.0, |share| share.held * 100.0);
            all.push(counter(at, &held_name(cpu), "%", held));
        }
    }
    if let Some(mean) = point.mean_hold_ns() {
        all.push(counter(at, "mean hold", "ns", mean));
    }
    if let Some(lives) = point.lives.and_then(|lives| point.per_second(lives as f64)) {
        all.push(counter(at, "task lives", "1/s", lives));
    }
    all
}

fn ends(last: &SeriesPoint, cpus: &[u32], axis: Axis) -> Vec<Value> {
    let at = axis.ts(last.at_s);
    let held = cpus
        .iter()
        .map(|&cpu| counter(at, &held_name(cpu), "%", 0.0));
    held.collect()
}

/// With zeroes before, so that tracks sort by number.
fn held_name(cpu: u32) -> String {
    format!("held by CPU {cpu:03}")
}

/// The longest hold and wait of each site.
fn longest_of_sites(profile: &Profile, axis: Axis) -> Vec<Value> {
    let title = "the longest holds and waits";
    let mut events = vec![name("process_name", LONGEST, 0, title)];
    for site in &profile.sites {
        let hold = site.longest_hold.iter().map(|event| ("hold", event));
        let wait = site.longest_wait.iter().map(|event| ("wait", event));
        for (kind, event) in hold.chain(wait) {
            let cpu = format!("CPU {}", event.cpu);
            events.push(name("thread_name", LONGEST, event.cpu, &cpu));
            events.push(longest(site.site.name(), kind, event, axis));
        }
    }
    events
}

fn longest(site: &str, kind: &str, event: &LongestEvent, axis: Axis) -> Value {
    let length_s = event.ns as f64 / 1e9;
    json!({
        "ph": "X",
        "name": format!("{site}: longest {kind}"),
        "cat": kind,
        "pid": LONGEST,
        "tid": event.cpu,
        "ts": axis.ts((event.at_s - length_s).max(0.0)),
        "dur": micros(length_s),
        "args": {
            "pid": event.pid,
            "process": event.tgid,
            "comm": printable(&event.comm),
            "cgroup": printable(&event.cgroup),
        },
    })
}
