//! How a lock is followed by task: pure.

use lockprof_abi::UNKNOWN_OFFSET;

use super::super::by_task::{ByTask, Hook};
use super::super::capabilities::Capabilities;
use super::super::findings::Preemption;
use super::Request;

/// Why no probe of any kind can see the holds of such a lock: each function that takes or releases one has to be known,
/// for an acquisition or a release that nobody sees makes the numbers wrong.
pub(super) fn obstacle(
    by_task: &ByTask,
    capabilities: &Capabilities,
    request: &Request,
) -> Option<String> {
    if capabilities.preemption() == Preemption::Realtime {
        return Some(format!(
            "PREEMPT_RT: {}, and lockprof does not follow those",
            by_task.on_realtime
        ));
    }
    let layout = capabilities.btf.layout;
    let tells_interrupts = layout
        .is_none_or(|layout| ![layout.task_stack, layout.stack_bytes].contains(&UNKNOWN_OFFSET));
    if !by_task.sleeps && !tells_interrupts {
        return Some(format!(
            "this kernel's BTF does not tell where a task's stack is and how long, and interrupts, which take {} too, \
             cannot be told from tasks without",
            by_task.plural
        ));
    }
    let mut hooks = by_task
        .hooks(request.readers)
        .filter(|hook| by_task.needed.contains(&hook.function));
    let missing = hooks.find(|hook| capabilities.has_function(hook.function) == Some(false));
    if let Some(hook) = missing {
        return Some(format!(
            "this kernel has no {}, so the end of a hold cannot be probed",
            hook.function
        ));
    }
    let taken_by = by_task
        .hooks(request.readers)
        .filter(|hook| hook.takes_the_lock());
    let mut known = taken_by.map(|hook| capabilities.has_function(hook.function));
    if known.all(|known| known == Some(false)) {
        return Some(format!(
            "this kernel has no function that takes {} by itself",
            by_task.one
        ));
    }
    let changed = by_task.hooks(request.readers).find_map(|hook| {
        let facts = capabilities.function(hook.function);
        let variant = facts.variants.into_iter().find(|name| is_of_its_own(name));
        variant.map(|variant| (hook.function, variant))
    });
    changed.map(|(function, variant)| {
        format!("the compiler made {variant} of {function}, and a probe needs the plain function")
    })
}

/// Why fentry and fexit programs cannot stand at each of the functions: BTF has to have those that kallsyms has.
pub(super) fn fentry_obstacle(
    by_task: &ByTask,
    capabilities: &Capabilities,
    request: &Request,
) -> Option<String> {
    let missing = by_task.hooks(request.readers).find(|hook| {
        let facts = capabilities.function(hook.function);
        facts.symbol == Some(true) && facts.btf == Some(false)
    });
    missing.map(|hook| {
        format!(
            "{} is in this kernel's symbols but not in its BTF, which fentry and fexit need",
            hook.function
        )
    })
}

/// Whether a name that the compiler has made stands for a function that is called: the parts that it has moved out of the
/// way are not.
fn is_of_its_own(variant: &str) -> bool {
    !variant.ends_with(".cold")
}

/// The programs at the functions that this kernel has, in the order of attaching.
pub(super) fn hooks(
    by_task: &ByTask,
    capabilities: &Capabilities,
    request: &Request,
) -> impl Iterator<Item = &'static Hook> {
    let wanted = by_task.hooks(request.readers);
    wanted.filter(|hook| capabilities.has_function(hook.function) == Some(true))
}

#[cfg(test)]
mod tests {
    use lockprof_abi::KernelLayout;

    use super::super::super::capabilities::{FunctionFacts, LockSymbol};
    use super::super::super::examples::{ADDRESS, debian_6_12, lose, no_fentry};
    use super::super::{AttachChoice, AttachPlan, PlanError, Request, Role, plan};
    use super::*;
    use crate::recording::schema::{
        AddressSource, Arrangement, Detail, LockFamily, Method, Tier, WindowKind,
    };

    fn follow(
        lock: &str,
        request: Request,
        change: fn(&mut Capabilities),
    ) -> Result<AttachPlan, PlanError> {
        let mut capabilities = debian_6_12();
        capabilities.locks = vec![LockSymbol {
            name: lock.into(),
            present: true,
            address: Some(ADDRESS),
            ..LockSymbol::default()
        }];
        change(&mut capabilities);
        let request = Request {
            lock: lock.into(),
            ..request
        };
        plan(&capabilities, &request)
    }

    fn cgroup_mutex(change: fn(&mut Capabilities)) -> AttachPlan {
        follow("cgroup_mutex", Request::default(), change).unwrap()
    }

    #[test]
    fn every_function_that_takes_a_mutex_has_a_program_before_it_is_used() {
        let plan = cgroup_mutex(|_| {});
        assert_eq!((plan.tier, plan.method), (Tier::Exact, Method::Fentry));
        assert_eq!(plan.arrangement, Some(Arrangement::Inside));
        // No calls inside are known.
        assert_eq!(plan.kinds, [WindowKind::Holds, WindowKind::Waits]);
        let of_holds = plan
            .probes
            .iter()
            .filter(|probe| probe.role != Role::Contention);
        let of_holds: Vec<(Role, &str)> = of_holds
            .map(|probe| {
                assert_eq!(probe.windows, [WindowKind::Holds]);
                assert_eq!(probe.absent, None);
                (probe.role, probe.target.as_str())
            })
            .collect();
        assert_eq!(
            of_holds,
            [
                (Role::Book, "mutex_unlock"),
                (Role::Release, "mutex_unlock"),
                (Role::Acquire, "mutex_lock_io"),
                (Role::Acquire, "mutex_trylock"),
                (Role::Acquire, "mutex_lock_killable"),
                (Role::Acquire, "mutex_lock_interruptible"),
                (Role::Acquire, "mutex_lock"),
            ]
        );
    }

    #[test]
    fn of_an_rwsem_readers_are_followed_where_they_are_asked_for() {
        let rwsem = |readers| Request {
            kind: Some(LockFamily::Rwsem),
            readers,
            ..Request::default()
        };
        let targets = |plan: &AttachPlan| -> Vec<(Role, String)> {
            let probes = plan.probes.iter();
            let of_holds = probes.filter(|probe| probe.role != Role::Contention);
            of_holds
                .map(|probe| (probe.role, probe.target.clone()))
                .collect()
        };
        let writers = targets(&follow("uts_sem", rwsem(false), |_| {}).unwrap());
        let is_first = |role, function: &str| writers.contains(&(role, function.to_owned()));
        assert!(is_first(Role::Release, "up_write") && is_first(Role::Book, "downgrade_write"));
        assert!(is_first(Role::Acquire, "down_write_trylock"));
        assert!(writers.iter().all(|(_, target)| !target.contains("read")));
        let readers = follow("uts_sem", rwsem(true), |_| {}).unwrap();
        assert!(readers.has(Role::ReadRelease, WindowKind::Holds));
        let with_readers = targets(&readers);
        for function in ["down_read", "down_read_trylock", "down_read_interruptible"] {
            assert!(with_readers.contains(&(Role::ReadAcquire, function.to_owned())));
        }
        // What a kernel lacks for readers stands in the way of those who ask for them.
        let without = |c: &mut Capabilities| lose(c, "up_read");
        let refused = follow("uts_sem", rwsem(true), without).unwrap();
        assert_eq!(refused.tier, Tier::WaitOnly);
        let refused = &refused.reasons;
        assert!(refused.iter().any(|why| why.contains("has no up_read")));
        let writers = follow("uts_sem", rwsem(false), without).unwrap();
        assert_eq!(writers.tier, Tier::Exact);
    }

    #[test]
    fn an_rwlock_is_followed_by_cpu_where_all_who_write_turn_interrupts_off() {
        let of = |lock: &str, writers_irq, readers, change| {
            let request = Request {
                kind: Some(LockFamily::Rwlock),
                writers_irq,
                readers,
                detail: Detail::Holds,
                ..Request::default()
            };
            follow(lock, request, change)
        };
        let targets = |plan: &AttachPlan| -> Vec<String> {
            let takes = |role| matches!(role, Role::Acquire | Role::ReadAcquire);
            let probes = plan.probes.iter().filter(|probe| takes(probe.role));
            probes.map(|probe| probe.target.clone()).collect()
        };
        let nothing: fn(&mut Capabilities) = |_| {};
        let by_task = of("file_systems_lock", false, true, nothing).unwrap();
        assert_eq!(by_task.by_task().map(|kind| kind.sleeps), Some(false));
        let functions = targets(&by_task);
        for function in [
            "_raw_write_trylock",
            "_raw_write_lock_bh",
            "_raw_read_lock_irqsave",
        ] {
            assert!(
                functions.contains(&function.to_owned()),
                "{function}: {functions:?}"
            );
        }
        // Whoever says that it is so, and of tasklist_lock lockprof knows it.
        for (lock, writers_irq) in [("file_systems_lock", true), ("tasklist_lock", false)] {
            let by_cpu = of(lock, writers_irq, false, nothing).unwrap();
            assert!(by_cpu.by_task().is_none(), "{lock}");
            assert_eq!(targets(&by_cpu), [] as [&str; 0], "{lock}");
            assert!(by_cpu.has(Role::Request, WindowKind::Holds), "{lock}");
        }
        let no_stack: fn(&mut Capabilities) = |c| c.btf.layout = Some(KernelLayout::UNKNOWN);
        let refused = of("file_systems_lock", false, false, no_stack).unwrap();
        let why = &refused.reasons;
        assert!(
            why.iter()
                .any(|why| why.contains("interrupts, which take rwlocks too")),
            "{why:?}"
        );
        // Each function that gives it back has to be there.
        let inlined: fn(&mut Capabilities) = |c| lose(c, "_raw_write_unlock_bh");
        let refused = of("file_systems_lock", false, false, inlined).unwrap();
        assert_eq!(refused.tier, Tier::WaitOnly);
        let by_cpu = of("file_systems_lock", true, false, inlined).unwrap();
        assert_eq!(by_cpu.tier, Tier::Exact);
    }

    #[test]
    fn the_lock_of_a_process_takes_a_process_and_its_own_calls() {
        let of_process = |of_process| Request {
            of_process,
            ..Request::default()
        };
        let layout = |c: &mut Capabilities| {
            c.locks.clear();
            c.btf.layout = Some(KernelLayout {
                task_mm: 8,
                mm_mmap_lock: 16,
                ..KernelLayout::UNKNOWN
            });
        };
        let plan = follow("mmap_lock", of_process(true), layout).unwrap();
        assert_eq!((plan.tier, plan.lock.address), (Tier::Exact, None));
        assert_eq!(plan.lock.source, AddressSource::Process);
        assert!(plan.has(Role::Acquire, WindowKind::Holds));
        type Change = fn(&mut Capabilities);
        let cases: [(bool, Change, &str); 3] = [
            (false, layout, "name the process with --pid"),
            (true, |_| {}, "does not tell where"),
            (
                true,
                |c| no_fentry(c, "not permitted"),
                "`lockprof locks --lock mmap_lock --pid PID`",
            ),
        ];
        for (named, change, words) in cases {
            let refused = follow("mmap_lock", of_process(named), change).unwrap_err();
            assert!(refused.to_string().contains(words), "{refused}");
        }
    }

    #[test]
    fn a_kind_that_is_not_known_is_said_or_told() {
        let doubtful = follow("event_mutex", Request::default(), |_| {}).unwrap();
        let hint = "--lock event_mutex:mutex";
        assert!(doubtful.reasons.iter().any(|reason| reason.contains(hint)));
        let told = Request {
            kind: Some(LockFamily::Mutex),
            ..Request::default()
        };
        let plan = follow("event_mutex", told.clone(), |_| {}).unwrap();
        assert_eq!(plan.lock.kind, Some(LockFamily::Mutex));
        assert!(plan.has(Role::Acquire, WindowKind::Holds));
        let by_address = follow("0xffff888101234567", told, |c| c.locks.clear()).unwrap();
        assert_eq!(
            (by_address.lock.address, by_address.lock.source),
            (Some(0xffff_8881_0123_4567), AddressSource::Given)
        );
    }

    /// What stands in the way of holds, by the words that name it; waits are measured all the same.
    #[test]
    fn what_is_missing_is_named() {
        let made = |c: &mut Capabilities| {
            let facts = FunctionFacts {
                symbol: Some(false),
                variants: vec!["mutex_trylock.cold".into(), "mutex_trylock.isra.0".into()],
                btf: Some(false),
            };
            c.functions.insert("mutex_trylock".into(), facts);
        };
        let not_in_btf = |c: &mut Capabilities| {
            let facts = c.functions.get_mut("mutex_lock_killable").unwrap();
            facts.btf = Some(false);
        };
        let real_time = |c: &mut Capabilities| {
            c.uname.version = "#1 SMP PREEMPT_RT Debian 6.12.107-1".into();
        };
        type Change = fn(&mut Capabilities);
        let cases: [(Change, &str); 5] = [
            (
                |c| lose(c, "mutex_unlock"),
                "this kernel has no mutex_unlock",
            ),
            (made, "mutex_trylock.isra.0 of mutex_trylock"),
            (
                not_in_btf,
                "mutex_lock_killable is in this kernel's symbols but not in its BTF",
            ),
            (|c| no_fentry(c, "not permitted"), "not permitted"),
            (real_time, "a mutex is an rt_mutex"),
        ];
        for (change, words) in cases {
            let plan = cgroup_mutex(change);
            assert_eq!(plan.tier, Tier::WaitOnly, "{words}");
            let said = plan.reasons.iter().any(|reason| reason.contains(words));
            assert!(said, "{words}: {:?}", plan.reasons);
        }
    }

    #[test]
    fn kprobes_are_refused_with_the_reason() {
        let by_kprobe = Request {
            attach: AttachChoice::Kprobe,
            detail: Detail::Holds,
            ..Request::default()
        };
        let refused = follow("cgroup_mutex", by_kprobe, |_| {}).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("a kretprobe runs out of places"), "{text}");
        assert!(text.ends_with("Use --attach fentry instead"), "{text}");
    }
}
