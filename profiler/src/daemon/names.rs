//! The names of addresses: of locks, of who asks for them, and of call stacks, which a recording has once each.

use std::collections::{BTreeMap, HashMap};

use super::{source::Source, symbols::Symbols};
use crate::{
    kernel::{BtfFacts, CallerTexts, Kallsyms, MemoryNodes, PerCpu, SlabCaches},
    profile::from_caller,
};

/// Numbers of stacks that were written down under other names before begin here: the map has no place of one.
const FIRST_RENAMED: i32 = 1 << 24;

/// A call stack that was written down.
#[derive(Debug)]
struct KnownStack {
    /// Under this number.
    number: i32,
    caller: Option<u64>,
    /// Where not all of it is in the kernel's own text, whose names stay.
    in_modules: Option<InModules>,
}

/// The names of a stack by one state of the modules.
#[derive(Debug)]
struct InModules {
    addresses: Vec<u64>,
    frames: Vec<String>,
    state: u64,
}

/// Names what the programs have by its address.
#[derive(Debug)]
pub struct Names {
    symbols: Symbols,
    /// Whether the kernel's symbols tell locks: without CONFIG_KALLSYMS_ALL the nearest one is a marker of the linker.
    has_objects: bool,
    per_cpu: PerCpu,
    nodes: MemoryNodes,
    /// Where the kernel tells of which slab cache an address is, and somebody wants to know.
    slab_caches: Option<SlabCaches>,
    /// What locks are in, by their addresses: it stays what it was when it was read first.
    objects: HashMap<u64, Option<String>>,
    caller_texts: CallerTexts,
    known: HashMap<i32, KnownStack>,
    /// How many stacks were written down for a second time.
    renamed: i32,
}

impl Names {
    /// With the symbols that there are before anything is attached.
    pub fn new(symbols: Kallsyms, cpus: usize, btf: &BtfFacts) -> Self {
        Self {
            caller_texts: CallerTexts::of(&symbols),
            // It looks at every symbol.
            has_objects: symbols.has_objects(),
            per_cpu: PerCpu::read(&symbols, cpus),
            nodes: MemoryNodes::read(&symbols, btf.nodes.clone()),
            symbols: Symbols::new(symbols),
            slab_caches: None,
            objects: HashMap::new(),
            known: HashMap::new(),
            renamed: 0,
        }
    }

    /// Has the kernel's slab caches asked what locks are in. Where they cannot be, a lock is named by another rule, and
    /// that is said.
    pub fn ask_slab_caches(&mut self, btf: &BtfFacts) {
        let layout = btf.slab.clone();
        self.slab_caches = layout.and_then(|layout| SlabCaches::open(layout).ok());
    }

    /// Looks which modules there are.
    pub fn look(&mut self) {
        self.symbols.look();
    }

    /// The name of a lock that is a variable of the kernel, or stands in one.
    pub fn lock(&self, lock: u64) -> Option<String> {
        if !self.has_objects {
            return None;
        }
        if let Some((cpu, variable)) = self.per_cpu.variable_at(lock) {
            let (symbol, offset) = self.symbols.first().resolve_per_cpu(variable)?;
            let offset = (offset != 0).then(|| format!("+{offset:#x}"));
            return Some(format!("{symbol}{}, CPU {cpu}", offset.unwrap_or_default()));
        }
        let in_node = self.nodes.lock_at(lock);
        in_node.or_else(|| self.symbols.object(lock))
    }

    /// What a lock without a name is in, by the kernel's slab caches.
    pub fn object(&mut self, lock: u64) -> Option<String> {
        let slab_caches = self.slab_caches.as_ref()?;
        let object = self.objects.entry(lock);
        object.or_insert_with(|| slab_caches.object(lock)).clone()
    }

    /// The number of a call stack in the recording, and the caller by it. It is written down where it is used for the
    /// first time, and for another time under a number of its own where other modules lie there by now.
    pub fn stack(
        &mut self,
        source: &impl Source,
        id: i32,
        written: &mut BTreeMap<i32, Vec<String>>,
    ) -> (i32, Option<u64>) {
        let state = self.symbols.state();
        let has_changed = |known: &InModules| known.state != state;
        let known = self.known.get(&id);
        if let Some(known) = known.filter(|known| !known.in_modules.iter().any(has_changed)) {
            return (known.number, known.caller);
        }
        let before = self.known.remove(&id);
        let number = before.as_ref().map(|known| known.number);
        let (addresses, names) = match before.and_then(|known| known.in_modules) {
            Some(known) => (Some(known.addresses), Some(known.frames)),
            None => (source.stack(id.unsigned_abs()), None),
        };
        let Some(addresses) = addresses else {
            let stack = KnownStack {
                number: id,
                caller: None,
                in_modules: None,
            };
            self.known.insert(id, stack);
            return (id, None);
        };
        let frames = self.frames(&addresses);
        let number = match number {
            Some(number) if names.as_ref() == Some(&frames) => number,
            before => {
                self.renamed += i32::from(before.is_some());
                let number = before.map_or(id, |_| FIRST_RENAMED + self.renamed);
                written.insert(number, frames.clone());
                number
            }
        };
        let caller = self.caller_texts.caller(&addresses);
        let kept = &addresses[addresses.len() - frames.len()..];
        let stays = kept.iter().all(|one| self.symbols.is_kernel(*one));
        let in_modules = (!stays).then_some(InModules {
            addresses,
            frames,
            state,
        });
        let stack = KnownStack {
            number,
            caller,
            in_modules,
        };
        self.known.insert(id, stack);
        (number, caller)
    }

    /// The kernel's symbols.
    pub const fn symbols(&self) -> &Kallsyms {
        self.symbols.first()
    }

    /// Who asked for the lock that a task sleeps for, by the addresses of its call stack.
    pub fn caller_of_sleep(&mut self, addresses: &[u64]) -> Option<String> {
        let frames = self.frames(addresses);
        from_caller(&frames).first().cloned()
    }

    /// A call stack without the frames of tracing. Those of the programs themselves are not even looked up: they
    /// are no older than the run.
    fn frames(&mut self, addresses: &[u64]) -> Vec<String> {
        let symbols = self.symbols.first();
        let outermost = addresses
            .iter()
            .take(DEEPEST_TRACING)
            .rposition(|&address| {
                let symbol = symbols.resolve(address).map(|(symbol, _)| symbol);
                symbol.is_some_and(is_tracing)
            });
        let rest = &addresses[outermost.map_or(0, |outermost| outermost + 1)..];
        rest.iter().map(|&address| self.frame(address)).collect()
    }

    /// A return address, as a recording has it.
    pub fn frame(&mut self, address: u64) -> String {
        self.symbols.frame(address)
    }
}

/// Whether a function belongs to tracing: to what calls the eBPF program, up to the tracepoint.
fn is_tracing(symbol: &str) -> bool {
    ["__traceiter_", "__bpf_trace_", "bpf_trace_run", "bpf_prog_"]
        .iter()
        .any(|start| symbol.starts_with(start))
}

/// Frames among which those of tracing are searched.
const DEEPEST_TRACING: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_begins_where_the_tracepoint_was_hit() {
        let symbols = "\
ffffffff81000000 T bpf_trace_run2
ffffffff81001000 T __bpf_trace_contention_begin
ffffffff81002000 T __traceiter_contention_begin
ffffffff81003000 T queued_write_lock_slowpath
ffffffff81004000 T release_task
";
        let mut names = Names::new(Kallsyms::parse(symbols).unwrap(), 0, &BtfFacts::default());
        let stack = [
            // The program itself.
            0xffff_ffff_8400_0a90,
            0xffff_ffff_8100_0090,
            0xffff_ffff_8100_100e,
            0xffff_ffff_8100_203c,
            0xffff_ffff_8100_3081,
            0xffff_ffff_8100_412c,
        ];
        let rest = ["queued_write_lock_slowpath+0x81", "release_task+0x12c"];
        assert_eq!(names.frames(&stack), rest);
        assert_eq!(names.frames(&stack[4..]), rest);
        assert_eq!(names.frames(&[]), [""; 0]);
        let caller = names.caller_of_sleep(&stack);
        assert_eq!(caller.as_deref(), Some("release_task+0x12c"));
    }
}
