//! Capabilities of kernels that tests plan for.

use std::collections::BTreeMap;

use super::by_task::functions_by_task;
use super::capabilities::{
    BtfFacts, Capabilities, FunctionFacts, LockSymbol, Machine, Others, Settings, SymbolFacts,
    Trial, Trials, Uname, User,
};
use super::config::ConfigFacts;
use super::cpu::{CpuFacts, Hypervisor};
use super::obstructions::Obstructions;
use super::preemption::PreemptionMode;
use super::privileges::CapabilitySet;
use super::sites::rwlock_functions;
use crate::known_locks::{self, DEFAULT_LOCK};

pub(crate) const ADDRESS: u64 = 0xffff_ffff_82a0_a080;

/// Debian's 6.12: everything works.
pub(crate) fn debian_6_12() -> Capabilities {
    let everything = FunctionFacts {
        symbol: Some(true),
        variants: Vec::new(),
        btf: Some(true),
    };
    let functions: BTreeMap<String, FunctionFacts> = rwlock_functions()
        .chain(["detach_pid", "__traceiter_contention_begin"])
        .chain(
            known_locks::spans_of(DEFAULT_LOCK)
                .iter()
                .map(|known| known.span.name()),
        )
        .chain(functions_by_task().filter(|name| !is_of_lock_debugging(name)))
        .map(|name| (name.to_owned(), everything.clone()))
        .collect();
    Capabilities {
        user: User {
            euid: 0,
            capabilities: Some(CapabilitySet::all()),
        },
        uname: Uname {
            release: "6.12.107+deb13-cloud-amd64".into(),
            version: "#1 SMP PREEMPT_DYNAMIC Debian 6.12.107-1".into(),
            machine: "x86_64".into(),
        },
        machine: Machine {
            cpus_online: Some(4),
            cpus_possible: Some(4),
            clock_source: Some("tsc".into()),
            cpu_model: Some("QEMU Virtual CPU version 2.5+".into()),
            emulated: true,
            boot_id: Some("5e0c".into()),
            preemption_mode: Some(PreemptionMode::Voluntary),
        },
        cpu: CpuFacts {
            x86: true,
            hypervisor_flag: Some(false),
            hypervisor: Hypervisor::None,
            pv_spin_locks: Some(true),
            nopvspin: false,
            one_cpu: false,
            cpus_online: Some(4),
        },
        config: ConfigFacts::default(),
        settings: Settings {
            kptr_restrict: Some(0),
            perf_event_paranoid: Some(2),
            unprivileged_bpf_disabled: Some(2),
            bpf_stats_enabled: Some(0),
            lockdown: Some("none".into()),
        },
        btf: BtfFacts {
            error: None,
            contention_tracepoints: true,
            release_task_post: false,
            detach_pid_parameters: Some(2),
            frame_cast: None,
            task_calls: None,
            layout: None,
            slab: None,
            nodes: None,
            task_switches: Some(2000),
            interrupts: vec!["local_timer".into(), "reschedule".into()],
        },
        symbols: SymbolFacts {
            error: None,
            hidden: false,
            objects: true,
            image: None,
        },
        locks: vec![LockSymbol {
            name: DEFAULT_LOCK.into(),
            present: true,
            address: Some(ADDRESS),
            bytes: Some(64),
            more: Vec::new(),
        }],
        functions,
        trials: Trials {
            fentry: Trial::Works,
            fexit: Trial::Works,
            kprobe: Trial::Works,
            kretprobe: Trial::Works,
            raw_tracepoint: Trial::Works,
            kernel_reads: Trial::Works,
            owner_stacks: Trial::Works,
        },
        obstructions: Obstructions::default(),
        others: Others::default(),
    }
}

/// Whether only kernels with CONFIG_DEBUG_LOCK_ALLOC have this function.
fn is_of_lock_debugging(function: &str) -> bool {
    function.contains("nest")
        || function.ends_with("_non_owner")
        || function.starts_with('_') && !function.starts_with("_raw_")
}

pub(crate) fn refused(error: &str) -> Trial {
    Trial::Refused {
        error: error.into(),
    }
}

pub(crate) fn dead(error: &str) -> Trial {
    Trial::Dead {
        error: error.into(),
    }
}

pub(crate) fn no_fentry(capabilities: &mut Capabilities, why: &str) {
    capabilities.trials.fentry = refused(why);
    capabilities.trials.fexit = refused(why);
}

pub(crate) fn no_kprobes(capabilities: &mut Capabilities, why: &str) {
    capabilities.trials.kprobe = refused(why);
    capabilities.trials.kretprobe = refused(why);
}

pub(crate) fn lose(capabilities: &mut Capabilities, function: &str) {
    capabilities.functions.insert(
        function.to_owned(),
        FunctionFacts {
            symbol: Some(false),
            variants: Vec::new(),
            btf: Some(false),
        },
    );
}

pub(crate) fn without_btf(capabilities: &mut Capabilities) {
    capabilities.btf = BtfFacts {
        error: Some("cannot read /sys/kernel/btf/vmlinux: No such file or directory".into()),
        ..BtfFacts::default()
    };
    for facts in capabilities.functions.values_mut() {
        facts.btf = None;
    }
    no_fentry(capabilities, "needs BTF");
}

pub(crate) fn hide_addresses(capabilities: &mut Capabilities, kptr_restrict: i64) {
    capabilities.settings.kptr_restrict = Some(kptr_restrict);
    capabilities.symbols.hidden = true;
    capabilities.locks[0].address = None;
}

/// The machine that lockprof is developed on: 6.18 that refuses tracing programs on functions, and takes those on
/// tracepoints.
pub(crate) fn development_host() -> Capabilities {
    let mut host = debian_6_12();
    host.uname.release = "6.18.44".into();
    host.uname.version = "#1 SMP PREEMPT_DYNAMIC".into();
    host.machine.emulated = false;
    host.machine.cpu_model = Some("AMD EPYC".into());
    no_fentry(
        &mut host,
        "loading a small fentry program for _raw_write_unlock_irq: Operation not permitted (os error 1)",
    );
    no_kprobes(
        &mut host,
        "the kernel offers no kprobe events (CONFIG_KPROBE_EVENTS)",
    );
    host.symbols.objects = false;
    host.locks[0].present = false;
    host.locks[0].address = None;
    host.btf.release_task_post = true;
    host.btf.detach_pid_parameters = Some(3);
    host.functions.insert(
        "free_pids".into(),
        FunctionFacts {
            symbol: Some(true),
            variants: Vec::new(),
            btf: Some(true),
        },
    );
    host
}
