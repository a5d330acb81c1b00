//! JSON, CSV, Markdown, folded stacks and traces, and all views of anything that can be read.

use lockprof::{
    export::{Format, Picture},
    profile::Profile,
    recording::{
        Recording,
        schema::{Anchor, CgroupInterval, Clock, Line, Tier},
    },
};
use serde_json::Value;

use crate::{
    every_lock,
    every_lock_pictures::eighty,
    fixture::{Synthetic, classify, profile_of},
};

/// Makes every view of a recording.
pub fn every_view(recording: Recording) {
    let profile = Profile::from_recording(recording, classify);
    for format in [
        Format::Table {
            width: 80,
            color: true,
            by: None,
        },
        Format::Json,
        Format::Csv,
        Format::Markdown,
        Format::Folded,
        Format::Trace,
        Format::Html,
    ] {
        format.exporter().export(&profile).unwrap();
    }
    for &picture in Picture::of(&profile) {
        Format::Svg(picture).exporter().export(&profile).unwrap();
    }
}

fn json(synthetic: &Synthetic) -> Value {
    let bytes = Format::Json
        .exporter()
        .export(&synthetic.profile())
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The field names that users rely on.
#[test]
fn json_has_the_fields_of_the_contract() {
    let json = json(&Synthetic::default());
    for pointer in [
        "/schema",
        "/kernel/release",
        "/tier",
        "/attach",
        "/lock/name",
        "/lock/address_source",
        "/duration_s",
        "/clock",
        "/workload/name",
        "/workload/tasks",
        "/workload/mode",
        "/workload/iterations",
        "/workload/lives",
        "/workload/per_second",
        "/sites/0/name",
        "/sites/0/symbol",
        "/sites/0/holds",
        "/sites/0/contended",
        "/sites/0/hold_ns/mean",
        "/sites/0/hold_ns/p50",
        "/sites/0/hold_ns/p90",
        "/sites/0/hold_ns/p99",
        "/sites/0/hold_ns/max",
        "/sites/0/wait_ns/mean",
        "/sites/0/wait_ns/p50",
        "/sites/0/wait_ns/p90",
        "/sites/0/wait_ns/p99",
        "/sites/0/wait_ns/max",
        "/sites/0/longest/ns",
        "/sites/0/longest/at_s",
        "/sites/0/longest/pid",
        "/sites/0/longest/comm",
        "/spans/0/name",
        "/spans/0/site",
        "/spans/0/calls",
        "/spans/0/calls_in_hold",
        "/spans/0/in_hold_ns",
        "/spans/0/self_ns",
        "/inner_waits/0",
        "/blame/0",
        "/cpus/0",
        "/contention/0/lock",
        "/contention/0/site",
        "/contention/0/count",
        "/contention/0/wait_ns/mean",
        "/probe/null_hold_ns",
        "/probe/run_ns_per_event",
        "/losses",
        "/void",
        "/cut_short",
        "/ground_truth",
        "/attached",
        "/series/0",
    ] {
        let value = json.pointer(pointer);
        assert!(
            value.is_some_and(|value| !value.is_null()),
            "{pointer} is {value:?}"
        );
    }
    assert_eq!(json["tier"], "exact");
    assert_eq!(json["attach"], "fentry");
    assert_eq!(json["sites"][0]["symbol"], "release_task");
    assert_eq!(json["ground_truth"]["fork_difference"], 0);
    assert_eq!(json["losses"]["missed"]["contention_began"], Value::Null);
}

#[test]
fn json_says_null_for_what_is_not_known() {
    let wait_only = json(&Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    });
    for pointer in [
        "/sites/0/holds",
        "/sites/0/hold_ns",
        "/sites/0/longest",
        "/write_holds",
        "/held_share",
        "/workload/lives",
        "/attached/holds",
        "/ground_truth/fork_holds",
        "/series/0/holds",
        "/series/0/held_share",
        "/series/0/lives_per_second",
    ] {
        assert_eq!(wait_only.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
    assert_eq!(wait_only["sites"][0]["name"], "reap");
    assert_eq!(wait_only["sites"][0]["contended"], 120);

    let instructions = json(&Synthetic {
        clock: Clock::Instructions,
        ..Synthetic::default()
    });
    assert_eq!(instructions["unit"], "insn");
    assert_eq!(instructions["sites"][0]["wait_ns"], Value::Null);
    assert_eq!(instructions["sites"][0]["contended"], Value::Null);
    assert_eq!(instructions["contention"], Value::Array(Vec::new()));
}

#[test]
fn csv_is_one_tidy_table() {
    let profile = Synthetic::default().profile();
    let csv = String::from_utf8(Format::Csv.exporter().export(&profile).unwrap()).unwrap();
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some("section,site,name,from,to,metric,value,unit")
    );
    assert!(lines.all(|line| line.split(',').count() == 8));
    for line in [
        "run,,,,,void,0,count",
        "run,,,,,duration,3,s",
        "site,reap,,,,holds,120,count",
        "span,reap,free_pid,,,calls,120,count",
        "series,,measured,1,2,lives,40,1/s",
        "contention,reap,pidmap_lock spinlock by free_pid,,,waits,9,count",
        "loss,,missed:contention_began,,,lost,,count",
    ] {
        assert!(csv.lines().any(|other| other == line), "{line} in {csv}");
    }
    let reap = profile.site(lockprof::site::Site::REAP).unwrap();
    let holds = csv
        .lines()
        .filter(|line| line.starts_with("distribution,reap,hold,"));
    let counts = holds.map(|line| line.split(',').nth(6).unwrap().parse::<u64>().unwrap());
    assert_eq!(counts.sum::<u64>(), reap.hold.as_ref().unwrap().count());
}

#[test]
fn folded_stacks_end_in_the_lock_and_the_waited_time() {
    let folded = |synthetic: &Synthetic| {
        let bytes = Format::Folded
            .exporter()
            .export(&synthetic.profile())
            .unwrap();
        String::from_utf8(bytes).unwrap()
    };
    insta::assert_snapshot!(folded(&Synthetic::default()), @r"
    __vm_munmap;0xffff888100a0b0c0 (sleeping) 504000
    copy_process;0xffffffff8260a080 (rwlock:W) 1800000
    release_task;0xffffffff8260a080 (rwlock:W) 2880000
    release_task;__change_pid;free_pid;pidmap_lock (spinlock) 216000
    ");
    let instructions = Synthetic {
        clock: Clock::Instructions,
        ..Synthetic::default()
    };
    assert_eq!(folded(&instructions), "");
}

/// Waits for the target lock have no stack in the exact tier; their site is one all the same.
#[test]
fn waits_without_a_stack_are_under_their_site() {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.contention.clear();
        }
    }
    let profile = profile_of(lines);
    let bytes = Format::Folded.exporter().export(&profile).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.contains("copy_process;tasklist_lock (rwlock:W) "),
        "{text}"
    );
}

/// What viewers of such traces rely on: known phases, finite times that are not negative, lengths of slices,
/// numbers in counters, and slices of one row that do not overlap but lie in each other.
#[test]
fn a_trace_is_one_that_viewers_open() {
    let of_one_lock = [
        Synthetic::default(),
        Synthetic {
            tier: Tier::WaitOnly,
            ..Synthetic::default()
        },
        Synthetic {
            cpus: 24,
            footer: false,
            ..Synthetic::default()
        },
    ];
    let profiles = of_one_lock.iter().map(Synthetic::profile);
    let of_all_locks = profile_of(every_lock::busy());
    for mut profile in profiles.chain([of_all_locks, eighty().profile()]) {
        profile.header.attached_at = Some(ANCHOR);
        let bytes = Format::Trace.exporter().export(&profile).unwrap();
        let trace: Value = serde_json::from_slice(&bytes).unwrap();
        let mut rows: std::collections::BTreeMap<String, Vec<(f64, f64)>> = Default::default();
        for event in trace["traceEvents"].as_array().unwrap() {
            assert!(event["pid"].is_u64(), "{event}");
            let at = || {
                event["ts"]
                    .as_f64()
                    .filter(|at| at.is_finite() && *at >= 0.0)
            };
            match event["ph"].as_str().unwrap() {
                "M" => assert!(
                    event["args"]["name"].is_string() || event["args"]["sort_index"].is_number()
                ),
                "X" => {
                    let length = event["dur"].as_f64().filter(|dur| *dur >= 0.0).unwrap();
                    let row = format!("{} {}", event["pid"], event["tid"]);
                    rows.entry(row).or_default().push((at().unwrap(), length));
                }
                "i" => assert!(event["s"] == "g" && at().is_some(), "{event}"),
                "C" => {
                    assert!(at().is_some(), "{event}");
                    let values = event["args"].as_object().unwrap();
                    assert!(
                        !values.is_empty() && values.values().all(Value::is_number),
                        "{event}"
                    );
                }
                other => panic!("an unknown phase {other}: {event}"),
            }
        }
        for (row, mut slices) in rows {
            slices.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
            let mut open: Vec<f64> = Vec::new();
            for (at, length) in slices {
                open.retain(|end| *end > at + 1e-6);
                let inside = open.last().is_none_or(|end| at + length <= end + 1e-6);
                assert!(inside, "slices of row {row} overlap at {at}");
                open.push(at + length);
            }
        }
    }
}

#[test]
fn a_trace_has_intervals_counters_and_the_longest_events() {
    let profile = Synthetic::default().profile();
    let bytes = Format::Trace.exporter().export(&profile).unwrap();
    let trace: Value = serde_json::from_slice(&bytes).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |phase: &str, name: &str| {
        let named = |event: &&Value| event["ph"] == phase && event["name"] == name;
        events.iter().filter(named).collect::<Vec<_>>()
    };
    // Three of one second after one of warm-up, one after the other.
    let measured = of("X", "measured");
    let starts: Vec<f64> = measured.iter().map(|e| e["ts"].as_f64().unwrap()).collect();
    assert_eq!(starts, [1e6, 2e6, 3e6]);
    assert!(measured.iter().all(|event| event["dur"] == 1e6));
    // A counter for each interval, and its end.
    assert_eq!(of("C", "held by CPU 001").len(), 5);
    assert_eq!(of("C", "task lives").len(), 4);
    let longest = of("X", "reap: longest hold");
    assert_eq!(longest.len(), 1);
    assert_eq!(longest[0]["args"]["comm"], "threadspawn");
    let reap = profile.site(lockprof::site::Site::REAP).unwrap();
    let ns = reap.longest_hold.as_ref().unwrap().ns as f64;
    assert!((longest[0]["dur"].as_f64().unwrap() * 1e3 - ns).abs() < 1.0);
}

/// A machine that has slept for an hour.
const ANCHOR: Anchor = Anchor {
    monotonic_ns: 8_123_456_789_012,
    boottime_ns: 11_723_456_789_062,
    realtime_ns: 1_760_000_000_123_456_789,
};

/// Another tool's events are stamped by CLOCK_MONOTONIC, or by a clock that the anchor shows beside it.
#[test]
fn a_trace_lies_beside_another_tool_s() {
    let mut profile = Synthetic::default().profile();
    profile.header.attached_at = Some(ANCHOR);
    let export = |profile: &Profile| Format::Trace.exporter().export(profile).unwrap();
    let trace: Value = serde_json::from_slice(&export(&profile)).unwrap();
    let of = |trace: &Value, name: &str| {
        let events = trace["traceEvents"].as_array().unwrap().iter();
        let named = events.filter(|event| event["name"] == name && event["ph"] != "M");
        named.cloned().collect::<Vec<Value>>()
    };
    let anchors = of(&trace, "probes attached");
    assert_eq!(anchors.len(), 1);
    let attached_us = 8_123_456_789.012;
    assert_eq!(anchors[0]["ts"], attached_us);
    assert_eq!(anchors[0]["args"]["CLOCK_BOOTTIME ns"], "11723456789062");
    assert_eq!(
        trace["otherData"]["attached_at"]["CLOCK_REALTIME ns"],
        "1760000000123456789"
    );
    // The end of the longest hold, as bpf_ktime_get_ns() would have told it.
    let longest = &of(&trace, "reap: longest hold")[0];
    let reap = profile.site(lockprof::site::Site::REAP).unwrap();
    let at_s = reap.longest_hold.as_ref().unwrap().at_s;
    let end_us = longest["ts"].as_f64().unwrap() + longest["dur"].as_f64().unwrap();
    assert!(
        (end_us - attached_us - at_s * 1e6).abs() < 0.01,
        "{longest}"
    );
    assert_eq!(of(&trace, "measured")[0]["ts"], attached_us + 1e6);
    // Where there is no anchor, nothing is said to be one.
    profile.header.attached_at = None;
    let trace: Value = serde_json::from_slice(&export(&profile)).unwrap();
    assert_eq!(of(&trace, "probes attached").len(), 0);
    assert_eq!(of(&trace, "measured")[0]["ts"], 1e6);
    assert_eq!(
        trace["otherData"]["ts"],
        "microseconds since the probes were attached"
    );
}

/// What the tables say of cgroups and of the longest events, a spreadsheet gets too.
#[test]
fn csv_has_cgroups_and_the_longest_events() {
    let mut profile = Synthetic::default().profile();
    profile.header.attached_at = Some(ANCHOR);
    let totals = CgroupInterval {
        holds: 7,
        held_ns: 900,
        waits: 2,
        waited_ns: 300,
    };
    profile.cgroups = [("/a, \"b\"".to_owned(), totals)].into();
    let export = |profile: &Profile| {
        let csv = Format::Csv.exporter().export(profile).unwrap();
        String::from_utf8(csv).unwrap()
    };
    let csv = export(&profile);
    let reap = profile.site(lockprof::site::Site::REAP).unwrap();
    let event = reap.longest_hold.as_ref().unwrap();
    let who = format!("hold by {} in {}", event.comm, event.cgroup);
    let range = format!("{},{}", event.at_s - event.ns as f64 / 1e9, event.at_s);
    for line in [
        "cgroup,,\"/a, \"\"b\"\"\",,,held,900,ns".to_owned(),
        "cgroup,,\"/a, \"\"b\"\"\",,,contended,2,count".to_owned(),
        format!("longest,reap,{who},{range},length,{},ns", event.ns),
        format!("longest,reap,{who},{range},pid,{},id", event.pid),
        "run,,,,,attached_realtime,1760000000123456789,ns".to_owned(),
    ] {
        assert!(csv.lines().any(|other| other == line), "{line} in {csv}");
    }
    // Nothing is a number where nobody measured it.
    profile.header.tier = Tier::WaitOnly;
    let csv = export(&profile);
    let held = "cgroup,,\"/a, \"\"b\"\"\",,,held,,ns";
    assert!(csv.lines().any(|line| line == held), "{csv}");
}

#[test]
fn markdown_is_tables() {
    let profile = Synthetic::default().profile();
    let bytes = Format::Markdown.exporter().export(&profile).unwrap();
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

/// What follows the measured time is no warm-up, in any view.
#[test]
fn the_ending_is_no_warm_up() {
    let mut lines = Synthetic::default().lines();
    let Some(Line::Interval(warm_up)) = lines.get(2).cloned() else {
        panic!("no interval")
    };
    let footer = lines.pop().unwrap();
    for at_s in [5.0, 6.0] {
        let mut ending = warm_up.clone();
        ending.at_s = at_s;
        lines.push(Line::Interval(ending));
    }
    lines.push(footer);
    let profile = profile_of(lines);
    let text =
        |format: Format| String::from_utf8(format.exporter().export(&profile).unwrap()).unwrap();
    let table = Format::Table {
        width: 80,
        color: false,
        by: None,
    };
    assert!(text(table).contains("3.00 s in 3 intervals, after 1.00 s of warm-up"));
    let csv = text(Format::Csv);
    let lives = |stage: &str| csv.matches(&format!("series,,{stage},")).count();
    assert_eq!(lives("ending"), 2 * lives("warm-up"));
    assert_eq!(lives("measured"), 3 * lives("warm-up"));
    let trace = text(Format::Trace);
    assert_eq!(trace.matches("\"name\":\"warm-up\"").count(), 1);
    assert_eq!(trace.matches("\"name\":\"ending\"").count(), 2);
    let json: Value = serde_json::from_str(&text(Format::Json)).unwrap();
    let stages = json["series"].as_array().unwrap().iter();
    let stages: Vec<&str> = stages
        .map(|point| point["phase"].as_str().unwrap())
        .collect();
    assert_eq!(
        stages,
        [
            "warm_up", "measured", "measured", "measured", "ending", "ending"
        ]
    );
    assert_eq!(text(Format::Html).matches(">ending<").count(), 2);
}

/// Where a longer hold was counted than was noted, nothing is said to be the longest.
#[test]
fn a_maximum_that_was_not_noted_is_said_to_be_a_bound() {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            for event in &mut interval.longest {
                event.ns /= 8;
            }
        }
    }
    let profile = profile_of(lines);
    let text =
        |format: Format| String::from_utf8(format.exporter().export(&profile).unwrap()).unwrap();
    let json: Value = serde_json::from_str(&text(Format::Json)).unwrap();
    let hold = &json["sites"][0]["hold_ns"];
    assert_eq!(hold["max_is_bound"], true);
    assert!(hold["max"].as_f64() > json["sites"][0]["longest"]["ns"].as_f64());
    assert!(text(Format::Markdown).contains("≤ "));
    assert!(text(Format::Html).contains("≤ "));
    assert!(text(Format::Csv).contains("hold_max_is_bound,1,count"));
}
