//! What found no place in a table, what had not ended, and what is longer than its interval.

use std::collections::BTreeMap;

use lockprof::{
    export::Format,
    profile::{Profile, Verdict},
    recording::schema::{
        CgroupInterval, InProgress, Kind, Line, OTHER_CGROUPS, OpenEvent, Phase, Tier,
    },
};
use lockprof_abi::{LCB_F_MUTEX, LCB_F_PERCPU, LCB_F_SPIN, LCB_F_WRITE};
use serde_json::Value;

use crate::{
    fixture::{Synthetic, profile_of},
    windowed::{self, joined, table},
};

fn hang() -> OpenEvent {
    OpenEvent {
        kind: Kind::Wait,
        at_least_ns: 3_900_000_000,
        since_attach: true,
        lock: None,
        name: None,
        flags: LCB_F_PERCPU,
        caller: Some("mnt_want_write+0x96".into()),
        site: None,
        cpu: None,
        pid: Some(4711),
        tgid: Some(4711),
        comm: Some("touch".into()),
    }
}

fn with(events: Vec<OpenEvent>, more: u64, unseen: Option<&str>) -> Profile {
    let synthetic = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    let mut lines = synthetic.lines();
    let Some(Line::Footer(footer)) = lines.last_mut() else {
        panic!("the recording ends with its footer");
    };
    footer.in_progress = Some(InProgress {
        events,
        more,
        unseen: unseen.map(str::to_owned),
        cut: None,
    });
    profile_of(lines)
}

#[test]
fn a_hang_is_the_first_that_is_said() {
    let short = OpenEvent {
        at_least_ns: 2_000_000,
        since_attach: false,
        lock: Some("0xffff888100a0b0c0".into()),
        flags: LCB_F_MUTEX,
        ..hang()
    };
    let profile = with(vec![hang(), short], 0, Some("there are too many tasks"));
    let verdict = Verdict::of(&profile);
    assert_eq!(
        verdict.sentences().next(),
        Some(
            "Still waiting at the end: touch (pid 4711) for a pcpu-sem, asked for by mnt_want_write, at least \
             3.90 s, since before the probes were attached."
        )
    );
    // What is short is in the table alone.
    assert_eq!(verdict.in_progress.len(), 1);
    let text = table(&profile);
    let start = text.find("Still in progress at the end").unwrap();
    let end = text.find("Waits by site").unwrap();
    insta::assert_snapshot!(text[start..end].trim_end());
    for format in [Format::Markdown, Format::Html] {
        let text = joined(&windowed::text(&profile, format)).replace('\u{a0}', " ");
        assert!(
            text.contains("Still waiting at the end: touch (pid 4711)"),
            "{text}"
        );
        assert!(text.contains("Still in progress at the end"), "{text}");
    }
    let json: Value = serde_json::from_str(&windowed::text(&profile, Format::Json)).unwrap();
    let event = &json["in_progress"]["events"][0];
    assert_eq!(event["lock_kind"], "pcpu-sem");
    assert_eq!(event["caller"], "mnt_want_write");
    assert_eq!(event["address"], Value::Null);
    assert_eq!(json["in_progress"]["unseen"], "there are too many tasks");
}

#[test]
fn many_hangs_are_counted() {
    let profile = with(vec![hang(); 32], 68, None);
    let verdict = Verdict::of(&profile);
    assert_eq!(verdict.in_progress.len(), 4);
    assert_eq!(
        verdict.in_progress[3],
        "97 more were in progress, the longest first in the table below."
    );
    assert!(table(&profile).contains("and 90 more with less"));
}

#[test]
fn a_hold_that_goes_on_is_held_and_not_waited_for() {
    let hold = OpenEvent {
        kind: Kind::Hold,
        since_attach: false,
        name: Some("tasklist_lock".into()),
        flags: LCB_F_SPIN | LCB_F_WRITE,
        caller: None,
        site: Some("reap".into()),
        cpu: Some(3),
        pid: None,
        comm: None,
        ..hang()
    };
    let verdict = Verdict::of(&with(vec![hold], 0, None));
    assert_eq!(
        verdict.in_progress,
        [
            "Still held at the end: tasklist_lock, an rwlock (to write), by a task on CPU 3, asked for by reap, at least \
          3.90 s."
        ]
    );
}

/// A recording in which nobody looked, or nobody waited, says neither.
#[test]
fn nothing_is_said_where_nothing_was_found() {
    let none = Synthetic::default().profile();
    assert_eq!(Verdict::of(&none).in_progress, [""; 0]);
    let json: Value = serde_json::from_str(&windowed::text(&none, Format::Json)).unwrap();
    assert_eq!(json["in_progress"], Value::Null);
    for profile in [none, with(Vec::new(), 0, None)] {
        assert!(!table(&profile).contains("in progress"));
    }
}

fn totals(holds: u64) -> CgroupInterval {
    CgroupInterval {
        holds,
        held_ns: holds * 1000,
        waits: 0,
        waited_ns: 0,
    }
}

/// The table of a recording with these holds by cgroup in its last interval, and lost entries of the table.
fn by_cgroup(cgroups: &[(String, u64)], lost: u64) -> String {
    let mut lines = Synthetic::default().lines();
    let mut intervals = lines.iter_mut().filter_map(|line| match line {
        Line::Interval(interval) if interval.phase == Phase::Measured => Some(interval),
        _ => None,
    });
    let last = intervals.next_back().unwrap();
    let named = cgroups
        .iter()
        .map(|(path, holds)| (path.clone(), totals(*holds)));
    last.cgroups = named.collect();
    last.losses = BTreeMap::from([("cgroup_table_full".to_owned(), lost)]);
    let text = table(&profile_of(lines));
    let start = text.find("By cgroup").unwrap();
    let end = text.find("How far to trust this").unwrap();
    text[start..end].to_owned()
}

#[test]
fn cgroups_without_a_place_have_a_row_together() {
    let mut cgroups: Vec<(String, u64)> = (0..20).map(|n| (format!("/job-{n:02}"), 50)).collect();
    // They are fewer than each of the others, and shown all the same.
    cgroups.push((OTHER_CGROUPS.to_owned(), 7));
    let text = by_cgroup(&cgroups, 7);
    insta::assert_snapshot!(text);
}

#[test]
fn no_cause_is_named_that_was_not_looked_for() {
    let one = [("/job".to_owned(), 50)];
    let text = joined(&by_cgroup(&one, 0));
    assert!(text.contains("Their holds are 50 here and "), "{text}");
    assert!(!text.contains("the table of a CPU"), "{text}");
    assert!(!text.contains("one after the other"), "{text}");
    // Of recordings that have no row for all others.
    let text = joined(&by_cgroup(&one, 194));
    let said = "The table of a CPU had no place for the cgroups of 194 holds and waits: they are in no row.";
    assert!(text.contains(said), "{text}");
}

#[test]
fn waits_without_a_row_are_said_beside_the_table() {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            let losses = [("task_slot_taken", 4), ("stack_missing", 2)];
            interval.losses = losses.map(|(name, count)| (name.to_owned(), count)).into();
        }
    }
    let text = joined(&table(&profile_of(lines)));
    for said in [
        "12 sleeping waits are in no row: another task had taken their place in the table by task.",
        "The call stacks of 6 waits could not be kept; where only those tell, their caller is \"–\".",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

/// `--interval 0.001` where holds of 6 ms exist.
#[test]
fn no_interval_is_held_for_more_than_its_length() {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.at_s /= 1e6;
            interval.seconds /= 1e6;
        }
    }
    let profile = profile_of(lines);
    assert!(
        profile.held_ns().unwrap() > 4_000,
        "the holds are longer than the run"
    );
    assert_eq!(profile.held_share(), Some(1.0));
    let json: Value = serde_json::from_str(&windowed::text(&profile, Format::Json)).unwrap();
    for point in json["series"].as_array().unwrap() {
        assert!(point["held_share"].as_f64().unwrap() <= 1.0, "{point}");
        let cpus = point["cpu_held_share"].as_object().unwrap().values();
        let all: f64 = cpus.map(|share| share.as_f64().unwrap()).sum();
        assert!(all <= 1.000_001, "{point}");
    }
    let trace: Value = serde_json::from_str(&windowed::text(&profile, Format::Trace)).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let held = events
        .iter()
        .filter_map(|event| event["args"]["%"].as_f64());
    let held: Vec<f64> = held.collect();
    assert!(
        !held.is_empty() && held.iter().all(|&held| held <= 100.0),
        "{held:?}"
    );
}
