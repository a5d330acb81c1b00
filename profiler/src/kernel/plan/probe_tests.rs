//! Which probes are planned, by name and in order.

use super::super::capabilities::FunctionFacts;
use super::super::examples::{debian_6_12, hide_addresses, lose, refused};
use super::super::preemption::PreemptionMode;
use super::super::sites::READ_UNLOCK_FUNCTION;
use super::*;

fn names(capabilities: &Capabilities, request: &Request) -> Vec<String> {
    plan(capabilities, request)
        .unwrap()
        .probes
        .into_iter()
        .map(|probe| format!("{} {} {}", probe.program, probe.kind.name(), probe.target))
        .collect()
}

#[test]
fn the_order_is_spans_contention_release_acquire() {
    let request = Request {
        readers: true,
        windows: false,
        ..Request::default()
    };
    assert_eq!(
        names(&debian_6_12(), &request),
        [
            "span_left_free_pid fexit free_pid",
            "span_entered_free_pid fentry free_pid",
            "span_left_add_device_randomness fexit add_device_randomness",
            "span_entered_add_device_randomness fentry add_device_randomness",
            "span_left_change_pid fexit __change_pid",
            "span_entered_change_pid fentry __change_pid",
            "span_left_flush_sigqueue fexit flush_sigqueue",
            "span_entered_flush_sigqueue fentry flush_sigqueue",
            "span_left_posix_cpu_timers_exit fexit posix_cpu_timers_exit",
            "span_entered_posix_cpu_timers_exit fentry posix_cpu_timers_exit",
            "span_left_posix_cpu_timers_exit_group fexit posix_cpu_timers_exit_group",
            "span_entered_posix_cpu_timers_exit_group fentry posix_cpu_timers_exit_group",
            "span_entered_proc_flush_pid fentry proc_flush_pid",
            "span_entered_release_task fentry release_task",
            "span_left_cleanup_sighand fexit __cleanup_sighand",
            "span_entered_cleanup_sighand fentry __cleanup_sighand",
            "span_left_do_notify_parent fexit do_notify_parent",
            "span_entered_do_notify_parent fentry do_notify_parent",
            "span_left_attach_pid fexit attach_pid",
            "span_entered_attach_pid fentry attach_pid",
            "contention_ended raw_tp contention_end",
            "contention_began raw_tp contention_begin",
            "lock_released fexit _raw_write_unlock_irq",
            "lock_releasing fentry _raw_write_unlock_irq",
            "lock_acquired fexit _raw_write_lock_irq",
            "read_released fentry _raw_read_unlock",
            "read_acquired fexit _raw_read_lock",
        ]
    );
}

#[test]
fn a_call_that_the_whole_machine_makes_is_measured_on_request() {
    let probes = |spans: Vec<Span>| {
        let request = Request {
            spans,
            ..Request::default()
        };
        names(&debian_6_12(), &request)
    };
    let (unasked, asked) = (probes(Vec::new()), probes(vec![Span::WakeUp]));
    assert!(!unasked.iter().any(|probe| probe.contains("wake_up")));
    let added = asked.iter().filter(|probe| !unasked.contains(probe));
    assert_eq!(
        added.collect::<Vec<_>>(),
        [
            "span_left_wake_up fexit __wake_up",
            "span_entered_wake_up fentry __wake_up"
        ]
    );
}

/// Of each program that is attached in windows of this kind, whatever comes before the last `_` of spans.
fn in_windows(plan: &AttachPlan, kind: WindowKind) -> Vec<&str> {
    let mut names: Vec<&str> = plan
        .attachable()
        .filter(|probe| probe.windows.contains(&kind))
        .map(|probe| probe.program.as_str())
        .filter(|name| !name.contains("span_"))
        .collect();
    names.dedup();
    names
}

#[test]
fn each_kind_of_window_has_an_arrangement_of_its_own() {
    for (mode, inside_of_holds) in [
        (PreemptionMode::None, None),
        (PreemptionMode::Lazy, Some("lock_releasing")),
    ] {
        let mut capabilities = debian_6_12();
        capabilities.machine.preemption_mode = Some(mode);
        let plan = plan(&capabilities, &Request::default()).unwrap();
        let kinds = [WindowKind::Holds, WindowKind::Spans, WindowKind::Waits];
        assert_eq!(plan.kinds, kinds);
        assert_eq!(
            in_windows(&plan, WindowKind::Waits),
            ["contention_ended", "contention_began"]
        );
        assert_ne!(plan.arrangement, Some(Arrangement::Inside));
        let mut holds = vec!["contention_ended", "contention_began", "interrupt_entered"];
        holds.push("lock_released");
        holds.extend(inside_of_holds);
        holds.push("lock_requested");
        assert_eq!(in_windows(&plan, WindowKind::Holds), holds);
        let spans = in_windows(&plan, WindowKind::Spans);
        let inside = ["lock_released", "lock_releasing", "lock_acquired"];
        assert_eq!(spans[2..], inside);
        assert!(plan.has(Role::Span, WindowKind::Spans));
        assert!(!plan.has(Role::Span, WindowKind::Holds));
        assert!(in_windows(&plan, WindowKind::Bare).is_empty());
    }
}

#[test]
fn kprobes_have_a_program_at_the_entry_and_names_of_their_own() {
    let request = Request {
        attach: AttachChoice::Kprobe,
        detail: Detail::Holds,
        readers: true,
        ..Request::default()
    };
    assert_eq!(
        names(&debian_6_12(), &request),
        [
            "contention_ended raw_tp contention_end",
            "contention_began raw_tp contention_begin",
            "interrupt_entered raw_tp local_timer_entry",
            "interrupt_entered raw_tp reschedule_entry",
            "kprobe_lock_releasing kprobe _raw_write_unlock_irq",
            "kprobe_lock_requested kprobe _raw_write_lock_irq",
            "kprobe_read_released kprobe _raw_read_unlock",
            "kprobe_read_entered kprobe _raw_read_lock",
            "kretprobe_read_acquired kretprobe _raw_read_lock",
        ]
    );
    let spans = names(
        &debian_6_12(),
        &Request {
            detail: Detail::Spans,
            ..request
        },
    );
    assert_eq!(spans[0], "kretprobe_span_left_free_pid kretprobe free_pid");
    assert_eq!(spans[1], "kprobe_span_entered_free_pid kprobe free_pid");
}

#[test]
fn a_hold_without_its_calls_has_nothing_inside() {
    let request = Request {
        detail: Detail::Holds,
        ..Request::default()
    };
    assert_eq!(
        names(&debian_6_12(), &request),
        [
            "contention_ended raw_tp contention_end",
            "contention_began raw_tp contention_begin",
            "interrupt_entered raw_tp local_timer_entry",
            "interrupt_entered raw_tp reschedule_entry",
            "lock_released fexit _raw_write_unlock_irq",
            "lock_requested fentry _raw_write_lock_irq",
        ]
    );
}

#[test]
fn where_the_release_may_switch_tasks_its_clock_is_read_before() {
    let request = Request {
        detail: Detail::Holds,
        ..Request::default()
    };
    let chosen = |change: fn(&mut Capabilities)| {
        let mut capabilities = debian_6_12();
        change(&mut capabilities);
        let plan = plan(&capabilities, &request).unwrap();
        let reason = plan
            .reasons
            .iter()
            .find(|reason| reason.contains("inside each hold"));
        (plan.arrangement.unwrap(), reason.is_some())
    };
    assert_eq!(chosen(|_| {}), (Arrangement::Exit, false));
    assert_eq!(
        chosen(|kernel| kernel.machine.preemption_mode = Some(PreemptionMode::Lazy)),
        (Arrangement::Robust, true)
    );
    assert_eq!(
        chosen(|kernel| kernel.machine.preemption_mode = Some(PreemptionMode::Full)),
        (Arrangement::Robust, true)
    );
    assert_eq!(
        chosen(|kernel| kernel.machine.preemption_mode = None),
        (Arrangement::Robust, true)
    );
    assert_eq!(
        chosen(|kernel| kernel.btf.interrupts.clear()),
        (Arrangement::Robust, true)
    );
}

#[test]
fn callees_that_a_kernel_lacks_are_listed_and_not_attached() {
    let mut capabilities = debian_6_12();
    lose(&mut capabilities, "flush_sigqueue");
    lose(&mut capabilities, "free_pid");
    capabilities.functions.insert(
        "__change_pid".into(),
        FunctionFacts {
            symbol: Some(false),
            variants: vec!["__change_pid.isra.0".into()],
            btf: Some(false),
        },
    );
    capabilities.functions.insert(
        "proc_flush_pid".into(),
        FunctionFacts {
            symbol: Some(true),
            variants: Vec::new(),
            btf: Some(false),
        },
    );
    let by_fentry = plan(&capabilities, &Request::default()).unwrap();
    assert_eq!(by_fentry.tier, Tier::Exact);
    let absent = |plan: &AttachPlan, target: &str| -> Vec<String> {
        plan.probes
            .iter()
            .filter(|probe| probe.target == target)
            .filter_map(|probe| probe.absent.clone())
            .collect()
    };
    assert_eq!(
        absent(&by_fentry, "flush_sigqueue"),
        ["not in this kernel's symbols: inlined or absent"; 2]
    );
    assert!(absent(&by_fentry, "__change_pid")[0].contains("__change_pid.isra.0"));
    assert!(absent(&by_fentry, "proc_flush_pid")[0].contains("not in its BTF"));
    assert_eq!(by_fentry.probes.len() - by_fentry.attachable().count(), 7);
    let request = Request {
        attach: AttachChoice::Kprobe,
        ..Request::default()
    };
    let by_kprobe = plan(&capabilities, &request).unwrap();
    assert!(absent(&by_kprobe, "proc_flush_pid").is_empty());
    assert_eq!(
        by_kprobe.to_recording().probes.len(),
        by_kprobe.probes.len()
    );
}

#[test]
fn half_a_read_hold_is_not_attached() {
    let mut capabilities = debian_6_12();
    lose(&mut capabilities, READ_UNLOCK_FUNCTION);
    let request = Request {
        readers: true,
        detail: Detail::Holds,
        ..Request::default()
    };
    let plan = plan(&capabilities, &request).unwrap();
    let roles = plan.attachable().map(|probe| probe.role);
    assert!(!roles.into_iter().any(|role| {
        matches!(
            role,
            Role::ReadRelease | Role::ReadEntry | Role::ReadAcquire
        )
    }));
    assert!(plan.reasons.iter().any(|reason| {
        reason == "Read holds are not measured: _raw_read_unlock is inlined or absent."
    }));
}

#[test]
fn sites_are_said_to_be_unknown_where_addresses_are_hidden() {
    let mut capabilities = debian_6_12();
    let says_so = |capabilities: &Capabilities| {
        let plan = plan(capabilities, &Request::default()).unwrap();
        plan.reasons
            .iter()
            .any(|reason| reason.starts_with("Sites are unknown"))
    };
    assert!(!says_so(&capabilities));
    hide_addresses(&mut capabilities, 2);
    assert!(says_so(&capabilities));
}

#[test]
fn stacks_of_owners_are_taken_where_they_are_asked_for_and_allowed() {
    let request = Request {
        attach: AttachChoice::Wait,
        owner_stacks: true,
        ..Request::default()
    };
    let mut capabilities = debian_6_12();
    let by_btf = [
        "contention_ended raw_tp contention_end",
        "contention_began_by_btf tp_btf contention_begin",
    ];
    let without = [
        "contention_ended raw_tp contention_end",
        "contention_began raw_tp contention_begin",
    ];
    assert_eq!(names(&capabilities, &request), by_btf);
    let mut planned = plan(&capabilities, &request).unwrap();
    assert!(planned.takes_owner_stacks());
    planned.leave_out_owner_stacks();
    assert!(!planned.takes_owner_stacks());
    capabilities.trials.owner_stacks = refused("Operation not permitted");
    assert_eq!(names(&capabilities, &request), without);
    let refused = plan(&capabilities, &request).unwrap();
    assert_eq!(planned.probes, refused.probes);
    let unasked = Request {
        owner_stacks: false,
        ..request
    };
    assert_eq!(names(&debian_6_12(), &unasked), without);
}
