//! Every way to end a run early.

use workloads::WorkloadLine;

use crate::run::{Run, all_combinations};

fn is_second(line: &WorkloadLine) -> bool {
    matches!(line, WorkloadLine::Second { .. })
}

fn is_measurement(line: &WorkloadLine) -> bool {
    *line == WorkloadLine::Measurement
}

#[test]
fn sigterm_ends_the_run_with_its_accounts() {
    for (workload, mode) in all_combinations() {
        let (name, mode) = (workload.name(), mode.name());
        let mut run = Run::start(&format!("{name} -t 3 --mode {mode} -d 1000 --warm-up 0"));
        run.wait_for(is_second);
        run.signal(libc::SIGTERM);
        let (truth, lines) = run.ground_truth();
        assert!(truth.stopped_early, "{truth:?}");
        assert!(truth.duration_s >= 1.0, "{truth:?}");
        assert!(truth.iterations > 0, "{truth:?}");
        assert!(truth.iterations <= truth.iterations_attempted_total);
        assert!(lines.iter().any(|line| line.starts_with("average:")));
    }
}

#[test]
fn sigint_during_the_warm_up_leaves_an_empty_window() {
    let mut run = Run::start("forkexit -t 2 --warm-up 1000");
    run.wait_for(is_second);
    run.signal(libc::SIGINT);
    let (truth, lines) = run.ground_truth();
    assert!(truth.stopped_early);
    assert_eq!((truth.iterations, truth.per_second), (0, None), "{truth:?}");
    assert!(truth.iterations_attempted_total > 0);
    assert!(truth.tasks_created > truth.iterations_attempted_total);
    assert!(
        !lines.iter().any(|line| line.starts_with("average:")),
        "{lines:?}"
    );
    assert!(!lines.contains(&"measurement".to_owned()), "{lines:?}");
}

#[test]
fn until_signalled_is_not_early() {
    let mut run = Run::start("signalgroup --until-signalled --warm-up 0");
    run.wait_for(is_second);
    run.signal(libc::SIGTERM);
    assert!(!run.ground_truth().0.stopped_early);
}

#[test]
fn signals_to_the_whole_group_do_not_kill_workers() {
    let mut run = Run::start("forkexit -t 2 --until-signalled --warm-up 0");
    run.wait_for(is_second);
    for pid in run.survivors() {
        crate::run::send(pid, libc::SIGINT);
    }
    let truth = run.ground_truth().0;
    assert_eq!(truth.tasks_created, truth.iterations_attempted_total + 2);
}

#[test]
fn workers_die_with_the_main_process() {
    for (workload, mode) in all_combinations() {
        let (name, mode) = (workload.name(), mode.name());
        let mut run = Run::start(&format!(
            "{name} -t 3 --mode {mode} --until-signalled --warm-up 0.05"
        ));
        run.wait_for(is_measurement);
        assert!(run.survivors().len() > 1);
        run.signal(libc::SIGKILL);
        run.expect_no_survivors();
    }
}

#[test]
fn a_run_ends_when_nobody_reads_it() {
    let mut run = Run::start("threadspawn -t 2 --until-signalled --warm-up 0");
    run.wait_for(is_measurement);
    run.close_output();
    let (status, errors) = run.finish();
    assert!(status.success(), "{errors}");
    assert_eq!(run.survivors(), [0; 0]);
}
