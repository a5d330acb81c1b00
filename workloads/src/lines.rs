//! The lines that a workload prints, for whoever runs one in a child process.

use crate::GroundTruth;

/// What the last line of a run begins with; JSON follows.
pub const GROUND_TRUTH_PREFIX: &str = "ground-truth: ";

/// One line of a workload's output.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkloadLine {
    /// The workers are about to be released.
    Warmup,
    /// The measured window has begun.
    Measurement,
    /// Another second has passed.
    Second {
        /// Iterations of the slowest worker.
        min: u64,
        /// Iterations of the fastest worker.
        max: u64,
        /// Iterations of all workers.
        total: u64,
    },
    /// The measured window has ended; iterations by seconds.
    Average(u64),
    /// The run is over.
    GroundTruth(GroundTruth),
    /// Any other line, such as the description of the test case.
    Other,
}

/// Says what a line of a workload's output is; a line end does not matter.
#[must_use]
pub fn parse_line(line: &str) -> WorkloadLine {
    let line = line.trim_end();
    let parsed = match line {
        "warmup" => Some(WorkloadLine::Warmup),
        "measurement" => Some(WorkloadLine::Measurement),
        _ => parse_average(line)
            .or_else(|| parse_ground_truth(line))
            .or_else(|| parse_second(line)),
    };
    parsed.unwrap_or(WorkloadLine::Other)
}

fn parse_average(line: &str) -> Option<WorkloadLine> {
    let average = line.strip_prefix("average:")?;
    average.parse().ok().map(WorkloadLine::Average)
}

fn parse_ground_truth(line: &str) -> Option<WorkloadLine> {
    let json = line.strip_prefix(GROUND_TRUTH_PREFIX)?;
    serde_json::from_str(json)
        .ok()
        .map(WorkloadLine::GroundTruth)
}

fn parse_second(line: &str) -> Option<WorkloadLine> {
    let mut words = line.split(' ');
    let mut field = |name| words.next()?.strip_prefix(name)?.parse().ok();
    let second = WorkloadLine::Second {
        min: field("min:")?,
        max: field("max:")?,
        total: field("total:")?,
    };
    words.next().is_none().then_some(second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Workload};

    #[test]
    fn phases() {
        assert_eq!(parse_line("warmup"), WorkloadLine::Warmup);
        assert_eq!(parse_line("warmup\r\n"), WorkloadLine::Warmup);
        assert_eq!(parse_line("measurement\n"), WorkloadLine::Measurement);
        assert_eq!(parse_line("average:42"), WorkloadLine::Average(42));
        assert_eq!(
            parse_line("min:1 max:20 total:21"),
            WorkloadLine::Second {
                min: 1,
                max: 20,
                total: 21
            }
        );
    }

    #[test]
    fn everything_else_is_other() {
        for line in [
            "",
            "testcase:Thread creation and teardown",
            " warmup",
            "warmup 2",
            "average:",
            "average:-1",
            "average:1.5",
            "min:1 max:2",
            "min:1 max:2 total:3 more:4",
            "min:1 total:3 max:2",
            "min:1 max:2 total:99999999999999999999999",
            "ground-truth: {}",
            "ground-truth: {",
        ] {
            assert_eq!(parse_line(line), WorkloadLine::Other, "{line:?}");
        }
    }

    #[test]
    fn ground_truth_survives_the_pipe() {
        let truth = GroundTruth {
            workload: Workload::Threadspawn,
            mode: Mode::Processes,
            tasks: 24,
            affinity: true,
            stopped_early: false,
            warm_up_s: 2.000_1,
            duration_s: 10.000_2,
            iterations: 123,
            iterations_attempted_total: 200,
            per_second: Some(12.299_754),
            per_task_min: 1,
            per_task_max: 9,
            tasks_created: 224,
            tasks_reaped: 224,
            null_holds: 0,
            setsid_calls: 0,
            setpgid_calls: 0,
            lock: None,
        };
        let json = serde_json::to_string(&truth).unwrap();
        assert!(
            json.starts_with(r#"{"workload":"threadspawn","mode":"processes","tasks":24,"#),
            "{json}"
        );
        assert_eq!(
            parse_line(&format!("{GROUND_TRUTH_PREFIX}{json}")),
            WorkloadLine::GroundTruth(truth)
        );
    }
}
