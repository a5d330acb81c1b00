//! `lockprof locks` beside a bpftrace script on the same tracepoints: both count the same waits of one load.

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        env, fs,
        io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
        os::unix::fs::MetadataExt as _,
        path::{Path, PathBuf},
        process::{Child, ChildStdout, Command, Stdio},
    };

    use lockprof_abi::{LCB_F_MUTEX, LCB_F_READ, LCB_F_SPIN, LCB_F_WRITE};
    use serde_json::Value;

    use crate::fixture::{Measuring, is_possible, lockprof, obstacle, report, signal};

    /// bpftrace with its arguments as a list in JSON, where `cargo xtask test` knows one: older ones, as Debian 12's, may
    /// refuse the script.
    const BPFTRACE: &str = "LOCKPROF_BPFTRACE";
    /// What the script says when it is attached.
    const READY: &str = "attached";
    /// By how much counts and times of the same waits may differ.
    const MOST_APART: f64 = 0.1;
    /// With fewer waits than this of a kind one more or less would be too much.
    const FEWEST: u64 = 20;
    /// By the script's clock the end of a wait is one program of lockprof's later, and the beginning one of the script's
    /// own. Where waits come by the million, as those for a mutex, the two are the same: of what is slept for nothing is
    /// allowed. Where they are spun for by the ten thousand a second, the two are some fifty nanoseconds apart; where that is a
    /// hundred times a second, either program misses the caches: by how much they may differ then, in nanoseconds.
    const PROGRAMS_APART_NS: u64 = 500;
    /// How many spinning waits of a class may be interrupted between the two clocks at one of their ends.
    const INTERRUPTED: u64 = 3;
    /// Of spinning waits that are longer in the mean, in nanoseconds, nothing is allowed either, where there are so many
    /// that one which is interrupted is little of the whole.
    const LONG_NS: u64 = 5_000;
    const MANY: u64 = 1_000;
    /// A load, and the kinds of locks of which its waits are compared.
    type Compared = (&'static str, &'static [(&'static str, &'static [u32])]);
    /// What is slept for, with the flags of the tracepoint.
    const RWSEM: (&str, &[u32]) = ("rwsem", &[LCB_F_READ, LCB_F_WRITE]);
    const MUTEX: (&str, &[u32]) = ("mutex", &[LCB_F_MUTEX, LCB_F_MUTEX | LCB_F_SPIN]);
    /// What is spun for.
    const SPINLOCK: (&str, &[u32]) = ("spinlock", &[LCB_F_SPIN]);
    /// The loads. Some of the second one's spinning waits are of idle CPUs, which the script takes for one task. The third
    /// one's are long.
    const COMPARED: [Compared; 3] = [
        ("mmap --tasks 6 --threads-each 3", &[RWSEM, SPINLOCK]),
        ("rename --tasks 6", &[RWSEM, MUTEX]),
        ("filelock --tasks 6", &[SPINLOCK]),
    ];
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
        fn and(self, other: Self) -> Self {
            Self {
                waits: self.waits + other.waits,
                waited_ns: self.waited_ns + other.waited_ns,
                longest_ns: self.longest_ns.max(other.longest_ns),
            }
        }
    }

    /// The same by the flags of the tracepoint and the address of the lock.
    type SeenByLock = BTreeMap<(u32, u64), Seen>;

    /// bpftrace, while it runs.
    struct Script {
        _traceable: tempfile::NamedTempFile,
        child: Child,
        lines: Lines<BufReader<ChildStdout>>,
    }

    impl Script {
        /// Starts it, and returns when it is attached; or why it is not.
        fn start(bpftrace: &[String], cgroup: u64) -> Result<Self, String> {
            // As little as can be is between the two readings of the clock: many waits are shorter than the script. At
            // either end its program comes behind lockprof's, which was attached first.
            let script = format!(
                "rawtracepoint:contention_begin /cgroup == {cgroup} && @since[tid, arg0] == 0/
                     {{ @since[tid, arg0] = (nsecs << 6) | arg1; }}
                 rawtracepoint:contention_end
                     {{ $now = nsecs;
                        $begun = @since[tid, arg0];
                        if ($begun != 0) {{
                            $flags = $begun & 63;
                            $waited = $now - ($begun >> 6);
                            @waits[$flags, arg0] = count();
                            @waited[$flags, arg0] = sum($waited);
                            @longest[$flags, arg0] = max($waited);
                            delete(@since[tid, arg0]);
                        }} }}
                 interval:s:1 /@said == 0/ {{ @said = 1; printf(\"{READY}\\n\"); }}
                 END {{ clear(@since); clear(@said); }}"
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

        /// Ends it. What it has seen by the flags of the tracepoint and the address of the lock.
        fn end(mut self) -> SeenByLock {
            signal(&self.child, libc::SIGINT);
            let mut seen: SeenByLock = BTreeMap::new();
            for line in self.lines.by_ref() {
                let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let mut each = |map: &str, keep: fn(&mut Seen) -> &mut u64| {
                    for (key, value) in line["data"][map].as_object().into_iter().flatten() {
                        let (flags, lock) = key.split_once(',').unwrap();
                        let key = (flags.parse().unwrap(), address(lock));
                        *keep(seen.entry(key).or_default()) = value.as_u64().unwrap();
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

    /// As bpftrace prints it, a signed number.
    fn address(decimal: &str) -> u64 {
        let signed: i128 = decimal.parse().unwrap();
        signed as u64
    }

    /// lockprof, which looks at a cgroup's waits alone, until it is told to end.
    fn locks(folder: &Path, cgroup: &Cgroup) -> Command {
        let mut command = lockprof();
        command.args(["locks", "--windows", "off", "--interval", "0.1"]);
        command.args(["--no-report", "-d", "600", "-o"]).arg(folder);
        command.arg("--cgroup").arg(&cgroup.0);
        command
    }

    /// The load, which goes into the cgroup before it is the load.
    fn load(cgroup: &Cgroup, words: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]);
        command.arg(&cgroup.0).arg(lockprof().get_program());
        command.arg("workload").args(words.split(' '));
        command.args(["--warm-up", "0", "--duration", "4"]);
        command.stdin(Stdio::null());
        command
    }

    /// What the script has seen of a class of locks: by the addresses of its members; where a report names them by the
    /// processes that they belong to, what is no other class's.
    fn of_class(
        class: &Value,
        flags: &[u32],
        of_script: &SeenByLock,
        named: &BTreeSet<u64>,
    ) -> Seen {
        let members = addresses(class);
        let is_of_processes = members.len() < class["members"].as_array().unwrap().len();
        of_script
            .iter()
            .filter(|((of_lock, lock), _)| {
                flags.contains(of_lock)
                    && (members.contains(lock) || is_of_processes && !named.contains(lock))
            })
            .fold(Seen::default(), |sum, (_, seen)| sum.and(*seen))
    }

    /// Of a class's members those that are known by address.
    fn addresses(class: &Value) -> BTreeSet<u64> {
        let members = class["members"].as_array().unwrap().iter();
        members
            .filter_map(|member| {
                let digits = member["name"].as_str()?.strip_prefix("0x")?;
                u64::from_str_radix(digits, 16).ok()
            })
            .collect()
    }

    /// The loads' own waits, by class: the locks that they are about, and what else they wait for.
    #[test]
    fn all_locks_agree_with_a_script() {
        let bpftrace = match obstacle().map_or_else(bpftrace, Err) {
            Ok(bpftrace) => bpftrace,
            Err(why) => {
                is_possible("all_locks_agree_with_a_script", Some(why));
                return;
            }
        };
        let (mut long, mut is_seen) = (0, false);
        for (words, kinds) in COMPARED {
            match measured(&bpftrace, words) {
                Ok((report, of_script)) => {
                    // Where a hypervisor lets spinlocks spin without a queue there is no event of any.
                    is_seen = of_script.keys().any(|(flags, _)| *flags == LCB_F_SPIN);
                    if is_seen || kinds != [SPINLOCK] {
                        long += agree(&report, &of_script, kinds);
                    }
                }
                Err(why) => {
                    is_possible("all_locks_agree_with_a_script", Some(why));
                    return;
                }
            }
        }
        match is_seen {
            true => assert!(long > 0, "no waits were spun for {LONG_NS} ns"),
            false => println!("no waits for spinlocks were seen on this machine"),
        }
    }

    /// A load under both: lockprof's report, and what the script has seen. Or why that cannot be.
    fn measured(bpftrace: &[String], words: &str) -> Result<(Value, SeenByLock), String> {
        let folder = tempfile::tempdir().unwrap();
        let none = || "no cgroup can be made below /sys/fs/cgroup".to_owned();
        let cgroup = Cgroup::make().ok_or_else(none)?;
        let own = Measuring::start(&mut locks(folder.path(), &cgroup));
        let script = match Script::start(bpftrace, cgroup.id()) {
            Ok(script) => script,
            Err(why) => {
                signal(&own.child, libc::SIGINT);
                own.end();
                return Err(why);
            }
        };
        let output = load(&cgroup, words).output().unwrap();
        // Whatever is asserted, neither outlives the test.
        let of_script = script.end();
        signal(&own.child, libc::SIGINT);
        let ended = own.end();
        for output in [&output, &ended] {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{error}");
        }
        Ok((report(folder.path()), of_script))
    }

    /// Each class of these kinds has the same waits and the same waited time by both. Of how many spinning waits are long.
    fn agree(report: &Value, of_script: &SeenByLock, kinds: &[(&str, &[u32])]) -> u32 {
        let classes = report["classes"].as_array().unwrap();
        let named = classes.iter().flat_map(addresses).collect();
        let (mut compared, mut long) = (0, 0);
        for class in classes {
            let kind = class["kind"].as_str().unwrap();
            let Some((_, flags)) = kinds.iter().find(|(name, _)| *name == kind) else {
                continue;
            };
            let seen = of_class(class, flags, of_script, &named);
            let Seen {
                waits, waited_ns, ..
            } = seen;
            let number = |field: &str| class[field].as_u64().unwrap();
            let (count, sampled, own_ns) =
                (number("count"), number("sampled"), number("waited_ns"));
            let said = format!(
                "{kind} {}: bpftrace has {waits} waits and {waited_ns} ns, lockprof {count} ({sampled} sampled) and \
                 {own_ns} ns",
                class["name"]
            );
            println!("{said}");
            if waits.max(count) < FEWEST {
                // One more or less would be too much.
                continue;
            }
            assert!(
                waits.abs_diff(count) as f64 <= MOST_APART * waits as f64,
                "{said}"
            );
            let Some(measured) = count.checked_sub(sampled).filter(|&measured| measured > 0) else {
                continue;
            };
            // Samples are in no length.
            let own_ns = own_ns * count / measured;
            let own_longest_ns = class["wait_ns"]["max"].as_f64().unwrap() as u64;
            // What interrupts one of the two programs, an interrupt or the hypervisor, is as long as the longest wait.
            let longest_ns = seen.longest_ns.max(own_longest_ns);
            let is_long = waits >= MANY && waited_ns > LONG_NS * waits;
            let is_spun = kind == "spinlock";
            let allowed_ns = match is_spun && !is_long {
                true => INTERRUPTED * longest_ns + PROGRAMS_APART_NS * waits,
                false => 0,
            };
            let apart_ns = waited_ns.abs_diff(own_ns).saturating_sub(allowed_ns);
            assert!(apart_ns as f64 <= MOST_APART * waited_ns as f64, "{said}");
            compared += 1;
            long += u32::from(is_spun && is_long);
        }
        assert!(compared > 0, "no class has {FEWEST} waits");
        long
    }
}
