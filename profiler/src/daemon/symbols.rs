//! The names of addresses while a run goes on. The kernel's own text stays as it is; modules and eBPF programs come
//! and go, and another may lie where one was.

use std::{
    fs::File,
    io::{Read as _, Seek as _},
    time::{Duration, Instant},
};

use lockprof_abi::TextRange;

use crate::kernel::Kallsyms;

/// So many times as long as reading the symbols again takes, they are not read again.
const REST: u32 = 200;
/// Where reading them takes longer, they are not read again: nothing is counted meanwhile but by the programs.
const LONGEST_READ: Duration = Duration::from_secs(1);
/// For so long the symbols of eBPF programs are taken for those that are there: nothing tells when they change.
const BPF_LASTS: Duration = Duration::from_secs(1);
/// Parts of modules begin at pages.
const PAGE: u64 = 1 << 12;
/// No eBPF program is longer: what is further from its beginning is none of it.
const LONGEST_BPF: u64 = 1 << 16;

/// The kernel's symbols, those of modules and eBPF programs as they were read last.
#[derive(Debug)]
pub struct Symbols {
    /// As they were before the probes were attached.
    first: Kallsyms,
    kernel: TextRange,
    /// Those of modules and eBPF programs, once they were read again.
    later: Option<Kallsyms>,
    modules: Modules,
    /// The modules that were there at the last look.
    seen: Modules,
    /// Modules of that list that were not there at some look since it was read: one that is there again may have its
    /// objects elsewhere.
    missed: Vec<(String, TextRange)>,
    state: u64,
    /// Those that were there at the look before, and not at that one.
    gone: Vec<(String, TextRange)>,
    /// /proc/modules, which a kernel without modules has not, and /proc/kallsyms, opened when this process was
    /// allowed to see addresses: what they show depends on who has opened them.
    modules_file: Option<File>,
    kallsyms_file: Option<File>,
    read: Instant,
    next: Instant,
}

impl Symbols {
    pub fn new(first: Kallsyms) -> Self {
        let kernel = (|| {
            let start = first.address_of("_stext")?;
            let length = first.address_of("_etext")?.checked_sub(start)?;
            Some(TextRange { start, length })
        })();
        let (now, took) = (Instant::now(), first.took());
        let modules_file = File::open("/proc/modules").ok();
        let modules = Modules::read(modules_file.as_ref());
        Self {
            kernel: kernel.unwrap_or(TextRange::EMPTY),
            first,
            later: None,
            seen: modules.clone(),
            missed: Vec::new(),
            state: 0,
            gone: Vec::new(),
            modules,
            modules_file,
            kallsyms_file: File::open("/proc/kallsyms").ok(),
            read: now,
            // They have just been read.
            next: now + REST * took,
        }
    }

    /// Those that were there before the probes were attached.
    pub const fn first(&self) -> &Kallsyms {
        &self.first
    }

    /// Whether an address is in the kernel's own text, whose names stay.
    pub fn is_kernel(&self, address: u64) -> bool {
        // Without its borders all that is known is what was read.
        self.kernel.length == 0 || self.kernel.contains(address)
    }

    /// `symbol+0xoffset`, `symbol [module]+0xoffset`, or `0xaddress` where nothing is known of it.
    pub fn frame(&mut self, address: u64) -> String {
        if self.is_kernel(address) {
            let found = self.first.resolve(address);
            return named(
                found.map(|(symbol, offset)| (symbol, None, offset)),
                address,
            );
        }
        let modules = Modules::read(self.modules_file.as_ref());
        let unchanged = modules == self.modules;
        // A name that may have become wrong is none.
        let stays = unchanged || self.is_there(&modules, address);
        let may_read = Instant::now() >= self.next && self.first.took() <= LONGEST_READ;
        if may_read && !(stays && self.is_known(address)) {
            self.read_again(modules);
            return named(self.outside(address), address);
        }
        named(self.outside(address).filter(|_| stays), address)
    }

    /// Looks which modules there are, before the counters of an interval are named.
    pub fn look(&mut self) {
        let modules = Modules::read(self.modules_file.as_ref());
        self.look_for_gone(&modules);
    }

    /// Another number each time that names of addresses outside of the kernel's own text may have become others.
    pub const fn state(&self) -> u64 {
        self.state
    }

    /// Remembers which modules have gone since the last look.
    fn look_for_gone(&mut self, now: &Modules) {
        let seen = std::mem::replace(&mut self.seen, now.clone());
        self.state += u64::from(seen != *now);
        let gone = seen.0.into_iter().filter(|one| !now.0.contains(one));
        self.gone = gone.collect();
        let known = self.gone.iter().filter(|one| self.modules.0.contains(one));
        self.missed.extend(known.cloned());
    }

    /// Whether a module is there, or has gone since the look before the last one: what is read now may have happened
    /// before that.
    fn was_there(&self, now: &Modules, module: &(String, TextRange)) -> bool {
        [&now.0, &self.seen.0, &self.gone]
            .iter()
            .any(|list| list.contains(module))
    }

    /// Whether the module that is known at an address is there still, or has just left the place to none.
    fn is_there(&self, now: &Modules, address: u64) -> bool {
        let is_free = now.at(address).next().is_none();
        let mut known = self.modules.at(address);
        known.any(|module| now.0.contains(module) || (is_free && self.was_there(now, module)))
    }

    /// The name of an object (a lock), with its module where it is one's: `symbol [module]+0xoffset`.
    pub fn object(&self, address: u64) -> Option<String> {
        let first = self.first.resolve_object_in_module(address);
        let found = match &self.later {
            Some(later) => later
                .resolve_object_in_module(address)
                .or(first.filter(|(_, module, _)| module.is_none())),
            None => first,
        };
        let (symbol, module, offset) = found?;
        if let Some(module) = module {
            let now = Modules::read(self.modules_file.as_ref());
            let start = address - offset;
            let is_its_own = self.is_object_of(&now, module, start, address);
            is_its_own.then_some(())?;
        }
        let offset = (offset != 0).then(|| format!("+{offset:#x}"));
        let module = module.map(|module| format!(" [{module}]"));
        Some(
            [symbol.to_owned()]
                .into_iter()
                .chain(module)
                .chain(offset)
                .collect(),
        )
    }

    /// Whether what is at an address is an object of a module that begins before it, as far as can be known: nothing
    /// tells where a module's objects end, and what came after the symbols were read has none.
    fn is_object_of(&self, now: &Modules, module: &str, start: u64, address: u64) -> bool {
        let Some(known) = self.modules.0.iter().find(|(name, _)| name == module) else {
            return false;
        };
        if !self.was_there(now, known) {
            return false;
        }
        let stayed = |one| self.modules.0.contains(one) && !self.missed.contains(one);
        if now.0.iter().all(stayed) {
            return address - start < known.1.length;
        }
        // No two modules share a page.
        now.0.contains(known) && stayed(known) && start / PAGE == address / PAGE
    }

    fn is_known(&self, address: u64) -> bool {
        let fresh = self.read.elapsed() < BPF_LASTS;
        self.outside(address)
            .is_some_and(|(symbol, ..)| fresh || !is_bpf(symbol))
    }

    fn outside(&self, address: u64) -> Option<Named<'_>> {
        let symbols = self.later.as_ref().unwrap_or(&self.first);
        outside(symbols, &self.modules, address)
    }

    /// The list of modules is older than the symbols: one that comes in between is not known, and read the next time.
    fn read_again(&mut self, modules: Modules) {
        let began = Instant::now();
        let symbols = self.kallsyms_file.as_mut().map(|kallsyms| {
            kallsyms.rewind()?;
            Kallsyms::read_modules(kallsyms)
        });
        match symbols {
            Some(Ok(symbols)) => {
                self.later = Some(symbols);
                self.modules = modules;
                self.missed.clear();
                self.state += 1;
            }
            Some(Err(error)) => log::warn!("{error}"),
            None => {}
        }
        self.read = Instant::now();
        self.next = self.read + REST * began.elapsed();
    }
}

/// A function, its module, and how far into it an address is.
type Named<'a> = (&'a str, Option<&'a str>, u64);

fn named(found: Option<Named<'_>>, address: u64) -> String {
    match found {
        Some((symbol, Some(module), offset)) => format!("{symbol} [{module}]+{offset:#x}"),
        Some((symbol, None, offset)) => format!("{symbol}+{offset:#x}"),
        None => format!("{address:#x}"),
    }
}

/// The symbol of an address that is not in the kernel's own text: of a module that has it, or an eBPF program. The
/// nearest symbol before it may be of what is no more, or of another module's end.
fn outside<'a>(symbols: &'a Kallsyms, modules: &Modules, address: u64) -> Option<Named<'a>> {
    let (symbol, module, offset) = symbols.resolve_in_module(address)?;
    if is_bpf(symbol) {
        return (offset < LONGEST_BPF).then_some((symbol, None, offset));
    }
    let mut there = modules.at(address);
    there
        .any(|(name, _)| Some(&**name) == module)
        .then_some((symbol, module, offset))
}

/// The names that the kernel gives its eBPF programs, trampolines and dispatchers (kernel/bpf/core.c, trampoline.c
/// and dispatcher.c, 6.1 to 7.2).
fn is_bpf(symbol: &str) -> bool {
    ["bpf_prog_", "bpf_trampoline_", "bpf_dispatcher_"]
        .iter()
        .any(|start| symbol.starts_with(start))
}

/// The text of the modules that are loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Modules(Vec<(String, TextRange)>);

impl Modules {
    fn read(file: Option<&File>) -> Self {
        let mut text = String::new();
        if let Some(mut file) = file
            && file.rewind().is_ok()
            && file.read_to_string(&mut text).is_ok()
        {
            return Self::parse(&text);
        }
        Self::default()
    }

    /// Reads `name size users dependents state 0xaddress`. The size is that of all the module's parts, and the
    /// address its text's (m_show() of kernel/module/procfs.c, 6.4).
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let range = TextRange {
                start: u64::from_str_radix(fields.get(5)?.strip_prefix("0x")?, 16).ok()?,
                length: fields.get(1)?.parse().ok()?,
            };
            Some(((*fields.first()?).to_owned(), range))
        });
        Self(lines.collect())
    }

    /// Those that may have an address: the size is that of all parts, which need not lie together.
    fn at(&self, address: u64) -> impl Iterator<Item = &(String, TextRange)> {
        self.0
            .iter()
            .filter(move |(_, range)| range.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: &str = "\
ffffffff81000000 T _stext
ffffffff81000100 T release_task
ffffffff81100000 T _etext
ffffffffc0100000 t first\t[one]
ffffffffc0100800 t second\t[one]
ffffffffc0300000 t bpf_prog_6deef7357e7b4530_sees\t[bpf]
";
    const MODULES: &str = "one 8192 0 - Live 0xffffffffc0100000\n\
                           two 4096 1 one, Loading 0xffffffffc0200000 (OE)\n\
                           odd\n";

    #[test]
    fn modules_are_read_as_the_kernel_writes_them() {
        let modules = Modules::parse(MODULES);
        assert_eq!(modules.0.len(), 2);
        for (address, has) in [
            (0xffff_ffff_c010_0000, 1),
            (0xffff_ffff_c010_1fff, 1),
            (0xffff_ffff_c010_2000, 0),
            (0xffff_ffff_c020_0fff, 1),
        ] {
            assert_eq!(modules.at(address).count(), has, "{address:#x}");
        }
        // Who may not see addresses sees zeroes.
        let hidden = Modules::parse("one 8192 0 - Live 0x0000000000000000");
        assert_eq!(hidden.at(0xffff_ffff_c010_0000).count(), 0);
    }

    #[test]
    fn what_is_gone_lends_its_name_to_nobody() {
        let symbols = Kallsyms::parse(SYMBOLS).unwrap();
        let modules = Modules::parse(MODULES);
        let name = |modules: &Modules, address| {
            outside(&symbols, modules, address).map(|found| named(Some(found), address))
        };
        let second = Some("second [one]+0x4".to_owned());
        assert_eq!(name(&modules, 0xffff_ffff_c010_0804), second);
        assert_eq!(name(&Modules::default(), 0xffff_ffff_c010_0804), None);
        let another = Modules::parse("another 8192 0 - Live 0xffffffffc0100000\n");
        assert_eq!(name(&another, 0xffff_ffff_c010_0804), None);
        // Behind the module's end, and before the program's.
        assert_eq!(name(&modules, 0xffff_ffff_c010_2004), None);
        let program = Some("bpf_prog_6deef7357e7b4530_sees+0x10".to_owned());
        assert_eq!(name(&modules, 0xffff_ffff_c030_0010), program);
        assert_eq!(name(&modules, 0xffff_ffff_c031_0010), None);
    }

    #[test]
    fn the_kernels_own_names_stay_and_unknown_addresses_are_shown() {
        let mut symbols = Symbols::new(Kallsyms::parse(SYMBOLS).unwrap());
        // Nothing is read again.
        symbols.next = Instant::now() + Duration::from_secs(3600);
        assert_eq!(symbols.frame(0xffff_ffff_8100_0105), "release_task+0x5");
        assert_eq!(symbols.frame(0xffff_ffff_c000_0000), "0xffffffffc0000000");
        symbols.modules = Modules::parse("gone 8192 0 - Live 0xffffffffc0100000\n");
        assert_eq!(symbols.frame(0xffff_ffff_c010_0804), "0xffffffffc0100804");
    }

    #[test]
    fn a_module_that_has_just_gone_keeps_its_name_until_another_is_there() {
        let mut symbols = Symbols::new(Kallsyms::parse(SYMBOLS).unwrap());
        symbols.modules = Modules::parse(MODULES);
        symbols.seen = symbols.modules.clone();
        let address = 0xffff_ffff_c010_0804;
        let fresh = Modules::parse("fresh 4096 0 - Live 0xffffffffc0400000\n");
        let other = Modules::parse("other 4096 0 - Live 0xffffffffc0100000\n");
        // Since the last look.
        assert!(symbols.is_there(&fresh, address));
        assert!(!symbols.is_there(&other, address));
        // By it.
        symbols.look_for_gone(&fresh);
        assert!(symbols.is_there(&fresh, address));
        assert!(!symbols.is_there(&other, address));
        symbols.look_for_gone(&fresh);
        assert!(!symbols.is_there(&fresh, address));
    }

    #[test]
    fn a_modules_lock_is_not_the_kernels() {
        let objects = "ffffffffc0102000 d a_lock\t[one]\nffffffff82000000 D tasklist_lock\n";
        let mut symbols = Symbols::new(Kallsyms::parse(&(SYMBOLS.to_owned() + objects)).unwrap());
        symbols.modules_file = None;
        symbols.modules = Modules::parse(MODULES);
        symbols.seen = symbols.modules.clone();
        let (kernels, modules) = (0xffff_ffff_8200_0004, 0xffff_ffff_c010_2000);
        let named = symbols.object(kernels);
        assert_eq!(named.as_deref(), Some("tasklist_lock+0x4"));
        // It has gone, and no module has come.
        let gone = symbols.object(modules);
        assert_eq!(gone.as_deref(), Some("a_lock [one]"));
        // Behind all that it had.
        assert_eq!(symbols.object(modules + 8192), None);
        let is_ones = |symbols: &Symbols, now: &str, offset| {
            symbols.is_object_of(&Modules::parse(now), "one", modules, modules + offset)
        };
        assert!(is_ones(&symbols, MODULES, 0x1800));
        // One of another that has come may lie there.
        let came = format!("{MODULES}fresh 4096 0 - Live 0xffffffffc0400000\n");
        assert!(is_ones(&symbols, &came, 0x800));
        assert!(!is_ones(&symbols, &came, 0x1800));
        symbols.look_for_gone(&Modules::parse(&came));
        symbols.look_for_gone(&Modules::default());
        // It is there again.
        assert!(!is_ones(&symbols, &came, 0x800));
        assert!(!is_ones(&symbols, MODULES, 0x800));
        // Read again, it is none of those that are there.
        symbols.later = Some(Kallsyms::parse("ffffffffc0500000 t x\t[two]\n").unwrap());
        assert_eq!(symbols.object(modules), None);
        assert_eq!(symbols.object(kernels), named);
    }
}
