//! The programs of the eBPF object by name, what each is put on, and in which order.

use serde::Serialize;

use super::super::by_task::ByTask;
use super::super::capabilities::Capabilities;
use super::super::sites::{
    LOCK_FUNCTION, READ_LOCK_FUNCTION, READ_UNLOCK_FUNCTION, TRACEPOINT_BEGAN, TRACEPOINT_ENDED,
    UNLOCK_FUNCTION,
};
use super::{PlannedLock, Request, by_task, contention_obstacle};
use crate::recording::schema::{Arrangement, Method, WindowKind};
use crate::span::Span;

/// The scheduler's tracepoints (include/trace/events/sched.h, 5.18 to 7.3).
const TRACEPOINT_SWITCHED: &str = "sched_switch";
const TRACEPOINT_WOKEN: &str = "sched_wakeup";
/// The program at the beginning of a wait.
const BEGAN: &str = "contention_began";
/// The same, where it takes the call stacks of sleeping owners.
const BEGAN_BY_BTF: &str = "contention_began_by_btf";

/// The program at the beginning of an interrupt.
const INTERRUPTED: &str = "interrupt_entered";

/// The program that sees holders leave their CPU.
const HOLDER_SWITCHED: &str = "holder_switched";

/// Whether a program is the one that sees holders leave their CPU, by its name in a recording.
#[must_use]
pub fn sees_holders_leave(program: &str) -> bool {
    program == HOLDER_SWITCHED
}

/// Whether a program is the one at the beginning of a wait, by its name in a recording.
#[must_use]
pub fn sees_waits_begin(program: &str) -> bool {
    [BEGAN, BEGAN_BY_BTF].contains(&program)
}

/// A kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// A tracing program at a function's entry.
    FEntry,
    /// A tracing program at its return.
    FExit,
    /// A kprobe at a function's entry.
    Kprobe,
    /// A kprobe at its return.
    Kretprobe,
    /// A raw tracepoint.
    RawTracepoint,
    /// A tracing program at a tracepoint, which is stopped and counted like a raw tracepoint's.
    BtfTracepoint,
}

impl ProbeKind {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FEntry => "fentry",
            Self::FExit => "fexit",
            Self::Kprobe => "kprobe",
            Self::Kretprobe => "kretprobe",
            Self::RawTracepoint => "raw_tp",
            Self::BtfTracepoint => "tp_btf",
        }
    }
}

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A call inside a hold.
    Span,
    /// Waits.
    Contention,
    /// Who asks for the lock, and when.
    Request,
    /// kprobe only: which lock is asked for.
    Entry,
    /// The lock is taken.
    Acquire,
    /// The lock is about to be given back.
    Release,
    /// The lock was given back.
    Book,
    /// A holder leaves its CPU, can run again, and comes back.
    OffCpu,
    /// An interrupt begins.
    Interrupt,
    /// The end of a read hold.
    ReadRelease,
    /// kprobe only: which lock a reader asks for.
    ReadEntry,
    /// The beginning of a read hold.
    ReadAcquire,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedProbe {
    /// The program's name, in recordings.
    pub program: String,
    /// Its name in the eBPF object, where the programs of spans have numbers.
    pub in_object: String,
    /// Its kind.
    pub kind: ProbeKind,
    /// The kernel function or tracepoint.
    pub target: String,
    /// What it is for.
    pub role: Role,
    /// The kinds of windows in which it is attached.
    pub windows: Vec<WindowKind>,
    /// Why this kernel has no place for it; `None` where it has one.
    pub absent: Option<String>,
}

impl PlannedProbe {
    /// As it is without the stacks of owners.
    pub(super) fn leave_out_owner_stacks(&mut self) {
        if self.kind == ProbeKind::BtfTracepoint {
            BEGAN.clone_into(&mut self.program);
            BEGAN.clone_into(&mut self.in_object);
            self.kind = ProbeKind::RawTracepoint;
        }
    }
}

/// A probe of read holds that this kernel has no place for.
pub(super) fn missing_reader(probes: &[PlannedProbe]) -> Option<&PlannedProbe> {
    probes.iter().find(|probe| {
        let of_readers = matches!(
            probe.role,
            Role::ReadRelease | Role::ReadEntry | Role::ReadAcquire
        );
        of_readers && probe.absent.is_some()
    })
}

/// The probes of all kinds of windows, in the order of attaching.
pub(super) fn in_order(
    capabilities: &Capabilities,
    request: &Request,
    method: Method,
    arrangement: Option<Arrangement>,
    kinds: &[WindowKind],
    lock: &PlannedLock,
    spans: &[Span],
) -> Vec<PlannedProbe> {
    let mut list = List {
        capabilities,
        method,
        windows: kinds.to_vec(),
        probes: Vec::new(),
    };
    let exact = method != Method::Wait;
    if exact && kinds.contains(&WindowKind::Spans) {
        list.windows = vec![WindowKind::Spans];
        list.spans(spans, lock.by_task().is_some());
    }
    list.windows = kinds.to_vec();
    list.contention(request.owner_stacks && capabilities.trials.owner_stacks.works());
    if exact {
        let of_holds = kinds.iter().filter(|kind| **kind != WindowKind::Waits);
        let of_holds: Vec<WindowKind> = of_holds.copied().collect();
        if let Some(of_kind) = lock.by_task() {
            list.windows = of_holds;
            if request.off_cpu && of_kind.sleeps {
                list.off_cpu();
            }
            list.holds_by_task(of_kind, request);
            return list.probes;
        }
        if let Some(arrangement) = arrangement {
            list.write_holds(arrangement, &of_holds);
        }
        list.windows = of_holds;
        let read = [
            ("read_released", READ_UNLOCK_FUNCTION, Role::ReadRelease),
            ("read_entered", READ_LOCK_FUNCTION, Role::ReadEntry),
            ("read_acquired", READ_LOCK_FUNCTION, Role::ReadAcquire),
        ];
        if request.readers {
            list.read_holds(read);
            list.all_readers_or_none();
        }
    }
    list.probes
}

struct List<'a> {
    capabilities: &'a Capabilities,
    method: Method,
    /// The kinds of windows of what comes next.
    windows: Vec<WindowKind>,
    probes: Vec<PlannedProbe>,
}

impl List<'_> {
    /// Ends before beginnings: a span that is entered while only its end is attached is not counted,
    /// the other way round it would stay open.
    fn spans(&mut self, spans: &[Span], by_task: bool) {
        let [entered, left] = if by_task {
            ["task_span_entered", "task_span_left"]
        } else {
            ["span_entered", "span_left"]
        };
        for (number, span) in spans.iter().enumerate() {
            if span.has_left() {
                self.span(left, number, *span, true);
            }
            self.span(entered, number, *span, false);
        }
    }

    /// A program that is one of a number's (`profiler-ebpf/src/programs/span.rs`, `span_by_task.rs`) is told by its
    /// function's name.
    fn span(&mut self, program: &str, number: usize, span: Span, on_return: bool) {
        let told = format!("{program}_{}", span.name());
        self.function(&told, span.name(), Role::Span, on_return);
        if let Some(probe) = self.probes.last_mut() {
            let prefix = probe.program.strip_suffix(&told).unwrap_or_default();
            probe.in_object = format!("{prefix}{program}_{number}");
        }
    }

    fn contention(&mut self, owner_stacks: bool) {
        let absent = contention_obstacle(self.capabilities);
        let began = if owner_stacks {
            (BEGAN_BY_BTF, ProbeKind::BtfTracepoint)
        } else {
            (BEGAN, ProbeKind::RawTracepoint)
        };
        let ended = ("contention_ended", ProbeKind::RawTracepoint);
        for ((program, kind), target) in [(ended, TRACEPOINT_ENDED), (began, TRACEPOINT_BEGAN)] {
            self.probes.push(PlannedProbe {
                program: program.to_owned(),
                in_object: program.to_owned(),
                kind,
                target: target.to_owned(),
                role: Role::Contention,
                windows: self.windows.clone(),
                absent: absent.clone(),
            });
        }
    }

    /// The probes of a write hold (`profiler-ebpf/src/programs/hold.rs`). By kprobe none stands at the
    /// return of the unlock, where it would cost more inside the hold than at its entry: who asks next
    /// books.
    ///
    /// In windows of holds they stand as `arrangement` says, in windows of spans inside.
    fn write_holds(&mut self, arrangement: Arrangement, kinds: &[WindowKind]) {
        let by_kprobe = self.method == Method::Kprobe;
        let inside = |kind| kind == WindowKind::Spans || arrangement == Arrangement::Inside;
        let of = |wanted: &dyn Fn(WindowKind) -> bool| -> Vec<WindowKind> {
            kinds.iter().copied().filter(|&kind| wanted(kind)).collect()
        };
        let outside = of(&|kind| !inside(kind));
        self.windows.clone_from(&outside);
        self.interrupts();
        if !by_kprobe {
            self.windows = kinds.to_vec();
            self.function("lock_released", UNLOCK_FUNCTION, Role::Book, true);
        }
        self.windows = of(&|kind| inside(kind) || arrangement != Arrangement::Exit);
        self.function("lock_releasing", UNLOCK_FUNCTION, Role::Release, false);
        self.windows = outside;
        self.function("lock_requested", LOCK_FUNCTION, Role::Request, false);
        self.windows = of(&inside);
        if by_kprobe {
            self.function("lock_entered", LOCK_FUNCTION, Role::Entry, false);
        }
        self.function("lock_acquired", LOCK_FUNCTION, Role::Acquire, true);
    }

    /// The probes of a hold that is followed by task (`profiler-ebpf/src/programs/task_hold.rs`).
    fn holds_by_task(&mut self, of_kind: &ByTask, request: &Request) {
        for hook in by_task::hooks(of_kind, self.capabilities, request) {
            self.function(hook.program, hook.function, hook.role, hook.on_return);
        }
    }

    /// The programs that see holders leave their CPU and come back (`profiler-ebpf/src/programs/off_cpu.rs`).
    fn off_cpu(&mut self) {
        let absent = self.capabilities.trials.kernel_reads.obstacle();
        let absent = absent.map(|why| format!("it reads which task comes, and {why}"));
        for (program, target) in [
            ("holder_woken", TRACEPOINT_WOKEN),
            (HOLDER_SWITCHED, TRACEPOINT_SWITCHED),
        ] {
            self.probes.push(PlannedProbe {
                program: program.to_owned(),
                in_object: program.to_owned(),
                kind: ProbeKind::RawTracepoint,
                target: target.to_owned(),
                role: Role::OffCpu,
                windows: self.windows.clone(),
                absent: absent.clone(),
            });
        }
    }

    fn interrupts(&mut self) {
        if self.windows.is_empty() {
            return;
        }
        for name in &self.capabilities.btf.interrupts {
            self.probes.push(PlannedProbe {
                program: INTERRUPTED.to_owned(),
                in_object: INTERRUPTED.to_owned(),
                kind: ProbeKind::RawTracepoint,
                target: format!("{name}_entry"),
                role: Role::Interrupt,
                windows: self.windows.clone(),
                absent: None,
            });
        }
    }

    /// The probes of a read hold. With fentry there is none at the entry: an fexit program sees the
    /// function's arguments.
    fn read_holds(&mut self, probes: [(&str, &str, Role); 3]) {
        for (program, target, role) in probes {
            if self.method == Method::Kprobe || role != Role::ReadEntry {
                self.function(program, target, role, role == Role::ReadAcquire);
            }
        }
    }

    /// A read hold whose beginning or end cannot be seen is not measured at all.
    fn all_readers_or_none(&mut self) {
        let Some(missing) = missing_reader(&self.probes) else {
            return;
        };
        let why = format!("not useful without {}", missing.target);
        for probe in &mut self.probes {
            if matches!(
                probe.role,
                Role::ReadRelease | Role::ReadEntry | Role::ReadAcquire
            ) {
                probe.absent.get_or_insert_with(|| why.clone());
            }
        }
    }

    /// A probe on a function; none where no kind of window wants it.
    fn function(&mut self, program: &str, target: &str, role: Role, on_return: bool) {
        if self.windows.is_empty() {
            return;
        }
        let (prefix, kind) = match (self.method, on_return) {
            (Method::Kprobe, false) => ("kprobe_", ProbeKind::Kprobe),
            (Method::Kprobe, true) => ("kretprobe_", ProbeKind::Kretprobe),
            (_, false) => ("", ProbeKind::FEntry),
            (_, true) => ("", ProbeKind::FExit),
        };
        let program = format!("{prefix}{program}");
        self.probes.push(PlannedProbe {
            in_object: program.clone(),
            program,
            kind,
            target: target.to_owned(),
            role,
            windows: self.windows.clone(),
            absent: function_obstacle(self.capabilities, self.method, target),
        });
    }
}

/// Why this kernel has no place for a probe on a function.
pub(super) fn function_obstacle(
    capabilities: &Capabilities,
    method: Method,
    function: &str,
) -> Option<String> {
    let facts = capabilities.function(function);
    let by_btf = method == Method::Fentry;
    match (facts.symbol, facts.btf, facts.variants.first()) {
        (Some(false), _, Some(variant)) => Some(format!(
            "the compiler made {variant} of it, and a probe needs the plain function"
        )),
        (Some(false), _, None) | (None, Some(false), _) => {
            Some("not in this kernel's symbols: inlined or absent".to_owned())
        }
        (Some(true), Some(false), _) if by_btf => Some(
            "in this kernel's symbols but not in its BTF, which fentry and fexit need".to_owned(),
        ),
        _ => None,
    }
}
