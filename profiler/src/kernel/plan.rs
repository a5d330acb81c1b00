//! Which probes are attached, in which order, and why those: pure.

mod arrangement;
mod by_task;
mod lock;
mod obstacles;
#[cfg(test)]
mod probe_tests;
mod probes;
mod spans;
#[cfg(test)]
mod tests;

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::by_task::ByTask;
use super::capabilities::Capabilities;
use super::forbidden::refuse;
use crate::known_locks::{self, DEFAULT_LOCK};
use crate::recording::schema::{
    Arrangement, Attach, Detail, LockFamily, Method, Probe, Tier, WindowKind,
};
use crate::span::Span;

use obstacles::{contention_obstacle, fentry_obstacle, hold_obstacle, kprobe_obstacle};

pub(super) use arrangement::INTERRUPTS;
pub use lock::PlannedLock;
pub(super) use lock::address_of;
pub use probes::{PlannedProbe, ProbeKind, Role, sees_holders_leave, sees_waits_begin};

/// What `--attach` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachChoice {
    /// The best that the kernel allows.
    #[default]
    Auto,
    /// fentry and fexit, or nothing.
    Fentry,
    /// kprobe and kretprobe, or nothing.
    Kprobe,
    /// The contention tracepoints alone.
    Wait,
}

/// What is to be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// What `--attach` asks for.
    pub attach: AttachChoice,
    /// How much is measured inside a hold.
    pub detail: Detail,
    /// Whether readers are followed.
    pub readers: bool,
    /// Calls that are asked for, besides those that are measured anyway, by the functions' names.
    #[serde(serialize_with = "names_of")]
    pub spans: Vec<Span>,
    /// The lock's symbol.
    pub lock: String,
    /// What kind of lock it is, where who asks has said so.
    pub kind: Option<LockFamily>,
    /// Whether who asks has said, or it was seen, that all who write turn interrupts off by write_lock_irq().
    pub writers_irq: bool,
    /// Whether a process is named, whose lock is meant where each has one.
    pub of_process: bool,
    /// Where the programs of a hold stand; the best that this kernel allows where nobody says.
    pub arrangement: Option<Arrangement>,
    /// Whether calls inside holds have windows of their own, or are measured with everything else.
    pub windows: bool,
    /// Whether the call stacks of sleeping owners of locks are taken, where the kernel allows it.
    pub owner_stacks: bool,
    /// Whether it is looked at what holders do instead of running.
    pub off_cpu: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            attach: AttachChoice::Auto,
            detail: Detail::Spans,
            readers: false,
            spans: Vec::new(),
            lock: DEFAULT_LOCK.to_owned(),
            kind: None,
            writers_irq: false,
            of_process: false,
            arrangement: None,
            windows: true,
            owner_stacks: false,
            off_cpu: false,
        }
    }
}

impl Request {
    /// What kind of lock it is on a kernel that is not real-time, where that is known or was said.
    fn family(&self) -> Option<LockFamily> {
        known_locks::family(&self.lock, self.kind)
    }

    /// Whether all who write it turn interrupts off by write_lock_irq(), as far as that is known or was said.
    fn writers_irq(&self) -> bool {
        known_locks::writers_irq(&self.lock, self.writers_irq)
    }

    /// How it is followed on a kernel that is not real-time, where that is by task.
    #[must_use]
    pub fn by_task(&self) -> Option<&'static ByTask> {
        ByTask::of(self.family(), self.writers_irq())
    }
}

fn names_of<S: Serializer>(spans: &[Span], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(spans.iter().map(|span| span.name()))
}

/// What is attached, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachPlan {
    /// What this kernel allows.
    pub tier: Tier,
    /// By which kind of probe.
    pub method: Method,
    /// Where the programs of a hold stand, where holds are measured: in windows of holds, if there are any.
    pub arrangement: Option<Arrangement>,
    /// The kinds of windows with probes, the one that comes first in front.
    pub kinds: Vec<WindowKind>,
    /// The calls inside holds that are measured: the programs know each by its place here.
    #[serde(serialize_with = "names_of")]
    pub spans: Vec<Span>,
    /// Why this, and why the better ones are not possible: a sentence each.
    pub reasons: Vec<String>,
    /// The lock.
    pub lock: PlannedLock,
    /// Every probe, in the order of attaching: what is inside first, what begins a measurement last,
    /// so that an end without its beginning is never counted as a loss of the whole.
    pub probes: Vec<PlannedProbe>,
}

impl AttachPlan {
    /// How the lock is followed, where that is by task.
    #[must_use]
    pub fn by_task(&self) -> Option<&'static ByTask> {
        self.lock.by_task().filter(|_| self.tier == Tier::Exact)
    }

    /// The probes that this kernel has a place for, in the order of attaching.
    pub fn attachable(&self) -> impl Iterator<Item = &PlannedProbe> {
        self.probes.iter().filter(|probe| probe.absent.is_none())
    }

    /// Whether a probe for this is attached in windows of this kind.
    #[must_use]
    pub fn has(&self, role: Role, kind: WindowKind) -> bool {
        self.attachable()
            .any(|probe| probe.role == role && probe.windows.contains(&kind))
    }

    /// How much is measured inside a hold, where so much was asked for.
    #[must_use]
    pub fn detail(&self, asked: Detail) -> Detail {
        if self.tier == Tier::Exact && !self.kinds.contains(&WindowKind::Spans) {
            Detail::Holds
        } else {
            asked
        }
    }

    /// Whether a program takes the call stacks of sleeping owners.
    #[must_use]
    pub fn takes_owner_stacks(&self) -> bool {
        self.attachable()
            .any(|probe| probe.kind == ProbeKind::BtfTracepoint)
    }

    /// Takes no call stacks of owners: the kernel has refused the program that would.
    pub fn leave_out_owner_stacks(&mut self) {
        self.probes
            .iter_mut()
            .for_each(PlannedProbe::leave_out_owner_stacks);
    }

    /// The plan as the recording has it.
    #[must_use]
    pub fn to_recording(&self) -> Attach {
        Attach {
            method: self.method,
            arrangement: self.arrangement,
            reasons: self.reasons.clone(),
            probes: self
                .probes
                .iter()
                .map(|probe| Probe {
                    program: probe.program.clone(),
                    target: probe.target.clone(),
                    absent: probe.absent.clone(),
                })
                .collect(),
        }
    }
}

/// Why nothing can be attached as asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// Who asks may not trace.
    #[error(
        "attaching probes needs root, or CAP_BPF and CAP_PERFMON: run it with sudo (`lockprof doctor` tells what this kernel offers without)"
    )]
    Privileges,
    /// `--attach` asks for what this kernel does not allow.
    #[error("--attach {asked} is not possible here: {why}. Use {instead} instead")]
    NotPossible {
        /// What was asked for.
        asked: &'static str,
        /// Why not.
        why: String,
        /// What to use.
        instead: &'static str,
    },
    /// Not even the contention tracepoints can be used.
    #[error("this kernel allows nothing that lockprof can use: {}", .reasons.join("; "))]
    Unsupported {
        /// Why each method is not possible.
        reasons: Vec<String>,
    },
    /// The lock's address can be neither read nor learned.
    #[error("the address of the lock {lock} is not known: {why}")]
    UnknownLock {
        /// Its symbol.
        lock: String,
        /// Why, and what to do.
        why: String,
    },
    /// Calls that were asked for cannot be measured.
    #[error("--span {function} is not possible here: {why}")]
    NoSpan {
        /// The function.
        function: String,
        /// Why not: a part of a sentence.
        why: String,
    },
    /// More calls were asked for than the programs have numbers for.
    #[error(
        "--span was asked for {asked} times, and beside what is measured of {lock} anyway there is room for {free}: leave some out"
    )]
    TooManySpans {
        /// The lock.
        lock: String,
        /// How many were asked for.
        asked: usize,
        /// For how many there is room.
        free: usize,
    },
    /// A probe would be put on a function on which none may be.
    #[error("{0}")]
    Forbidden(String),
}

/// Decides what to attach.
///
/// # Errors
/// Where nothing can be attached as asked; the error says what is missing and what to use instead.
pub fn plan(capabilities: &Capabilities, request: &Request) -> Result<AttachPlan, PlanError> {
    if !capabilities.user.can_trace() {
        return Err(PlanError::Privileges);
    }
    let (method, mut reasons) = choose(capabilities, request)?;
    let tier = match method {
        Method::Fentry | Method::Kprobe => Tier::Exact,
        Method::Wait => Tier::WaitOnly,
        Method::Off => Tier::Off,
    };
    let lock = lock::planned_lock(capabilities, request, tier)?;
    let spans = spans::of_run(capabilities, request, method, &lock)?;
    let kinds = kinds(request, method, &spans);
    let (arrangement, why) = arrangement::choose(capabilities, request, method, &kinds, &lock);
    reasons.extend(why);
    let probes = probes::in_order(
        capabilities,
        request,
        method,
        arrangement,
        &kinds,
        &lock,
        &spans,
    );
    for probe in &probes {
        if let Some(reason) = refuse(&probe.target) {
            return Err(PlanError::Forbidden(reason));
        }
    }
    if tier == Tier::Exact {
        if lock.kind.is_none() {
            reasons.push(format!(
                "What kind of lock {0} is is not known: its holds are seen only if it is a reader-writer lock that is taken by write_lock_irq(); of a mutex or an rwsem, say so: --lock {0}:mutex or --lock {0}:rwsem.",
                lock.name
            ));
        }
        if let Some(why) = contention_obstacle(capabilities) {
            reasons.push(format!("Waits are not measured: {why}."));
        }
        if arrangement != Some(Arrangement::Inside) && !capabilities.sees_interrupts() {
            reasons.push(
                "Interrupts between the request for the lock and its acquisition are in the holds: this kernel's BTF has no tracepoints of them."
                    .to_owned(),
            );
        }
        if let Some(why) = capabilities.trials.kernel_reads.obstacle() {
            reasons.push(format!(
                "Holds cannot be told apart by site, since programs may not read the kernel's memory: {why}."
            ));
        }
        if capabilities.symbols.hidden || capabilities.symbols.error.is_some() {
            reasons.push(
                "Sites are unknown, since the addresses of functions are: set kernel.kptr_restrict to 1 to see who holds the lock."
                    .to_owned(),
            );
        }
        if let Some(probe) = probes::missing_reader(&probes) {
            reasons.push(format!(
                "Read holds are not measured: {} is inlined or absent.",
                probe.target
            ));
        }
        if request.detail == Detail::Spans && spans.is_empty() && lock.kind.is_some() {
            reasons.push(format!(
                "Calls inside holds are not measured: which there are in those of {} is not known; name some with --span FUNCTION.",
                lock.name
            ));
        }
    } else if !request.spans.is_empty() {
        reasons.push("Calls inside holds are not measured: they need the exact tier.".to_owned());
    }
    if tier != Tier::Exact && request.readers {
        reasons.push(
            "Read holds are not measured: they need the exact tier. Readers' waits are in the contention of all locks."
                .to_owned(),
        );
    }
    let off_cpu = probes.iter().find(|probe| probe.role == Role::OffCpu);
    if request.off_cpu && off_cpu.is_none_or(|probe| probe.absent.is_some()) {
        let why = off_cpu.and_then(|probe| probe.absent.as_deref());
        let why = why.unwrap_or("it is told of holds of mutexes and rwsems that are followed");
        reasons.push(format!(
            "What holders do instead of running is not measured: {why}."
        ));
    }
    Ok(AttachPlan {
        tier,
        method,
        arrangement,
        kinds,
        spans,
        reasons,
        lock,
        probes,
    })
}

/// The kinds of windows with probes, the one that comes first in front: holds and the calls inside them have their own, so that the holds are not
/// as long as the calls' probes make them; where there are no windows, one has everything.
///
/// Windows of waits alone are there for a budget that allows no more.
///
fn kinds(request: &Request, method: Method, spans: &[Span]) -> Vec<WindowKind> {
    use WindowKind::{Holds, Spans, Waits};
    let detail = if spans.is_empty() {
        Detail::Holds
    } else {
        request.detail
    };
    match (method, detail) {
        (Method::Off, _) => Vec::new(),
        (Method::Wait, _) => vec![Waits],
        (_, Detail::Holds) if request.windows => vec![Holds, Waits],
        (_, Detail::Holds) => vec![Holds],
        (_, Detail::Spans) if request.windows => vec![Holds, Spans, Waits],
        (_, Detail::Spans) => vec![Spans],
    }
}

/// Chooses the method; the reasons say why it, and why none that is better.
fn choose(
    capabilities: &Capabilities,
    request: &Request,
) -> Result<(Method, Vec<String>), PlanError> {
    let holds = hold_obstacle(capabilities, request);
    let fentry = || fentry_obstacle(capabilities, request);
    let fentry = holds.clone().or_else(fentry);
    let kprobe = || kprobe_obstacle(capabilities, request);
    let kprobe = holds.clone().or_else(kprobe);
    let wait = contention_obstacle(capabilities);
    let best = if fentry.is_none() {
        "--attach fentry"
    } else if kprobe.is_none() {
        "--attach kprobe"
    } else {
        "--attach wait"
    };
    let not_possible = |asked, why: Option<String>| match (why, &wait) {
        (None, _) => None,
        (Some(why), Some(wait)) if best == "--attach wait" => {
            let mut reasons = vec![why, wait.clone()];
            reasons.dedup();
            Some(PlanError::Unsupported { reasons })
        }
        (Some(why), _) => Some(PlanError::NotPossible {
            asked,
            why,
            instead: best,
        }),
    };
    let asked_for = |what: &str| format!("{what}: asked for by --attach.");
    match request.attach {
        AttachChoice::Fentry => match not_possible("fentry", fentry) {
            Some(error) => Err(error),
            None => Ok((Method::Fentry, vec![asked_for("fentry and fexit programs")])),
        },
        AttachChoice::Kprobe => match not_possible("kprobe", kprobe) {
            Some(error) => Err(error),
            None => Ok((Method::Kprobe, vec![asked_for("kprobes and kretprobes")])),
        },
        AttachChoice::Wait => match not_possible("wait", wait.clone()) {
            Some(error) => Err(error),
            None => Ok((
                Method::Wait,
                vec![asked_for("Contention tracepoints alone")],
            )),
        },
        AttachChoice::Auto => auto(holds, fentry, kprobe, wait),
    }
}

fn auto(
    holds: Option<String>,
    fentry: Option<String>,
    kprobe: Option<String>,
    wait: Option<String>,
) -> Result<(Method, Vec<String>), PlanError> {
    let mut reasons = Vec::new();
    if let Some(why) = holds {
        reasons.push(format!("Holds cannot be measured: {why}."));
    } else {
        let Some(why) = fentry else {
            let reason = "fentry and fexit programs, the cheapest exact probes, work here.";
            return Ok((Method::Fentry, vec![reason.to_owned()]));
        };
        reasons.push(format!("fentry and fexit are not possible: {why}."));
        let Some(why) = kprobe else {
            reasons.push("kprobes and kretprobes work here.".to_owned());
            return Ok((Method::Kprobe, reasons));
        };
        reasons.push(format!("kprobes are not possible: {why}."));
    }
    match wait {
        None => {
            reasons.push(
                "The contention tracepoints work here: waits are measured, holds are not."
                    .to_owned(),
            );
            Ok((Method::Wait, reasons))
        }
        Some(why) => {
            reasons.push(format!("Waits cannot be measured: {why}."));
            Err(PlanError::Unsupported { reasons })
        }
    }
}
