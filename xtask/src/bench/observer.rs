//! What is attached while a load runs: nothing, programs that do nothing, lockprof, or a peer.

use lab::vm::protocol::Step;

/// Where the lock is taken, and where it is released.
pub const LOCK: &str = "_raw_write_lock_irq";
/// Where the lock is released.
pub const UNLOCK: &str = "_raw_write_unlock_irq";
/// The functions whose calls `--detail spans` measures, where the kernel has them.
pub const SPANS: [&str; 11] = [
    "free_pid",
    "add_device_randomness",
    "__change_pid",
    "flush_sigqueue",
    "posix_cpu_timers_exit",
    "posix_cpu_timers_exit_group",
    "proc_flush_pid",
    "release_task",
    "__cleanup_sighand",
    "do_notify_parent",
    "attach_pid",
];
/// Those of them whose ends lockprof does not probe: no hold is around them.
const ENDLESS: [&str; 2] = ["proc_flush_pid", "release_task"];
/// The program that attaches programs that do nothing.
pub const EMPTY_PROBES: &str = "lockprof-empty-probes";

/// Something that observes the lock, as a background step of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observer {
    /// By which the results name it.
    pub name: String,
    /// What it is, for readers of the results.
    pub what: String,
    /// The command.
    argv: Vec<String>,
    /// What it prints when everything is attached; `None` of one that says nothing.
    ready: Option<&'static str>,
    /// How long that one takes to attach, in milliseconds.
    pub attaches_in_ms: u64,
    /// A file that it reads: path and content.
    file: Option<(String, String)>,
    /// The folder of its recording in the guest's /out, if it makes one.
    pub recording: Option<String>,
    /// Whether that recording has holds.
    pub measures_holds: bool,
}

impl Observer {
    /// A program that prints `ready` when everything is attached, and ends with SIGINT.
    pub fn program(name: &str, what: &str, argv: &[&str], ready: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            ready: Some(ready),
            attaches_in_ms: 0,
            file: None,
            recording: None,
            measures_holds: false,
        }
    }

    /// The same of one that does not say when it has attached, and takes so many milliseconds to.
    pub fn silent(name: &str, what: &str, argv: &[&str], attaches_in_ms: u64) -> Self {
        Self {
            ready: None,
            attaches_in_ms,
            ..Self::program(name, what, argv, "")
        }
    }

    /// The same with a file that it reads.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: &str) -> Self {
        self.file = Some((path.to_owned(), content.to_owned()));
        self
    }

    /// Programs that do nothing, or next to it, by `kind:target`.
    pub fn empty(name: &str, what: &str, probes: &[String]) -> Self {
        let argv = std::iter::once(EMPTY_PROBES).chain(probes.iter().map(String::as_str));
        Self::program(name, what, &argv.collect::<Vec<_>>(), "attached")
    }

    /// lockprof, with so many seconds between two readings of the counters.
    pub fn lockprof(detail: &str, attach: &str, interval_s: u32) -> Self {
        let name = format!("lockprof-{detail}-{attach}");
        let argv = [
            "lockprof",
            "attach",
            "--no-report",
            "--windows",
            "off",
            "--interval",
            &interval_s.to_string(),
            "--detail",
            detail,
            "--attach",
            attach,
        ];
        let measures_holds = attach != "wait";
        let what = if measures_holds {
            format!("lockprof --detail {detail}, by {attach}")
        } else {
            "lockprof --attach wait".to_owned()
        };
        Self {
            recording: Some(name.clone()),
            measures_holds,
            ..Self::program(&name, &what, &argv, "measuring")
        }
    }

    /// `lockprof locks`, whatever it costs, with what else its command line says.
    pub fn locks(name: &str, what: &str, more: &[&str]) -> Self {
        let argv = ["lockprof", "locks", "--budget", "off"];
        Self::of_all_locks(name, what, &argv, more)
    }

    /// lockprof's table of all locks, which has no owners and no names of tasks.
    pub fn waits(name: &str, what: &str, more: &[&str]) -> Self {
        let argv = ["lockprof", "attach", "--budget", "off", "--attach", "wait"];
        Self::of_all_locks(name, what, &argv, more)
    }

    fn of_all_locks(name: &str, what: &str, argv: &[&str], more: &[&str]) -> Self {
        let argv = [argv, &["--no-report", "--windows", "off"], more].concat();
        Self {
            recording: Some(name.to_owned()),
            ..Self::program(name, what, &argv, "measuring")
        }
    }

    /// The same of another lock than tasklist_lock, whatever it costs.
    #[must_use]
    pub fn of_lock(mut self, lock: &str) -> Self {
        self.name.push_str(&format!("-{lock}"));
        self.what.push_str(&format!(", --lock {lock}"));
        self.recording = Some(self.name.clone());
        let more = ["--budget", "off", "--lock", lock];
        self.argv.extend(more.map(str::to_owned));
        self
    }

    /// The same, which follows readers, too.
    #[must_use]
    pub fn with_readers(mut self) -> Self {
        self.name.push_str("-readers");
        self.what.push_str(" --readers");
        self.recording = Some(self.name.clone());
        self.argv.push("--readers".to_owned());
        self
    }

    /// The same, which watches what holders do instead of running.
    #[must_use]
    pub fn with_off_cpu(mut self) -> Self {
        self.name.push_str("-off-cpu");
        self.what.push_str(" --off-cpu");
        self.recording = Some(self.name.clone());
        self.argv.push("--off-cpu".to_owned());
        self
    }

    /// The same with calls that are measured on request alone.
    #[must_use]
    pub fn with_span(mut self, function: &str) -> Self {
        self.name.push_str(&format!("-{function}"));
        self.what.push_str(&format!(", --span {function}"));
        self.recording = Some(self.name.clone());
        self.argv.extend(["--span", function].map(str::to_owned));
        self
    }

    /// The same with a recording of its own, where one boot starts it several times.
    #[must_use]
    pub fn in_round(mut self, round: usize) -> Self {
        if let Some(name) = &mut self.recording {
            name.push_str(&format!("-{round}"));
        }
        self
    }

    /// The step that starts it; the next one runs when everything is attached.
    pub fn step(&self) -> Step {
        let mut argv = self.argv.clone();
        if let Some(name) = &self.recording {
            argv.extend(["--output".to_owned(), format!("/out/{name}")]);
        }
        let step = Step::new(argv).background(self.ready);
        match &self.file {
            Some((path, content)) => step.write(path, content),
            None => step,
        }
    }
}

/// `kind:target` for each.
pub fn probes(list: &[(&str, &str)]) -> Vec<String> {
    let probes = list.iter();
    probes
        .map(|(kind, target)| format!("{kind}:{target}"))
        .collect()
}

/// Programs that do nothing, in the arrangements that a profiler of this lock may choose from.
pub fn floors() -> Vec<Observer> {
    vec![
        Observer::empty(
            "empty-fentry-fentry",
            "empty fentry on lock and unlock",
            &probes(&[("fentry", LOCK), ("fentry", UNLOCK)]),
        ),
        Observer::empty(
            "empty-fexit-fentry",
            "empty fexit on lock, fentry on unlock",
            &probes(&[("fexit", LOCK), ("fentry", UNLOCK)]),
        ),
        Observer::empty(
            "clock-fexit-fentry",
            "fexit on lock, fentry on unlock, that only read the clock",
            &probes(&[("clock_fexit", LOCK), ("clock_fentry", UNLOCK)]),
        ),
        Observer::empty(
            "empty-fentry-fexit-fentry",
            "empty fentry and fexit on lock, fentry on unlock",
            &probes(&[("fentry", LOCK), ("fexit", LOCK), ("fentry", UNLOCK)]),
        ),
        Observer::empty(
            "clock-fentry-fentry",
            "fentry on lock and unlock, that only read the clock",
            &probes(&[("clock_fentry", LOCK), ("clock_fentry", UNLOCK)]),
        ),
        Observer::empty(
            "empty-fexit-unlock",
            "empty fexit on unlock alone",
            &probes(&[("fexit", UNLOCK)]),
        ),
        Observer::empty(
            "empty-exit-form",
            "exit form: empty fentry on lock, fexit on unlock",
            &probes(&[("fentry", LOCK), ("fexit", UNLOCK)]),
        ),
        Observer::empty(
            "clock-exit-form",
            "exit form, that only reads the clock in both",
            &probes(&[("clock_fentry", LOCK), ("clock_fexit", UNLOCK)]),
        ),
        Observer::empty(
            "empty-robust-form",
            "robust form: empty fentry on lock, fentry and fexit on unlock",
            &probes(&[("fentry", LOCK), ("fentry", UNLOCK), ("fexit", UNLOCK)]),
        ),
        Observer::empty(
            "clock-robust-form",
            "robust form, that only reads the clock in both fentry",
            &probes(&[
                ("clock_fentry", LOCK),
                ("clock_fentry", UNLOCK),
                ("fexit", UNLOCK),
            ]),
        ),
        Observer::empty(
            "empty-kretprobe-kprobe",
            "empty kretprobe on lock, kprobe on unlock",
            &probes(&[("kretprobe", LOCK), ("kprobe", UNLOCK)]),
        ),
        Observer::empty(
            "empty-kprobe-kretprobe-kprobe",
            "empty kprobe and kretprobe on lock, kprobe on unlock",
            &probes(&[("kprobe", LOCK), ("kretprobe", LOCK), ("kprobe", UNLOCK)]),
        ),
        Observer::empty(
            "empty-tracepoints",
            "empty raw tracepoints contention_begin and contention_end",
            &probes(&[
                ("raw_tracepoint", "contention_begin"),
                ("raw_tracepoint", "contention_end"),
            ]),
        ),
    ]
}

/// The same for a lock that is contended: the tracepoints on the way into its queue, and inside its hold.
pub fn floors_of_contention() -> Vec<Observer> {
    const BEGIN: &str = "contention_begin";
    const END: &str = "contention_end";
    let clocks = [
        ("clock_raw_tracepoint", BEGIN),
        ("clock_raw_tracepoint", END),
    ];
    let with_clocks = |form: &[(&str, &str)]| probes(&[&clocks[..], form].concat());
    vec![
        Observer::empty(
            "empty-contention-begin",
            "empty contention_begin",
            &probes(&[("raw_tracepoint", BEGIN)]),
        ),
        Observer::empty(
            "clock-contention-begin",
            "contention_begin, that only reads the clock",
            &probes(&clocks[..1]),
        ),
        Observer::empty(
            "empty-contention-end",
            "empty contention_end",
            &probes(&[("raw_tracepoint", END)]),
        ),
        Observer::empty(
            "clock-contention-end",
            "contention_end, that only reads the clock",
            &probes(&clocks[1..]),
        ),
        Observer::empty(
            "clock-tracepoints",
            "both tracepoints, that only read the clock",
            &with_clocks(&[]),
        ),
        Observer::empty(
            "clock-fexit-fentry-tracepoints",
            "both, fexit on lock and fentry on unlock, that only read the clock",
            &with_clocks(&[("clock_fexit", LOCK), ("clock_fentry", UNLOCK)]),
        ),
        Observer::empty(
            "clock-exit-form-tracepoints",
            "both, and the exit form, that only read the clock",
            &with_clocks(&[("clock_fentry", LOCK), ("clock_fexit", UNLOCK)]),
        ),
        Observer::empty(
            "clock-robust-form-tracepoints",
            "both, and the robust form, that only read the clock",
            &with_clocks(&[
                ("clock_fentry", LOCK),
                ("clock_fentry", UNLOCK),
                ("fexit", UNLOCK),
            ]),
        ),
    ]
}

/// Programs that do nothing, and programs that only read the clock, on lock, unlock, and wherever lockprof
/// has one for the spans of this kernel.
pub fn floors_of_spans(has: impl Fn(&str) -> bool) -> [Observer; 2] {
    let spans: Vec<&str> = SPANS.into_iter().filter(|span| has(span)).collect();
    let on_all = |fentry, fexit| {
        let mut list: Vec<(&str, &str)> = spans
            .iter()
            .flat_map(|span| [(fentry, *span), (fexit, *span)])
            .filter(|(kind, span)| *kind == fentry || !ENDLESS.contains(span))
            .collect();
        list.extend([(fentry, UNLOCK), (fexit, LOCK)]);
        probes(&list)
    };
    [
        Observer::empty(
            "empty-spans",
            "empty fexit on lock, fentry on unlock, and both on each span",
            &on_all("fentry", "fexit"),
        ),
        Observer::empty(
            "clock-spans",
            "those on each span as well, that only read the clock",
            &on_all("clock_fentry", "clock_fexit"),
        ),
    ]
}
