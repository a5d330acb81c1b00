//! Loads that are over at once, and loads that end as many tasks as the machine can.

use std::thread;

use crate::fixture::{lockprof, names_in, possible, processes_with, report};

/// Loads that are over before anything was measured.
const SHORT_LOADS: usize = 200;
/// So many at once.
const AT_ONCE: usize = 4;

/// Each ends in order, says what there is to say of no time, and leaves nothing.
#[test]
fn loads_that_are_over_at_once_end_in_order() {
    if !possible("loads_that_are_over_at_once_end_in_order") {
        return;
    }
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                for _ in 0..SHORT_LOADS / AT_ONCE {
                    let folder = tempfile::tempdir().unwrap();
                    let mut command = lockprof();
                    command.args(["run", "--attach", "wait", "--quiet", "--no-report"]);
                    command.args(["--warm-up", "0", "-o"]).arg(folder.path());
                    let output = command.args(["--", "true"]).output().unwrap();
                    assert!(output.status.success(), "{output:?}");
                    assert_eq!(names_in(folder.path()), ["recording.jsonl"]);
                    let report = report(folder.path());
                    assert_eq!(report["cut_short"], false);
                    assert_eq!(report["void"], false);
                    let left = processes_with(folder.path().to_str().unwrap());
                    assert!(left.is_empty(), "{left:?}");
                }
            });
        }
    });
}

/// Tasks that are gone when /proc or a name is asked for them are no trouble, and no loss.
#[test]
fn as_many_tasks_end_as_the_machine_can() {
    if !possible("as_many_tasks_end_as_the_machine_can") {
        return;
    }
    // Some wait for the ends of their threads meanwhile.
    let tasks = 2 * thread::available_parallelism().unwrap().get();
    let folder = tempfile::tempdir().unwrap();
    let mut command = lockprof();
    command.args(["run", "--attach", "wait", "--windows", "0.3", "--no-report"]);
    command.args(["--quiet", "-d", "3", "--warm-up", "0.5", "-o"]);
    command.arg(folder.path());
    command.args(["--workload", "barethread", "--tasks", &tasks.to_string()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = report(folder.path());
    let windows = report["windows"].as_array().unwrap();
    for kind in ["bare", "waits"] {
        let window = windows
            .iter()
            .find(|window| window["kind"] == kind)
            .unwrap();
        let ended = window["iterations"].as_f64().unwrap();
        assert!(ended > 0.0, "{window}");
        let a_second = ended / window["seconds"].as_f64().unwrap();
        println!("{kind}: {a_second:.0} tasks ended a second");
    }
    assert_eq!(report["void"], false);
    assert_eq!(report["losses"]["target_losses"], 0, "{}", report["losses"]);
    assert_eq!(report["cut_short"], false);
}
