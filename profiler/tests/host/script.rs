//! `lockprof locks` beside a bpftrace script on the same tracepoints: both count the same waits of one load.

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        env, fs,
        io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
        os::unix::fs::MetadataExt as _,
        path::{Path, PathBuf},
        process::{Child, ChildStdout, Command, Stdio},
    };

    use lockprof_abi::{LCB_F_READ, LCB_F_SPIN, LCB_F_WRITE};
    use serde_json::Value;

    use crate::fixture::{is_possible, lockprof, obstacle, report, signal};

    /// bpftrace with its arguments as a list in JSON, where `cargo xtask test` knows one: older ones, as Debian 12's, may
    /// refuse the script.
    const BPFTRACE: &str = "LOCKPROF_BPFTRACE";
    /// What the script says when it is attached.
    const READY: &str = "attached";
    /// By how much counts and times of the same waits may differ.
    const MOST_APART: f64 = 0.1;
    /// With fewer waits than this of a kind one more or less would be too much.
    const FEWEST: u64 = 20;
    /// The lengths of the one have the program of the other in them, in nanoseconds: that is nothing to a wait that is
    /// slept for, and much to one that is spun for.
    const PROGRAM_NS: u64 = 3_000;
    /// Runs a command where tracefs is mounted, which bpftrace looks for, without mounting it for others.
    const WITH_TRACEFS: &str = "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs \
         /sys/kernel/tracing; exec \"$@\"";
    /// Functions by which bpftrace knows that a raw tracepoint is there; its own list of them is one that not every
    /// kernel lets be read.
    const TRACEABLE: &str = "__probestub_contention_begin\n__probestub_contention_end\n\
         __traceiter_contention_begin\n__traceiter_contention_end\n";

    /// A cgroup of the load's own, so that no other process's waits are in any number.
    struct Cgroup(PathBuf);

    impl Cgroup {
        /// None where there is no second hierarchy in which one may be made.
        fn make() -> Option<Self> {
            let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
            let mut mounts = mounts.lines().map(|line| line.split(' '));
            let root = mounts.find_map(|mut words| {
                let (_, folder, kind) = (words.next()?, words.next()?, words.next()?);
                let is_below = Path::new(folder).starts_with("/sys/fs/cgroup");
                (kind == "cgroup2" && is_below).then(|| folder.to_owned())
            })?;
            let folder = Path::new(&root).join(format!("lockprof-test-{}", std::process::id()));
            fs::create_dir(&folder).ok()?;
            Some(Self(folder))
        }

        /// Its number, as programs get it.
        fn id(&self) -> u64 {
            fs::metadata(&self.0).unwrap().ino()
        }
    }

    impl Drop for Cgroup {
        fn drop(&mut self) {
            let _ = fs::remove_dir(&self.0);
        }
    }

    /// What the script has seen of a kind of lock.
    #[derive(Clone, Copy, Default)]
    struct Seen {
        waits: u64,
        waited_ns: u64,
        longest_ns: u64,
    }

    impl Seen {
        fn and(self, other: &Self) -> Self {
            Self {
                waits: self.waits + other.waits,
                waited_ns: self.waited_ns + other.waited_ns,
                longest_ns: self.longest_ns.max(other.longest_ns),
            }
        }
    }

    /// bpftrace, while it runs.
    struct Script {
        _traceable: tempfile::NamedTempFile,
        child: Child,
        lines: Lines<BufReader<ChildStdout>>,
    }

    impl Script {
        /// Starts it, and returns when it is attached; or why it is not.
        fn start(bpftrace: &[String], cgroup: u64) -> Result<Self, String> {
            let script = format!(
                "rawtracepoint:contention_begin /cgroup == {cgroup} && @since[tid, arg0] == 0/
                     {{ @since[tid, arg0] = nsecs; @flags[tid, arg0] = arg1; }}
                 rawtracepoint:contention_end /@since[tid, arg0] != 0/
                     {{ @waits[@flags[tid, arg0]] = count();
                        @waited[@flags[tid, arg0]] = sum(nsecs - @since[tid, arg0]);
                        @longest[@flags[tid, arg0]] = max(nsecs - @since[tid, arg0]);
                        delete(@since[tid, arg0]); }}
                 interval:s:1 /@said == 0/ {{ @said = 1; printf(\"{READY}\\n\"); }}
                 END {{ clear(@since); clear(@flags); clear(@said); }}"
            );
            let mut traceable = tempfile::NamedTempFile::new().unwrap();
            traceable.write_all(TRACEABLE.as_bytes()).unwrap();
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", WITH_TRACEFS, "sh"]);
            command.args(bpftrace).arg("--traceable-functions");
            command.arg(traceable.path());
            command.args(["-B", "line", "-f", "json", "-e", &script]);
            command.stdin(Stdio::null()).stdout(Stdio::piped());
            let spawned = command.stderr(Stdio::piped()).spawn();
            let mut child = spawned.map_err(|error| error.to_string())?;
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            for line in lines.by_ref() {
                if line.unwrap().contains(READY) {
                    return Ok(Self {
                        _traceable: traceable,
                        child,
                        lines,
                    });
                }
            }
            let mut said = String::new();
            let mut errors = child.stderr.take().unwrap();
            errors.read_to_string(&mut said).unwrap();
            child.wait().unwrap();
            let last = said.lines().rfind(|line| !line.trim().is_empty());
            Err(format!("bpftrace ended: {}", last.unwrap_or_default()))
        }

        /// Ends it. What it has seen by the flags of the tracepoint.
        fn end(mut self) -> BTreeMap<u32, Seen> {
            signal(&self.child, libc::SIGINT);
            let mut seen: BTreeMap<u32, Seen> = BTreeMap::new();
            for line in self.lines.by_ref() {
                let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let mut each = |map: &str, keep: fn(&mut Seen) -> &mut u64| {
                    for (flags, value) in line["data"][map].as_object().into_iter().flatten() {
                        let seen = seen.entry(flags.parse().unwrap()).or_default();
                        *keep(seen) = value.as_u64().unwrap();
                    }
                };
                each("@waits", |seen| &mut seen.waits);
                each("@waited", |seen| &mut seen.waited_ns);
                each("@longest", |seen| &mut seen.longest_ns);
            }
            assert!(self.child.wait().unwrap().success());
            seen
        }
    }

    /// Whatever a test has found, bpftrace does not outlive it.
    impl Drop for Script {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// The command, and what stands in its way.
    fn bpftrace() -> Result<Vec<String>, String> {
        if let Ok(words) = env::var(BPFTRACE) {
            return serde_json::from_str(&words).map_err(|error| format!("{BPFTRACE}: {error}"));
        }
        let version = Command::new("bpftrace").arg("--version").output();
        version.map_err(|_error| format!("there is no bpftrace, and {BPFTRACE} names none"))?;
        Ok(vec!["bpftrace".to_owned()])
    }

    /// The load's own waits, by kind of lock: the rwsem that it is about, and what else it waits for.
    #[test]
    fn all_locks_agree_with_a_script() {
        let test = "all_locks_agree_with_a_script";
        let ready = obstacle().map_or_else(bpftrace, Err);
        let ready = ready.and_then(|bpftrace| {
            let none = || "no cgroup can be made below /sys/fs/cgroup".to_owned();
            let cgroup = Cgroup::make().ok_or_else(none)?;
            let script = Script::start(&bpftrace, cgroup.id())?;
            Ok((cgroup, script))
        });
        let (cgroup, script) = match ready {
            Ok(ready) => ready,
            Err(why) => {
                is_possible(test, Some(why));
                return;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let program = lockprof().get_program().to_owned();
        let mut command = lockprof();
        command.args(["locks", "--windows", "off", "--quiet", "--no-report", "-o"]);
        command.arg(folder.path()).arg("--cgroup").arg(&cgroup.0);
        // The load goes into the cgroup before it is the load.
        command.args([
            "--",
            "sh",
            "-c",
            "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"",
        ]);
        command.arg(&cgroup.0).arg(program).args([
            "workload",
            "mmap",
            "--tasks",
            "6",
            "--threads-each",
            "3",
            "--duration",
            "4",
            "--warm-up",
            "0",
        ]);
        let output = command.output().unwrap();
        // Whatever is asserted, it does not outlive the test.
        let of_script = script.end();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let report = report(folder.path());
        for (kind, flags) in [
            ("rwsem", &[LCB_F_READ, LCB_F_WRITE][..]),
            ("spinlock", &[LCB_F_SPIN]),
        ] {
            let by_flags = flags.iter().filter_map(|flags| of_script.get(flags));
            let seen = by_flags.fold(Seen::default(), Seen::and);
            let Seen {
                waits, waited_ns, ..
            } = seen;
            let classes = report["classes"].as_array().unwrap().iter();
            let classes: Vec<&Value> = classes.filter(|class| class["kind"] == kind).collect();
            let sum = |field: &str| -> u64 {
                let fields = classes.iter().map(|class| class[field].as_u64());
                fields.flatten().sum()
            };
            let (count, sampled, own_ns) = (sum("count"), sum("sampled"), sum("waited_ns"));
            let said = format!(
                "{kind}: bpftrace has {waits} waits and {waited_ns} ns, lockprof {count} ({sampled} sampled) and \
                 {own_ns} ns"
            );
            println!("{said}");
            if kind != "rwsem" && waits < FEWEST {
                // The load is about the other.
                continue;
            }
            assert!(waits >= FEWEST, "{said}");
            let near = |of_script: u64, own: u64, allowed: u64| {
                let apart = of_script.abs_diff(own).saturating_sub(allowed);
                apart as f64 <= MOST_APART * of_script as f64
            };
            assert!(near(waits, count, 0), "{said}");
            // Samples are in no length: some of them took as long as the longest.
            let without_length = 3 * sampled * (waited_ns / waits) + seen.longest_ns;
            let in_lengths = if kind == "rwsem" {
                0
            } else {
                PROGRAM_NS * waits
            };
            assert!(
                near(waited_ns, own_ns, in_lengths + without_length),
                "{said}"
            );
        }
    }
}
