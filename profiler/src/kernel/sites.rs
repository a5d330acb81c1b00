//! Which kernel functions take and release locks, where they are, and where those of known sites are.

use lockprof_abi::{MAX_SITE_RANGES, Site, SiteRange, SiteRanges, Span, TextRange};

use super::kallsyms::Kallsyms;
use crate::known_locks::site_functions;

/// What `write_lock_irq()` calls where it is not inlined (kernel/locking/spinlock.c).
pub const LOCK_FUNCTION: &str = "_raw_write_lock_irq";
/// What `write_unlock_irq()` calls. It is compiled under `#ifndef CONFIG_INLINE_WRITE_UNLOCK_IRQ`
/// (kernel/locking/spinlock.c, all versions), so a kernel has it exactly where it is not inlined.
pub const UNLOCK_FUNCTION: &str = "_raw_write_unlock_irq";
/// What `read_lock()` calls.
pub const READ_LOCK_FUNCTION: &str = "_raw_read_lock";
/// What `read_unlock()` calls.
pub const READ_UNLOCK_FUNCTION: &str = "_raw_read_unlock";
/// What `write_lock_irq()` calls on PREEMPT_RT, which has none of the above
/// (include/linux/rwlock_rt.h, kernel/locking/spinlock_rt.c, 6.1 to 7.2).
pub const RT_LOCK_FUNCTION: &str = "rt_write_lock";
/// The tracepoint at the beginning of a wait (v5.19, commit 16edd9b511a1).
pub const TRACEPOINT_BEGAN: &str = "contention_begin";
/// The tracepoint at its end.
pub const TRACEPOINT_ENDED: &str = "contention_end";

/// Every function that a probe may be put on.
pub fn hooked_functions() -> impl Iterator<Item = &'static str> {
    [
        LOCK_FUNCTION,
        UNLOCK_FUNCTION,
        READ_LOCK_FUNCTION,
        READ_UNLOCK_FUNCTION,
    ]
    .into_iter()
    .chain(Span::ALL.iter().map(|span| span.name()))
}

/// The site that a function means. `copy_process.cold` and `ptrace_attach.isra.0` mean the same as
/// the function that they were made from.
#[must_use]
pub fn site_of_function(name: &str) -> Option<Site> {
    let base = name.split_once('.').map_or(name, |(base, _)| base);
    site_functions()
        .find(|known| known.function == base)
        .map(|known| known.site)
}

/// Where a function returns to while another tracer follows it: the caller is unknown then
/// (arch/x86/kernel/ftrace_64.S, arch/x86/kernel/rethook.c, 6.1 to 7.2).
const TRAMPOLINES: [&str; 2] = ["return_to_handler", "arch_rethook_trampoline"];

/// The addresses of the known sites, hottest first: the writers, the readers, and last the parts
/// that the compiler moved out of the way (`.cold`). Empty where addresses are hidden.
#[must_use]
pub fn site_ranges(kallsyms: &Kallsyms) -> SiteRanges {
    let mut found: Vec<SiteRange> = Vec::new();
    for cold in [false, true] {
        for known in site_functions() {
            for (name, text) in kallsyms.ranges_of_base(known.function) {
                let seen = found.iter().any(|range| range.text.start == text.start);
                if name.ends_with(".cold") == cold && !seen {
                    found.push(SiteRange {
                        text,
                        site: known.site as u32,
                        reserved: 0,
                    });
                }
            }
        }
    }
    let trampolines = TRAMPOLINES
        .iter()
        .filter_map(|name| kallsyms.range_of(name));
    // Only beside known sites: alone they would make every other caller one that is known not to be.
    if !found.is_empty() {
        found.extend(trampolines.map(|text| SiteRange {
            text,
            site: Site::Unknown as u32,
            reserved: 0,
        }));
    }
    let mut ranges = SiteRanges::EMPTY;
    for (place, range) in ranges.ranges.iter_mut().zip(found) {
        *place = range;
    }
    ranges
}

/// The addresses of the function that takes the lock: the return address into it marks the place of
/// its caller on the stack. `None` where it is inlined or addresses are hidden.
#[must_use]
pub fn lock_function(kallsyms: &Kallsyms, readers: bool) -> Option<TextRange> {
    kallsyms.range_of(if readers {
        READ_LOCK_FUNCTION
    } else {
        LOCK_FUNCTION
    })
}

/// The site of a wait, by its call stack: the innermost frame that is a known site, where a writer
/// cannot be a reader's site nor a reader a writer's.
///
/// Frames are `symbol+0xoffset`, innermost first. A writer of whom no frame has a symbol is
/// [`Site::Unknown`].
#[must_use]
pub fn classify_stack<S: AsRef<str>>(frames: &[S], writer: bool) -> Site {
    let mut symbols = frames
        .iter()
        .map(|frame| frame.as_ref())
        .filter(|frame| !frame.starts_with("0x"))
        .map(|frame| frame.split_once('+').map_or(frame, |(symbol, _)| symbol))
        .peekable();
    let otherwise = match (writer, symbols.peek()) {
        (false, _) => Site::ReadOther,
        (true, Some(_)) => Site::Other,
        (true, None) => Site::Unknown,
    };
    if !writer {
        // A reader inside a function that is known to write (a search in do_exit()) is some other.
        return symbols
            .find_map(site_of_function)
            .filter(|site| !site.is_writer())
            .unwrap_or(otherwise);
    }
    symbols
        .filter_map(site_of_function)
        .find(|site| site.is_writer())
        .unwrap_or(otherwise)
}

/// Every range fits: a kernel has one architecture's wrappers, and not all functions of a chain.
const _: () = assert!(MAX_SITE_RANGES >= 40);

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
ffffffff81001000 t copy_process.cold
ffffffff81001100 t do_exit.cold
ffffffff81002000 T copy_process
ffffffff81003000 T release_task
ffffffff81004000 t wait_consider_task
ffffffff81005000 T do_exit
ffffffff81006000 t do_wait
ffffffff81007000 t ptrace_attach.isra.0
ffffffff81008000 T __arm64_sys_setpgid
ffffffff81009000 T _raw_write_lock_irq
ffffffff81009080 T _raw_read_lock
ffffffff8100a000 T _etext
";

    fn sites(ranges: &SiteRanges) -> Vec<(u64, Site)> {
        ranges
            .ranges
            .iter()
            .take_while(|range| range.text.length != 0)
            .filter_map(|range| Some((range.text.start, Site::from_index(range.site as usize)?)))
            .collect()
    }

    #[test]
    fn the_hottest_sites_come_first_and_cold_parts_last() {
        let kallsyms = Kallsyms::parse(SAMPLE).unwrap();
        let found = sites(&site_ranges(&kallsyms));
        assert_eq!(
            found,
            [
                (0xffff_ffff_8100_3000, Site::Reap),
                (0xffff_ffff_8100_5000, Site::Exit),
                (0xffff_ffff_8100_2000, Site::Fork),
                (0xffff_ffff_8100_8000, Site::Setpgid),
                (0xffff_ffff_8100_7000, Site::Ptrace),
                (0xffff_ffff_8100_6000, Site::ReadDoWait),
                (0xffff_ffff_8100_4000, Site::ReadDoWait),
                (0xffff_ffff_8100_1100, Site::Exit),
                (0xffff_ffff_8100_1000, Site::Fork),
            ]
        );
        let lock = lock_function(&kallsyms, false).unwrap();
        assert_eq!((lock.start, lock.length), (0xffff_ffff_8100_9000, 0x80));
        assert!(lock_function(&kallsyms, true).is_some());
    }

    #[test]
    fn hidden_addresses_give_no_range() {
        let kallsyms = Kallsyms::parse("0000000000000000 T release_task\n").unwrap();
        assert_eq!(site_ranges(&kallsyms), SiteRanges::EMPTY);
    }

    #[test]
    fn more_parts_than_places_do_not_overflow() {
        let text: String = (0..100)
            .map(|part| format!("{:x} t release_task.part.{part}\n", 0x1000 + part * 16))
            .collect();
        let kallsyms = Kallsyms::parse(&text).unwrap();
        assert_eq!(sites(&site_ranges(&kallsyms)).len(), MAX_SITE_RANGES);
    }

    #[test]
    fn functions_are_known_once_and_writers_come_first() {
        for (index, known) in site_functions().enumerate() {
            assert!(
                site_functions()
                    .take(index)
                    .all(|before| before.function != known.function),
                "{} twice",
                known.function
            );
            assert_eq!(site_of_function(known.function), Some(known.site));
        }
        assert!(site_functions().is_sorted_by_key(|known| !known.site.is_writer()));
    }

    #[test]
    fn a_stack_is_the_site_of_its_innermost_known_frame() {
        let reap = [
            "queued_write_lock_slowpath+0x4b",
            "_raw_write_lock_irq+0x2e",
            "release_task+0x9c",
            "wait_consider_task+0x5d1",
            "__do_wait+0x70",
            "do_wait+0x64",
        ];
        assert_eq!(classify_stack(&reap, true), Site::Reap);
        let exit = [
            "_raw_write_lock_irq+0x2e",
            "do_exit.cold+0x10",
            "0xffffffff81000000",
        ];
        assert_eq!(classify_stack(&exit, true), Site::Exit);
        let wait = [
            "queued_read_lock_slowpath+0x5",
            "_raw_read_lock+0x3",
            "do_wait+0x64",
        ];
        assert_eq!(classify_stack(&wait, false), Site::ReadDoWait);
    }

    #[test]
    fn stacks_that_say_less_are_other_or_unknown() {
        let driver = ["_raw_write_lock_irq+0x2e", "some_driver+0x10"];
        assert_eq!(classify_stack(&driver, true), Site::Other);
        assert_eq!(classify_stack(&driver, false), Site::ReadOther);
        assert_eq!(classify_stack(&["0xffffffff81000000"], true), Site::Unknown);
        assert_eq!(classify_stack::<&str>(&[], true), Site::Unknown);
        assert_eq!(classify_stack::<&str>(&[], false), Site::ReadOther);
        // A reader inside do_exit() that was called by nobody who reads.
        let search = ["_raw_read_lock+0x3", "do_exit+0x300", "do_wait+0x64"];
        assert_eq!(classify_stack(&search, false), Site::ReadOther);
    }
}
