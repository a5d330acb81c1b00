//! `doctor` on the machine that runs the tests, whatever it is: it never fails, what it says is
//! consistent, and it leaves nothing behind in the kernel.

use std::thread::sleep;
use std::time::Duration;

use lockprof::doctor::doctor;
use serde_json::Value;

fn report() -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&doctor(true)?)?)
}

#[test]
fn what_it_says_is_consistent() {
    let report = report().expect("doctor --json");
    let known = if report["tier"].is_null() {
        assert_eq!(report["assumes_privileges"], true);
        &report["at_best"]
    } else {
        &report
    };
    let tier = known["tier"].as_str().expect("a tier");
    let method = known["method"].as_str().expect("a method");
    match tier {
        "exact" => assert!(["fentry", "kprobe"].contains(&method), "{method}"),
        "wait-only" | "unsupported" => assert_eq!(method, "wait"),
        other => panic!("no tier: {other}"),
    }
    assert!(!report["reasons"].as_array().expect("reasons").is_empty());
    assert!(
        !report["kernel"]["release"]
            .as_str()
            .expect("a release")
            .is_empty()
    );
    let points = report["probe_points"].as_array().expect("probe points");
    let point = |target: &str| {
        points
            .iter()
            .find(|point| point["target"] == target)
            .unwrap_or_else(|| panic!("no {target}"))
    };
    if report["assumes_privileges"] == false {
        if tier == "wait-only" {
            assert_eq!(point("contention_begin")["raw_tracepoint"], true);
        }
        if method == "fentry" {
            assert_eq!(point("_raw_write_unlock_irq")["fentry"], true);
        }
    }
    let table = doctor(false).expect("doctor");
    for line in table.lines() {
        assert!(line.chars().count() <= 80 || !line.contains(' '), "{line}");
    }
}

#[test]
fn its_trials_leave_no_program_behind() {
    let left_behind = || {
        report().expect("doctor --json")["capabilities"]["others"]["programs"]
            .to_string()
            .contains("lockprof_trial")
    };
    // The kernel may free a program a moment after its last descriptor is closed.
    for _ in 0..20 {
        if !left_behind() {
            return;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("a program of doctor's is still loaded");
}
