//! How holds of a mutex are followed: pure.

use super::super::capabilities::Capabilities;
use super::super::findings::Preemption;
use super::super::mutexes::{MUTEX_FUNCTIONS, MUTEX_LOCK_FUNCTION, MUTEX_UNLOCK_FUNCTION};

/// Why no probe of any kind can see the holds of a mutex: each function that takes or releases one has to be known, for
/// an acquisition or a release that nobody sees makes the numbers wrong.
pub(super) fn obstacle(capabilities: &Capabilities) -> Option<String> {
    if capabilities.preemption() == Preemption::Realtime {
        return Some(
            "PREEMPT_RT: a mutex is an rt_mutex, and lockprof does not follow those".to_owned(),
        );
    }
    if capabilities.has_function(MUTEX_UNLOCK_FUNCTION) == Some(false) {
        return Some(format!(
            "this kernel has no {MUTEX_UNLOCK_FUNCTION}, so the end of a hold cannot be probed"
        ));
    }
    let known = MUTEX_FUNCTIONS.map(|function| capabilities.has_function(function.name));
    if known.iter().all(|known| *known == Some(false)) {
        return Some(format!(
            "this kernel has neither {MUTEX_LOCK_FUNCTION} nor any other function that takes a mutex"
        ));
    }
    let changed = MUTEX_FUNCTIONS.iter().find_map(|function| {
        let facts = capabilities.function(function.name);
        let variant = facts.variants.into_iter().find(|name| is_of_its_own(name));
        variant.map(|variant| (function.name, variant))
    });
    changed.map(|(function, variant)| {
        format!("the compiler made {variant} of {function}, and a probe needs the plain function")
    })
}

/// Why fentry and fexit programs cannot stand at each of the functions: BTF has to have those that kallsyms has.
pub(super) fn fentry_obstacle(capabilities: &Capabilities) -> Option<String> {
    let functions = MUTEX_FUNCTIONS.iter().map(|function| function.name);
    let mut functions = functions.chain([MUTEX_UNLOCK_FUNCTION]);
    let missing = functions.find(|name| {
        let facts = capabilities.function(name);
        facts.symbol == Some(true) && facts.btf == Some(false)
    });
    missing.map(|name| {
        format!(
            "{name} is in this kernel's symbols but not in its BTF, which fentry and fexit need"
        )
    })
}

/// Whether a name that the compiler has made stands for a function that is called: the parts that it has moved out of the
/// way are not.
fn is_of_its_own(variant: &str) -> bool {
    !variant.ends_with(".cold")
}

/// The functions that take a mutex and that this kernel has, with their programs, in the order of attaching.
pub(super) fn acquisitions(
    capabilities: &Capabilities,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let present = MUTEX_FUNCTIONS
        .iter()
        .filter(|function| capabilities.has_function(function.name) == Some(true));
    present.map(|function| (function.program, function.name))
}

#[cfg(test)]
mod tests {
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
        // Which calls are inside is not known, whoever asks.
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
                |c| lose(c, MUTEX_UNLOCK_FUNCTION),
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
