//! What a run prints: will-it-scale's form, and the moments that a profiler relies on.

use std::process::Command;

use workloads::{WorkloadLine, parse_line};

use crate::run::{PROGRAM, Run};

#[test]
fn lines_are_those_of_will_it_scale() {
    let (truth, lines) = Run::start("threadspawn -t 2 -d 2 --warm-up 1").ground_truth();
    assert_eq!(lines[0], "testcase:Thread creation and teardown");
    assert_eq!(lines[1], "warmup");

    let mut measured_total = 0;
    let mut seconds = 0;
    let mut rest = lines[2..].iter().map(|line| (line, parse_line(line)));
    for (line, parsed) in rest.by_ref() {
        match parsed {
            WorkloadLine::Second { min, max, total } => {
                assert_eq!(*line, format!("min:{min} max:{max} total:{total}"));
                assert!(min <= max && max <= total && total <= 2 * max, "{line}");
                measured_total += total;
                seconds += 1;
            }
            WorkloadLine::Measurement => {
                assert_eq!(seconds, 1, "{lines:?}");
                (measured_total, seconds) = (0, 0);
            }
            WorkloadLine::Average(average) => {
                // Which of the two roundings is exact depends on the digits of the JSON.
                let per_second = truth.per_second.unwrap();
                let difference = per_second - f64::from(u32::try_from(average).unwrap());
                assert!((-0.01..1.01).contains(&difference), "{line} {per_second}");
                break;
            }
            other => panic!("unexpected {other:?}: {lines:?}"),
        }
    }
    // A main process that gets no CPU for a second prints one line for two.
    assert!(seconds == 2 || seconds == 1, "{lines:?}");
    assert_eq!(measured_total, truth.iterations, "{lines:?}");
    assert!(matches!(
        rest.next(),
        Some((_, WorkloadLine::GroundTruth(_)))
    ));
    assert_eq!(rest.next(), None);
}

#[test]
fn without_warm_up_the_window_is_announced_before_the_release() {
    let (_, lines) = Run::start("nullhold --iterations 5 --warm-up 0").ground_truth();
    assert_eq!(
        lines[..3],
        [
            "testcase:setsid refused with EPERM",
            "warmup",
            "measurement"
        ]
    );
    assert!(matches!(parse_line(&lines[3]), WorkloadLine::Average(_)));
    assert_eq!(lines.len(), 5);
}

#[test]
fn usage_errors_exit_with_2() {
    for arguments in [
        "threadspawn -t 0",
        "threadspawn -d 0",
        "threadspawn -d 1 --iterations 1",
        "threadspwan",
        "",
    ] {
        let output = Command::new(PROGRAM)
            .args(arguments.split_whitespace())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(!output.stderr.is_empty(), "{arguments}");
    }
}

#[test]
fn help_has_examples() {
    for workload in workloads::Workload::ALL {
        let output = Command::new(PROGRAM)
            .args([workload.name(), "--help"])
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(help.contains("Examples:"), "{help}");
        assert!(help.contains(&format!("  {} ", workload.name())), "{help}");
    }
}

#[test]
fn a_process_with_several_threads_is_refused() {
    let command = workloads::WorkloadCommand::new(
        workloads::Workload::Nullhold,
        workloads::Options::default(),
    );
    // libtest runs each test in a thread of its own.
    let error = workloads::run_to(&command, &mut std::io::sink()).unwrap_err();
    assert!(error.to_string().contains("one thread"), "{error}");
}
