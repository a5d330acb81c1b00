//! The table and the JSON of made-up kernels.

use super::*;
use crate::kernel::CapabilitySet;
use crate::kernel::examples::{
    dead, debian_6_12, development_host, no_fentry, no_kprobes, refused,
};

fn table(capabilities: &Capabilities) -> String {
    render_table(capabilities, &offered(capabilities, &Request::default()))
}

#[test]
fn a_kernel_that_allows_everything() {
    insta::assert_snapshot!(table(&debian_6_12()), @r#"
    kernel        6.12.107+deb13-cloud-amd64 x86_64, #1 SMP PREEMPT_DYNAMIC Debian
                  6.12.107-1
    tier          exact: lock and unlock can be probed, by fentry and fexit
    why           - fentry and fexit programs, the cheapest exact probes, work here.
                  - Clocks are read before and after each hold, and no program runs
                    inside one that nobody waited for; that is in windows of holds,
                    and in those of spans two programs are inside each hold, and two
                    for each call in it.
    lock          tasklist_lock at 0xffffffff82a0a080: /proc/kallsyms has it
    write unlock  a function, so the end of a hold can be probed: kallsyms has
                  _raw_write_unlock_irq, which is compiled only where it is not
                  inlined
    preemption    voluntary: with --detail holds, no program runs inside a hold
    BTF           /sys/kernel/btf/vmlinux
    symbols       functions and objects (CONFIG_KALLSYMS_ALL), addresses shown
    deferral      unknown until it is observed: it has neither free_pids nor
                  detach_pid_return; it may have them inlined
                  After a run, `lockprof report` says whether free_pid was seen
                  inside a hold.
    spin waits    visible, as a lower bound (the first waiter emits no event): the
                  CPU has no hypervisor bit
    lock owners   where they sleep is found by a program, of short waits too: tried
                  with a small one
    lockdown      none
    privileges    euid 0, every capability of use here
    settings      kptr_restrict=0, perf_event_paranoid=2,
                  unprivileged_bpf_disabled=2, bpf_stats_enabled=0
    machine       4 of 4 CPUs online, QEMU Virtual CPU version 2.5+, clock source
                  tsc; the CPU is emulated: its times are not a hardware's
    other BPF     no other BPF program for tracing is loaded, so none shares a hook
                  of tasklist_lock's

    probe point                  fentry  kprobe  raw_tp  how it is known
    _raw_write_lock_irq          yes     yes     -       tried with a program
    _raw_write_unlock_irq        yes     yes     -       tried with a program
    _raw_read_lock               yes     yes     -       in kallsyms and in BTF
    _raw_read_unlock             yes     yes     -       in kallsyms and in BTF
    free_pid                     yes     yes     -       in kallsyms and in BTF
    add_device_randomness        yes     yes     -       in kallsyms and in BTF
    __change_pid                 yes     yes     -       in kallsyms and in BTF
    flush_sigqueue               yes     yes     -       in kallsyms and in BTF
    posix_cpu_timers_exit        yes     yes     -       in kallsyms and in BTF
    posix_cpu_timers_exit_group  yes     yes     -       in kallsyms and in BTF
    proc_flush_pid               yes     yes     -       in kallsyms and in BTF
    release_task                 yes     yes     -       in kallsyms and in BTF
    __cleanup_sighand            yes     yes     -       in kallsyms and in BTF
    do_notify_parent             yes     yes     -       in kallsyms and in BTF
    attach_pid                   yes     yes     -       in kallsyms and in BTF
    __wake_up                    yes     yes     -       in kallsyms and in BTF;
                                                         probed with --span alone
    contention_begin             -       -       yes     tried with an empty program
    contention_end               -       -       yes     as contention_begin

    capability          held  without it
    CAP_BPF             yes   nothing can be attached, unless there is CAP_SYS_ADMIN
    CAP_PERFMON         yes   nothing can be attached, unless there is CAP_SYS_ADMIN
    CAP_SYSLOG          yes   functions have no names and sites are unknown, unless
                              kernel.kptr_restrict is 0 and
                              kernel.perf_event_paranoid at most 1; the lock's
                              address is learned by fentry or kprobe, and otherwise
                              not known
    CAP_SYS_ADMIN       yes   other BPF programs are not seen, nor how long those of
                              lockprof run, nor waits that began without an event,
                              nor where the owner of a lock sleeps; nor, unless the
                              kernel's log tells, how the kernel preempts, and then
                              a clock is read inside each hold
    CAP_SYS_NICE        yes   lockprof has no priority over its load: on a busy
                              machine it reads late
    CAP_KILL            yes   a load that has become another user's is not ended
    CAP_SYS_PTRACE      yes   orphans of a load of root's are not ended, and root's
                              hanging tasks not found
    CAP_CHOWN           yes   root cannot give what it writes to who called sudo
    CAP_DAC_OVERRIDE    yes   root cannot write into folders of other users
    CAP_DAC_READ_SEARCH yes   cgroups are looked for among all folders, and found
                              late or not at all
    "#);
}

#[test]
fn the_development_host() {
    insta::assert_snapshot!(table(&development_host()), @r#"
    kernel        6.18.44 x86_64, #1 SMP PREEMPT_DYNAMIC
    tier          wait-only: waits, and no holds, by the contention tracepoints
    why           - fentry and fexit are not possible: loading a small fentry
                    program for _raw_write_unlock_irq: Operation not permitted (os
                    error 1).
                  - kprobes are not possible: the kernel offers no kprobe events
                    (CONFIG_KPROBE_EVENTS).
                  - The contention tracepoints work here: waits are measured, holds
                    are not.
    lock          tasklist_lock, whose address is not known yet: /proc/kallsyms has
                  functions only (no CONFIG_KALLSYMS_ALL); it is learned from
                  release_task, which waits for it to write
    write unlock  a function, so the end of a hold can be probed: kallsyms has
                  _raw_write_unlock_irq, which is compiled only where it is not
                  inlined
    preemption    voluntary
    BTF           /sys/kernel/btf/vmlinux
    symbols       functions only (no CONFIG_KALLSYMS_ALL, no System.map), addresses
                  shown
    deferral      merged (as in Linux 6.15): it has free_pids and struct
                  release_task_post, and detach_pid takes 3 parameters
                  After a run, `lockprof report` says whether free_pid was seen
                  inside a hold.
    spin waits    visible, as a lower bound (the first waiter emits no event): the
                  CPU has no hypervisor bit
    lock owners   where they sleep is found by a program, of short waits too: tried
                  with a small one
    lockdown      none
    privileges    euid 0, every capability of use here
    settings      kptr_restrict=0, perf_event_paranoid=2,
                  unprivileged_bpf_disabled=2, bpf_stats_enabled=0
    machine       4 of 4 CPUs online, AMD EPYC, clock source tsc
    other BPF     no other BPF program for tracing is loaded, so none shares a hook
                  of tasklist_lock's

    probe point                  fentry  kprobe  raw_tp  how it is known
    _raw_write_lock_irq          no      no      -       tried with a program
    _raw_write_unlock_irq        no      no      -       tried with a program
    _raw_read_lock               no      no      -       in kallsyms and in BTF
    _raw_read_unlock             no      no      -       in kallsyms and in BTF
    free_pid                     no      no      -       in kallsyms and in BTF
    add_device_randomness        no      no      -       in kallsyms and in BTF
    __change_pid                 no      no      -       in kallsyms and in BTF
    flush_sigqueue               no      no      -       in kallsyms and in BTF
    posix_cpu_timers_exit        no      no      -       in kallsyms and in BTF
    posix_cpu_timers_exit_group  no      no      -       in kallsyms and in BTF
    proc_flush_pid               no      no      -       in kallsyms and in BTF
    release_task                 no      no      -       in kallsyms and in BTF
    __cleanup_sighand            no      no      -       in kallsyms and in BTF
    do_notify_parent             no      no      -       in kallsyms and in BTF
    attach_pid                   no      no      -       in kallsyms and in BTF
    __wake_up                    no      no      -       in kallsyms and in BTF;
                                                         probed with --span alone
    contention_begin             -       -       yes     tried with an empty program
    contention_end               -       -       yes     as contention_begin

    capability          held  without it
    CAP_BPF             yes   nothing can be attached, unless there is CAP_SYS_ADMIN
    CAP_PERFMON         yes   nothing can be attached, unless there is CAP_SYS_ADMIN
    CAP_SYSLOG          yes   functions have no names and sites are unknown, unless
                              kernel.kptr_restrict is 0 and
                              kernel.perf_event_paranoid at most 1; the lock's
                              address is learned by fentry or kprobe, and otherwise
                              not known
    CAP_SYS_ADMIN       yes   other BPF programs are not seen, nor how long those of
                              lockprof run, nor waits that began without an event,
                              nor where the owner of a lock sleeps; nor, unless the
                              kernel's log tells, how the kernel preempts, and then
                              a clock is read inside each hold
    CAP_SYS_NICE        yes   lockprof has no priority over its load: on a busy
                              machine it reads late
    CAP_KILL            yes   a load that has become another user's is not ended
    CAP_SYS_PTRACE      yes   orphans of a load of root's are not ended, and root's
                              hanging tasks not found
    CAP_CHOWN           yes   root cannot give what it writes to who called sudo
    CAP_DAC_OVERRIDE    yes   root cannot write into folders of other users
    CAP_DAC_READ_SEARCH yes   cgroups are looked for among all folders, and found
                              late or not at all
    "#);
}

fn without_root() -> Capabilities {
    let mut capabilities = debian_6_12();
    capabilities.user.euid = 1000;
    capabilities.user.capabilities = Some(CapabilitySet::empty());
    let untried = Trial::Untried {
        reason: "only root may try".into(),
    };
    let trials = &mut capabilities.trials;
    for trial in [
        &mut trials.fentry,
        &mut trials.fexit,
        &mut trials.kprobe,
        &mut trials.kretprobe,
        &mut trials.raw_tracepoint,
        &mut trials.kernel_reads,
        &mut trials.owner_stacks,
    ] {
        *trial = untried.clone();
    }
    capabilities.symbols.hidden = true;
    capabilities.locks[0].address = None;
    capabilities.settings.kptr_restrict = Some(1);
    capabilities.others.error = Some("Operation not permitted (os error 1)".into());
    capabilities
}

#[test]
fn without_root_it_says_what_can_be_known() {
    insta::assert_snapshot!(table(&without_root()), @r#"
    kernel        6.12.107+deb13-cloud-amd64 x86_64, #1 SMP PREEMPT_DYNAMIC Debian
                  6.12.107-1
    tier          unknown; at best exact, by fentry and fexit
    why           - Nothing was tried, for that takes CAP_BPF and CAP_PERFMON, which
                    root has: symbols, BTF and version forbid nothing that this
                    takes, and whether it works is not known.
    lock          tasklist_lock, whose address is not known yet: /proc/kallsyms has
                  it, and shows its address to root
    write unlock  a function, so the end of a hold can be probed: kallsyms has
                  _raw_write_unlock_irq, which is compiled only where it is not
                  inlined
    preemption    voluntary: with --detail holds, no program runs inside a hold
    BTF           /sys/kernel/btf/vmlinux
    symbols       functions and objects (CONFIG_KALLSYMS_ALL), addresses hidden
    deferral      unknown until it is observed: it has neither free_pids nor
                  detach_pid_return; it may have them inlined
                  After a run, `lockprof report` says whether free_pid was seen
                  inside a hold.
    spin waits    visible, as a lower bound (the first waiter emits no event): the
                  CPU has no hypervisor bit
    lock owners   whether a program may find where they sleep is not known: only
                  root may try
    lockdown      none
    privileges    euid 1000, no capability of use here
    settings      kptr_restrict=1, perf_event_paranoid=2,
                  unprivileged_bpf_disabled=2, bpf_stats_enabled=0
    machine       4 of 4 CPUs online, QEMU Virtual CPU version 2.5+, clock source
                  tsc; the CPU is emulated: its times are not a hardware's
    other BPF     unknown: Operation not permitted (os error 1)

    probe point                  fentry  kprobe  raw_tp  how it is known
    _raw_write_lock_irq          ?       ?       -       in kallsyms and in BTF
    _raw_write_unlock_irq        ?       ?       -       in kallsyms and in BTF
    _raw_read_lock               ?       ?       -       in kallsyms and in BTF
    _raw_read_unlock             ?       ?       -       in kallsyms and in BTF
    free_pid                     ?       ?       -       in kallsyms and in BTF
    add_device_randomness        ?       ?       -       in kallsyms and in BTF
    __change_pid                 ?       ?       -       in kallsyms and in BTF
    flush_sigqueue               ?       ?       -       in kallsyms and in BTF
    posix_cpu_timers_exit        ?       ?       -       in kallsyms and in BTF
    posix_cpu_timers_exit_group  ?       ?       -       in kallsyms and in BTF
    proc_flush_pid               ?       ?       -       in kallsyms and in BTF
    release_task                 ?       ?       -       in kallsyms and in BTF
    __cleanup_sighand            ?       ?       -       in kallsyms and in BTF
    do_notify_parent             ?       ?       -       in kallsyms and in BTF
    attach_pid                   ?       ?       -       in kallsyms and in BTF
    __wake_up                    ?       ?       -       in kallsyms and in BTF;
                                                         probed with --span alone
    contention_begin             -       -       ?       kallsyms has it
    contention_end               -       -       ?       kallsyms has it

    capability          held  without it
    CAP_BPF             no    nothing can be attached, unless there is CAP_SYS_ADMIN
    CAP_PERFMON         no    nothing can be attached, unless there is CAP_SYS_ADMIN
    CAP_SYSLOG          no    functions have no names and sites are unknown, unless
                              kernel.kptr_restrict is 0 and
                              kernel.perf_event_paranoid at most 1; the lock's
                              address is learned by fentry or kprobe, and otherwise
                              not known
    CAP_SYS_ADMIN       no    other BPF programs are not seen, nor how long those of
                              lockprof run, nor waits that began without an event,
                              nor where the owner of a lock sleeps; nor, unless the
                              kernel's log tells, how the kernel preempts, and then
                              a clock is read inside each hold
    CAP_SYS_NICE        no    lockprof has no priority over its load: on a busy
                              machine it reads late
    CAP_KILL            no    a load that has become another user's is not ended
    CAP_SYS_PTRACE      no    orphans of a load of root's are not ended, and root's
                              hanging tasks not found
    CAP_CHOWN           no    root cannot give what it writes to who called sudo
    CAP_DAC_OVERRIDE    no    root cannot write into folders of other users
    CAP_DAC_READ_SEARCH no    cgroups are looked for among all folders, and found
                              late or not at all
    "#);
}

#[test]
fn before_5_19_there_are_holds_and_no_waits() {
    let mut old = debian_6_12();
    old.btf.contention_tracepoints = false;
    old.functions.remove("__traceiter_contention_begin");
    old.trials.raw_tracepoint = refused("no such tracepoint");
    let text = table(&old);
    assert!(
        text.contains("exact: holds, and no waits, by fentry and fexit"),
        "{text}"
    );
    assert!(text.contains("Waits are not measured: "), "{text}");
}

#[test]
fn what_blinds_probes_is_said() {
    let mut blind = debian_6_12();
    blind.obstructions.ftrace_enabled = Some(false);
    let cause = blind.obstructions.cause(Method::Fentry).unwrap();
    for trial in [
        &mut blind.trials.fentry,
        &mut blind.trials.fexit,
        &mut blind.trials.kprobe,
        &mut blind.trials.kretprobe,
    ] {
        *trial = dead(&cause);
    }
    let text = table(&blind);
    assert!(text.contains("tier          wait-only"), "{text}");
    assert!(
        text.contains("in the way    kernel.ftrace_enabled is 0"),
        "{text}"
    );
    let json = render_json(&blind, &offered(&blind, &Request::default())).unwrap();
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["probe_points"][0]["fentry"], false);
    assert_eq!(report["capabilities"]["trials"]["fentry"]["result"], "dead");
    assert_eq!(
        report["capabilities"]["obstructions"]["ftrace_enabled"],
        false
    );
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    for capabilities in [debian_6_12(), development_host(), without_root()] {
        for line in table(&capabilities).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

/// A script that asks for the tier gets none that nobody tried.
#[test]
fn json_has_no_tier_where_nothing_was_tried() {
    let read = |capabilities: &Capabilities| -> serde_json::Value {
        let plan = offered(capabilities, &Request::default());
        serde_json::from_str(&render_json(capabilities, &plan).unwrap()).unwrap()
    };
    let report = read(&without_root());
    assert_eq!(report["assumes_privileges"], true);
    assert_eq!(report["tier"], serde_json::Value::Null);
    assert_eq!(report["method"], serde_json::Value::Null);
    assert_eq!(
        report["at_best"],
        serde_json::json!({ "tier": "exact", "method": "fentry" })
    );
    let tried = read(&debian_6_12());
    assert_eq!(tried["tier"], "exact");
    assert_eq!(tried["at_best"], serde_json::Value::Null);
}

#[test]
fn json_has_the_tier_and_every_probe_point() {
    let capabilities = development_host();
    let plan = offered(&capabilities, &Request::default());
    let json = render_json(&capabilities, &plan).unwrap();
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["tier"], "wait-only");
    assert_eq!(report["method"], "wait");
    assert_eq!(report["assumes_privileges"], false);
    let first = &report["privileges"][0];
    assert_eq!(first["capability"], "CAP_BPF");
    assert_eq!(first["held"], true);
    assert_eq!(first["kept"], "for_old_kernels");
    assert_eq!(report["capabilities"]["user"]["capabilities"]["bpf"], true);
    assert_eq!(report["lock"]["source"], "stacks");
    assert_eq!(report["unlock"]["value"], "out_of_line");
    assert_eq!(report["deferral"]["value"], "merged");
    assert_eq!(report["kernel"]["release"], "6.18.44");
    let points = report["probe_points"].as_array().unwrap();
    assert_eq!(points.len(), 18);
    assert_eq!(points[0]["target"], "_raw_write_lock_irq");
    assert_eq!(points[0]["fentry"], false);
    assert_eq!(points[16]["raw_tracepoint"], true);
}

#[test]
fn what_allows_nothing_is_unsupported_and_no_error() {
    let mut capabilities = debian_6_12();
    no_fentry(&mut capabilities, "no fentry");
    no_kprobes(&mut capabilities, "no kprobes");
    capabilities.trials.raw_tracepoint = refused("no BPF");
    let plan = offered(&capabilities, &Request::default());
    assert_eq!(plan.tier, Tier::Unsupported);
    assert_eq!(plan.reasons.len(), 3);
    assert!(render_table(&capabilities, &plan).contains("unsupported: nothing can be measured"));
}
