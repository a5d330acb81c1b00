//! What `lockprof attach` says before it attaches anything.

use std::collections::BTreeMap;

use super::{Counted, Decision, Predicted};
use crate::{
    kernel::{AttachPlan, Others, PlannedProbe, Role},
    recording::schema::WindowKind,
    units::{count_of, percent, rate},
};

/// The lines: what is attached to, who is there already, and what it is expected to cost.
#[must_use]
pub fn announce(
    plan: &AttachPlan,
    others: &Others,
    lives_per_s: f64,
    counted: Counted,
    predicted: &Predicted,
    decision: &Decision,
    source: &str,
) -> Vec<String> {
    let kind = decision.kind.unwrap_or(WindowKind::Bare);
    let mut lines = vec![what(plan, kind)];
    lines.extend(beside(others));
    let assumed = if predicted.waits_assumed {
        "; waits are not counted before something is attached, and assumed to be as many as holds"
    } else {
        ""
    };
    let Counted { locks, calls_per_s } = counted;
    let does = match locks {
        None => format!("makes {} tasks/s", rate(lives_per_s)),
        Some(locks) => {
            let of_lock = match locks.of_lock_per_s {
                Some(per_s) => format!("{} of them are {}", rate(per_s), plan.lock.name),
                None => format!(
                    "how many are the {} that is followed is not known before: all of them, at most",
                    plan.lock.name
                ),
            };
            format!(
                "gives back {} {}/s, which all come through the programs, and {of_lock}",
                rate(locks.all_per_s),
                locks.plural
            )
        }
    };
    let switches = locks.and_then(|locks| locks.switches_per_s);
    let switches = switches.map_or_else(String::new, |switches| {
        format!(
            ", and switches tasks {}/s, which --off-cpu looks at",
            rate(switches)
        )
    });
    let calls = calls_per_s.map_or_else(String::new, |calls| {
        format!(
            ", and calls what --span names {}/s, wherever that is",
            rate(calls)
        )
    });
    lines.push(format!(
        "before attaching, this machine {does}{switches}{calls}; {source}{assumed}"
    ));
    lines.push(format!(
        "expected to cost {} of the machine on average, by estimate and with lockprof itself: {}",
        percent(decision.expected),
        decision.reason
    ));
    // Of a lock that is followed by task they were counted.
    if locks.is_none() && plan.has(Role::ReadAcquire, kind) {
        lines.push(
            "not in that estimate: --readers, whose programs every read_lock() of the machine runs"
                .to_owned(),
        );
    }
    lines
}

/// What the probes stand at in windows up to this kind, and how many stand there.
fn what(plan: &AttachPlan, kind: WindowKind) -> String {
    let mut targets: BTreeMap<&str, usize> = BTreeMap::new();
    let is_allowed = |window: &WindowKind| *window <= kind;
    let allowed = |probe: &&PlannedProbe| probe.windows.iter().any(is_allowed);
    for probe in plan.attachable().filter(allowed) {
        *targets.entry(&probe.target).or_default() += 1;
    }
    let programs = targets.values().sum();
    let list: Vec<String> = targets
        .iter()
        .map(|(target, number)| match number {
            1 => (*target).to_owned(),
            number => format!("{target} ({number})"),
        })
        .collect();
    format!(
        "will attach {} to {}",
        count_of(programs, "program"),
        list.join(", ")
    )
}

/// Programs of others on the same hooks: each makes the other's cost its own.
fn beside(others: &Others) -> Vec<String> {
    if let Some(error) = &others.error {
        return vec![format!(
            "whether other BPF programs share these is not known: {error}"
        )];
    }
    let mut lines = Vec::new();
    if !others.shared.is_empty() {
        let list: Vec<String> = others
            .shared
            .iter()
            .map(|hook| format!("{} ({}) at {}", hook.program, hook.kind, hook.target))
            .collect();
        lines.push(format!(
            "other BPF programs are there already: {}",
            list.join(", ")
        ));
    }
    if others.unknown_targets > 0 {
        lines.push(format!(
            "of {}, the kernel does not tell where they are attached",
            count_of(others.unknown_targets as usize, "BPF link")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        daemon::budget::{Budget, Foresight, Rates, Speed},
        kernel::{LockRates, Request, SharedHook, examples::debian_6_12, plan},
        recording::schema::Detail,
        span::Span,
    };

    fn lines(budget: Budget, others: &Others, lives_per_s: f64) -> Vec<String> {
        let capabilities = debian_6_12();
        let request = Request {
            detail: Detail::Holds,
            ..Request::default()
        };
        let plan = plan(&capabilities, &request).unwrap();
        let foresight = Foresight::new(budget, &plan, Detail::Holds, &capabilities);
        let rates = Rates::by_lives(foresight.cpus(), lives_per_s);
        let speed = Speed::assumed();
        let decision = foresight.decide(speed, &rates, &[]);
        let predicted = foresight.predict(speed, &rates);
        announce(
            &plan,
            others,
            lives_per_s,
            Counted::default(),
            &predicted,
            &decision,
            speed.source(),
        )
    }

    #[test]
    fn it_says_where_what_and_how_much() {
        let said = lines(Budget::Share(0.01), &Others::default(), 100.0);
        assert_eq!(said.len(), 3, "{said:#?}");
        assert!(said[0].starts_with("will attach "), "{said:#?}");
        for target in [
            "_raw_write_lock_irq",
            "_raw_write_unlock_irq",
            "contention_begin",
        ] {
            assert!(said[0].contains(target), "{said:#?}");
        }
        assert!(said[1].contains("makes 100 tasks/s") && said[1].contains("waits are not counted"));
        assert!(
            said[2].contains("holds are measured without a limit"),
            "{said:#?}"
        );
        // A machine that makes tasks as fast as a load of its own.
        let busy = lines(Budget::Share(0.01), &Others::default(), 100_000.0);
        assert!(busy[2].contains("% of the time"), "{busy:#?}");
    }

    #[test]
    fn of_a_mutex_all_mutexes_are_told() {
        let mut capabilities = debian_6_12();
        capabilities.locks[0].name = "cgroup_mutex".to_owned();
        let request = Request {
            lock: "cgroup_mutex".to_owned(),
            ..Request::default()
        };
        let plan = plan(&capabilities, &request).unwrap();
        let said = |all_per_s| {
            let mutexes = LockRates {
                plural: "mutexes",
                all_per_s,
                of_lock_per_s: Some(40.0),
                switches_per_s: None,
            };
            let budget = Budget::Share(0.01);
            let foresight = Foresight::new(budget, &plan, Detail::Holds, &capabilities)
                .with_counted(Counted {
                    locks: Some(mutexes),
                    calls_per_s: None,
                });
            let decision = foresight.decide_first(0.0).unwrap();
            foresight.announce(&plan, &capabilities, 0.0, &decision)
        };
        let quiet = said(5000.0);
        assert!(
            quiet[1].contains("gives back 5,000 mutexes/s")
                && quiet[1].contains("40.0 of them are cgroup_mutex"),
            "{quiet:#?}"
        );
        assert!(quiet[2].contains("without a limit"), "{quiet:#?}");
        let busy = said(1_000_000.0);
        assert!(busy[2].contains("% of the time"), "{busy:#?}");
    }

    #[test]
    fn calls_that_are_asked_for_cost_what_the_machine_makes_of_them() {
        let capabilities = debian_6_12();
        let request = Request {
            lock: "cgroup_mutex".to_owned(),
            spans: vec![Span::named("css_clear_dir")],
            ..Request::default()
        };
        let plan = {
            let mut capabilities = debian_6_12();
            capabilities.locks[0].name = "cgroup_mutex".to_owned();
            plan(&capabilities, &request).unwrap()
        };
        let said = |calls_per_s| {
            let counted = Counted {
                locks: Some(LockRates {
                    plural: "mutexes",
                    all_per_s: 100.0,
                    of_lock_per_s: Some(40.0),
                    switches_per_s: None,
                }),
                calls_per_s: Some(calls_per_s),
            };
            let budget = Budget::Share(0.01);
            let foresight =
                Foresight::new(budget, &plan, Detail::Spans, &capabilities).with_counted(counted);
            let decision = foresight.decide_first(0.0).unwrap();
            foresight.announce(&plan, &capabilities, 0.0, &decision)
        };
        let quiet = said(1000.0);
        assert!(
            quiet[0].contains("css_clear_dir (2)")
                && quiet[1].contains("calls what --span names 1,000/s"),
            "{quiet:#?}"
        );
        assert!(
            quiet[2].contains("spans are measured without a limit"),
            "{quiet:#?}"
        );
        let busy = said(1_000_000.0);
        assert!(
            busy[2].contains("spans are measured ") && busy[2].contains("% of the time"),
            "{busy:#?}"
        );
        let mad = said(10_000_000.0);
        assert!(mad[2].contains("holds are measured "), "{mad:#?}");
    }

    #[test]
    fn other_programs_are_named_or_said_to_be_unknown() {
        let mut others = Others {
            shared: vec![SharedHook {
                program_id: 7,
                program: "watcher".to_owned(),
                kind: "fentry".to_owned(),
                target: "_raw_write_lock_irq".to_owned(),
            }],
            unknown_targets: 2,
            ..Others::default()
        };
        let said = lines(Budget::Off, &others, 1.0);
        assert_eq!(
            said[1],
            "other BPF programs are there already: watcher (fentry) at _raw_write_lock_irq"
        );
        assert!(said[2].starts_with("of 2 BPF links, "), "{said:#?}");
        others.error = Some("not permitted".to_owned());
        let said = lines(Budget::Off, &others, 1.0);
        assert_eq!(
            said[1],
            "whether other BPF programs share these is not known: not permitted"
        );
    }
}
