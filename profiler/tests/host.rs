//! lockprof on the kernel that runs the tests: the contention tracepoints alone, which need only that
//! root may load eBPF programs.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{BufRead as _, BufReader},
        path::Path,
        process::{Child, Command, Output, Stdio},
    };

    use serde_json::Value;

    fn lockprof() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockprof"));
        command.stdin(Stdio::null());
        command
    }

    /// Why the contention tracepoints cannot be used here, if they cannot.
    fn obstacle() -> Option<String> {
        let doctor = lockprof().args(["doctor", "--json"]).output().unwrap();
        let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        if doctor["assumes_privileges"] == true {
            return Some("not root".to_owned());
        }
        (doctor["tier"] == "unsupported").then(|| doctor["reasons"].to_string())
    }

    /// Whether to go on; says by name that a test is skipped where not.
    fn possible(test: &str) -> bool {
        match obstacle() {
            Some(why) => {
                println!("SKIPPED {test}: {why}");
                false
            }
            None => true,
        }
    }

    fn report(folder: &Path) -> Value {
        let Output { stdout, stderr, .. } = lockprof()
            .args(["report", "--format", "json"])
            .arg(folder)
            .output()
            .unwrap();
        serde_json::from_slice(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&stderr)))
    }

    /// `lockprof attach`, once it measures.
    fn attached(folder: &Path) -> Child {
        let mut child = lockprof()
            .args([
                "attach",
                "--attach",
                "wait",
                "--interval",
                "0.1",
                "--no-report",
                "-o",
            ])
            .arg(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // Until the second reading, so that the recording has an interval.
        let measuring = lines
            .by_ref()
            .filter(|line| line.as_ref().unwrap().contains("measuring "))
            .nth(2);
        assert!(measuring.is_some(), "it ended before it measured");
        // The rest is read, so that the child never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        child
    }

    fn signal(child: &Child, signal: libc::c_int) {
        let pid = child.id().try_into().unwrap();
        // SAFETY: the child has not been waited for, so the number is its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    #[test]
    fn a_load_is_followed_by_the_tracepoints_alone() {
        if !possible("a_load_is_followed_by_the_tracepoints_alone") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = lockprof()
            .args([
                "run",
                "--attach",
                "wait",
                "--workload",
                "threadspawn",
                "-t",
                "4",
                "-d",
                "2",
            ])
            .args(["--warm-up", "1", "--windows", "off", "--quiet", "-o"])
            .arg(folder.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let table = String::from_utf8(output.stdout).unwrap();
        assert!(table.contains("wait-only"), "{table}");
        for picture in ["distribution.svg", "heatmap.svg"] {
            assert!(folder.path().join(picture).is_file(), "no {picture}");
        }
        let report = report(folder.path());
        assert_eq!(report["tier"], "wait-only");
        // Unknown, and not 0.
        assert_eq!(report["write_holds"], Value::Null);
        assert_eq!(report["attached"]["holds"], Value::Null);
        assert!(
            !report["contention"].as_array().unwrap().is_empty(),
            "no contended lock"
        );
        assert_eq!(report["probe"]["null_hold_ns"], Value::Null);
        callers_are_named(&report);
        let run_time = &report["probe"]["run_time"][0];
        assert!(
            run_time["ns_per_run"].as_f64().unwrap() > 0.0,
            "{run_time}: the programs' run time"
        );
        let truth = &report["ground_truth"];
        let by_load = truth["lives_by_load"].as_u64().unwrap();
        let by_kernel = truth["tasks_created_by_kernel"].as_u64().unwrap();
        assert!(0 < by_load && by_load <= by_kernel, "{truth}");
    }

    /// The load's own count and the kernel's are of the same windows, and the effect is of their pairs.
    #[test]
    fn windows_take_turns_and_tell_the_effect() {
        if !possible("windows_take_turns_and_tell_the_effect") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = lockprof()
            .args(["run", "--attach", "wait", "--workload", "threadspawn"])
            .args(["-t", "1", "-d", "4", "--warm-up", "0.5", "--windows", "0.2"])
            .args(["--quiet", "--no-report", "-o"])
            .arg(folder.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let report = report(folder.path());
        let windows = report["windows"].as_array().unwrap();
        let of_kind = |kind: &str| {
            windows
                .iter()
                .find(|window| window["kind"] == kind)
                .unwrap()
        };
        for kind in ["bare", "waits"] {
            let window = of_kind(kind);
            assert!(window["windows"].as_u64().unwrap() >= 3, "{windows:?}");
            let iterations = window["iterations"].as_u64().unwrap();
            let tasks = window["tasks_created"].as_u64().unwrap();
            assert!(iterations > 0 && iterations <= tasks + 50, "{window}");
        }
        let seconds = windows.iter().map(|window| window["seconds"].as_f64());
        let seconds: f64 = seconds.map(Option::unwrap).sum();
        assert!((3.5..4.5).contains(&seconds), "{windows:?}");
        let waits = &report["effect"]["waits"];
        assert_eq!(waits["of"], "iterations");
        let number = |name: &str| waits[name].as_f64().unwrap();
        assert!(number("pairs") >= 3.0, "{waits}");
        assert!(number("low") <= number("ratio") && number("ratio") <= number("high"));
    }

    #[test]
    fn a_budget_that_allows_nothing_is_refused_before_anything_is_attached() {
        if !possible("a_budget_that_allows_nothing_is_refused_before_anything_is_attached") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let output = lockprof()
            .args(["attach", "--budget", "0.0001%", "-d", "1", "-o"])
            .arg(&run)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("nothing is attached: of the"), "{error}");
        assert!(
            error.contains("--budget off attaches all the same"),
            "{error}"
        );
        assert!(!run.exists(), "{error}");
    }

    /// Every caller of the lock is a known site, and those of spinning waits are right as far as samples
    /// tell.
    fn callers_are_named(report: &Value) {
        let rows = report["contention"].as_array().unwrap();
        let mut targets = 0;
        for row in rows.iter().filter(|row| row["is_target"] == true) {
            let caller = row["site"].as_str();
            let known = caller.and_then(lockprof::kernel::site_of_function);
            assert!(known.is_some(), "{row}");
            targets += row["count"].as_u64().unwrap();
        }
        let sites = report["sites"].as_array().unwrap();
        let contended = sites.iter().map(|site| site["contended"].as_u64().unwrap());
        assert_eq!(targets, contended.sum::<u64>());
        let samples = &report["samples"];
        let count = |name: &str| samples[name].as_u64().unwrap();
        assert!(
            count("callers_wrong") * 100 <= count("callers_checked"),
            "{samples}"
        );
        assert!(count("taken") <= count("spinning_waits"), "{samples}");
    }

    /// Without a load, too, there is one file to open at the end.
    #[test]
    fn attach_leaves_a_report_beside_the_recording() {
        if !possible("attach_leaves_a_report_beside_the_recording") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = lockprof()
            .args(["attach", "--attach", "wait", "-d", "1", "--quiet", "-o"])
            .arg(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>"), "{page:.80}");
        for section in ["verdict", "lengths", "time", "measured"] {
            assert!(
                page.contains(&format!("<section id=\"{section}\"")),
                "{section}"
            );
        }
        assert!(page.contains("wait-only tier"));
    }

    #[test]
    fn a_signal_ends_it_in_order() {
        if !possible("a_signal_ends_it_in_order") {
            return;
        }
        for number in [libc::SIGINT, libc::SIGTERM] {
            let folder = tempfile::tempdir().unwrap();
            let mut child = attached(folder.path());
            signal(&child, number);
            assert!(child.wait().unwrap().success());
            let report = report(folder.path());
            assert_eq!(report["ended"], "signal");
            assert_eq!(report["cut_short"], false);
        }
    }

    /// Processes with this word on their command line.
    fn processes_with(word: &str) -> usize {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
            .filter(|line| {
                line.split(|byte| *byte == 0)
                    .any(|found| found == word.as_bytes())
            })
            .count()
    }

    #[test]
    fn a_command_that_is_ended_takes_along_what_it_has_started() {
        if !possible("a_command_that_is_ended_takes_along_what_it_has_started") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let seconds = "86399.25";
        let output = lockprof()
            .args(["run", "--attach", "wait", "--warm-up", "0", "-d", "1", "-o"])
            .arg(folder.path())
            .args(["--quiet", "--no-report", "--"])
            .args(["sh", "-c", &format!("sleep {seconds} & wait")])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        assert_eq!(processes_with(seconds), 0);
    }

    #[test]
    fn what_was_measured_survives_sigkill() {
        if !possible("what_was_measured_survives_sigkill") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut child = attached(folder.path());
        signal(&child, libc::SIGKILL);
        assert!(!child.wait().unwrap().success());
        let report = report(folder.path());
        assert_eq!(report["cut_short"], true);
        assert!(report["duration_s"].as_f64().unwrap() > 0.0);
    }

    #[test]
    fn a_command_that_fails_is_said_to_have_failed() {
        if !possible("a_command_that_fails_is_said_to_have_failed") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = lockprof()
            .args(["run", "--attach", "wait", "--quiet", "-o"])
            .arg(folder.path())
            .args(["--", "false"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("the load ended with status 1"), "{error}");
        assert!(fs::metadata(folder.path().join("recording.jsonl")).is_ok());
    }

    #[test]
    fn a_command_that_does_not_exist_leaves_no_probe() {
        if !possible("a_command_that_does_not_exist_leaves_no_probe") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = lockprof()
            .args(["run", "--attach", "wait", "--quiet", "-o"])
            .arg(folder.path())
            .args(["--", "/nonexistent/load"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains("cannot start the load /nonexistent/load"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "said once: {error}");
    }

    /// The load alone is recorded without privileges, with what it did and nothing else.
    #[test]
    fn a_bare_run_records_the_load_alone() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let output = lockprof()
            .args(["run", "--attach", "off", "--workload", "threadspawn"])
            .args(["--tasks=1", "--iterations=50", "--warm-up=0", "-o"])
            .arg(&run)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let table = String::from_utf8(output.stdout).unwrap();
        assert!(table.contains("Nothing was attached"), "{table}");
        assert!(!table.contains("No wait"), "{table}");
        let report = report(&run);
        assert_eq!(report["tier"], "off");
        assert_eq!(report["attach"], "off");
        assert_eq!(report["workload"]["iterations"], 50);
        assert_eq!(report["sites"], serde_json::json!([]));
    }
}
