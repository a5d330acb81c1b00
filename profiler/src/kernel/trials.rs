//! Really trying each kind of probe, with a small program, on the functions that a run would use: it is attached, the
//! function is called, and the program has to have run. Every probe is removed at once.

use std::io;
use std::os::fd::AsFd as _;

use lockprof_abi::KernelCall;

use super::bpf_syscall::{
    Counter, ProgramKind, load, open_kprobe, open_raw_tracepoint, set_program,
};
use super::by_task::ByTask;
use super::capabilities::{TaskCalls, Trial, Trials};
use super::instruction::instruction;
use super::machine::first_cpu_online;
use super::obstructions::Obstructions;
use super::one_line::line_of;
use super::sites::{LOCK_FUNCTION, TRACEPOINT_BEGAN, UNLOCK_FUNCTION};
use crate::known_locks::hold_by_setpgid;
use crate::recording::schema::Method;

/// Where the kernel tells the number of the kprobe PMU (v4.17, CONFIG_KPROBE_EVENTS).
const KPROBE_PMU: &str = "/sys/bus/event_source/devices/kprobe/type";

/// `r0 = 0; exit` (struct bpf_insn of include/uapi/linux/bpf.h, little-endian fields in a word).
const EMPTY: &[u64] = &[instruction(0xb7, 0, 0, 0), instruction(0x95, 0, 0, 0)];

/// Holds in which each probe has to run at least once.
const HOLDS: u64 = 10;

/// `r1 = the counter; r2 = 1; lock *(u64 *)(r1 + 0) += r2; r0 = 0; exit`. The first is two words long, and names the
/// map by its descriptor (BPF_PSEUDO_MAP_VALUE, v5.2).
pub(super) const fn counting(counter: i32) -> [u64; 6] {
    [
        instruction(0x18, 1 | (2 << 4), 0, counter),
        0,
        instruction(0xb7, 2, 0, 1),
        instruction(0xdb, 1 | (2 << 4), 0, 0),
        EMPTY[0],
        EMPTY[1],
    ]
}

/// `r1 = fp - 8; r2 = 8; r3 = 0; bpf_probe_read_kernel(r1, r2, r3); r0 = 0; exit`.
const READS_KERNEL: &[u64] = &[
    instruction(0xbf, 1 | (10 << 4), 0, 0),
    instruction(0x07, 1, 0, -8),
    instruction(0xb7, 2, 0, 8),
    instruction(0xb7, 3, 0, 0),
    instruction(0x85, 0, 0, 113),
    instruction(0xb7, 0, 0, 0),
    instruction(0x95, 0, 0, 0),
];

/// Takes a lock and gives it back, so often.
type Hold = fn(u64) -> io::Result<()>;

/// The functions on which probes are tried, and how they are called.
#[derive(Clone, Copy)]
pub(super) struct Tried {
    /// What takes the lock.
    pub(super) lock: &'static str,
    /// What gives it back.
    pub(super) unlock: &'static str,
    /// Calls both.
    hold: Hold,
    /// Why kprobes are not tried, where they would not be used.
    no_kprobes: Option<&'static str>,
}

/// Those of a reader-writer lock.
pub(super) const OF_RWLOCK: Tried = Tried {
    lock: LOCK_FUNCTION,
    unlock: UNLOCK_FUNCTION,
    hold: |times| {
        hold_by_setpgid(times);
        Ok(())
    },
    no_kprobes: None,
};

/// Those of a lock that is followed by task, of which a kernel that debugs locks may have another one.
pub(super) fn of(by_task: &ByTask, has: impl Fn(&str) -> bool) -> Tried {
    let mut functions = by_task.taken_by.iter().copied();
    let last = by_task.taken_by.last().copied().unwrap_or_default();
    Tried {
        lock: functions.find(|function| has(function)).unwrap_or(last),
        unlock: by_task.given_back_by,
        hold: by_task.hold,
        no_kprobes: Some(by_task.not_by_kprobe),
    }
}

/// What the trials need to know.
pub(super) struct Targets {
    /// The functions of a hold.
    pub(super) functions: Tried,
    /// The BTF id of the lock function, where BTF has it.
    pub(super) lock: Result<u32, String>,
    /// That of the unlock function.
    pub(super) unlock: Result<u32, String>,
    /// That of the type of contention_begin, and the functions by which a program gets a task.
    pub(super) tasks: Result<(u32, TaskCalls), String>,
}

/// No trial was made, for this reason. That the kernel offers no kprobes can be seen all the same.
pub(super) fn untried(reason: &str) -> Trials {
    let untried = Trial::Untried {
        reason: reason.to_owned(),
    };
    let kprobe = match kprobe_pmu() {
        Ok(_) => untried.clone(),
        Err(refused) => refused,
    };
    Trials {
        fentry: untried.clone(),
        fexit: untried.clone(),
        kprobe: kprobe.clone(),
        kretprobe: kprobe,
        raw_tracepoint: untried.clone(),
        kernel_reads: untried.clone(),
        owner_stacks: untried,
    }
}

/// Tries each kind of probe. None of a function while ftrace is switched off: it would see nothing, and what is left of
/// it in ftrace's records when it goes has the kernel warn and give ftrace up, once that is on again
/// (`ftrace_shutdown()` of kernel/trace/ftrace.c; seen on 6.12).
pub(super) fn all(targets: &Targets) -> Trials {
    let obstructions = Obstructions::read();
    if obstructions.ftrace_enabled == Some(false) {
        let cause = obstructions.cause(Method::Fentry).unwrap_or_default();
        let dead = Trial::Dead { error: cause };
        let kprobe = kprobe_pmu().err().unwrap_or_else(|| dead.clone());
        return Trials {
            fentry: dead.clone(),
            fexit: dead,
            kprobe: kprobe.clone(),
            kretprobe: kprobe,
            raw_tracepoint: raw_tracepoint(),
            kernel_reads: kernel_reads(),
            owner_stacks: owner_stacks(&targets.tasks),
        };
    }
    let Tried {
        lock, unlock, hold, ..
    } = targets.functions;
    let by_kprobe = |function, on_return| match targets.functions.no_kprobes {
        None => kprobe(function, on_return, hold),
        Some(reason) => Trial::Untried {
            reason: reason.to_owned(),
        },
    };
    let (lock_id, unlock_id) = (targets.lock.as_ref(), targets.unlock.as_ref());
    Trials {
        fentry: tracing(unlock_id, unlock, "fentry", ProgramKind::Fentry, hold),
        fexit: tracing(lock_id, lock, "fexit", ProgramKind::Fexit, hold),
        kprobe: by_kprobe(unlock, false),
        kretprobe: by_kprobe(lock, true),
        raw_tracepoint: raw_tracepoint(),
        kernel_reads: kernel_reads(),
        owner_stacks: owner_stacks(&targets.tasks),
    }
}

fn refused(what: &str, why: &dyn std::fmt::Display) -> Trial {
    Trial::Refused {
        error: format!("{what}: {why}"),
    }
}

fn tracing(
    function_id: Result<&u32, &String>,
    function: &str,
    name: &str,
    kind: impl Fn(u32) -> ProgramKind,
    hold: Hold,
) -> Trial {
    let function_id = match function_id {
        Ok(id) => *id,
        Err(why) => return refused(&format!("an {name} program needs {function} in BTF"), why),
    };
    let counter = match Counter::new() {
        Ok(counter) => counter,
        Err(error) => return refused("creating a map", &error),
    };
    let program = match load(kind(function_id), &counting(counter.fd())) {
        Ok(program) => program,
        Err(error) => {
            return refused(
                &format!("loading a small {name} program for {function}"),
                &error,
            );
        }
    };
    match open_raw_tracepoint(None, program.as_fd()) {
        Ok(_attached) => runs(&counter, name, function, Method::Fentry, hold),
        Err(error) => refused(
            &format!("attaching a small {name} program to {function}"),
            &error,
        ),
    }
}

/// Whether a program that is attached runs when its function does.
fn runs(counter: &Counter, name: &str, function: &str, method: Method, hold: Hold) -> Trial {
    if let Err(error) = hold(HOLDS) {
        return Trial::Untried {
            reason: format!("calling {function} on purpose: {error}"),
        };
    }
    match counter.read() {
        Ok(0) => {
            let cause = Obstructions::read().cause(method);
            let cause = cause.unwrap_or_else(|| "why was not found".to_owned());
            Trial::Dead {
                error: format!(
                    "a small {name} program was attached to {function} and did not run with it: {cause}"
                ),
            }
        }
        Ok(_) => Trial::Works,
        Err(error) => refused("reading a map", &error),
    }
}

/// The number of the kprobe PMU.
fn kprobe_pmu() -> Result<u32, Trial> {
    line_of(KPROBE_PMU)
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| {
            refused(
                "the kernel offers no kprobe events (CONFIG_KPROBE_EVENTS)",
                &format_args!("there is no {KPROBE_PMU}"),
            )
        })
}

fn kprobe(function: &str, on_return: bool, hold: Hold) -> Trial {
    let name = if on_return { "kretprobe" } else { "kprobe" };
    let pmu = match kprobe_pmu() {
        Ok(pmu) => pmu,
        Err(refused) => return refused,
    };
    let event = match open_kprobe(pmu, function, on_return, first_cpu_online()) {
        Ok(event) => event,
        Err(error) => return refused(&format!("creating a {name} on {function}"), &error),
    };
    let counter = match Counter::new() {
        Ok(counter) => counter,
        Err(error) => return refused("creating a map", &error),
    };
    let program = match load(ProgramKind::Kprobe, &counting(counter.fd())) {
        Ok(program) => program,
        Err(error) => return refused("loading a small kprobe program", &error),
    };
    match set_program(event.as_fd(), program.as_fd()) {
        Ok(()) => runs(&counter, name, function, Method::Kprobe, hold),
        Err(error) => refused(
            &format!("giving the {name} on {function} a program"),
            &error,
        ),
    }
}

fn raw_tracepoint() -> Trial {
    let program = match load(ProgramKind::RawTracepoint, EMPTY) {
        Ok(program) => program,
        Err(error) => return refused("loading an empty raw tracepoint program", &error),
    };
    match open_raw_tracepoint(Some(TRACEPOINT_BEGAN), program.as_fd()) {
        Ok(_attached) => Trial::Works,
        Err(error) => refused(
            &format!("attaching an empty program to the tracepoint {TRACEPOINT_BEGAN}"),
            &error,
        ),
    }
}

fn kernel_reads() -> Trial {
    match load(ProgramKind::RawTracepoint, READS_KERNEL) {
        Ok(_program) => Trial::Works,
        Err(error) => refused("loading a program that calls bpf_probe_read_kernel", &error),
    }
}

/// `r1 = 1; r0 = bpf_task_from_pid(r1); if r0 == 0 goto the end; r6 = r0; r1 = r0; r2 = fp - 64; r3 = 64; r4 = 0;
/// bpf_get_task_stack(r1, r2, r3, r4); r1 = r6; bpf_task_release(r1); r0 = 0; exit`.
fn walks_a_task(calls: TaskCalls) -> [u64; 14] {
    let call = KernelCall::instruction;
    [
        instruction(0xb7, 1, 0, 1),
        call(calls.from_pid),
        instruction(0x15, 0, 9, 0),
        instruction(0xbf, 6, 0, 0),
        instruction(0xbf, 1, 0, 0),
        instruction(0xbf, 2 | (10 << 4), 0, 0),
        instruction(0x07, 2, 0, -64),
        instruction(0xb7, 3, 0, 64),
        instruction(0xb7, 4, 0, 0),
        instruction(0x85, 0, 0, 141),
        instruction(0xbf, 1 | (6 << 4), 0, 0),
        call(calls.release),
        EMPTY[0],
        EMPTY[1],
    ]
}

/// Loading it is all that a kernel may refuse: any tracing program may stand at a tracepoint.
fn owner_stacks(tasks: &Result<(u32, TaskCalls), String>) -> Trial {
    let (tracepoint, calls) = match tasks {
        Ok(tasks) => *tasks,
        Err(error) => {
            return Trial::Refused {
                error: error.clone(),
            };
        }
    };
    match load(ProgramKind::BtfTracepoint(tracepoint), &walks_a_task(calls)) {
        Ok(_program) => Trial::Works,
        Err(error) => refused(
            "loading a small tracing program that walks another task's stack",
            &error,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_encoded_as_the_kernel_reads_them() {
        let bytes = EMPTY[0].to_ne_bytes();
        assert_eq!(bytes, [0xb7, 0, 0, 0, 0, 0, 0, 0]);
        let bytes = READS_KERNEL[1].to_ne_bytes();
        assert_eq!(bytes[..4], [0x07, 1, 0, 0]);
        assert_eq!(bytes[4..], (-8_i32).to_ne_bytes());
    }

    #[test]
    fn what_is_not_in_btf_is_refused_without_a_trial() {
        let missing = String::from("BTF does not have it");
        let hold = OF_RWLOCK.hold;
        let trial = tracing(Err(&missing), "f", "fentry", ProgramKind::Fentry, hold);
        assert_eq!(
            trial.obstacle(),
            Some("an fentry program needs f in BTF: BTF does not have it")
        );
    }
}
