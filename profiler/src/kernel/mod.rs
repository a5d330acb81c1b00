//! What the running kernel is and what it allows: symbols, BTF, trials, and the attach plan.
//!
//! Everything that reads the machine fills plain data ([`Capabilities`], [`Kallsyms`]); everything
//! that decides ([`plan()`], [`site_ranges`], [`classify_stack`]) is pure.

mod bpf_syscall;
mod btf;
mod by_task;
mod call_rates;
mod callers;
mod capabilities;
mod config;
mod cpu;
#[cfg(test)]
pub(crate) mod examples;
mod finding;
mod findings;
mod forbidden;
mod identity;
mod instruction;
mod kallsyms;
mod kind_trial;
mod lock_rates;
mod machine;
mod memory;
mod mutexes;
mod nodes;
mod obstructions;
mod one_line;
mod others;
mod per_cpu;
mod percpu_rwsems;
mod plan;
mod preemption;
pub mod privileges;
mod probing;
mod release;
mod rwlocks;
mod rwsems;
mod sites;
mod slab;
mod spin_waits;
mod text;
mod trials;

pub use btf::{Btf, BtfError, BtfKind, BtfType};
pub use by_task::ByTask;
pub use call_rates::calls_per_s;
pub use callers::CallerTexts;
pub use capabilities::{
    BtfFacts, Capabilities, FrameCast, FunctionFacts, LockSymbol, Machine, Others, Settings,
    SharedHook, SymbolFacts, TaskCalls, Trial, Trials, Uname, User,
};
pub use config::ConfigFacts;
pub use cpu::{CpuFacts, Hypervisor};
pub use finding::Finding;
pub use findings::{Preemption, Unlock};
pub use forbidden::refuse;
pub use identity::kernel_identity;
pub use kallsyms::{Kallsyms, KallsymsError};
pub use kind_trial::{SeenKind, nobody_took_it};
pub use lock_rates::LockRates;
pub use nodes::{MemoryNodes, NodeLayout};
pub use obstructions::Obstructions;
pub use per_cpu::PerCpu;
pub use plan::{
    AttachChoice, AttachPlan, PlanError, PlannedLock, PlannedProbe, ProbeKind, Request, Role, plan,
    sees_holders_leave, sees_waits_begin,
};
pub use preemption::PreemptionMode;
pub use privileges::CapabilitySet;
pub use probing::lock_address;
pub use release::version;
pub use sites::{
    LOCK_FUNCTION, READ_LOCK_FUNCTION, READ_UNLOCK_FUNCTION, RT_LOCK_FUNCTION, SiteNumbers,
    TRACEPOINT_BEGAN, TRACEPOINT_ENDED, UNLOCK_FUNCTION, classify_stack, lock_function,
    rwlock_functions, site_ranges,
};
pub use slab::{SlabCaches, SlabLayout};
pub use spin_waits::SpinWaits;
pub use text::KernelText;
