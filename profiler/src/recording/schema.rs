//! The lines of a recording: JSON Lines, one object a line, told apart by `line`.
//!
//! A recording is one `header`, one `calibration` (where the null hold could be measured), an
//! `interval` for each refresh, and a `footer`. Without its footer it was cut short, and is read all
//! the same; its guard may have written `killed` in that place. Everything is a delta: an interval's numbers are what happened in it and in no other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use workloads::GroundTruth;

pub use super::anchor::Anchor;
pub use super::budget::BudgetPlan;
pub use super::controls::{Control, Died, HoldsControl, LockFamily, Misses, Proof, Proves};
pub use super::in_progress::{CutWaits, InProgress, OpenEvent};
pub use super::killed::Killed;
pub use super::longest::{Kind, LongestEvent};
pub use super::waiters::{
    LocksPlan, Owner, OwnerSample, OwnerStacks, SampledBy, Task, WaiterInterval,
};
pub use super::windows::{Done, SPANS_EVERY_S, Window, WindowKind, WindowPlan};

/// The schema that this program writes, and the newest that it reads.
pub const SCHEMA: u32 = 2;

/// One line of a recording. [`RecordingLines`](super::RecordingLines) reads it: a derived
/// `Deserialize` could not, for by a tag serde cannot read back maps whose keys are numbers.
#[derive(Clone, Debug, Serialize, PartialEq)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Header(Box<Header>),
    /// What the probes themselves add to a hold.
    Calibration(Calibration),
    /// What happened in one interval.
    Interval(Box<Interval>),
    /// The last line of a recording that was not cut short.
    Footer(Box<Footer>),
    /// The last line of one whose daemon was killed by its guard.
    Killed(Killed),
}

/// What was measured, where, and how.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Header {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The version of lockprof.
    pub lockprof: String,
    /// When the probes were attached, in seconds since 1970.
    pub started_at_s: f64,
    /// The same moment by the machine's clocks. Absent in older recordings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached_at: Option<Anchor>,
    /// The kernel.
    pub kernel: Kernel,
    /// What a nanosecond of this recording is.
    pub clock: Clock,
    /// CPUs of the machine that emulated this one, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulated_by: Option<u32>,
    /// What this kernel allowed.
    pub tier: Tier,
    /// How the probes were attached.
    pub attach: Attach,
    /// The lock that was followed exactly.
    pub lock: Lock,
    /// `holds` or `spans`.
    pub detail: Detail,
    /// Whether readers of the lock were followed.
    pub readers: bool,
    /// Whether totals by cgroup were kept.
    pub cgroups: bool,
    /// Whether the paths of cgroups begin at the root of a cgroup namespace, and not at the machine's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cgroup_namespace: bool,
    /// Which spinning wait of a CPU's had its call stack walked: every so many; 0: none. Absent where
    /// each had (schema 1), or nothing was attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_every: Option<u32>,
    /// How the measured time was cut into windows. Absent where it is one, with everything attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowPlan>,
    /// Why there are no windows, where nobody asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_windows: Option<String>,
    /// What measuring was allowed to cost, where it had a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetPlan>,
    /// How long a warm-up was asked for before the measured time, in seconds. Absent in older recordings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up_s: Option<f64>,
    /// What was kept of all locks, in a run of `lockprof locks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locks: Option<LocksPlan>,
    /// Seconds between refreshes.
    pub interval_s: f64,
    /// The losses, as a share of the target lock's events, above which the run is void.
    pub loss_threshold: f64,
    /// The load, where lockprof started it.
    pub workload: Option<Workload>,
    /// The command line of lockprof.
    pub command_line: Vec<String>,
}

/// The kernel that was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// /proc/sys/kernel/random/boot_id: two recordings with the same one are one sample.
    pub boot_id: String,
    /// CPUs that were online.
    pub cpus_online: u32,
    /// CPUs that the kernel has room for.
    pub cpus_possible: u32,
    /// The clock source, as /sys names it.
    pub clock_source: String,
    /// The CPU's model name.
    pub cpu_model: String,
    /// A hash of the kernel's configuration, where it shows one.
    pub config_hash: Option<String>,
    /// Whether the kernel has the deferral, by its BTF and symbols.
    pub deferral: Deferral,
    /// Whether spinning waits are invisible, since the kernel spins in virt_spin_lock().
    pub spin_waits_invisible: bool,
    /// Why waits for spinlocks (not for reader-writer locks that spin) are invisible here, where they are:
    /// a part of a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spinlock_waits_invisible: Option<String>,
}

/// Which version of the deferral a kernel has, by its BTF and symbols.
#[derive(
    Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[serde(rename_all = "snake_case")]
pub enum Deferral {
    /// `free_pids` and `struct release_task_post`: Linux 6.15 and later.
    Merged,
    /// `detach_pid_return`: the version that was first posted.
    Posted,
    /// Neither: it has to be observed.
    #[default]
    Unknown,
}

/// What a nanosecond of a recording is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The machine's own clock.
    Hardware,
    /// Time of an emulated machine: real contention, but not a hardware's times.
    EmulatedWall,
    /// One nanosecond is one guest instruction; no waits.
    Instructions,
}

/// What a kernel allows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Lock and unlock can be probed.
    Exact,
    /// The unlock is inlined: upper and lower bounds.
    Bounded,
    /// Contention tracepoints alone.
    WaitOnly,
    /// Nothing.
    Unsupported,
    /// Nothing was to be attached: the load alone, for comparisons.
    Off,
}

impl Tier {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Bounded => "bounded",
            Self::WaitOnly => "wait-only",
            Self::Unsupported => "unsupported",
            Self::Off => "off",
        }
    }
}

/// By which kind of probe the lock is followed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// fentry and fexit.
    Fentry,
    /// kprobe and kretprobe.
    Kprobe,
    /// Contention tracepoints alone.
    Wait,
    /// Nothing.
    Off,
}

/// Where the programs of a hold stand, and so what of them is inside it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// At the entry of the lock function and at the return of the unlock: none is inside the hold.
    Exit,
    /// One at the entry of the unlock as well, which is.
    Robust,
    /// At the return of the lock function, so that it is known what is called inside a hold, and at the
    /// entry of the unlock.
    Inside,
}

impl Arrangement {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Robust => "robust",
            Self::Inside => "inside",
        }
    }
}

/// How much is measured inside a hold.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Holds alone: the cheap level.
    Holds,
    /// Holds and the calls inside them.
    Spans,
}

/// How the probes were attached, and why not better.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Attach {
    /// The kind of probe.
    pub method: Method,
    /// Where the programs of a hold stand; absent where no holds are measured, and in recordings of
    /// lockprof 0.1, which measured all in the way of `inside`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrangement: Option<Arrangement>,
    /// Why this method and tier, and why not a better one: sentences.
    pub reasons: Vec<String>,
    /// Every probe that was planned.
    pub probes: Vec<Probe>,
}

/// One probe point.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Probe {
    /// The program's name in the eBPF object.
    pub program: String,
    /// The kernel function or tracepoint.
    pub target: String,
    /// Where it could not be attached: why.
    pub absent: Option<String>,
}

impl Attach {
    /// Notes functions that have turned out to have no place for a probe, and why.
    pub fn note_refused(&mut self, refused: &BTreeMap<String, String>) {
        for probe in &mut self.probes {
            if let Some(why) = refused.get(&probe.target) {
                probe.absent.get_or_insert_with(|| why.clone());
            }
        }
    }
}

/// The lock that was followed exactly.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Lock {
    /// Its symbol.
    pub name: String,
    /// Its address, in hexadecimal with 0x; absent where it was never learned.
    pub address: Option<String>,
    /// How the address is known.
    pub address_source: AddressSource,
    /// How long it is at most, in bytes: up to the next symbol. What is waited for may be a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What kind of lock it is, where that is known without having seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<LockFamily>,
}

/// How the lock's address is known.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AddressSource {
    /// /proc/kallsyms has it.
    Kallsyms,
    /// The first lock that release_task took for writing.
    Learned,
    /// A contended lock that was asked for by release_task, by its call stack.
    Stacks,
    /// Whoever started the run has given it in the place of a name.
    Given,
    /// It is that of the process that is followed, and changes with its address space.
    Process,
    /// It is not known.
    Unknown,
}

/// The load that lockprof started.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Workload {
    /// A bundled workload's name, or the command's.
    pub name: String,
    /// Tasks of a bundled workload.
    pub tasks: Option<u32>,
    /// `processes` or `threads`, of a bundled workload.
    pub mode: Option<String>,
    /// The command line.
    pub command: Vec<String>,
}

impl Workload {
    /// Whether the load is one of lockprof's own, and no command of the user's.
    #[must_use]
    pub const fn is_bundled(&self) -> bool {
        self.tasks.is_some()
    }

    /// The tasks of a bundled load: `1 process`, `24 threads`.
    #[must_use]
    pub fn tasks_in_words(&self) -> Option<String> {
        let tasks = self.tasks?;
        let what = match (tasks, self.mode.as_deref().unwrap_or("tasks")) {
            (1, "processes") => "process",
            (1, what) => what.strip_suffix('s').unwrap_or(what),
            (_, what) => what,
        };
        Some(format!("{tasks} {what}"))
    }
}

/// What the probes themselves add.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Calibration {
    /// The null hold, where holds are measured.
    #[serde(flatten)]
    pub null_hold: Option<NullHold>,
    /// BPF's own run time by program, from a short window with BPF_ENABLE_STATS, in which nothing
    /// else was measured.
    pub run_time: Vec<RunTime>,
    /// What the probes were seen to see before the measured time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Control>,
}

/// The hold of a setsid() that fails at once.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
pub struct NullHold {
    /// How many were measured.
    #[serde(rename = "null_holds")]
    pub holds: u64,
    /// Their mean length.
    #[serde(rename = "null_hold_ns")]
    pub mean_ns: f64,
    /// Their median, by the histogram.
    #[serde(rename = "null_hold_p50_ns")]
    pub p50_ns: f64,
}

/// The run time of one program in the window of the calibration.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct RunTime {
    /// The program.
    pub program: String,
    /// Runs in the window.
    pub runs: u64,
    /// Nanoseconds a run, without the trampoline.
    pub ns_per_run: f64,
}

/// What happened in one interval.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Interval {
    /// Its end, in seconds since the probes were attached.
    pub at_s: f64,
    /// Its length.
    pub seconds: f64,
    /// In the load's warm-up (or the calibration), or measured.
    pub phase: Phase,
    /// The window, in the measured time of a run that has windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// What each CPU did; CPUs with nothing are left out.
    pub cpus: Vec<CpuInterval>,
    /// Spans inside holds, over all CPUs.
    pub spans: Vec<SpanInterval>,
    /// Calls of spans outside every hold, over all CPUs.
    pub calls_outside: BTreeMap<String, u64>,
    /// Who waited behind whose holds, over all CPUs.
    pub blame: Vec<BlameInterval>,
    /// Waits for all locks, over all CPUs.
    pub contention: Vec<ContentionInterval>,
    /// Who waited for whom, over all CPUs, in a run of `lockprof locks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiters: Vec<WaiterInterval>,
    /// What owners of locks were seen to do while others waited, in a run of `lockprof locks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owner_samples: Vec<OwnerSample>,
    /// Samples whose caller was found in both ways.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub callers_checked: u64,
    /// Those of them where the words of the stack told another caller than the walk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub callers_wrong: u64,
    /// Call stacks that are used here for the first time: the innermost frame first, as
    /// `symbol+0xoffset` where symbols are known and `0xaddress` where not.
    pub stacks: BTreeMap<i32, Vec<String>>,
    /// Totals by cgroup, where asked for: its path (or id, or [`OTHER_CGROUPS`]) to its totals.
    pub cgroups: BTreeMap<String, CgroupInterval>,
    /// Longest holds and waits that are longer than any before in this phase.
    pub longest: Vec<LongestEvent>,
    /// What holders did instead of running, over all CPUs, where asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub off_cpu: Vec<OffCpuInterval>,
    /// Losses that the programs count, by the names of `lockprof_abi::Loss`; zeroes are left out.
    pub losses: BTreeMap<String, u64>,
    /// Losses that the kernel counts for each program; `None` where it does not tell.
    pub missed: BTreeMap<String, Option<u64>>,
    /// Spans that could not be attached for this window, which are absent from then on: by function, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, String>,
    /// What the daemon used.
    pub own: OwnCost,
    /// What the machine did.
    pub machine: Machine,
    /// For how long of it lockprof was stopped, with nothing attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_s: Option<f64>,
    /// Iterations of a bundled load, where it told.
    pub iterations: Option<u64>,
    /// The daemon's own null holds in it, where holds are measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<HoldsControl>,
    /// What probes that were attached for the first time were seen to see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Control>,
}

/// What the run is doing.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Calibration and the load's warm-up: in no result.
    #[default]
    WarmUp,
    /// The measured time.
    Measured,
}

/// What one CPU did in an interval.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct CpuInterval {
    /// Its number.
    pub cpu: u32,
    /// By site; sites with nothing are left out.
    pub sites: Vec<SiteInterval>,
}

/// What one site did on one CPU in an interval.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct SiteInterval {
    /// The name of a site: an everyday one, or its function.
    pub site: String,
    /// Holds that ended.
    pub holds: u64,
    /// Their time.
    pub held_ns: u64,
    /// Contended acquisitions.
    pub waits: u64,
    /// Their time.
    pub waited_ns: u64,
    /// Lengths of holds: bucket, count, bucket, count, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold_buckets: Vec<u32>,
    /// Lengths of waits: bucket, count, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wait_buckets: Vec<u32>,
}

/// What a span did inside the holds of a site in an interval.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct SpanInterval {
    /// The name of a `lockprof_abi::Span`.
    pub span: String,
    /// The name of the holder's site.
    pub site: String,
    /// Calls inside a hold.
    pub calls: u64,
    /// Their time, with the spans that they contain.
    pub in_hold_ns: u64,
    /// Their time, without the spans that they contain.
    pub self_ns: u64,
}

/// Waited time of one pair.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct BlameInterval {
    /// The waiter's site.
    pub waiter: String,
    /// The holder's site, or `readers and hand-over`.
    pub holder: String,
    /// The waited time.
    pub waited_ns: u64,
}

/// The holder's name of waited time that no writer's hold accounts for.
pub const READERS_AND_HANDOVER: &str = "readers and hand-over";

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Waits for one lock by one caller or call path.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ContentionInterval {
    /// The lock's address, in hexadecimal with 0x.
    pub lock: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// What its address is in by the kernel's slab caches, as of when it was read first: `file.f_pos_lock` of an
    /// object whose type is known, else the cache and the offset in its object, `kmalloc-512+0x18`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The tracepoint's LCB_F_ flags.
    pub flags: u32,
    /// The return address into the function that asked for the lock, as in a call stack, where it was
    /// found without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The call stack's id, where one was taken.
    pub stack: Option<i32>,
    /// All locks that a CPU's table had no place for; `lock` is of no meaning.
    #[serde(default, skip_serializing_if = "is_false")]
    pub others: bool,
    /// Waits beside `waits` of which a sample was taken. It makes a waiter late in the queue, so that
    /// their lengths are in nothing else here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sampled: u64,
    /// The site of the hold of the target lock inside which the waits happened.
    pub in_hold_of: Option<String>,
    /// Waits whose lengths follow.
    pub waits: u64,
    /// Their time.
    pub waited_ns: u64,
    /// The longest since the probes were attached.
    pub longest_ns: u64,
    /// Octave, count, octave, count, … (octave n: 2^n ns up to 2^(n+1) ns).
    pub octaves: Vec<u32>,
}

/// What stands in the place of a path for all cgroups that a CPU's table had no place for.
pub const OTHER_CGROUPS: &str = "others";

/// What a cgroup did in an interval.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct CgroupInterval {
    /// Write holds.
    pub holds: u64,
    /// Their time.
    pub held_ns: u64,
    /// Contended acquisitions.
    pub waits: u64,
    /// Their time.
    pub waited_ns: u64,
}

/// Stretches that ended in an interval in which holders were not running, by site and where they went to sleep.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct OffCpuInterval {
    /// The holder's site; none of all that the table of a CPU had no place for.
    pub site: Option<String>,
    /// Another task was put in its place: it did not go to sleep.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preempted: bool,
    /// Where it went to sleep, by its call stack, where that could be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<i32>,
    /// How many.
    pub stretches: u64,
    /// Of their time what they slept, until they were woken.
    pub asleep_ns: u64,
    /// What they could have run.
    pub runnable_ns: u64,
    /// The longest since the probes were attached.
    pub longest_ns: u64,
}

/// What the daemon used in an interval.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct OwnCost {
    /// CPU time of the daemon.
    pub cpu_s: f64,
    /// Its resident memory at the interval's end.
    pub resident_bytes: u64,
}

/// What the machine did in an interval, from /proc/stat.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Machine {
    /// Time stolen by the hypervisor, over all CPUs.
    pub steal_s: f64,
    /// Idle time, over all CPUs.
    pub idle_s: f64,
    /// Tasks created (`processes`).
    pub tasks_created: u64,
}

/// How a run ended, and what only its end can tell.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Footer {
    /// Why it ended.
    pub ended: Ended,
    /// From the first probe attached to the last one detached.
    pub attached_s: f64,
    /// From launch to the first probe attached.
    pub launch_to_attach_s: f64,
    /// For how long detaching took.
    pub detach_s: f64,
    /// Tasks created between attach and detach, from /proc/stat: with the background's.
    pub tasks_created: u64,
    /// What the load itself counted.
    pub ground_truth: Option<GroundTruth>,
    /// What was decided last by the budget, where there was one and windows to keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetPlan>,
    /// The exit status of the load, where lockprof started it.
    pub load_status: Option<i32>,
    /// Recording lines that could not be written, and why.
    pub write_failures: Vec<String>,
    /// What the probes were seen to see before they were detached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Control>,
    /// That probes stopped seeing what they had been proved to see, and when: the run is void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died: Option<Died>,
    /// What had not ended when the measured time did; absent where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<InProgress>,
}

impl Footer {
    /// The status of a load that ended by itself, and not well.
    #[must_use]
    pub fn failed_load(&self) -> Option<i32> {
        let status = self.load_status.filter(|&status| status != 0);
        status.filter(|_| self.ended == Ended::LoadEnded)
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The load ended by itself.
    LoadEnded,
    /// The asked-for time was over.
    Duration,
    /// SIGINT, SIGTERM or SIGHUP; or SIGTSTP, where there was a load.
    Signal,
    /// The budget allowed nothing any more.
    Budget,
}
