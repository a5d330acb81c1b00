//! `lockprof locks` on this machine: real waits, real owners.

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use serde_json::Value;

    use crate::fixture::{lockprof, possible, report};

    /// A load of so many processes, with three threads each, that wait for their process's mmap_lock.
    fn load(processes: u32, length: &[&str]) -> Vec<String> {
        let lockprof = lockprof().get_program().to_string_lossy().into_owned();
        let threads = (3 * processes).to_string();
        let words = [
            "workload",
            "mmap",
            "--threads-each",
            "3",
            "--tasks",
            &threads,
        ];
        [lockprof.as_str()]
            .iter()
            .chain(&words)
            .chain(&["--warm-up", "0"])
            .chain(length)
            .map(|word| (*word).to_owned())
            .collect()
    }

    fn locks(folder: &std::path::Path, options: &[&str], load: &[String]) -> Command {
        let mut command = lockprof();
        command.args(["locks", "--windows", "off", "--quiet", "-o"]);
        command.arg(folder).args(options);
        if !load.is_empty() {
            command.arg("--").args(load);
        }
        command
    }

    fn success(output: &Output) -> String {
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn rows<'a>(report: &'a Value, of: &str) -> &'a [Value] {
        report[of].as_array().unwrap()
    }

    fn sum(rows: &[Value], field: &str) -> u64 {
        rows.iter().filter_map(|row| row[field].as_u64()).sum()
    }

    /// Case 5 in small: each process has a lock of its own, and all are one class that has lost nothing.
    #[test]
    fn a_hundred_processes_are_one_class() {
        if !possible("a_hundred_processes_are_one_class") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let load = load(100, &["--duration", "3"]);
        let output = locks(folder.path(), &[], &load).output().unwrap();
        let table = success(&output);
        assert!(table.contains("mmap_lock (rwsem) costs most"), "{table}");
        let report = report(folder.path());
        let class = &rows(&report, "classes")[0];
        assert_eq!(class["name"], "mmap_lock");
        assert_eq!(class["named_by"], "task");
        let members = rows(class, "members");
        let of_load = members.iter();
        let of_load = of_load.filter(|member| {
            let name = member["name"].as_str();
            name.is_some_and(|name| name.starts_with("mmap "))
        });
        assert!(of_load.count() > 20, "{members:?}");
        assert_eq!(report["without_place"]["count"], 0);
        assert_eq!(report["losses"]["counted"]["contention_table_full"], 0);
        // Who waits has the waiting process's own threads before it.
        let known = &class["owner_known"];
        let waited = class["waited_ns"].as_u64().unwrap();
        assert!(known["waited_ns"].as_u64().unwrap() * 2 > waited, "{class}");
        // The tables by class and by process of a CPU are read one after the other.
        let (by_class, by_process) = (
            sum(rows(&report, "classes"), "count"),
            sum(rows(&report, "processes"), "count"),
        );
        assert!(
            by_class.abs_diff(by_process) * 50 <= by_class,
            "{by_class} and {by_process}"
        );
    }

    /// What is looked at is what was asked for, and the report says so.
    #[test]
    fn only_what_is_asked_for_is_looked_at() {
        if !possible("only_what_is_asked_for_is_looked_at") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let options = ["--kind", "rwsem", "--min-wait", "20", "--by", "process"];
        let load = load(4, &["--duration", "2"]);
        let output = locks(folder.path(), &options, &load).output().unwrap();
        let table = success(&output);
        assert!(
            table.contains("only kind rwsem; waits of at least 20 µs"),
            "{table}"
        );
        assert!(!table.contains("Contended locks by class"), "{table}");
        let report = report(folder.path());
        for class in rows(&report, "classes") {
            assert_eq!(class["kind"], "rwsem", "{class}");
        }
        let tasks = rows(&report, "tasks");
        assert!(!tasks.is_empty());
        for task in tasks {
            let (count, waited) = (&task["count"], &task["waited_ns"]);
            assert!(
                waited.as_u64() >= count.as_u64().map(|count| 20_000 * count),
                "{task}"
            );
        }
    }

    /// Of one class there are no other rows, and a lock that cannot be found by its name is refused.
    #[test]
    fn one_lock_alone_is_looked_at() {
        if !possible("one_lock_alone_is_looked_at") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let load = load(4, &["--duration", "2"]);
        let output = locks(folder.path(), &["--lock", "mmap_lock"], &load).output();
        let table = success(&output.unwrap());
        assert!(table.contains("only lock mmap_lock"), "{table}");
        let report = report(folder.path());
        let classes = rows(&report, "classes");
        assert_eq!(classes.len(), 1, "{classes:?}");
        assert_eq!(classes[0]["name"], "mmap_lock");
        let output = locks(folder.path(), &["--lock", "no_such_lock"], &[]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("no_such_lock"), "{error}");
    }

    /// Of one caller there are no other rows, whether the lock is slept or spun for, and both tables have the same.
    #[test]
    fn one_caller_alone_is_looked_at() {
        if !possible("one_caller_alone_is_looked_at") {
            return;
        }
        let load = load(4, &["--duration", "2"]);
        let all = tempfile::tempdir().unwrap();
        success(&locks(all.path(), &[], &load).output().unwrap());
        let all = report(all.path());
        // There are several callers of each kind, and what others on this machine spin for may be over.
        for kind in ["rwsem", "spinlock"] {
            let classes = rows(&all, "classes").iter();
            let classes = classes.filter(|class| class["kind"] == kind);
            let callers = classes.flat_map(|class| rows(class, "callers"));
            let mut callers: Vec<&Value> =
                callers.filter(|row| row["caller"].is_string()).collect();
            callers.sort_by_key(|row| std::cmp::Reverse(row["count"].as_u64()));
            let names = callers.iter().filter_map(|row| row["caller"].as_str());
            let names: Vec<&str> = names.take(4).collect();
            if kind == "spinlock" && names.is_empty() {
                // Where a hypervisor lets spinlocks spin without a queue there is no event of any.
                println!("no waits for spinlocks were seen on this machine");
                continue;
            }
            let was_seen = names.iter().any(|name| is_alone(name, &load));
            assert!(was_seen, "{kind}: nothing of {names:?}");
        }
    }

    /// Whether anything is seen of what a function asks for: nothing else is.
    fn is_alone(wanted: &str, load: &[String]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let output = locks(folder.path(), &["--caller", wanted], load).output();
        let table = success(&output.unwrap());
        let said = format!("only asked for by {wanted}");
        assert!(table.contains(&said), "{table}");
        let report = report(folder.path());
        let classes = rows(&report, "classes");
        let callers = classes.iter().flat_map(|class| rows(class, "callers"));
        let of_others = callers.filter(|row| {
            let caller = row["caller"].as_str();
            caller.is_none_or(|caller| caller.split('.').next() != wanted.split('.').next())
        });
        let of_others: Vec<Value> = of_others.cloned().collect();
        assert_eq!(sum(&of_others, "count"), 0, "{wanted}: {of_others:?}");
        // The tables by class and by task of a CPU are read one after the other; what others ask for would be a
        // multiple.
        let (by_class, by_task) = (sum(classes, "count"), sum(rows(&report, "tasks"), "count"));
        println!("{wanted}: {by_class} by class, {by_task} by task");
        assert!(
            by_class.abs_diff(by_task) * 20 <= by_class + 100,
            "{by_class} and {by_task}"
        );
        by_class > 0
    }

    /// A filter lets nothing pass of lockprof's own, by which its probes are proved all the same.
    #[test]
    fn one_process_alone_is_looked_at() {
        if !possible("one_process_alone_is_looked_at") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let pid = std::process::id().to_string();
        let options = ["--pid", &pid, "-d", "1"];
        let load = load(4, &["--duration", "1"]);
        let output = locks(folder.path(), &options, &load).output().unwrap();
        let table = success(&output);
        assert!(!table.contains("VOID"), "{table}");
        let report = report(folder.path());
        assert_eq!(report["died"], Value::Null);
        let of_others = rows(&report, "tasks").iter();
        let of_others = of_others.filter(|task| task["process"]["id"] != std::process::id());
        assert_eq!(of_others.count(), 0, "{:#}", report["tasks"]);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        if !possible("what_is_not_there_is_refused") {
            return;
        }
        for (options, message) in [
            (["--pid", "4194305"], "there is no process 4194305"),
            (["--tid", "4194305"], "there is no task 4194305"),
            (
                ["--caller", "no_such_function"],
                "this kernel has no function no_such_function",
            ),
            (
                ["--caller", "mutex_lock"],
                "name the function that calls it",
            ),
            (
                ["--cgroup", "/no/such"],
                "there is no cgroup /sys/fs/cgroup/no/such",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let output = locks(folder.path(), &options, &[]).output().unwrap();
            assert_eq!(output.status.code(), Some(1));
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(error.contains(message), "{error}");
            assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        }
    }
}
