//! What the kernel offers: plain data, as [`Capabilities::probe`] finds it and tests make it up.

use std::collections::BTreeMap;

use lockprof_abi::KernelLayout;
use serde::Serialize;

use super::config::ConfigFacts;
use super::cpu::CpuFacts;
use super::nodes::NodeLayout;
use super::obstructions::Obstructions;
use super::preemption::PreemptionMode;
use super::privileges::{self, CapabilitySet};
use super::slab::SlabLayout;

/// What came of really trying something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Trial {
    /// It was done, and undone at once; a probe of a function has run with it.
    Works,
    /// It was attached, and saw nothing of what happened.
    Dead {
        /// What was tried, and why it may have seen nothing.
        error: String,
    },
    /// The kernel refused.
    Refused {
        /// What was tried and the kernel's answer.
        error: String,
    },
    /// It was not tried.
    Untried {
        /// Why not.
        reason: String,
    },
}

impl Trial {
    /// Whether it works.
    #[must_use]
    pub const fn works(&self) -> bool {
        matches!(self, Self::Works)
    }

    /// Whether it was not tried.
    #[must_use]
    pub const fn is_untried(&self) -> bool {
        matches!(self, Self::Untried { .. })
    }

    /// Why it does not work, as far as that is known.
    #[must_use]
    pub fn obstacle(&self) -> Option<&str> {
        match self {
            Self::Works => None,
            Self::Refused { error } | Self::Dead { error } => Some(error),
            Self::Untried { reason } => Some(reason),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct User {
    /// The effective user.
    pub euid: u32,
    /// Its effective capabilities; `None` where the kernel does not tell.
    #[serde(serialize_with = "privileges::serialize")]
    pub capabilities: Option<CapabilitySet>,
}

impl User {
    /// Whether tracing programs may be loaded, as far as it depends on who asks.
    #[must_use]
    pub fn can_trace(&self) -> bool {
        self.capabilities
            .map_or(self.euid == 0, privileges::can_trace)
    }
}

/// uname(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Uname {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// CPUs that are online.
    pub cpus_online: Option<u32>,
    /// CPUs that the kernel has room for.
    pub cpus_possible: Option<u32>,
    /// The clock source.
    pub clock_source: Option<String>,
    /// The CPU's model name.
    pub cpu_model: Option<String>,
    /// Whether the CPU is QEMU's emulation: its times are not a hardware's.
    pub emulated: bool,
    /// The boot's id.
    pub boot_id: Option<String>,
    /// Where a task may be switched out, if the kernel tells.
    pub preemption_mode: Option<PreemptionMode>,
}

/// What the administrator set; `None` where the kernel does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// kernel.kptr_restrict: 1 hides addresses from all without CAP_SYSLOG, 2 from everybody.
    pub kptr_restrict: Option<i64>,
    /// kernel.perf_event_paranoid.
    pub perf_event_paranoid: Option<i64>,
    /// kernel.unprivileged_bpf_disabled.
    pub unprivileged_bpf_disabled: Option<i64>,
    /// kernel.bpf_stats_enabled.
    pub bpf_stats_enabled: Option<i64>,
    /// The lockdown mode: `none`, `integrity` or `confidentiality`.
    pub lockdown: Option<String>,
}

/// What the kernel's BTF says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BtfFacts {
    /// Why it cannot be used; `None` where it can.
    pub error: Option<String>,
    /// Whether it has the contention tracepoints (`btf_trace_contention_begin`).
    pub contention_tracepoints: bool,
    /// Whether it has `struct release_task_post`.
    pub release_task_post: bool,
    /// The parameters of `detach_pid`: 2, and 3 since Linux 6.15.
    pub detach_pid_parameters: Option<u32>,
    /// How programs may read a trampoline's frame without a helper; since Linux 6.2.
    pub frame_cast: Option<FrameCast>,
    /// How programs may look at a task by its pid; since Linux 6.2.
    pub task_calls: Option<TaskCalls>,
    /// Where the kernel's structures have what tells a lock's class and its owner.
    #[serde(skip)]
    pub layout: Option<KernelLayout>,
    /// How to find out in what slab cache an address is.
    #[serde(skip)]
    pub slab: Option<SlabLayout>,
    /// Where the kernel's memory nodes have their zones and locks.
    #[serde(skip)]
    pub nodes: Option<NodeLayout>,
    /// Where a task_struct has nvcsw, in bytes, with nivcsw behind it.
    pub task_switches: Option<u32>,
    /// The tracepoints of interrupts that it has, without `_entry`.
    pub interrupts: Vec<String>,
}

/// A cast that the kernel offers, by numbers in its BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FrameCast {
    /// `bpf_rdonly_cast` (kernel/bpf/helpers.c, v6.2).
    pub function: u32,
    /// The type as which a frame is read.
    pub frame_type: u32,
}

/// Functions by which a program gets a task and gives it back, by their numbers in BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TaskCalls {
    /// `bpf_task_from_pid` (kernel/bpf/helpers.c, v6.2).
    pub from_pid: u32,
    /// `bpf_task_release` (kernel/bpf/helpers.c, v6.2).
    pub release: u32,
}

/// What /proc/kallsyms says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SymbolFacts {
    /// Why it cannot be used; `None` where it can.
    pub error: Option<String>,
    /// Whether addresses are hidden.
    pub hidden: bool,
    /// Whether it has objects too (CONFIG_KALLSYMS_ALL).
    pub objects: bool,
    /// The System.map or vmlinux that has told of them, where /proc/kallsyms has none.
    pub image: Option<String>,
}

/// A lock's symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LockSymbol {
    /// Its name.
    pub name: String,
    /// Whether kallsyms has it.
    pub present: bool,
    /// Its address.
    pub address: Option<u64>,
    /// How far the next symbol is, in bytes.
    pub bytes: Option<u64>,
    /// The addresses of further objects of its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<u64>,
}

/// What is known of a function; `None` where the source could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FunctionFacts {
    /// Whether kallsyms has it, among the kernel's own.
    pub symbol: Option<bool>,
    /// What the compiler made of it instead: `name.isra.0`.
    pub variants: Vec<String>,
    /// Whether BTF has it.
    pub btf: Option<bool>,
}

/// What came of really trying each kind of probe, with a small program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trials {
    /// An fentry program on the unlock function.
    pub fentry: Trial,
    /// An fexit program on the lock function.
    pub fexit: Trial,
    /// A kprobe on the unlock function, with a program.
    pub kprobe: Trial,
    /// A kretprobe on the lock function, with a program.
    pub kretprobe: Trial,
    /// A raw tracepoint program on contention_begin.
    pub raw_tracepoint: Trial,
    /// A program that calls bpf_probe_read_kernel.
    pub kernel_reads: Trial,
    /// A tracing program on contention_begin that walks the call stack of a task that is not the current one.
    pub owner_stacks: Trial,
}

impl Trials {
    /// Whether any of them failed because this process may have no more files open: that tells nothing of the kernel.
    #[must_use]
    pub fn lacked_files(&self) -> bool {
        let Self {
            fentry,
            fexit,
            kprobe,
            kretprobe,
            raw_tracepoint,
            kernel_reads,
            owner_stacks,
        } = self;
        let too_many = std::io::Error::from_raw_os_error(libc::EMFILE).to_string();
        [
            fentry,
            fexit,
            kprobe,
            kretprobe,
            raw_tracepoint,
            kernel_reads,
            owner_stacks,
        ]
        .into_iter()
        .filter_map(Trial::obstacle)
        .any(|error| error.contains(&too_many))
    }
}

/// A BPF program of somebody else on a hook of ours: it lengthens what we measure, and where both
/// are kprobes, one can make the other miss events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedHook {
    /// The program's id.
    pub program_id: u32,
    /// Its name.
    pub program: String,
    /// `fentry`, `fexit`, `fmod_ret`, `kprobe`, `kretprobe` or `raw_tracepoint`.
    pub kind: String,
    /// The function or tracepoint.
    pub target: String,
}

/// BPF programs that are loaded already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Others {
    /// Why they cannot be seen; `None` where they can.
    pub error: Option<String>,
    /// The names of the programs of each tracing type.
    pub programs: BTreeMap<String, Vec<String>>,
    /// Those that share a hook.
    pub shared: Vec<SharedHook>,
    /// Links of which the kernel does not tell on what they are.
    pub unknown_targets: u32,
}

/// What the running kernel offers to whom asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Who asks.
    pub user: User,
    /// The kernel's name.
    pub uname: Uname,
    /// The machine.
    pub machine: Machine,
    /// Its CPU, as far as spin locks depend on it.
    pub cpu: CpuFacts,
    /// The kernel's configuration.
    pub config: ConfigFacts,
    /// What the administrator set.
    pub settings: Settings,
    /// What BTF says.
    pub btf: BtfFacts,
    /// What kallsyms says.
    pub symbols: SymbolFacts,
    /// The locks that were asked for.
    pub locks: Vec<LockSymbol>,
    /// The functions that matter, by name.
    pub functions: BTreeMap<String, FunctionFacts>,
    /// What was tried.
    pub trials: Trials,
    /// What stands in the way of probes.
    pub obstructions: Obstructions,
    /// Other BPF programs.
    pub others: Others,
}
