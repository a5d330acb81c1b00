//! Which kernel functions take and release locks, where they are, and where those of known sites are.

use lockprof_abi::{
    FEW_SITES, FIRST_CALLER, MANY_SITES, MAX_SITE_RANGES, OTHER_READER, OTHER_SITE, READER,
    SiteRange, SiteRanges, TextRange, UNKNOWN_SITE, site_slot,
};

use super::kallsyms::Kallsyms;
use crate::{
    known_locks::{KnownLock, site_of_function},
    site::Site,
};

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

/// Every function that a probe may be put on to follow a reader-writer lock.
pub fn rwlock_functions() -> impl Iterator<Item = &'static str> {
    [
        LOCK_FUNCTION,
        UNLOCK_FUNCTION,
        READ_LOCK_FUNCTION,
        READ_UNLOCK_FUNCTION,
    ]
    .into_iter()
}

/// Where a function returns to while another tracer follows it: the caller is unknown then
/// (arch/x86/kernel/ftrace_64.S, arch/x86/kernel/rethook.c, 6.1 to 7.2).
const TRAMPOLINES: [&str; 2] = ["return_to_handler", "arch_rethook_trampoline"];

/// The numbers by which the programs know the sites of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteNumbers {
    /// The sites that are known before, from [`FIRST_CALLER`] on.
    known: Vec<Site>,
    /// Of which of them holds of the daemon's own are.
    control_site: Option<Site>,
}

impl SiteNumbers {
    /// Those of a lock of which this is known.
    #[must_use]
    pub fn of(lock: Option<&KnownLock>) -> Self {
        let sites = lock.map_or(&[][..], |known| known.sites);
        Self {
            known: sites.iter().map(|known| known.site).collect(),
            control_site: lock.and_then(|known| known.control_site),
        }
    }

    /// Whether callers are learned: where some have everyday names, all others are one row.
    #[must_use]
    pub const fn learns(&self) -> bool {
        self.known.is_empty()
    }

    /// How many slots there are: a power of two.
    #[must_use]
    pub const fn slots(&self) -> usize {
        if self.learns() { MANY_SITES } else { FEW_SITES }
    }

    /// The first slot of a caller that is not known before; as many as there are slots where none is learned.
    #[must_use]
    pub const fn first_learned(&self) -> usize {
        if self.learns() {
            FIRST_CALLER as usize
        } else {
            self.slots()
        }
    }

    /// How many slots are in use when so many callers have asked for one.
    #[must_use]
    pub fn used(&self, asked: u64) -> usize {
        let known = FIRST_CALLER as usize + self.known.len();
        if self.learns() {
            let asked = usize::try_from(asked).unwrap_or(usize::MAX);
            known.saturating_add(asked).min(self.slots())
        } else {
            known
        }
    }

    /// The number of a site that is known before.
    #[must_use]
    pub fn number(&self, site: Site) -> Option<u32> {
        let general = [
            (Site::UNKNOWN, UNKNOWN_SITE),
            (Site::OTHER, OTHER_SITE),
            (Site::READ_OTHER, OTHER_READER),
        ];
        let known = (FIRST_CALLER..).zip(&self.known).map(|(number, &site)| {
            let flag = if site.is_writer() { 0 } else { READER };
            (site, number | flag)
        });
        let mut all = general.into_iter().chain(known);
        all.find_map(|(other, number)| (other == site).then_some(number))
    }

    /// The slot of a site that is known before.
    #[must_use]
    pub fn slot(&self, site: Site) -> Option<usize> {
        self.number(site)
            .map(|number| site_slot(number, self.slots()))
    }

    /// The site of a slot, where it is known before.
    #[must_use]
    pub fn site(&self, slot: usize) -> Option<Site> {
        let known = self.known.iter().copied();
        let mut all = Site::GENERAL.into_iter().chain(known);
        all.find(|&site| self.slot(site) == Some(slot))
    }

    /// A bit for each slot of which a hold of the daemon's own may be.
    #[must_use]
    pub fn control_slots(&self) -> u64 {
        let bit = |site| self.slot(site).map_or(0, |slot| 1 << slot);
        self.control_site
            .map_or(0, |site| bit(site) | bit(Site::UNKNOWN))
    }
}

/// The addresses of the known sites of a lock, hottest first: the writers, the readers, and last the parts
/// that the compiler moved out of the way (`.cold`). Empty where addresses are hidden.
#[must_use]
pub fn site_ranges(kallsyms: &Kallsyms, lock: Option<&KnownLock>) -> SiteRanges {
    let numbers = SiteNumbers::of(lock);
    let mut found: Vec<SiteRange> = Vec::new();
    for cold in [false, true] {
        for known in lock.map_or(&[][..], |lock| lock.sites) {
            let number = numbers.number(known.site).unwrap_or(UNKNOWN_SITE);
            let functions = known.functions.iter();
            for (name, text) in functions.flat_map(|one| kallsyms.ranges_of_base(one.name)) {
                let seen = found.iter().any(|range| range.text.start == text.start);
                if name.ends_with(".cold") == cold && !seen {
                    found.push(SiteRange {
                        text,
                        site: number,
                        reserved: 0,
                    });
                }
            }
        }
    }
    let trampolines = TRAMPOLINES
        .iter()
        .filter_map(|name| kallsyms.range_of(name));
    // Alone they would make every other caller of a lock whose sites are known one that is known not to be.
    if numbers.learns() || !found.is_empty() {
        found.extend(trampolines.map(|text| SiteRange {
            text,
            site: UNKNOWN_SITE,
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
/// [`Site::UNKNOWN`].
#[must_use]
pub fn classify_stack<S: AsRef<str>>(frames: &[S], writer: bool) -> Site {
    let mut symbols = frames
        .iter()
        .map(|frame| frame.as_ref())
        .filter(|frame| !frame.starts_with("0x"))
        .map(|frame| frame.split_once('+').map_or(frame, |(symbol, _)| symbol))
        .peekable();
    let otherwise = match (writer, symbols.peek()) {
        (false, _) => Site::READ_OTHER,
        (true, Some(_)) => Site::OTHER,
        (true, None) => Site::UNKNOWN,
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
    use std::collections::BTreeSet;

    use lockprof_abi::is_reader;

    use super::*;
    use crate::known_locks;

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

    fn tasklist_lock() -> Option<&'static KnownLock> {
        known_locks::find("tasklist_lock")
    }

    fn sites(ranges: &SiteRanges) -> Vec<(u64, Site)> {
        let numbers = SiteNumbers::of(tasklist_lock());
        ranges
            .ranges
            .iter()
            .take_while(|range| range.text.length != 0)
            .filter_map(|range| {
                let slot = site_slot(range.site, numbers.slots());
                Some((range.text.start, numbers.site(slot)?))
            })
            .collect()
    }

    #[test]
    fn the_hottest_sites_come_first_and_cold_parts_last() {
        let kallsyms = Kallsyms::parse(SAMPLE).unwrap();
        let found = sites(&site_ranges(&kallsyms, tasklist_lock()));
        assert_eq!(
            found,
            [
                (0xffff_ffff_8100_3000, Site::REAP),
                (0xffff_ffff_8100_5000, Site::EXIT),
                (0xffff_ffff_8100_2000, Site::FORK),
                (0xffff_ffff_8100_8000, Site::SETPGID),
                (0xffff_ffff_8100_7000, Site::PTRACE),
                (0xffff_ffff_8100_6000, Site::READ_DO_WAIT),
                (0xffff_ffff_8100_4000, Site::READ_DO_WAIT),
                (0xffff_ffff_8100_1100, Site::EXIT),
                (0xffff_ffff_8100_1000, Site::FORK),
            ]
        );
        let lock = lock_function(&kallsyms, false).unwrap();
        assert_eq!((lock.start, lock.length), (0xffff_ffff_8100_9000, 0x80));
        assert!(lock_function(&kallsyms, true).is_some());
    }

    #[test]
    fn hidden_addresses_give_no_range() {
        let kallsyms = Kallsyms::parse("0000000000000000 T release_task\n").unwrap();
        assert_eq!(site_ranges(&kallsyms, tasklist_lock()), SiteRanges::EMPTY);
    }

    #[test]
    fn more_parts_than_places_do_not_overflow() {
        let text: String = (0..100)
            .map(|part| format!("{:x} t release_task.part.{part}\n", 0x1000 + part * 16))
            .collect();
        let kallsyms = Kallsyms::parse(&text).unwrap();
        assert_eq!(
            sites(&site_ranges(&kallsyms, tasklist_lock())).len(),
            MAX_SITE_RANGES
        );
    }

    #[test]
    fn functions_are_known_once_and_writers_come_first() {
        for lock in known_locks::all() {
            let functions = lock.sites.iter().flat_map(|known| {
                let of_site = known.functions.iter();
                of_site.map(|function| (function.name, known.site))
            });
            let mut seen = BTreeSet::new();
            for (name, site) in functions {
                assert!(seen.insert(name), "{name} twice");
                assert_eq!(site_of_function(name), Some(site));
            }
            assert!(lock.sites.is_sorted_by_key(|known| !known.site.is_writer()));
        }
    }

    #[test]
    fn each_site_has_a_slot_of_its_own() {
        for lock in known_locks::all().map(Some).chain([None]) {
            let numbers = SiteNumbers::of(lock);
            let known = lock.map_or(&[][..], |lock| lock.sites).iter();
            let all = known.map(|known| known.site).chain(Site::GENERAL);
            let slots: BTreeSet<usize> = all
                .map(|site| {
                    let slot = numbers.slot(site).unwrap();
                    assert_eq!(numbers.site(slot), Some(site));
                    let number = numbers.number(site).unwrap();
                    assert_eq!(is_reader(number), !site.is_writer());
                    slot
                })
                .collect();
            assert_eq!(slots.len(), numbers.used(0), "{lock:?}");
            assert!(numbers.used(u64::MAX) <= numbers.slots());
            assert_eq!(numbers.site(numbers.used(0)), None);
        }
        assert_eq!(SiteNumbers::of(None).slot(Site::REAP), None);
    }

    #[test]
    fn callers_are_learned_where_none_has_an_everyday_name() {
        let known = SiteNumbers::of(tasklist_lock());
        assert_eq!((known.learns(), known.slots()), (false, FEW_SITES));
        assert_eq!(known.first_learned(), FEW_SITES);
        assert_eq!(known.used(9), known.used(0));
        let setpgid = known.slot(Site::SETPGID).unwrap();
        assert_eq!(known.control_slots(), 1 << setpgid | 1);
        let unknown = SiteNumbers::of(None);
        assert_eq!((unknown.learns(), unknown.slots()), (true, MANY_SITES));
        assert_eq!(unknown.used(9), unknown.first_learned() + 9);
        assert_eq!(unknown.control_slots(), 0);
        // A tracer's trampoline is nobody, whose ever the lock is.
        let kallsyms = Kallsyms::parse("ffffffff81000000 T return_to_handler\n").unwrap();
        let ranges = site_ranges(&kallsyms, None).ranges;
        assert_eq!(
            (ranges[0].text.start, ranges[0].site),
            (0xffff_ffff_8100_0000, 0)
        );
        assert_eq!(site_ranges(&kallsyms, tasklist_lock()), SiteRanges::EMPTY);
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
        assert_eq!(classify_stack(&reap, true), Site::REAP);
        let exit = [
            "_raw_write_lock_irq+0x2e",
            "do_exit.cold+0x10",
            "0xffffffff81000000",
        ];
        assert_eq!(classify_stack(&exit, true), Site::EXIT);
        let wait = [
            "queued_read_lock_slowpath+0x5",
            "_raw_read_lock+0x3",
            "do_wait+0x64",
        ];
        assert_eq!(classify_stack(&wait, false), Site::READ_DO_WAIT);
    }

    #[test]
    fn stacks_that_say_less_are_other_or_unknown() {
        let driver = ["_raw_write_lock_irq+0x2e", "some_driver+0x10"];
        assert_eq!(classify_stack(&driver, true), Site::OTHER);
        assert_eq!(classify_stack(&driver, false), Site::READ_OTHER);
        assert_eq!(classify_stack(&["0xffffffff81000000"], true), Site::UNKNOWN);
        assert_eq!(classify_stack::<&str>(&[], true), Site::UNKNOWN);
        assert_eq!(classify_stack::<&str>(&[], false), Site::READ_OTHER);
        // A reader inside do_exit() that was called by nobody who reads.
        let search = ["_raw_read_lock+0x3", "do_exit+0x300", "do_wait+0x64"];
        assert_eq!(classify_stack(&search, false), Site::READ_OTHER);
    }
}
