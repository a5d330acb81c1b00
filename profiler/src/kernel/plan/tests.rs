//! The plan over a table of kernels, and what it says.

use super::super::capabilities::{FunctionFacts, LockSymbol};
use super::super::examples::{
    ADDRESS, dead, debian_6_12, development_host, hide_addresses, lose, no_fentry, no_kprobes,
    refused, without_btf,
};
use super::super::privileges::CapabilitySet;
use super::super::sites::{LOCK_FUNCTION, UNLOCK_FUNCTION};
use super::*;
use crate::known_locks::DEFAULT_LOCK;
use crate::recording::schema::{AddressSource, Deferral, LockFamily};

/// A change of the capabilities, and the tier, method and address source that follow; or a part of
/// the error's text.
type Case = (
    &'static str,
    fn(&mut Capabilities),
    Result<(Tier, Method, AddressSource), &'static str>,
);

const EXACT: Result<(Tier, Method, AddressSource), &str> =
    Ok((Tier::Exact, Method::Fentry, AddressSource::Kallsyms));
const BY_KPROBE: Result<(Tier, Method, AddressSource), &str> =
    Ok((Tier::Exact, Method::Kprobe, AddressSource::Kallsyms));
const WAIT_ONLY: Result<(Tier, Method, AddressSource), &str> =
    Ok((Tier::WaitOnly, Method::Wait, AddressSource::Kallsyms));

const CASES: &[Case] = &[
    ("Debian 6.12", |_| {}, EXACT),
    (
        "Debian 6.1",
        |c| c.uname.release = "6.1.0-56-cloud-amd64".into(),
        EXACT,
    ),
    (
        "Debian 7.2",
        |c| {
            c.uname.version = "#1 SMP PREEMPT_LAZY Debian 7.2.13-1".into();
            c.btf.release_task_post = true;
        },
        EXACT,
    ),
    (
        "the development host",
        |c| *c = development_host(),
        Ok((Tier::WaitOnly, Method::Wait, AddressSource::Stacks)),
    ),
    (
        "fentry is attached and blind",
        |c| {
            c.trials.fentry = dead("ftrace is led elsewhere");
            c.trials.fexit = dead("ftrace is led elsewhere");
        },
        BY_KPROBE,
    ),
    (
        "ftrace is off: no probe of a function runs",
        |c| {
            for trial in [
                &mut c.trials.fentry,
                &mut c.trials.fexit,
                &mut c.trials.kprobe,
                &mut c.trials.kretprobe,
            ] {
                *trial = dead("kernel.ftrace_enabled is 0");
            }
        },
        WAIT_ONLY,
    ),
    (
        "Ubuntu azure: the unlock is inlined",
        |c| {
            c.uname.version = "#17-Ubuntu SMP".into();
            lose(c, UNLOCK_FUNCTION);
        },
        WAIT_ONLY,
    ),
    (
        "Debian 6.12 arm64: lock and unlock are inlined",
        |c| {
            c.uname.version = "#1 SMP Debian".into();
            lose(c, UNLOCK_FUNCTION);
            lose(c, LOCK_FUNCTION);
        },
        WAIT_ONLY,
    ),
    (
        "a debugging kernel without preemption: nothing is inlined",
        |c| c.uname.version = "#1 SMP".into(),
        EXACT,
    ),
    (
        "PREEMPT_RT",
        |c| {
            c.uname.version = "#1 SMP PREEMPT_RT Debian 6.12.107-1".into();
            lose(c, LOCK_FUNCTION);
            lose(c, UNLOCK_FUNCTION);
        },
        WAIT_ONLY,
    ),
    ("no BTF", without_btf, BY_KPROBE),
    (
        "no BTF and no kprobes",
        |c| {
            without_btf(c);
            no_kprobes(c, "none");
        },
        WAIT_ONLY,
    ),
    (
        "arm64 without direct calls: loads, does not attach",
        |c| {
            no_fentry(
                c,
                "attaching a small fentry program to _raw_write_unlock_irq: not supported",
            );
        },
        BY_KPROBE,
    ),
    (
        "lockdown confidentiality",
        |c| {
            c.settings.lockdown = Some("confidentiality".into());
            no_kprobes(
                c,
                "creating a kprobe on _raw_write_unlock_irq: Operation not permitted",
            );
            c.trials.kernel_reads = refused("unknown func bpf_probe_read_kernel");
        },
        EXACT,
    ),
    (
        "kptr_restrict=2",
        |c| hide_addresses(c, 2),
        Ok((Tier::Exact, Method::Fentry, AddressSource::Learned)),
    ),
    (
        "kptr_restrict=2 and waits only",
        |c| {
            hide_addresses(c, 2);
            no_fentry(c, "no");
            no_kprobes(c, "no");
        },
        Ok((Tier::WaitOnly, Method::Wait, AddressSource::Unknown)),
    ),
    (
        "no KALLSYMS_ALL",
        |c| {
            c.symbols.objects = false;
            c.locks[0] = LockSymbol {
                name: DEFAULT_LOCK.into(),
                ..LockSymbol::default()
            };
        },
        Ok((Tier::Exact, Method::Fentry, AddressSource::Learned)),
    ),
    (
        "5.15: holds without waits",
        |c| {
            c.uname.release = "5.15.0-130-generic".into();
            lose(c, "__traceiter_contention_begin");
            c.btf.contention_tracepoints = false;
            c.trials.raw_tracepoint = refused("no such tracepoint");
        },
        EXACT,
    ),
    (
        "5.10 without preemption",
        |c| {
            c.uname.version = "#1 SMP Debian 5.10".into();
            lose(c, UNLOCK_FUNCTION);
            lose(c, "__traceiter_contention_begin");
            c.btf.contention_tracepoints = false;
            c.trials.raw_tracepoint = refused("no such tracepoint");
        },
        Err("no contention tracepoints (Linux 5.19 and later have)"),
    ),
    (
        "no CAP_BPF",
        |c| {
            c.user.euid = 1000;
            c.user.capabilities = Some(CapabilitySet::empty());
        },
        Err("needs root, or CAP_BPF and CAP_PERFMON"),
    ),
    (
        "CAP_BPF and CAP_PERFMON without root",
        |c| {
            c.user.euid = 1000;
            c.user.capabilities = Some(CapabilitySet::BPF | CapabilitySet::PERFMON);
        },
        EXACT,
    ),
    (
        "a container: root, and BPF is refused",
        |c| {
            no_fentry(c, "Operation not permitted");
            no_kprobes(c, "Operation not permitted");
            c.trials.raw_tracepoint = refused("loading: Operation not permitted");
        },
        Err("allows nothing that lockprof can use"),
    ),
    (
        "no kallsyms, no BTF: the version string decides",
        |c| {
            without_btf(c);
            c.symbols.error = Some("cannot read /proc/kallsyms".into());
            c.locks[0].address = None;
            for facts in c.functions.values_mut() {
                facts.symbol = None;
            }
        },
        Ok((Tier::Exact, Method::Kprobe, AddressSource::Learned)),
    ),
];

#[test]
fn every_kernel_gets_the_best_that_it_allows() {
    for (name, change, expected) in CASES {
        let mut capabilities = debian_6_12();
        change(&mut capabilities);
        let planned = plan(&capabilities, &Request::default());
        match (planned, expected) {
            (Ok(plan), Ok(expected)) => {
                assert_eq!(
                    (plan.tier, plan.method, plan.lock.source),
                    *expected,
                    "{name}"
                );
                assert!(!plan.reasons.is_empty(), "{name}");
                for reason in &plan.reasons {
                    assert!(reason.ends_with('.'), "{name}: {reason}");
                }
            }
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{name}: {error}");
            }
            (planned, expected) => panic!("{name}: {planned:?}, not {expected:?}"),
        }
    }
}

#[test]
fn waits_alone_need_two_programs() {
    let request = Request {
        attach: AttachChoice::Wait,
        readers: true,
        ..Request::default()
    };
    let plan = plan(&debian_6_12(), &request).unwrap();
    assert_eq!(plan.probes.len(), 2);
    assert_eq!(plan.tier, Tier::WaitOnly);
    assert_eq!(
        plan.reasons[0],
        "Contention tracepoints alone: asked for by --attach."
    );
    assert!(plan.reasons[1].starts_with("Read holds are not measured"));
}

#[test]
fn reasons_say_why_the_better_methods_are_not_possible() {
    let plan = plan(&development_host(), &Request::default()).unwrap();
    assert_eq!(
        plan.reasons,
        [
            "fentry and fexit are not possible: loading a small fentry program for _raw_write_unlock_irq: Operation not permitted (os error 1).",
            "kprobes are not possible: the kernel offers no kprobe events (CONFIG_KPROBE_EVENTS).",
            "The contention tracepoints work here: waits are measured, holds are not.",
        ]
    );
}

#[test]
fn an_explicit_choice_that_is_not_possible_names_what_is() {
    let ask = |capabilities: &Capabilities, attach| {
        let request = Request {
            attach,
            ..Request::default()
        };
        plan(capabilities, &request).unwrap_err().to_string()
    };
    let mut no_btf = debian_6_12();
    without_btf(&mut no_btf);
    assert_eq!(
        ask(&no_btf, AttachChoice::Fentry),
        "--attach fentry is not possible here: they need the kernel's BTF: cannot read /sys/kernel/btf/vmlinux: No such file or directory. Use --attach kprobe instead"
    );
    let host = development_host();
    for choice in [AttachChoice::Fentry, AttachChoice::Kprobe] {
        assert!(ask(&host, choice).ends_with("Use --attach wait instead"));
    }
    let mut old = debian_6_12();
    lose(&mut old, "__traceiter_contention_begin");
    old.btf.contention_tracepoints = false;
    old.trials.raw_tracepoint = refused("no");
    assert!(ask(&old, AttachChoice::Wait).ends_with("Use --attach fentry instead"));
    no_fentry(&mut old, "no fentry");
    no_kprobes(&mut old, "no kprobes");
    assert_eq!(
        ask(&old, AttachChoice::Wait),
        "this kernel allows nothing that lockprof can use: this kernel has no contention tracepoints (Linux 5.19 and later have)"
    );
    assert!(ask(&old, AttachChoice::Fentry).contains("no fentry; "));
}

#[test]
fn a_blind_probe_is_named_with_its_cause() {
    let mut blind = debian_6_12();
    blind.trials.fexit = dead("kernel.ftrace_enabled is 0");
    let plan = plan(&blind, &Request::default()).unwrap();
    assert_eq!(
        plan.reasons[0],
        "fentry and fexit are not possible: kernel.ftrace_enabled is 0."
    );
}

#[test]
fn a_lock_without_an_address_must_be_tasklist_lock() {
    let ask = |change: fn(&mut Capabilities)| {
        let mut capabilities = debian_6_12();
        change(&mut capabilities);
        let request = Request {
            lock: "other_lock".into(),
            ..Request::default()
        };
        plan(&capabilities, &request)
    };
    assert_eq!(
        ask(|_| {}).unwrap_err().to_string(),
        "the address of the lock other_lock is not known: /proc/kallsyms has no such object; only tasklist_lock can be followed without its symbol"
    );
    assert!(
        ask(|c| hide_addresses(c, 2))
            .unwrap_err()
            .to_string()
            .contains("set kernel.kptr_restrict to 1")
    );
    let found = ask(|c| c.locks[0].name = "other_lock".into()).unwrap();
    assert_eq!(found.lock.address, Some(ADDRESS));
}

/// Holds of other locks than those of write_lock_irq() are not followed, and of a lock whose kind nobody knows it
/// is said.
#[test]
fn the_kind_of_the_lock_decides_whether_holds_are_followed() {
    let ask = |lock: &str, attach| {
        let mut capabilities = debian_6_12();
        capabilities.locks[0].name = lock.into();
        let request = Request {
            lock: lock.into(),
            attach,
            ..Request::default()
        };
        plan(&capabilities, &request)
    };
    let tasklist = ask(DEFAULT_LOCK, AttachChoice::Auto).unwrap();
    assert_eq!(tasklist.lock.kind, Some(LockFamily::Rwlock));
    let pidmap = ask("pidmap_lock", AttachChoice::Auto).unwrap();
    assert_eq!(
        (pidmap.tier, pidmap.lock.kind),
        (Tier::WaitOnly, Some(LockFamily::Spinlock))
    );
    assert_eq!(
        pidmap.reasons[0],
        "Holds cannot be measured: pidmap_lock is a spinlock, and only holds of mutexes, rwsems, rwlocks, and of those who write percpu-rwsems, are followed."
    );
    let fentry = ask("pidmap_lock", AttachChoice::Fentry).unwrap_err();
    assert!(fentry.to_string().ends_with("Use --attach wait instead"));
    let unknown = ask("css_set_lock", AttachChoice::Auto).unwrap();
    assert_eq!((unknown.tier, unknown.lock.kind), (Tier::Exact, None));
    let doubt = "What kind of lock css_set_lock is is not known";
    let doubted = |plan: &AttachPlan| plan.reasons.iter().any(|reason| reason.starts_with(doubt));
    assert!(doubted(&unknown) && !doubted(&tasklist), "{unknown:?}");
}

#[test]
fn two_locks_of_one_name_are_refused() {
    let mut two = debian_6_12();
    two.locks[0].address = Some(0xffff_ffff_82a0_a0c0);
    two.locks[0].more = vec![0xffff_ffff_82b0_a0c0];
    assert_eq!(
        plan(&two, &Request::default()).unwrap_err().to_string(),
        "the address of the lock tasklist_lock is not known: /proc/kallsyms has 2 objects of this name, at \
         0xffffffff82a0a0c0 and 0xffffffff82b0a0c0, and nothing tells which one is meant; follow one whose name is \
         its own"
    );
}

#[test]
fn what_is_lost_without_kernel_reads_or_tracepoints_is_said() {
    let mut capabilities = debian_6_12();
    capabilities.trials.kernel_reads = refused("locked down");
    lose(&mut capabilities, "__traceiter_contention_begin");
    capabilities.btf.contention_tracepoints = false;
    capabilities.trials.raw_tracepoint = refused("no such tracepoint");
    let plan = plan(&capabilities, &Request::default()).unwrap();
    for start in [
        "Waits are not measured: ",
        "Holds cannot be told apart by site",
    ] {
        let said = |reason: &String| reason.starts_with(start);
        assert!(plan.reasons.iter().any(said), "{:?}", plan.reasons);
    }
    let waits: Vec<_> = plan
        .probes
        .iter()
        .filter(|probe| probe.role == Role::Contention)
        .collect();
    assert!(waits.len() == 2 && waits.iter().all(|probe| probe.absent.is_some()));
}

#[test]
fn the_deferral_is_told_by_btf_and_symbols() {
    assert_eq!(debian_6_12().deferral().value, Deferral::Unknown);
    let merged = development_host().deferral();
    assert_eq!(merged.value, Deferral::Merged);
    assert_eq!(
        merged.how,
        "it has free_pids and struct release_task_post, and detach_pid takes 3 parameters"
    );
    let mut posted = debian_6_12();
    posted.functions.insert(
        "detach_pid_return".into(),
        FunctionFacts {
            symbol: Some(true),
            variants: Vec::new(),
            btf: Some(true),
        },
    );
    assert_eq!(posted.deferral().value, Deferral::Posted);
}
