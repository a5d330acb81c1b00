//! The kernel's symbols, from /proc/kallsyms (kernel/kallsyms.c, 6.12).

mod image;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lockprof_abi::TextRange;
use thiserror::Error;

/// Where the kernel shows its symbols.
const KALLSYMS: &str = "/proc/kallsyms";
/// No function of a kernel is longer: an address further away from the symbol before it is in none.
const LONGEST_FUNCTION: u64 = 1 << 20;

/// Why the symbols cannot be read.
#[derive(Debug, Error)]
pub enum KallsymsError {
    /// The file cannot be read.
    #[error("cannot read {KALLSYMS}: {0} (a kernel without CONFIG_KALLSYMS has no such file)")]
    Read(
        // Part of the sentence, and no source, which would be said once more behind it.
        io::Error,
    ),
    /// A line is not `address type name [module]`.
    #[error("{KALLSYMS}: line {line} is not `address type name [module]`: {text:?}")]
    Malformed {
        /// Its number, from 1.
        line: usize,
        /// What it is.
        text: String,
    },
}

impl From<io::Error> for KallsymsError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// One symbol.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    address: u64,
    /// Where its name begins in [`Kallsyms::names`], and behind it its module's, in brackets.
    name: u32,
    name_length: u16,
    /// Whether a module (or a BPF program) owns it.
    in_module: bool,
    /// nm's letter, put right by [`Kallsyms::correct_kinds`].
    kind: u8,
}

impl Symbol {
    /// Functions: `T`, `t`, and the weak ones (nm(1); `V` would be a weak object).
    const fn is_text(&self) -> bool {
        matches!(self.kind, b'T' | b't' | b'W' | b'w')
    }
}

/// The symbols of the kernel: 16 bytes each, their names, and 8 bytes each to find them by name.
/// Drop it when its answers are known.
#[derive(Debug, Default)]
pub struct Kallsyms {
    /// By address; those of one address in the kernel's order.
    symbols: Vec<Symbol>,
    names: String,
    /// The hash of a name up to its first dot in the upper half, the symbol in the lower; sorted.
    by_base: Vec<u64>,
    /// The file that has told of the kernel's data, where /proc/kallsyms has none of it.
    image: Option<PathBuf>,
    took: Duration,
}

impl Kallsyms {
    /// Reads /proc/kallsyms. Its addresses are all zero for whom `kptr_restrict` hides them. Where it has no data, that
    /// comes from a System.map or vmlinux of this kernel, if there is one.
    ///
    /// # Errors
    /// Where the file cannot be read, or a line is not of its format.
    pub fn read() -> Result<Self, KallsymsError> {
        let mut symbols = Self::read_lines(&File::open(KALLSYMS)?, |_| true)?;
        if !symbols.hidden() && !symbols.has_objects() {
            symbols.image = image::complete(&mut symbols);
        }
        Ok(symbols)
    }

    /// Reads the symbols of modules and eBPF programs alone, from a file that was opened before.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_modules(file: &File) -> Result<Self, KallsymsError> {
        Self::read_lines(file, |line| line.contains('\t'))
    }

    fn read_lines(file: &File, wanted: impl Fn(&str) -> bool) -> Result<Self, KallsymsError> {
        let began = Instant::now();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut kallsyms = Self::default();
        let mut line = String::new();
        let mut number = 0;
        while reader.read_line(&mut line)? != 0 {
            number += 1;
            if wanted(&line) {
                kallsyms.add(line.trim_end_matches('\n'), number)?;
            }
            line.clear();
        }
        let mut kallsyms = kallsyms.finish();
        kallsyms.took = began.elapsed();
        Ok(kallsyms)
    }

    /// The System.map or vmlinux that has told of the kernel's data, where /proc/kallsyms has none of it.
    #[must_use]
    pub fn image(&self) -> Option<&Path> {
        self.image.as_deref()
    }

    /// How long it took to read them.
    #[must_use]
    pub const fn took(&self) -> Duration {
        self.took
    }

    /// Reads the text of a kallsyms file.
    ///
    /// # Errors
    /// Where a line is not of its format.
    pub fn parse(text: &str) -> Result<Self, KallsymsError> {
        let mut kallsyms = Self::default();
        for (index, line) in text.lines().enumerate() {
            kallsyms.add(line, index + 1)?;
        }
        Ok(kallsyms.finish())
    }

    fn add(&mut self, line: &str, number: usize) -> Result<(), KallsymsError> {
        if line.is_empty() {
            return Ok(());
        }
        let added = (|| {
            let (address, rest) = line.split_once(' ')?;
            let (kind, rest) = rest.split_once(' ')?;
            let (name, module) = rest.split_once('\t').unwrap_or((rest, ""));
            let address = u64::from_str_radix(address, 16).ok()?;
            self.push(address, *kind.as_bytes().first()?, name, module)
        })();
        added.ok_or_else(|| KallsymsError::Malformed {
            line: number,
            text: line.chars().take(80).collect(),
        })
    }

    /// Adds a symbol, with its module in brackets; `None` where a name is too long. [`Self::finish`] has to follow.
    fn push(&mut self, address: u64, kind: u8, name: &str, module: &str) -> Option<()> {
        self.symbols.push(Symbol {
            address,
            name: u32::try_from(self.names.len()).ok()?,
            name_length: u16::try_from(name.len()).ok()?,
            in_module: !module.is_empty(),
            kind,
        });
        self.names.push_str(name);
        self.names.push_str(module);
        Some(())
    }

    fn finish(mut self) -> Self {
        self.symbols.sort_by_key(|symbol| symbol.address);
        self.symbols.shrink_to_fit();
        self.names.shrink_to_fit();
        self.by_base = (0_u32..)
            .zip(&self.symbols)
            .map(|(index, symbol)| {
                (u64::from(hash(base_of(self.name(symbol)))) << 32) | u64::from(index)
            })
            .collect();
        self.by_base.sort_unstable();
        self.correct_kinds();
        self
    }

    /// Makes objects of the kernel's own "functions" that lie outside its text: Debian's 7.2.13
    /// gives `T` and `t` to everything in .data, tasklist_lock among it. The borders are of
    /// include/asm-generic/sections.h.
    fn correct_kinds(&mut self) {
        let part = |first, last| Some((self.address_of(first)?, self.address_of(last)?));
        let Some(text) = part("_stext", "_etext").filter(|(start, end)| start < end) else {
            return;
        };
        let init = part("_sinittext", "_einittext").unwrap_or(text);
        let inside = |(start, end): (u64, u64), address| start <= address && address <= end;
        for symbol in &mut self.symbols {
            let outside = !inside(text, symbol.address) && !inside(init, symbol.address);
            if symbol.is_text() && !symbol.in_module && outside {
                symbol.kind = b'd';
            }
        }
    }

    fn name(&self, symbol: &Symbol) -> &str {
        let start = symbol.name as usize;
        self.names
            .get(start..start + usize::from(symbol.name_length))
            .unwrap_or_default()
    }

    /// The module of a symbol; `bpf` of an eBPF program.
    fn module(&self, symbol: &Symbol) -> Option<&str> {
        let behind = symbol.name as usize + usize::from(symbol.name_length);
        let rest = self.names.get(behind..).filter(|_| symbol.in_module)?;
        Some(rest.strip_prefix('[')?.split_once(']')?.0)
    }

    /// The symbols whose name up to its first dot is `base`, by address.
    fn of_base<'a>(&'a self, base: &'a str) -> impl Iterator<Item = (usize, &'a Symbol)> {
        let hash = u64::from(hash(base)) << 32;
        let first = self.by_base.partition_point(|entry| *entry < hash);
        self.by_base[first..]
            .iter()
            .take_while(move |entry| **entry & !u64::from(u32::MAX) == hash)
            .map(|entry| (*entry & u64::from(u32::MAX)) as usize)
            .filter_map(|index| Some((index, self.symbols.get(index)?)))
            .filter(move |(_, symbol)| base_of(self.name(symbol)) == base)
    }

    /// The symbols of this name: the kernel's own before those of modules.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a Symbol)> {
        let all = move || {
            self.of_base(base_of(name))
                .filter(move |(_, symbol)| self.name(symbol) == name)
        };
        all()
            .filter(|(_, symbol)| !symbol.in_module)
            .chain(all().filter(|(_, symbol)| symbol.in_module))
    }

    /// The kernel's own symbols of this name, without those of modules.
    fn own<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Symbol> {
        let all = self.named(name).map(|(_, symbol)| symbol);
        all.filter(|symbol| !symbol.in_module)
    }

    /// How many symbols there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Whether the kernel shows no addresses (kptr_restrict, or a reader without CAP_SYSLOG).
    #[must_use]
    pub fn hidden(&self) -> bool {
        self.symbols.last().is_none_or(|symbol| symbol.address == 0)
    }

    /// Whether there are objects as well as functions (CONFIG_KALLSYMS_ALL). Without it, the kernel's
    /// own symbols are only those between its text sections' borders (scripts/kallsyms.c), and the
    /// few objects among them are read-only or lie at a border.
    #[must_use]
    pub fn has_objects(&self) -> bool {
        let objects = self
            .symbols
            .iter()
            .filter(|symbol| !symbol.in_module && matches!(symbol.kind, b'd' | b'D' | b'b' | b'B'))
            .count();
        objects > self.symbols.len() / 100
    }

    /// Whether there is such a symbol, even where addresses are hidden.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// Whether the kernel itself (no module) has such a function, even where addresses are hidden.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.own(name).any(Symbol::is_text)
    }

    /// The names of functions that a compiler made from this one of the kernel's own: `name.isra.0` and the
    /// like.
    #[must_use]
    pub fn variants_of(&self, name: &str) -> Vec<&str> {
        self.of_base(name)
            .filter(|(_, symbol)| symbol.is_text() && !symbol.in_module)
            .map(|(_, symbol)| self.name(symbol))
            .filter(|variant| *variant != name)
            .collect()
    }

    /// The address of a symbol.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<u64> {
        self.named(name)
            .map(|(_, symbol)| symbol.address)
            .find(|address| *address != 0)
    }

    /// The addresses of all functions of this name in a module; of the kernel's own, where it is in none.
    pub fn functions<'a>(
        &'a self,
        name: &'a str,
        module: Option<&'a str>,
    ) -> impl Iterator<Item = u64> + 'a {
        self.named(name)
            .filter(move |(_, symbol)| self.module(symbol) == module)
            .filter(|(_, symbol)| symbol.is_text() && symbol.address != 0)
            .map(|(_, symbol)| symbol.address)
    }

    /// Whether there is such an object. Where addresses are hidden, a function of this name is one
    /// too: kinds cannot be told apart then.
    #[must_use]
    pub fn has_object(&self, name: &str) -> bool {
        let hidden = self.hidden();
        self.named(name)
            .any(|(_, symbol)| hidden || !symbol.is_text())
    }

    /// The address of an object (no function): a lock. The kernel's own comes before those of modules.
    #[must_use]
    pub fn address_of_object(&self, name: &str) -> Option<u64> {
        self.addresses_of_object(name).first().copied()
    }

    /// The addresses of all objects of this name: of the kernel's own, or else of modules'. More than one cannot
    /// be told apart by name.
    #[must_use]
    pub fn addresses_of_object(&self, name: &str) -> Vec<u64> {
        let of = |in_module| -> Vec<u64> {
            let objects = self
                .named(name)
                .map(|(_, symbol)| symbol)
                .filter(|symbol| !symbol.is_text() && symbol.address != 0);
            let mut addresses: Vec<u64> = objects
                .filter(|symbol| symbol.in_module == in_module)
                .map(|symbol| symbol.address)
                .collect();
            addresses.dedup();
            addresses
        };
        let own = of(false);
        if own.is_empty() { of(true) } else { own }
    }

    /// How many bytes an object of the kernel has at most: those up to the next symbol.
    #[must_use]
    pub fn bytes_of_object(&self, name: &str) -> Option<u64> {
        let address = self.address_of_object(name)?;
        let above = self
            .symbols
            .partition_point(|symbol| symbol.address <= address);
        let next = self.symbols.get(above)?;
        Some(next.address - address)
    }

    /// The addresses of a function, up to the next function.
    #[must_use]
    pub fn range_of(&self, name: &str) -> Option<TextRange> {
        self.named(name)
            .find_map(|(index, symbol)| self.range(index, symbol))
    }

    /// The addresses of a function of the kernel's own and of all that the compiler made from it (`.cold`,
    /// `.isra.0`, `.part.0`, `.constprop.0` …), with the name of each.
    #[must_use]
    pub fn ranges_of_base(&self, name: &str) -> Vec<(&str, TextRange)> {
        self.of_base(name)
            .filter(|(_, symbol)| !symbol.in_module)
            .filter_map(|(index, symbol)| Some((self.name(symbol), self.range(index, symbol)?)))
            .collect()
    }

    /// The functions that reports call by this name, each with that name: all of it, as `foo.part.0 [module]`, or the
    /// kernel's own `foo` and what the compiler made of it, or else those of modules.
    #[must_use]
    pub fn functions_called(&self, name: &str) -> Vec<(String, TextRange)> {
        let (function, module) = match name.split_once(" [") {
            Some((function, rest)) => (function, rest.strip_suffix(']')),
            None => (name, None),
        };
        let of = |in_module: bool| -> Vec<(String, TextRange)> {
            self.of_base(base_of(function))
                .filter(|(_, symbol)| symbol.in_module == in_module)
                .filter(|(_, symbol)| module.is_none() || self.module(symbol) == module)
                .filter(|(_, symbol)| !function.contains('.') || self.name(symbol) == function)
                .filter_map(|(index, symbol)| {
                    let range = self.range(index, symbol)?;
                    // Of several names at an address reports have one.
                    let (function, module, _) = self.resolve_in_module(range.start)?;
                    let name = match module {
                        Some(module) => format!("{function} [{module}]"),
                        None => function.to_owned(),
                    };
                    Some((name, range))
                })
                .collect()
        };
        let own = if name == function {
            of(false)
        } else {
            Vec::new()
        };
        if own.is_empty() { of(true) } else { own }
    }

    fn range(&self, index: usize, symbol: &Symbol) -> Option<TextRange> {
        if !symbol.is_text() || symbol.address == 0 {
            return None;
        }
        let start = symbol.address;
        let end = self.symbols[index..]
            .iter()
            .find(|next| next.is_text() && next.address > start)
            .map_or(u64::MAX, |next| next.address);
        Some(TextRange {
            start,
            length: (end - start).min(LONGEST_FUNCTION),
        })
    }

    /// The function at an address, and how far into it the address is.
    #[must_use]
    pub fn resolve(&self, address: u64) -> Option<(&str, u64)> {
        let (symbol, offset) = self.before(address, Symbol::is_text)?;
        Some((self.name(symbol), offset))
    }

    /// The same with the function's module, which is `bpf` of an eBPF program.
    #[must_use]
    pub fn resolve_in_module(&self, address: u64) -> Option<(&str, Option<&str>, u64)> {
        let (symbol, offset) = self.before(address, Symbol::is_text)?;
        Some((self.name(symbol), self.module(symbol), offset))
    }

    /// The object at an address (a lock), and how far into it the address is.
    #[must_use]
    pub fn resolve_object(&self, address: u64) -> Option<(&str, u64)> {
        let (name, _, offset) = self.resolve_object_in_module(address)?;
        Some((name, offset))
    }

    /// The same with the object's module.
    #[must_use]
    pub fn resolve_object_in_module(&self, address: u64) -> Option<(&str, Option<&str>, u64)> {
        let (symbol, offset) = self.before(address, |symbol| {
            matches!(symbol.kind, b'd' | b'D' | b'b' | b'B' | b'r' | b'R')
        })?;
        Some((self.name(symbol), self.module(symbol), offset))
    }

    /// The per-CPU variable at an address before a CPU's offset is added, and how far into it the address is. nm gives
    /// such symbols any letter: up to 6.14 their addresses on x86-64 count from 0.
    #[must_use]
    pub fn resolve_per_cpu(&self, address: u64) -> Option<(&str, u64)> {
        let is_variable = |symbol: &Symbol| !symbol.is_text() && !symbol.in_module;
        let (symbol, offset) = self.before(address, is_variable)?;
        Some((self.name(symbol), offset))
    }

    /// The first symbol of the last address that is not above `address`, among those of a kind, unless it is too far
    /// away.
    fn before(&self, address: u64, of_kind: impl Fn(&Symbol) -> bool) -> Option<(&Symbol, u64)> {
        if self.hidden() {
            return None;
        }
        let above = self
            .symbols
            .partition_point(|symbol| symbol.address <= address);
        let mut rest = self.symbols[..above]
            .iter()
            .rev()
            .filter(|symbol| of_kind(symbol));
        let mut found = rest.next()?;
        found = rest
            .take_while(|symbol| symbol.address == found.address)
            .last()
            .unwrap_or(found);
        let offset = address - found.address;
        (offset < LONGEST_FUNCTION).then_some((found, offset))
    }
}

/// A name up to its first dot; a name that begins with one is its own base.
fn base_of(name: &str) -> &str {
    match name.find('.') {
        Some(0) | None => name,
        Some(dot) => &name[..dot],
    }
}

/// FNV-1a.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
