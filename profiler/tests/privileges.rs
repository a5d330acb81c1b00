//! What lockprof does with which capabilities, on the kernel that runs the tests: root, who runs them, becomes a user
//! who is nobody else.

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        fs,
        io::{BufRead as _, BufReader},
        path::{Path, PathBuf},
        process::{Child, Command, Stdio},
    };

    use lockprof::{
        kernel::{
            CapabilitySet,
            privileges::{self, Measuring},
        },
        recording::schema::Method,
    };
    use serde_json::Value;
    use tempfile::TempDir;

    /// The user and group that own nothing.
    const NOBODY: u32 = 65534;
    const TO_TRACE: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::PERFMON);
    const NONE: CapabilitySet = CapabilitySet::empty();

    /// A copy of lockprof that every user may run, and a folder that is nobody's.
    struct Ground {
        folder: TempDir,
    }

    impl Ground {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            fs::copy(
                env!("CARGO_BIN_EXE_lockprof"),
                folder.path().join("lockprof"),
            )
            .unwrap();
            Self { folder }
        }

        fn lockprof(&self) -> PathBuf {
            self.folder.path().join("lockprof")
        }

        fn path(&self, name: &str) -> String {
            self.folder.path().join(name).display().to_string()
        }

        /// lockprof as nobody, with these capabilities as ambient ones.
        fn as_nobody(&self, capabilities: CapabilitySet) -> Command {
            let names: String = capabilities
                .iter_names()
                .map(|(name, _)| format!(",+{}", name.to_lowercase()))
                .collect();
            let mut command = Command::new("setpriv");
            command
                .args([
                    format!("--reuid={NOBODY}"),
                    format!("--regid={NOBODY}"),
                    "--clear-groups".to_owned(),
                    format!("--inh-caps=-all{names}"),
                    format!("--ambient-caps=-all{names}"),
                ])
                .arg(self.lockprof())
                .stdin(Stdio::null());
            command
        }

        /// lockprof as root.
        fn as_root(&self) -> Command {
            let mut command = Command::new(self.lockprof());
            command.stdin(Stdio::null());
            command
        }

        fn report(&self, name: &str) -> Value {
            let output = succeed(
                self.as_nobody(NONE)
                    .args(["report", "--format", "json"])
                    .arg(self.path(name)),
            );
            serde_json::from_str(&output).unwrap()
        }
    }

    /// What a command prints that ends well.
    fn succeed(command: &mut Command) -> String {
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Says by name that a test is skipped where these capabilities, which the caller is to have, cannot be given
    /// away or do not suffice for the contention tracepoints.
    fn ground(test: &str, capabilities: CapabilitySet) -> Option<Ground> {
        let skipped = |why: &str| {
            println!("SKIPPED {test}: {why}");
            None
        };
        // SAFETY: the call has no precondition.
        if unsafe { libc::geteuid() } != 0 {
            return skipped("not root");
        }
        let ground = Ground::new();
        let doctor = ground
            .as_nobody(capabilities)
            .args(["doctor", "--json"])
            .output()
            .unwrap();
        if !doctor.status.success() {
            return skipped(&String::from_utf8_lossy(&doctor.stderr));
        }
        let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        if capabilities.contains(TO_TRACE) && doctor["tier"] == "unsupported" {
            return skipped(&doctor["reasons"].to_string());
        }
        Some(ground)
    }

    /// Whether the kernel shows its addresses to a task with these capabilities (kernel/ksyms_common.c,
    /// `kallsyms_show_value`).
    fn shows_addresses(capabilities: CapabilitySet) -> bool {
        let setting = |name: &str| -> i32 {
            let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap();
            text.trim().parse().unwrap()
        };
        match setting("kptr_restrict") {
            0 if setting("perf_event_paranoid") <= 1 => true,
            0 | 1 => capabilities.contains(CapabilitySet::SYSLOG),
            _ => false,
        }
    }

    /// The capabilities of every thread of a process: permitted, effective, inheritable and ambient ones together.
    fn capabilities_of(process: u32) -> CapabilitySet {
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let of_thread = |thread: fs::DirEntry| {
            let status = fs::read_to_string(thread.path().join("status")).unwrap();
            of_status(&status)
        };
        threads.map(|thread| of_thread(thread.unwrap())).collect()
    }

    fn of_status(status: &str) -> CapabilitySet {
        let sets = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"].map(|name| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        });
        CapabilitySet::from_bits_retain(sets.into_iter().fold(0, |all, set| all | set))
    }

    /// The children of a process by the word behind their program's.
    fn children(process: u32) -> BTreeMap<String, u32> {
        let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
        let word = |child: u32| {
            let line = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap();
            line.split('\0').nth(1).unwrap_or_default().to_owned()
        };
        list.split_whitespace()
            .map(|child| child.parse().unwrap())
            .map(|child| (word(child), child))
            .collect()
    }

    /// Starts it, and waits until it measures.
    fn measuring(command: &mut Command) -> Child {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let begun = lines.by_ref().map(Result::unwrap).any(|line| {
            said.push(line);
            said.last()
                .is_some_and(|line| line.starts_with("lockprof: measuring"))
        });
        assert!(begun, "{command:?} ended before it measured: {said:#?}");
        // The rest is read, so that the child never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        child
    }

    /// Makes a recording one of a boot that is not this one: a boot is of one kernel.
    fn another_boot(recording: &Path) {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let text = fs::read_to_string(recording).unwrap();
        assert!(text.contains(boot.trim()));
        fs::write(recording, text.replace(boot.trim(), "another")).unwrap();
    }

    fn interrupt(mut child: Child) {
        let pid = child.id().try_into().unwrap();
        // SAFETY: the child has not been waited for, so the number is its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
        assert!(child.wait().unwrap().success());
    }

    /// A user with two capabilities sees the waits, and one with three also who waits for which lock.
    #[test]
    fn some_capabilities_are_enough_for_waits() {
        let test = "some_capabilities_are_enough_for_waits";
        for capabilities in [TO_TRACE, TO_TRACE | CapabilitySet::SYSLOG] {
            let Some(ground) = ground(test, capabilities) else {
                return;
            };
            let words = "run --attach wait --workload threadspawn -t 4 -d 4 --warm-up 0.5 --windows 0.2 \
                         --no-report --quiet -o";
            succeed(
                ground
                    .as_nobody(capabilities)
                    .args(words.split_whitespace())
                    .arg(ground.path("run")),
            );
            let report = ground.report("run");
            assert_eq!(report["tier"], "wait-only");
            let kinds: Vec<&str> = report["windows"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|window| window["windows"].as_u64() > Some(1))
                .filter_map(|window| window["kind"].as_str())
                .collect();
            for kind in ["bare", "waits"] {
                assert!(
                    kinds.contains(&kind),
                    "links were not made again: {kinds:?}"
                );
            }
            let locks = report["contention"].as_array().unwrap();
            assert!(!locks.is_empty(), "no contended lock");
            let named = locks.iter().filter(|lock| {
                let caller = lock["site"].as_str().unwrap_or("0x");
                !caller.starts_with("0x") && caller != "unknown"
            });
            let named = named.count() > 0;
            assert_eq!(named, shows_addresses(capabilities), "{locks:#?}");
        }
    }

    /// A daemon keeps what it has a use for while it measures, its guard what it takes to end a load, and a bundled load nothing.
    #[test]
    fn what_is_not_needed_is_given_up() {
        let test = "what_is_not_needed_is_given_up";
        let given = TO_TRACE | CapabilitySet::SYSLOG;
        let Some(ground) = ground(test, given) else {
            return;
        };
        let words =
            "run --attach wait --workload threadspawn -t 1 -d 60 --warm-up 0 --no-report -o";
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let kept = privileges::to_measure(&Measuring {
            method: Method::Wait,
            release: release.trim(),
            has_load: true,
            reads_stacks: true,
        });
        for (name, mut command, had) in [
            ("nobody", ground.as_nobody(given), given),
            (
                "root",
                ground.as_root(),
                capabilities_of(std::process::id()),
            ),
        ] {
            let daemon = measuring(
                command
                    .args(words.split_whitespace())
                    .arg(ground.path(name)),
            );
            let children = children(daemon.id());
            let held = [
                capabilities_of(daemon.id()),
                capabilities_of(children["guard"]),
                capabilities_of(children["workload"]),
            ];
            interrupt(daemon);
            assert_eq!(
                held,
                [kept & had, privileges::TO_END_A_LOAD & had, NONE],
                "{name}: daemon, guard, load"
            );
        }
    }

    /// A command of a user's has none of the capabilities that lockprof was given, and no descriptor of lockprof's;
    /// one of root's has what root has.
    #[test]
    fn a_load_gets_nothing_of_lockprof() {
        let test = "a_load_gets_nothing_of_lockprof";
        let given = TO_TRACE | CapabilitySet::SYSLOG;
        let Some(ground) = ground(test, given) else {
            return;
        };
        let script = "cat /proc/self/status; ls -l /proc/self/fd";
        let words = "run --attach wait --warm-up 0 --no-report --quiet -o";
        let mut told = Vec::new();
        for (name, mut command) in [
            ("nobody", ground.as_nobody(given)),
            ("root", ground.as_root()),
        ] {
            let command = command
                .args(words.split_whitespace())
                .arg(ground.path(name));
            let output = succeed(command.args(["--", "sh", "-c", script]));
            for owned in ["anon_inode", "recording.jsonl", "kallsyms"] {
                assert!(!output.contains(owned), "{name}: {output}");
            }
            told.push(of_status(&output));
        }
        let own = succeed(Command::new("sh").args(["-c", script]));
        assert_eq!(told, [NONE, of_status(&own)]);
    }

    /// Whatever reads recordings needs no privilege.
    #[test]
    fn reports_and_comparisons_need_none() {
        let test = "reports_and_comparisons_need_none";
        let Some(ground) = ground(test, NONE) else {
            return;
        };
        for name in ["base", "patched"] {
            let words = "run --attach off --workload forkexit --tasks 1 --iterations 50 --warm-up 0 --quiet -o";
            succeed(
                ground
                    .as_nobody(NONE)
                    .args(words.split_whitespace())
                    .arg(ground.path(name)),
            );
            assert!(Path::new(&ground.path(name)).join("report.html").is_file());
        }
        for format in [
            "table", "html", "markdown", "json", "csv", "svg", "folded", "trace",
        ] {
            let command = &mut ground.as_nobody(NONE);
            let output = ground.path(format);
            succeed(command.args([
                "report",
                "--format",
                format,
                "-o",
                &output,
                &ground.path("base"),
            ]));
            assert!(Path::new(&output).exists(), "no {format}");
        }
        let (base, patched) = (ground.path("base"), ground.path("patched"));
        another_boot(&Path::new(&patched).join("recording.jsonl"));
        let compared = succeed(
            ground
                .as_nobody(NONE)
                .args(["compare", &base, "--vs", &patched]),
        );
        assert!(compared.contains("patched"), "{compared}");
    }
}
