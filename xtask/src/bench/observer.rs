//! What is attached while a load runs: nothing, programs that do nothing, lockprof, or a peer.

use crate::vm::protocol::Step;

/// Where the lock is taken, and where it is released.
pub const LOCK: &str = "_raw_write_lock_irq";
/// Where the lock is released.
pub const UNLOCK: &str = "_raw_write_unlock_irq";
/// The functions whose calls lockprof measures inside a reap's hold, on kernels before 6.15; each is
/// called on every task's way out.
pub const SPANS: [&str; 4] = [
    "__change_pid",
    "free_pid",
    "flush_sigqueue",
    "posix_cpu_timers_exit",
];

/// Something that observes the lock, as a background step of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observer {
    /// By which the results name it.
    pub name: String,
    /// What it is, for readers of the results.
    pub what: String,
    /// The command.
    argv: Vec<String>,
    /// What it prints when everything is attached.
    ready: &'static str,
    /// The folder of its recording in the guest's /out, if it makes one.
    pub recording: Option<String>,
}

impl Observer {
    /// Programs that do nothing, by `kind:target`.
    fn empty(name: &str, what: &str, probes: &[String]) -> Self {
        let argv =
            std::iter::once("lockprof-empty-probes".to_owned()).chain(probes.iter().cloned());
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            argv: argv.collect(),
            ready: "attached",
            recording: None,
        }
    }

    /// lockprof. Its one reading of the counters comes after the loads.
    pub fn lockprof(detail: &str, attach: &str) -> Self {
        let name = format!("lockprof-{detail}-{attach}");
        let argv = [
            "lockprof",
            "attach",
            "--no-report",
            "--interval",
            "100000",
            "--clock",
            "instructions",
            "--detail",
            detail,
            "--attach",
            attach,
            "--output",
            &format!("/out/{name}"),
        ];
        Self {
            what: format!("lockprof --detail {detail}, by {attach}"),
            argv: argv.map(str::to_owned).to_vec(),
            ready: "measuring",
            recording: Some(name.clone()),
            name,
        }
    }

    /// The step that starts it; the next one runs when everything is attached.
    pub fn step(&self) -> Step {
        Step::new(self.argv.clone()).background(Some(self.ready))
    }
}

/// `kind:target` for each.
fn probes(list: &[(&str, &str)]) -> Vec<String> {
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
            "empty-fentry-fexit-fentry",
            "empty fentry and fexit on lock, fentry on unlock",
            &probes(&[("fentry", LOCK), ("fexit", LOCK), ("fentry", UNLOCK)]),
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
