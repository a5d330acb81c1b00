//! What is measured, and what is said of it.

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use crate::fixture::{Measuring, lockprof, possible, report, signal, wait_for_line};

    /// Why two threads cannot contend a lock here, if they cannot.
    fn one_cpu() -> Option<String> {
        let cpus = std::thread::available_parallelism().unwrap().get();
        (cpus < 2).then(|| "it may use one CPU".to_owned())
    }

    #[test]
    fn waits_of_each_kind_are_proved_to_be_seen() {
        let test = "waits_of_each_kind_are_proved_to_be_seen";
        if !possible(test) {
            return;
        }
        if let Some(why) = one_cpu() {
            println!("SKIPPED {test}: {why}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = lockprof()
            .args(["run", "--attach", "wait", "--warm-up", "0", "--no-report"])
            .args(["--windows", "off", "-o"])
            .arg(folder.path())
            .args(["--", "sleep", "1"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let report = report(folder.path());
        let controls = report["controls"].as_array().unwrap();
        for family in ["mutex", "rwsem", "rwlock"] {
            let proves = serde_json::json!({ "waits": family });
            let of_this: Vec<&Value> = controls
                .iter()
                .filter(|control| control["proves"] == proves)
                .collect();
            // Before the measured time, and before the footer.
            assert_eq!(of_this.len(), 2, "{family}: {controls:#?}");
            // What was proved once stays so: on a busy machine threads may not get their CPUs at the same time.
            let mut proved = of_this
                .iter()
                .filter(|control| control["outcome"] == "proved");
            let seen = proved.next().and_then(|control| control["seen"].as_u64());
            assert!(seen > Some(0), "{family}: {controls:#?}");
        }
        // Nothing here may contend one.
        let percpu = serde_json::json!({ "waits": "percpu_rwsem" });
        let percpu = controls.iter().find(|control| control["proves"] == percpu);
        assert_eq!(percpu.unwrap()["outcome"], "not_proved");
        assert_eq!(report["control_holds"], Value::Null);
        assert_eq!(report["died"], Value::Null);
    }

    /// Also a run whose last window has no probes tries at its end whether they see anything.
    #[test]
    fn a_run_that_ends_without_probes_is_proved_at_its_end() {
        if !possible("a_run_that_ends_without_probes_is_proved_at_its_end") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        // It is ended when it says that it is in a window without probes, far from the end of that one.
        let mut measuring = Measuring::start(
            lockprof()
                .args(["attach", "--attach", "wait", "--budget", "off"])
                .args(["--windows", "4", "--interval", "0.2", "--no-report", "-o"])
                .arg(folder.path()),
        );
        wait_for_line(&mut measuring.errors, "without probes ");
        signal(&measuring.child, libc::SIGINT);
        let output = measuring.end();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        // Nothing was attached in the last window, and what comes after it is lockprof's own.
        let is_said = |line: &&str| line.contains("without probes ") || line.contains("ending ");
        let mut said = error.lines().filter(is_said).peekable();
        assert!(said.peek().is_some(), "{error}");
        assert!(said.all(|line| !line.contains("waits/s")), "{error}");
        let text = fs::read_to_string(folder.path().join("recording.jsonl")).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut windows = lines
            .iter()
            .filter_map(|line| line["window"]["kind"].as_str());
        assert_eq!(windows.next_back(), Some("bare"));
        let mut footers = lines.iter().filter(|line| line["line"] == "footer");
        let controls = footers.next().unwrap()["controls"].as_array().unwrap();
        for family in ["mutex", "rwsem", "rwlock", "spinlock"] {
            let proves = serde_json::json!({ "waits": family });
            let control = controls.iter().find(|control| control["proves"] == proves);
            assert_ne!(control.unwrap()["outcome"], "dead", "{controls:#?}");
        }
        if one_cpu().is_none() {
            let is_proved = |control: &Value| control["outcome"] == "proved";
            assert!(controls.iter().any(is_proved), "{controls:#?}");
        }
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
            let known = caller.and_then(lockprof::known_locks::site_of_function);
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
        for section in ["verdict", "locks", "measured"] {
            assert!(
                page.contains(&format!("<section id=\"{section}\"")),
                "{section}"
            );
        }
        assert!(page.contains("wait-only tier"));
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
