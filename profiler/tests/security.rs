//! SECURITY.md lists all that a run reads and executes: on the kernel that runs the tests.

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    /// The paths of the first block of SECURITY.md.
    fn listed() -> Vec<&'static str> {
        let text = include_str!("../../SECURITY.md");
        let block = text.split("```").nth(1).unwrap();
        block
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect()
    }

    /// Whether a path is that of a pattern, in which `*` stands for any text.
    fn is_of(path: &str, pattern: &str) -> bool {
        let Some((before, after)) = pattern.split_once('*') else {
            return path == pattern;
        };
        path.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| &rest[at..])
                .chain([""])
                .any(|rest| is_of(rest, after))
        })
    }

    /// The first path in each line of strace's that is of such a call.
    fn paths<'a>(trace: &'a str, call: &'a str) -> impl Iterator<Item = &'a str> {
        let of_call = move |line: &&str| {
            let word = line.split_whitespace().nth(1);
            word.is_some_and(|word| word.starts_with(call))
        };
        let lines = trace.lines().filter(of_call);
        lines.filter_map(|line| line.split('"').nth(1))
    }

    #[test]
    fn nothing_else_is_opened_and_executed() {
        let test = "nothing_else_is_opened_and_executed";
        if Command::new("strace").arg("--version").output().is_err() {
            println!("SKIPPED {test}: there is no strace");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (log, output) = (folder.path().join("log"), folder.path().join("out"));
        let lockprof = env!("CARGO_BIN_EXE_lockprof");
        let run = Command::new("strace")
            .args(["-f", "-q", "-e", "trace=%file,%network", "-o"])
            .arg(&log)
            .arg(lockprof)
            .args(["run", "--attach", "wait", "--workload", "threadspawn"])
            .args(["-t", "1", "-d", "1", "--warm-up", "0.7", "--cgroups", "-o"])
            .arg(&output)
            .output()
            .unwrap();
        if !run.status.success() {
            let said = String::from_utf8_lossy(&run.stderr);
            assert!(
                said.contains("attaching probes needs root") || said.contains("allows nothing"),
                "{said}"
            );
            println!("SKIPPED {test}: {said}");
            return;
        }
        let trace = fs::read_to_string(&log).unwrap();
        let listed = listed();
        let mut listed_ones = 0;
        for path in paths(&trace, "open") {
            // A mount of debugfs that no path leads to.
            let path = match path {
                "sched/preempt" => "/sys/kernel/debug/sched/preempt",
                path => path,
            };
            let of_the_loader = path == "/etc/ld.so.cache" || path.contains(".so");
            let is_listed = listed.iter().any(|pattern| is_of(path, pattern));
            listed_ones += u32::from(is_listed);
            // A folder is walked to from the root, or from where one is, name by name.
            let on_the_way = |name: &str| {
                output.iter().any(|one| one == name)
                    || output.join(name.trim_end_matches(".partial")).is_file()
            };
            let its_own = ["/dev/null", "/", "."].contains(&path)
                || path.starts_with(output.to_str().unwrap())
                || on_the_way(path);
            assert!(
                is_listed || of_the_loader || its_own,
                "{path} is not in SECURITY.md"
            );
        }
        assert!(listed_ones > 10, "{trace}");
        let executed: Vec<&str> = paths(&trace, "execve").collect();
        let own = |path: &&str| *path == lockprof || *path == "/proc/self/exe";
        assert!(
            executed.len() > 1 && executed.iter().all(own),
            "{executed:?}"
        );
        for call in ["connect(", "bind(", "socket("] {
            assert!(!trace.contains(&format!(" {call}")), "{call}");
        }
    }

    #[test]
    fn patterns_are_of_whole_paths() {
        for (path, pattern, is) in [
            ("/proc/stat", "/proc/stat", true),
            ("/proc/status", "/proc/stat", false),
            ("/proc/12/stat", "/proc/*/stat", true),
            ("/proc/12/statm", "/proc/*/stat", false),
            ("/lib/modules/6.12.0/config", "/lib/modules/*/config", true),
            ("/sys/fs/cgroup", "/sys/fs/cgroup*", true),
        ] {
            assert_eq!(is_of(path, pattern), is, "{path} {pattern}");
        }
    }
}
