//! Finding out what the kernel offers.

use std::collections::{BTreeMap, BTreeSet};

use lockprof_abi::{FRAME_TYPE_NAME, KernelCall, KernelLayout, UNKNOWN_OFFSET};

use super::btf::{Btf, BtfError, BtfKind, BtfType, Members};
use super::by_task::functions_by_task;
use super::capabilities::{
    BtfFacts, Capabilities, FrameCast, FunctionFacts, LockSymbol, SymbolFacts, TaskCalls, Trials,
    User,
};
use super::config::ConfigFacts;
use super::kallsyms::{Kallsyms, KallsymsError};
use super::nodes::NodeLayout;
use super::obstructions::Obstructions;
use super::plan::INTERRUPTS;
use super::plan::Request;
use super::plan::address_of;
use super::sites::{TRACEPOINT_BEGAN, TRACEPOINT_ENDED, rwlock_functions};
use super::slab::{self, SlabLayout};
use super::trials::{self, Targets};
use super::{machine, others};
use crate::known_locks;
use crate::span::Span;

/// What the name of a tracepoint's type in BTF begins with (include/trace/bpf_probe.h).
const TRACEPOINT_TYPE: &str = "btf_trace_";

/// Functions that are looked up but never probed.
const MARKERS: &[&str] = &[
    // Linux 6.15, commit 7903f907a226.
    "free_pids",
    // The version of the deferral that was first posted.
    "detach_pid_return",
    "detach_pid",
    // kernel/trace: the tracepoint's own function, in kallsyms without CONFIG_KALLSYMS_ALL too.
    "__traceiter_contention_begin",
    // CONFIG_PARAVIRT_SPINLOCKS (kernel/locking/qspinlock.c).
    "__pv_queued_spin_lock_slowpath",
];

impl Capabilities {
    /// Finds out what the kernel offers for the default lock. It never fails: what cannot be found
    /// out is left unknown.
    #[must_use]
    pub fn probe() -> Self {
        Self::probe_with(&Kallsyms::read(), &Request::default())
    }

    /// Finds out what the kernel offers for the lock of a request, with symbols that were read already.
    #[must_use]
    pub fn probe_with(kallsyms: &Result<Kallsyms, KallsymsError>, request: &Request) -> Self {
        let lock = request.lock.as_str();
        let user = machine::user();
        let uname = machine::uname();
        let config = ConfigFacts::of_release(&uname.release);
        let by_task = request.by_task();
        let mut hooked: Vec<&str> = match by_task {
            Some(by_task) => by_task.functions().collect(),
            None => rwlock_functions().collect(),
        };
        let known = known_locks::spans_of(lock).iter().map(|known| known.span);
        let spans: BTreeSet<Span> = known.chain(request.spans.iter().copied()).collect();
        hooked.extend(spans.into_iter().map(Span::name));
        let all = rwlock_functions().chain(functions_by_task());
        let markers = MARKERS.iter().copied();
        let names: BTreeSet<&str> = all.chain(markers).chain(hooked.iter().copied()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let mut functions: BTreeMap<String, FunctionFacts> = names
            .iter()
            .map(|name| ((*name).to_owned(), FunctionFacts::default()))
            .collect();

        let kallsyms = kallsyms.as_ref();
        let symbols = symbol_facts(kallsyms, &mut functions);
        let locks = vec![lock_symbol(kallsyms.ok(), lock)];
        let pv_spin_locks = functions
            .get("__pv_queued_spin_lock_slowpath")
            .and_then(|facts| facts.symbol);

        let mut hooks: Vec<(&str, u32)> = vec![(TRACEPOINT_BEGAN, 0), (TRACEPOINT_ENDED, 0)];
        let (btf, ids) = btf_facts(&names, &mut functions);
        let id = |name| ids.get(name).copied().unwrap_or(0);
        hooks.extend(hooked.into_iter().map(|name| (name, id(name))));

        // Before the trials, whose own programs the kernel may keep for a moment.
        let others = others::look(&hooks);
        let id_of = |name: &str| {
            ids.get(name).copied().ok_or_else(|| {
                btf.error
                    .clone()
                    .unwrap_or_else(|| "BTF does not have it".to_owned())
            })
        };
        let tried = by_task.map_or(trials::OF_RWLOCK, |by_task| {
            trials::of(by_task, |function| ids.contains_key(function))
        });
        let trials = make_trials(
            &user,
            &Targets {
                functions: tried,
                lock: id_of(tried.lock),
                unlock: id_of(tried.unlock),
                tasks: tasks(&btf, id_of(TRACEPOINT_BEGAN)),
            },
        );
        let (machine, cpu) = machine::machine(pv_spin_locks);
        Self {
            user,
            uname,
            machine,
            cpu,
            config,
            settings: machine::settings(),
            btf,
            symbols,
            locks,
            functions,
            trials,
            obstructions: Obstructions::read(),
            others,
        }
    }
}

/// How a tracing program at contention_begin may look at other tasks, or why it may not.
fn tasks(btf: &BtfFacts, tracepoint: Result<u32, String>) -> Result<(u32, TaskCalls), String> {
    let tracepoint = tracepoint?;
    let calls = btf
        .task_calls
        .ok_or("this kernel has no bpf_task_from_pid (Linux 6.2 and later have)")?;
    Ok((tracepoint, calls))
}

fn make_trials(user: &User, targets: &Targets) -> Trials {
    if user.can_trace() {
        trials::all(targets)
    } else {
        trials::untried("only root (CAP_BPF and CAP_PERFMON) may try")
    }
}

fn symbol_facts(
    kallsyms: Result<&Kallsyms, &KallsymsError>,
    functions: &mut BTreeMap<String, FunctionFacts>,
) -> SymbolFacts {
    let kallsyms = match kallsyms {
        Ok(kallsyms) if kallsyms.is_empty() => {
            return SymbolFacts {
                error: Some("/proc/kallsyms is empty".to_owned()),
                ..SymbolFacts::default()
            };
        }
        Ok(kallsyms) => kallsyms,
        Err(error) => {
            return SymbolFacts {
                error: Some(error.to_string()),
                ..SymbolFacts::default()
            };
        }
    };
    for (name, facts) in functions {
        facts.symbol = Some(kallsyms.has_function(name));
        facts.variants = kallsyms
            .variants_of(name)
            .into_iter()
            .map(str::to_owned)
            .collect();
    }
    SymbolFacts {
        error: None,
        hidden: kallsyms.hidden(),
        objects: kallsyms.has_objects(),
        image: kallsyms.image().map(|path| path.display().to_string()),
    }
}

/// The address of a lock, by its symbol where one object has that, or as it stands in the place of a name; `None` where it
/// is not known.
#[must_use]
pub fn lock_address(kallsyms: Option<&Kallsyms>, name: &str) -> Option<u64> {
    let symbol = lock_symbol(kallsyms, name);
    symbol.address.filter(|_| symbol.more.is_empty())
}

fn lock_symbol(kallsyms: Option<&Kallsyms>, name: &str) -> LockSymbol {
    if let Some(address) = address_of(name) {
        return LockSymbol {
            name: name.to_owned(),
            address: Some(address),
            ..LockSymbol::default()
        };
    }
    let addresses = kallsyms.map(|kallsyms| kallsyms.addresses_of_object(name));
    let mut addresses = addresses.unwrap_or_default().into_iter();
    LockSymbol {
        name: name.to_owned(),
        present: kallsyms.is_some_and(|kallsyms| kallsyms.has_object(name)),
        address: addresses.next(),
        bytes: kallsyms.and_then(|kallsyms| kallsyms.bytes_of_object(name)),
        more: addresses.collect(),
    }
}

/// What BTF says, and the ids of the functions that it has, and of the type of contention_begin.
fn btf_facts(
    names: &[&str],
    functions: &mut BTreeMap<String, FunctionFacts>,
) -> (BtfFacts, BTreeMap<String, u32>) {
    match read_btf(names) {
        Ok((facts, ids)) => {
            for (name, function) in functions {
                function.btf = Some(ids.contains_key(name));
            }
            (facts, ids)
        }
        Err(error) => {
            let facts = BtfFacts {
                error: Some(error.to_string()),
                ..BtfFacts::default()
            };
            (facts, BTreeMap::new())
        }
    }
}

fn read_btf(names: &[&str]) -> Result<(BtfFacts, BTreeMap<String, u32>), BtfError> {
    let btf = Btf::from_sys_fs()?;
    let called = KernelCall::ALL.map(KernelCall::name);
    let wanted = [names, &called, &[slab::FUNCTION]].concat();
    let functions = btf.find(BtfKind::Func, &wanted)?;
    let function = |name: &str| functions.iter().find(|function| function.name == name);
    let call = |call: KernelCall| function(call.name()).map(|function| function.id);
    let wanted: Vec<String> = INTERRUPTS
        .iter()
        .map(|name| format!("{name}_entry"))
        .chain([TRACEPOINT_BEGAN.to_owned()])
        .map(|name| format!("{TRACEPOINT_TYPE}{name}"))
        .collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let tracepoints = btf.find(BtfKind::Typedef, &wanted)?;
    let tracepoint = |name: &str| {
        let of = |found: &&BtfType<'_>| found.name.strip_prefix(TRACEPOINT_TYPE) == Some(name);
        tracepoints.iter().find(of).map(|found| found.id)
    };
    let members = btf.members()?;
    let facts = BtfFacts {
        error: None,
        contention_tracepoints: tracepoint(TRACEPOINT_BEGAN).is_some(),
        interrupts: INTERRUPTS
            .iter()
            .filter(|name| tracepoint(&format!("{name}_entry")).is_some())
            .map(|name| (*name).to_owned())
            .collect(),
        layout: Some(layout(&members)),
        slab: function(slab::FUNCTION).and_then(|of_cache| SlabLayout::of(of_cache.id, &members)),
        nodes: NodeLayout::of(&members),
        task_switches: members.offset("task_struct", &["nvcsw"]),
        release_task_post: members.id("release_task_post").is_some(),
        detach_pid_parameters: match function("detach_pid") {
            Some(detach_pid) => btf.parameters(detach_pid.refers_to)?,
            None => None,
        },
        frame_cast: call(KernelCall::ReadOnlyCast)
            .zip(members.id(FRAME_TYPE_NAME))
            .map(|(function, frame_type)| FrameCast {
                function,
                frame_type,
            }),
        task_calls: call(KernelCall::TaskFromPid)
            .zip(call(KernelCall::TaskRelease))
            .map(|(from_pid, release)| TaskCalls { from_pid, release }),
    };
    let began = tracepoint(TRACEPOINT_BEGAN).map(|id| (TRACEPOINT_BEGAN.to_owned(), id));
    let ids = functions
        .iter()
        .map(|function| (function.name.to_owned(), function.id))
        .chain(began)
        .collect();
    Ok((facts, ids))
}

/// Where the members are by which a lock's class and its owner are found.
fn layout(members: &Members<'_>) -> KernelLayout {
    let offset =
        |structure, path: &[&str]| members.offset(structure, path).unwrap_or(UNKNOWN_OFFSET);
    KernelLayout {
        task_mm: offset("task_struct", &["mm"]),
        mm_mmap_lock: offset("mm_struct", &["mmap_lock"]),
        task_sighand: offset("task_struct", &["sighand"]),
        sighand_siglock: offset("sighand_struct", &["siglock"]),
        task_pid: offset("task_struct", &["pid"]),
        task_comm: offset("task_struct", &["comm"]),
        task_state: offset("task_struct", &["__state"]),
        task_on_cpu: offset("task_struct", &["on_cpu"]),
        task_cpu: offset("task_struct", &["thread_info", "cpu"]),
        mutex_owner: offset("mutex", &["owner"]),
        rwsem_owner: offset("rw_semaphore", &["owner"]),
        task_stack: offset("task_struct", &["stack"]),
        // Most kernels' BTF has the stack of interrupts alone, which is as long (arch/x86/include/asm/page_64_types.h:
        // THREAD_SIZE_ORDER and IRQ_STACK_ORDER, 5.19 to 7.3).
        stack_bytes: members
            .size("thread_union")
            .or_else(|| members.size("irq_stack"))
            .unwrap_or(UNKNOWN_OFFSET),
    }
}
