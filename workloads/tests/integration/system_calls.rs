//! The system calls of a run, as strace sees them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use workloads::{GroundTruth, Mode, WorkloadLine, parse_line};

use crate::run::{PROGRAM, all_combinations, has_program, skipped};
use crate::strace::{Trace, trace};

/// will-it-scale's threadspawn1 in our own words: the given number of threads, one by one.
const REFERENCE: &str = r"
#include <pthread.h>
#include <stdlib.h>

static void *empty_body(void *unused)
{
	return unused;
}

int main(int argc, char **argv)
{
	long left = argc > 1 ? atol(argv[1]) : 0;

	for (; left > 0; left--) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, empty_body, NULL))
			return 1;
		if (pthread_join(thread, NULL))
			return 1;
	}
	return 0;
}
";

/// The calls of a thread's life. The numbers of all but futex are fixed.
const FIXED: [&str; 13] = [
    "clone",
    "clone3",
    "mmap",
    "munmap",
    "mprotect",
    "madvise",
    "exit",
    "rseq",
    "set_robust_list",
    "rt_sigprocmask",
    "sigaltstack",
    "prctl",
    "sched_getaffinity",
];

#[test]
fn threadspawn_makes_the_calls_of_the_c_program() {
    for program in ["strace", "cc"] {
        if !has_program(program) {
            let reason = format!("{program} is missing");
            skipped("threadspawn_makes_the_calls_of_the_c_program", &reason);
            return;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let reference = compile(folder.path());

    // What happens once cancels out between two lengths; the shorter one is long enough for
    // glibc's cache of stacks to be filled.
    let (short, long) = (20, 220);
    let of_reference = [short, long].map(|n| trace(&reference, &[&n.to_string()]).0);
    let of_workload = [short, long].map(|n| trace_threadspawn(&n.to_string()));
    let per_thread = |[short_run, long_run]: &[Trace; 2], call: &str| {
        let calls = long_run.calls(call).abs_diff(short_run.calls(call));
        (calls, calls / (long - short), calls % (long - short))
    };
    for call in FIXED {
        let expected = per_thread(&of_reference, call);
        assert_eq!(expected.2, 0, "{call} of the C program: {expected:?}");
        assert_eq!(per_thread(&of_workload, call), expected, "{call}");
    }
    assert_eq!(per_thread(&of_workload, "exit").1, 1);

    // A join waits if it comes before the thread's end, which is a race; the workload's own start
    // and stop add a few.
    for runs in [&of_reference, &of_workload] {
        assert!(runs[1].calls("futex") <= 2 * long, "{runs:?}");
    }
}

fn trace_threadspawn(iterations: &str) -> Trace {
    let arguments = [
        "threadspawn",
        "--tasks=1",
        "--warm-up=0",
        "--iterations",
        iterations,
    ];
    trace(Path::new(PROGRAM), &arguments).0
}

fn compile(folder: &Path) -> PathBuf {
    let source = folder.join("reference.c");
    let program = folder.join("reference");
    fs::write(&source, REFERENCE).unwrap();
    let status = Command::new("cc")
        .args(["-O2", "-pthread", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(status.success());
    program
}

#[test]
fn ground_truth_is_what_strace_counts() {
    if !has_program("strace") {
        skipped("ground_truth_is_what_strace_counts", "strace is missing");
        return;
    }
    for (workload, mode) in all_combinations() {
        let mode_argument = format!("--mode={}", mode.name());
        let arguments = [
            workload.name(),
            &mode_argument,
            "--tasks=2",
            "--warm-up=0.1",
            "--duration=0.2",
        ];
        let (trace, truth) = trace_workload(&arguments);
        let context = format!("{} {mode_argument} {truth:?}", workload.name());
        assert_eq!(trace.tasks_created(), truth.tasks_created, "{context}");
        // strace sees the main process end as well.
        assert_eq!(trace.exits, truth.tasks_reaped + 1, "{context}");
        let refused = trace.ended("setsid", |result| result == "EPERM");
        assert_eq!(refused, truth.null_holds, "{context}");
        assert_eq!(trace.calls("setsid") - refused, truth.setsid_calls);
        assert_eq!(trace.calls("setpgid"), truth.setpgid_calls, "{context}");
        let kills = trace.calls("kill");
        match workload {
            workloads::Workload::Signalgroup => assert_eq!(kills, truth.iterations_attempted_total),
            _ => assert_eq!(kills, 0, "{context}"),
        }
        let processes = if mode == Mode::Processes { 2 } else { 1 };
        assert!(truth.tasks_created >= processes, "{context}");
    }
}

#[test]
fn mmap_makes_two_calls_for_the_lock() {
    if !has_program("strace") {
        skipped("mmap_makes_two_calls_for_the_lock", "strace is missing");
        return;
    }
    for mode in ["--mode=processes", "--mode=threads"] {
        // What starts the workers may map as much too; it cancels out between two lengths.
        let [short, long] = ["20", "220"].map(|iterations| {
            let length = format!("--iterations={iterations}");
            trace_workload(&["mmap", mode, "--tasks=2", "--warm-up=0", &length])
        });
        let more =
            |call: &str| long.0.calls_with(call, "16384") - short.0.calls_with(call, "16384");
        assert_eq!((more("mmap"), more("munmap")), (400, 400), "{mode}");
        let writes = |truth: &GroundTruth| truth.lock.as_ref().unwrap().exclusive;
        let writes = writes(&long.1) - writes(&short.1);
        assert_eq!(writes, more("mmap") + more("munmap"), "{mode}");
    }
}

fn trace_workload(arguments: &[&str]) -> (Trace, GroundTruth) {
    let (trace, output) = trace(Path::new(PROGRAM), arguments);
    let Some(WorkloadLine::GroundTruth(truth)) = output.lines().last().map(parse_line) else {
        panic!("no ground truth: {output}");
    };
    (trace, truth)
}
