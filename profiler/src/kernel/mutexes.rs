//! Which kernel functions take and release mutexes, and where they are.

use lockprof_abi::TextRange;

use super::kallsyms::Kallsyms;

/// What gives every mutex back (kernel/locking/mutex.c, 6.1 to 7.3).
pub const MUTEX_UNLOCK_FUNCTION: &str = "mutex_unlock";
/// What takes most of them.
pub const MUTEX_LOCK_FUNCTION: &str = "mutex_lock";

/// The same in kernels with CONFIG_DEBUG_LOCK_ALLOC.
pub const MUTEX_LOCK_NESTED_FUNCTION: &str = "mutex_lock_nested";

/// Either of them.
pub const MUTEX_LOCK_FUNCTIONS: [&str; 2] = [MUTEX_LOCK_FUNCTION, MUTEX_LOCK_NESTED_FUNCTION];

/// Why kprobes do not do: a part of a sentence.
pub(super) const NOT_BY_KPROBE: &str = "holds of a mutex are followed by fentry and fexit alone, for a kretprobe runs out \
     of places where tasks sleep in the function that it stands at";

/// A function that takes a mutex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MutexFunction {
    /// Its name.
    pub name: &'static str,
    /// The program at its return (`profiler-ebpf/src/programs/mutex.rs`).
    pub program: &'static str,
}

const fn by(name: &'static str, program: &'static str) -> MutexFunction {
    MutexFunction { name, program }
}

/// All of them, the hottest last (kernel/locking/mutex.c, 6.1 to 7.3). A kernel has those of its configuration: with
/// CONFIG_DEBUG_LOCK_ALLOC some are macros of others (include/linux/mutex.h).
///
/// `atomic_dec_and_mutex_lock` and `ww_mutex_lock` are none of them: the first calls `mutex_lock` unless the compiler has
/// put that into it, and the locks of the second are of a kind of their own.
pub const MUTEX_FUNCTIONS: [MutexFunction; 12] = [
    by(
        "_mutex_trylock_nest_lock",
        "mutex_acquired_trylock_nest_lock",
    ),
    by("mutex_lock_io_nested", "mutex_acquired_lock_io_nested"),
    by(
        "_mutex_lock_killable",
        "mutex_acquired_lock_killable_nest_lock",
    ),
    by(
        "mutex_lock_killable_nested",
        "mutex_acquired_lock_killable_nested",
    ),
    by(
        "mutex_lock_interruptible_nested",
        "mutex_acquired_lock_interruptible_nested",
    ),
    by("_mutex_lock_nest_lock", "mutex_acquired_lock_nest_lock"),
    by(MUTEX_LOCK_NESTED_FUNCTION, "mutex_acquired_lock_nested"),
    by("mutex_lock_io", "mutex_acquired_lock_io"),
    by("mutex_trylock", "mutex_acquired_trylock"),
    by("mutex_lock_killable", "mutex_acquired_lock_killable"),
    by(
        "mutex_lock_interruptible",
        "mutex_acquired_lock_interruptible",
    ),
    by(MUTEX_LOCK_FUNCTION, "mutex_acquired_lock"),
];

/// Every function that a probe may be put on to follow a mutex.
pub fn mutex_functions() -> impl Iterator<Item = &'static str> {
    let acquisitions = MUTEX_FUNCTIONS.iter().map(|function| function.name);
    acquisitions.chain([MUTEX_UNLOCK_FUNCTION])
}

/// From the first address of the functions that take a mutex to the last one: a return address in it marks the place of
/// their caller on the stack. Empty where addresses are hidden. They stand in one section of one file
/// (`__sched` of kernel/locking/mutex.c, 6.1 to 7.3), with little between them.
#[must_use]
pub fn mutex_text(kallsyms: &Kallsyms) -> TextRange {
    let ranges = MUTEX_FUNCTIONS
        .iter()
        .filter_map(|function| kallsyms.range_of(function.name));
    let whole = ranges.reduce(|whole, range| {
        let end = |range: &TextRange| range.start.saturating_add(range.length);
        let start = whole.start.min(range.start);
        TextRange {
            start,
            length: end(&whole).max(end(&range)) - start,
        }
    });
    whole.unwrap_or(TextRange::EMPTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_from_the_first_to_the_last() {
        let sample = "\
ffffffff81001000 T mutex_trylock
ffffffff81001040 T ww_mutex_lock
ffffffff81001080 T mutex_lock
ffffffff810010c0 T mutex_unlock
ffffffff8100a000 T _etext
";
        let kallsyms = Kallsyms::parse(sample).unwrap();
        let text = mutex_text(&kallsyms);
        assert_eq!((text.start, text.length), (0xffff_ffff_8100_1000, 0xc0));
        let none = Kallsyms::parse("ffffffff8100a000 T _etext\n").unwrap();
        assert_eq!(mutex_text(&none), TextRange::EMPTY);
    }

    #[test]
    fn each_function_has_a_program_of_its_own() {
        for (index, function) in MUTEX_FUNCTIONS.iter().enumerate() {
            let mut before = MUTEX_FUNCTIONS[..index].iter();
            assert!(
                before
                    .all(|other| other.name != function.name && other.program != function.program),
                "{}",
                function.name
            );
        }
    }
}
