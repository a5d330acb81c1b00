//! Who asked for a lock, by the call stack of a wait.

/// Functions of locks and of tracing, by how their names begin: they stand between a wait and who
/// asked for the lock.
const BETWEEN: &[&str] = &[
    // Spinning locks.
    "_raw_spin_",
    "_raw_read_",
    "_raw_write_",
    "__raw_",
    "do_raw_",
    "native_queued_",
    "queued_spin_",
    "queued_read_",
    "queued_write_",
    "__pv_queued_",
    "pv_queued_",
    "osq_lock",
    // Sleeping locks.
    "__mutex_",
    "mutex_",
    "__ww_mutex_",
    "ww_mutex_",
    "rwsem_",
    "__down",
    "down_",
    "percpu_down_",
    "percpu_rwsem_",
    "__percpu_",
    "rt_mutex_",
    "__rt_mutex_",
    "rt_spin_",
    "rt_read_",
    "rt_write_",
    "rtlock_",
    "rwbase_",
    // Tracing.
    "__traceiter_",
    "__bpf_trace_",
    "trace_",
    "perf_trace_",
    "bpf_trace_",
    "bpf_prog_",
    "bpf_get_stack",
    "__bpf_get_stack",
    "__bpf_prog_",
    "bpf_trampoline_",
    "get_perf_callchain",
    "arch_rethook_trampoline",
    "kretprobe_trampoline",
    "return_to_handler",
    "ftrace_",
];

/// The function of a frame like `release_task+0x5a` or `foo.part.0 [module]+0x5a`, with its module.
#[must_use]
pub fn symbol_of(frame: &str) -> &str {
    frame.split('+').next().unwrap_or(frame)
}

/// The function that asked for the lock: the innermost one that is no lock's and no tracer's own.
#[must_use]
pub fn caller_of(frames: &[String]) -> Option<&str> {
    from_caller(frames).first().map(|frame| symbol_of(frame))
}

/// The frames from the function on that asked for the lock; none where it cannot be told, since names tell, and
/// the innermost frames are those of lockprof's own program.
#[must_use]
pub fn from_caller(frames: &[String]) -> &[String] {
    for (index, frame) in frames.iter().enumerate() {
        let outer = &frames[index..];
        let named = outer.iter().find(|frame| !is_unnamed(frame));
        // A frame without a name under one of these is one of theirs, as lockprof's program is.
        if named.is_some_and(|frame| is_between(symbol_of(frame))) {
            continue;
        }
        // Above them it is a function that asks for a lock, and has no name.
        let is_told = index > 0 || !is_unnamed(frame);
        return if is_told { outer } else { &[] };
    }
    &[]
}

/// Whether a frame is an address alone: the kernel tells no names, or none for this one.
pub(super) fn is_unnamed(frame: &str) -> bool {
    frame.starts_with("0x")
}

/// Whether a function is release_task, or what the compiler has made of it.
pub(super) fn is_release_task(symbol: &str) -> bool {
    symbol.split('.').next() == Some("release_task")
}

/// Whether a function is a lock's or a tracer's own: it stands between a wait and who asked for the
/// lock.
fn is_between(symbol: &str) -> bool {
    symbol == "down" || BETWEEN.iter().any(|start| symbol.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(frames: &[&str]) -> Option<String> {
        let frames: Vec<String> = frames.iter().map(|&frame| frame.to_owned()).collect();
        caller_of(&frames).map(str::to_owned)
    }

    #[test]
    fn lock_and_tracing_functions_are_skipped() {
        assert_eq!(
            caller(&[
                "bpf_prog_6deef7357e7b4530_contention_began+0x5f",
                "bpf_trace_run2+0x8a",
                "__bpf_trace_contention_begin+0x9",
                "__traceiter_contention_begin+0x3a",
                "queued_write_lock_slowpath+0x2f4",
                "_raw_write_lock_irq+0x4e",
                "release_task+0x9d",
                "wait_consider_task+0x6c7",
            ]),
            Some("release_task".to_owned())
        );
        assert_eq!(
            caller(&[
                "__mutex_lock.constprop.0+0x1",
                "mutex_lock+0x2",
                "pipe_write+0x3"
            ]),
            Some("pipe_write".to_owned())
        );
        assert_eq!(
            caller(&[
                "rwsem_down_write_slowpath+0x1",
                "down_write_killable+0x2",
                "vm_mmap_pgoff+0x3"
            ]),
            Some("vm_mmap_pgoff".to_owned())
        );
        // These begin like locks, and are none.
        assert_eq!(
            caller(&["bpf_map_update_elem+0x1"]),
            Some("bpf_map_update_elem".to_owned())
        );
        assert_eq!(
            caller(&["downgrade_thing+0x1"]),
            Some("downgrade_thing".to_owned())
        );
    }

    #[test]
    fn a_stack_may_tell_nothing() {
        assert_eq!(caller(&[]), None);
        assert_eq!(caller(&["_raw_spin_lock+0x1"]), None);
    }

    /// Without names nobody knows where the program's own frames end: of the first one, that is itself, no
    /// report may say that it asked for a lock.
    #[test]
    fn what_has_no_name_is_not_taken_for_the_caller() {
        let (program, module) = ("0xffffffffc0002d4a", "0xffffffffc0a00123");
        assert_eq!(caller(&[program]), None);
        assert_eq!(
            caller(&[program, "0xffffffff814ca233", "0xffffffff8226adbc"]),
            None
        );
        // Only the program has none: net.core.bpf_jit_kallsyms is 0.
        let known = ["bpf_trace_run2+0x8a", "_raw_write_lock_irq+0x4e"];
        assert_eq!(
            caller(&[program, known[0], known[1], "release_task+0x9d"]),
            Some("release_task".to_owned())
        );
        assert_eq!(
            caller(&[known[1], module, "do_syscall_64+0x1"]),
            Some(module.to_owned())
        );
        // A function that may be the program's, and may be the caller.
        assert_eq!(caller(&[program, "do_syscall_64+0x1"]), None);
    }
}
