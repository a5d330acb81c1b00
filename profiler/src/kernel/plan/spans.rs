//! Which calls inside holds are measured: pure.

use lockprof_abi::MAX_SPANS;

use super::super::capabilities::Capabilities;
use super::super::sites::rwlock_functions;
use super::probes::function_obstacle;
use super::{PlanError, PlannedLock, Request};
use crate::known_locks;
use crate::recording::schema::{Detail, Method};
use crate::span::Span;

/// The calls that a run measures, in the order of their numbers: those that are known of the lock, and those that were
/// asked for. None where no holds are followed, or without their calls.
///
/// # Errors
/// One that was asked for cannot be measured. One that is known is left out, and the report says so.
pub(super) fn of_run(
    capabilities: &Capabilities,
    request: &Request,
    method: Method,
    lock: &PlannedLock,
) -> Result<Vec<Span>, PlanError> {
    let follows = matches!(method, Method::Fentry | Method::Kprobe);
    if !follows || request.detail == Detail::Holds {
        return Ok(Vec::new());
    }
    let known = known_locks::spans_of(&request.lock).iter();
    let mut spans: Vec<Span> = known
        .filter(|known| !known.is_on_request)
        .map(|known| known.span)
        .collect();
    let known = spans.len();
    for &asked in &request.spans {
        if let Some(why) = obstacle(capabilities, request, method, lock, asked) {
            let function = asked.name().to_owned();
            return Err(PlanError::NoSpan { function, why });
        }
        if !spans.contains(&asked) {
            spans.push(asked);
        }
    }
    if spans.len() > MAX_SPANS {
        return Err(PlanError::TooManySpans {
            lock: request.lock.clone(),
            asked: spans.len() - known,
            free: MAX_SPANS - known,
        });
    }
    Ok(spans)
}

/// Why the calls of a function cannot be measured inside the holds of this lock.
fn obstacle(
    capabilities: &Capabilities,
    request: &Request,
    method: Method,
    lock: &PlannedLock,
    span: Span,
) -> Option<String> {
    let is_it = |function: &str| function == span.name();
    let is_of_lock = match lock.by_task() {
        Some(by_task) => by_task.functions().any(is_it),
        None => rwlock_functions().any(is_it),
    };
    if is_of_lock {
        return Some(format!(
            "it takes {} or gives it back, so that no call of it is inside a hold",
            request.lock
        ));
    }
    function_obstacle(capabilities, method, span.name())
}

#[cfg(test)]
mod tests {
    use super::super::super::capabilities::{FunctionFacts, LockSymbol};
    use super::super::super::examples::{ADDRESS, debian_6_12};
    use super::super::{AttachChoice, AttachPlan, Role, plan};
    use super::*;
    use crate::known_locks::DEFAULT_LOCK;
    use crate::recording::schema::{Tier, WindowKind};

    /// What the kernel has besides: plain functions, one that the compiler has changed, and one without BTF.
    fn with_functions(lock: &str) -> Capabilities {
        let mut capabilities = debian_6_12();
        capabilities.locks = vec![LockSymbol {
            name: lock.into(),
            present: true,
            address: Some(ADDRESS),
            ..LockSymbol::default()
        }];
        let mut add = |name: &str, symbol, btf, variants: &[&str]| {
            let facts = FunctionFacts {
                symbol: Some(symbol),
                variants: variants.iter().map(|&variant| variant.into()).collect(),
                btf: Some(btf),
            };
            capabilities.functions.insert(name.into(), facts);
        };
        add("css_populate_dir", true, true, &[]);
        add("css_clear_dir", true, true, &[]);
        add("css_create", false, false, &["css_create.isra.0"]);
        add("early_one", true, false, &[]);
        capabilities
    }

    fn asking(lock: &str, functions: &[&str]) -> Request {
        Request {
            lock: lock.into(),
            spans: functions.iter().map(|name| Span::named(name)).collect(),
            ..Request::default()
        }
    }

    fn planned(lock: &str, functions: &[&str]) -> Result<AttachPlan, PlanError> {
        plan(&with_functions(lock), &asking(lock, functions))
    }

    fn names(plan: &AttachPlan) -> Vec<&str> {
        plan.spans.iter().map(|span| span.name()).collect()
    }

    #[test]
    fn those_that_are_known_come_first_and_none_comes_twice() {
        let asked = [
            "free_pid",
            "css_populate_dir",
            "__wake_up",
            "css_populate_dir",
        ];
        let capabilities = {
            let mut capabilities = with_functions(DEFAULT_LOCK);
            let plain = capabilities.function("free_pid");
            capabilities.functions.insert("__wake_up".into(), plain);
            capabilities
        };
        let unasked = planned(DEFAULT_LOCK, &[]).unwrap();
        let plan = plan(&capabilities, &asking(DEFAULT_LOCK, &asked)).unwrap();
        let known = names(&unasked);
        assert!(known.contains(&"free_pid") && !known.contains(&"__wake_up"));
        assert_eq!(names(&plan)[..known.len()], known);
        assert_eq!(
            names(&plan)[known.len()..],
            ["css_populate_dir", "__wake_up"]
        );
    }

    #[test]
    fn of_a_mutex_calls_that_are_named_have_windows_and_numbers() {
        let plan = planned("cgroup_mutex", &["css_clear_dir", "css_populate_dir"]).unwrap();
        let kinds = [WindowKind::Holds, WindowKind::Spans, WindowKind::Waits];
        assert_eq!(plan.kinds, kinds);
        assert_eq!(plan.detail(Detail::Spans), Detail::Spans);
        let probes = plan.probes.iter().filter(|probe| probe.role == Role::Span);
        let probes: Vec<[&str; 3]> = probes
            .map(|probe| {
                assert_eq!(probe.windows, [WindowKind::Spans]);
                [&*probe.program, &*probe.in_object, &*probe.target]
            })
            .collect();
        assert_eq!(
            probes,
            [
                [
                    "task_span_left_css_clear_dir",
                    "task_span_left_0",
                    "css_clear_dir"
                ],
                [
                    "task_span_entered_css_clear_dir",
                    "task_span_entered_0",
                    "css_clear_dir"
                ],
                [
                    "task_span_left_css_populate_dir",
                    "task_span_left_1",
                    "css_populate_dir"
                ],
                [
                    "task_span_entered_css_populate_dir",
                    "task_span_entered_1",
                    "css_populate_dir"
                ],
            ]
        );
        for role in [Role::Acquire, Role::Release, Role::Book] {
            assert!(plan.has(role, WindowKind::Spans) && plan.has(role, WindowKind::Holds));
        }
        // Without windows they are measured with everything else.
        let request = Request {
            windows: false,
            ..asking("cgroup_mutex", &["css_clear_dir"])
        };
        let one = super::super::plan(&with_functions("cgroup_mutex"), &request).unwrap();
        assert_eq!(one.kinds, [WindowKind::Spans]);
    }

    #[test]
    fn where_none_is_known_none_is_measured_unasked_and_that_is_said() {
        let plan = planned("cgroup_mutex", &[]).unwrap();
        assert_eq!(plan.kinds, [WindowKind::Holds, WindowKind::Waits]);
        assert_eq!(plan.detail(Detail::Spans), Detail::Holds);
        let said = plan
            .reasons
            .iter()
            .any(|reason| reason.contains("--span FUNCTION"));
        assert!(said, "{:?}", plan.reasons);
    }

    #[test]
    fn what_has_no_place_is_refused_with_the_reason() {
        for (function, words) in [
            ("css_create", "made css_create.isra.0 of it"),
            ("early_one", "not in its BTF"),
            ("mutex_lock", "it takes cgroup_mutex or gives it back"),
        ] {
            let refused = planned("cgroup_mutex", &[function])
                .unwrap_err()
                .to_string();
            let start = format!("--span {function} is not possible here: ");
            assert!(
                refused.starts_with(&start) && refused.contains(words),
                "{refused}"
            );
        }
        let of_rwlock = planned(DEFAULT_LOCK, &["_raw_write_lock_irq"]).unwrap_err();
        assert!(of_rwlock.to_string().contains("takes tasklist_lock"));
        let forbidden = planned("cgroup_mutex", &["native_queued_spin_lock_slowpath"]);
        assert!(matches!(
            forbidden,
            Err(PlanError::NoSpan { .. } | PlanError::Forbidden(_))
        ));
    }

    #[test]
    fn more_than_there_are_numbers_are_refused() {
        let mut capabilities = with_functions("cgroup_mutex");
        let plain = capabilities.function("css_clear_dir");
        let functions: Vec<String> = (0..=MAX_SPANS)
            .map(|number| format!("work_{number}"))
            .collect();
        for function in &functions {
            capabilities
                .functions
                .insert(function.clone(), plain.clone());
        }
        let functions: Vec<&str> = functions.iter().map(String::as_str).collect();
        let most = asking("cgroup_mutex", &functions[1..]);
        let most = plan(&capabilities, &most).unwrap();
        assert_eq!(most.spans.len(), MAX_SPANS);
        let refused = plan(&capabilities, &asking("cgroup_mutex", &functions)).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("17 times") && text.contains("room for 16"),
            "{text}"
        );
    }

    #[test]
    fn waits_alone_have_no_calls_and_that_is_said() {
        let request = Request {
            attach: AttachChoice::Wait,
            ..asking("cgroup_mutex", &["css_clear_dir"])
        };
        let plan = plan(&with_functions("cgroup_mutex"), &request).unwrap();
        assert_eq!((plan.tier, plan.spans.len()), (Tier::WaitOnly, 0));
        let said = plan
            .reasons
            .iter()
            .any(|reason| reason.contains("need the exact tier"));
        assert!(said, "{:?}", plan.reasons);
    }
}
