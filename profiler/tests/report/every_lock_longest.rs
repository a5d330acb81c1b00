//! Of a recording of all locks: its trace, its longest waits, and who waits by the names of processes.

use lockprof::{
    export::{Format, Grouping},
    profile::Profile,
    recording::schema::{Line, Owner, WaiterInterval},
};
use lockprof_abi::LCB_F_WRITE;
use serde_json::Value;

use crate::{
    all_locks::task,
    every_lock::{busy, by, contention, recording, waiter},
    fixture::profile_of,
    windowed::{joined, json, table, text},
};

/// The longest wait of the interval that ends so many seconds after the attach.
fn longest_ns(at_s: f64) -> u64 {
    100_000_000 * at_s as u64
}

/// In each interval a thread waits longer than in the one before, for a lock that another one has.
fn growing() -> Vec<Line> {
    recording(|interval| {
        let ns = longest_ns(interval.at_s);
        interval.contention = vec![
            contention("0x2", Some("mmap_lock"), LCB_F_WRITE, 2, 2 * ns),
            // The same length each time: only the first is known to be of its interval.
            contention("0x700", None, LCB_F_WRITE, 1, 5_000_000),
        ];
        let owner = Owner {
            task: task(1002, 1000, "mmload"),
            on_cpu: 1,
            ..Owner::default()
        };
        interval.waiters = vec![
            waiter(0x10000, 1000, None),
            WaiterInterval {
                waits: 1,
                waited_ns: ns,
                longest_ns: ns,
                ..waiter(0x10000, 1000, Some(owner))
            },
        ];
    })
}

fn events(profile: &Profile) -> Vec<Value> {
    let trace: Value = serde_json::from_str(&text(profile, Format::Trace)).unwrap();
    assert!(
        trace["otherData"]["waits"]
            .as_str()
            .unwrap()
            .contains("ends where the interval ends")
    );
    trace["traceEvents"].as_array().unwrap().clone()
}

#[test]
fn a_trace_has_waiting_tasks_by_class_and_the_longest_waits() {
    let profile = profile_of(growing());
    let events = events(&profile);
    let of = |phase: &str, name: &str| -> Vec<&Value> {
        let named = events.iter();
        named
            .filter(|event| event["ph"] == phase && event["name"] == name)
            .collect()
    };
    // A value for each interval, and an end: the first one ends two seconds after the attach.
    let waiting = of("C", "waiting for mmap_lock (rwsem)");
    let values: Vec<f64> = waiting
        .iter()
        .map(|event| event["args"]["tasks"].as_f64().unwrap())
        .collect();
    assert_eq!(values, [0.4, 0.6, 0.0]);
    let at: Vec<f64> = waiting
        .iter()
        .map(|event| event["ts"].as_f64().unwrap())
        .collect();
    assert_eq!((at[1] - at[0], at[2] - at[1]), (1e6, 1e6));
    let slices = of("X", "mmap_lock (rwsem)");
    assert_eq!(slices.len(), 2, "{slices:?}");
    // The longest first.
    for (slice, at_s) in slices.iter().zip([3.0, 2.0]) {
        let ns = longest_ns(at_s);
        assert_eq!(slice["dur"].as_f64().unwrap() * 1e3, ns as f64);
        let end = slice["ts"].as_f64().unwrap() + slice["dur"].as_f64().unwrap();
        assert!((end - at_s * 1e6).abs() < 0.01, "{slice}");
        let args = &slice["args"];
        assert_eq!(args["asked for by"], "__vm_munmap");
        assert_eq!(args["kind"], "rwsem:W");
        assert_eq!(args["task"], "mmload 1001");
        assert_eq!(args["process"], "mmload 1000");
        assert_eq!(args["the lock had"], "mmload 1002");
        assert_eq!(args["who is"], Value::Null);
    }
    // Of the other lock nobody knows who waited, and there is one.
    let others = of("X", "rwsem of __vm_munmap");
    assert_eq!(others.len(), 1, "{others:?}");
    assert_eq!(others[0]["args"]["task"], Value::Null);
    // Nothing of holds, which nobody has measured.
    for event in &events {
        let name = event["name"].as_str().unwrap();
        let says =
            |word: &str| name.contains(word) || event["args"]["name"].to_string().contains(word);
        assert!(
            !says("held") && !says("hold") && !says("tasklist_lock"),
            "{event}"
        );
    }
}

#[test]
fn programs_get_the_longest_waits() {
    let json = json(&profile_of(growing()));
    let longest = &json["longest_waits"][0];
    assert_eq!(longest["ns"], 300_000_000);
    assert_eq!(
        (&longest["ended_after_s"], &longest["ended_before_s"]),
        (&2.0.into(), &3.0.into())
    );
    assert_eq!(longest["class"]["name"], "mmap_lock");
    assert_eq!(longest["caller"], "__vm_munmap");
    assert_eq!(longest["owner"]["id"], 1002);
    assert_eq!(longest["owner_is_hint"], false);
}

/// Six hundred processes of one name are one row, which says how many they are.
#[test]
fn processes_of_one_name_are_one_row() {
    let profile = profile_of(busy());
    let table_by = by(&profile, Grouping::Command);
    assert!(
        table_by.contains("mmload mmap_lock 600 3,600 7.20 s 2.00 ms"),
        "{table_by}"
    );
    assert!(table_by.contains("ps mmap_lock 1 4 80.0 ms"), "{table_by}");
    assert!(
        table_by.contains("mmload its own process 600 3,600 7.20 s"),
        "{table_by}"
    );
    assert!(table_by.contains("ps mmload 1 4 80.0 ms"), "{table_by}");
    assert!(!table_by.contains("mmload 1000"), "{table_by}");
    // It has a place of its own, where it is asked for.
    assert!(!joined(&table(&profile)).contains("By command"));
    let page = text(&profile, Format::Html);
    assert!(page.contains("By command"));
    let csv = text(&profile, Format::Csv);
    assert!(
        csv.contains("command,,mmload,,,processes,600,count"),
        "{csv}"
    );
    assert!(csv.contains("command,,mmload,,,waits,3600,count"), "{csv}");
    let json = json(&profile);
    let commands = json["commands"].as_array().unwrap();
    assert_eq!(commands.len(), 2);
    let (mmload, ps) = (&commands[0], &commands[1]);
    assert_eq!(mmload["name"], "mmload");
    assert_eq!(
        (&mmload["processes"], &mmload["count"]),
        (&600.into(), &3600.into())
    );
    assert_eq!(mmload["behind"][0]["own_process"], true);
    assert_eq!(ps["behind"][0]["owner"], "mmload");
    assert_eq!(ps["behind"][0]["own_process"], false);
    // All of them are those by process.
    let count = |of: &str| -> u64 {
        let rows = json[of].as_array().unwrap().iter();
        rows.filter_map(|row| row["count"].as_u64()).sum()
    };
    assert_eq!(count("commands"), count("processes"));
}
