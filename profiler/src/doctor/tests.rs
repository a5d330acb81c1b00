//! The table and the JSON of made-up kernels.

use super::*;
use crate::kernel::CapabilitySet;
use crate::kernel::examples::{debian_6_12, development_host, no_fentry, no_kprobes, refused};

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
    lockdown      none
    privileges    euid 0, CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON, CAP_SYSLOG
    settings      kptr_restrict=0, perf_event_paranoid=2,
                  unprivileged_bpf_disabled=2, bpf_stats_enabled=0
    machine       4 of 4 CPUs online, QEMU Virtual CPU version 2.5+, clock source
                  tsc; the CPU is emulated: its times are not a hardware's
    other BPF     no tracing program is loaded, none shares a hook of
                  tasklist_lock's

    probe point                  fentry  kprobe  raw_tp  how it is known
    _raw_write_lock_irq          yes     yes     -       tried with an empty program
    _raw_write_unlock_irq        yes     yes     -       tried with an empty program
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
    contention_begin             -       -       yes     tried with an empty program
    contention_end               -       -       yes     as contention_begin
    "#);
}

#[test]
fn the_development_host() {
    insta::assert_snapshot!(table(&development_host()), @r#"
    kernel        6.18.44 x86_64, #1 SMP PREEMPT_DYNAMIC
    tier          wait-only: waits, and no holds, by the contention tracepoints
    why           - fentry and fexit are not possible: loading an empty fentry
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
    symbols       functions only (no CONFIG_KALLSYMS_ALL), addresses shown
    deferral      merged (as in Linux 6.15): it has free_pids and struct
                  release_task_post, and detach_pid takes 3 parameters
                  After a run, `lockprof report` says whether free_pid was seen
                  inside a hold.
    spin waits    visible, as a lower bound (the first waiter emits no event): the
                  CPU has no hypervisor bit
    lockdown      none
    privileges    euid 0, CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON, CAP_SYSLOG
    settings      kptr_restrict=0, perf_event_paranoid=2,
                  unprivileged_bpf_disabled=2, bpf_stats_enabled=0
    machine       4 of 4 CPUs online, AMD EPYC, clock source tsc
    other BPF     no tracing program is loaded, none shares a hook of
                  tasklist_lock's

    probe point                  fentry  kprobe  raw_tp  how it is known
    _raw_write_lock_irq          no      no      -       tried with an empty program
    _raw_write_unlock_irq        no      no      -       tried with an empty program
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
    contention_begin             -       -       yes     tried with an empty program
    contention_end               -       -       yes     as contention_begin
    "#);
}

fn without_root() -> Capabilities {
    let mut capabilities = debian_6_12();
    capabilities.user.euid = 1000;
    capabilities.user.capabilities = Some(CapabilitySet::default());
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
    tier          as root, as far as can be told: exact: lock and unlock can be
                  probed, by fentry and fexit
    why           - Nothing was tried, since only root may: this is what symbols,
                    BTF and version let expect.
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
    contention_begin             -       -       ?       kallsyms has it
    contention_end               -       -       ?       kallsyms has it

    root adds     trying each probe ("?" above), the other BPF programs, and kernel
                  addresses.
    "#);
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    for capabilities in [debian_6_12(), development_host(), without_root()] {
        for line in table(&capabilities).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
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
    assert_eq!(report["lock"]["source"], "stacks");
    assert_eq!(report["unlock"]["value"], "out_of_line");
    assert_eq!(report["deferral"]["value"], "merged");
    assert_eq!(report["kernel"]["release"], "6.18.44");
    let points = report["probe_points"].as_array().unwrap();
    assert_eq!(points.len(), 14);
    assert_eq!(points[0]["target"], "_raw_write_lock_irq");
    assert_eq!(points[0]["fentry"], false);
    assert_eq!(points[12]["raw_tracepoint"], true);
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
