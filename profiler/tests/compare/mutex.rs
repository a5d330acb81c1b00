//! Kernels by a mutex: what is tasklist_lock's own is said of no other lock.

use lockprof::{
    compare::{Comparison, Quantity, Side, Verdict, demands_of, sentence},
    export::ComparisonReport,
    recording::schema::{Method, Tier},
    work_unit::WorkUnit,
};

use crate::boots::{Boot, MKCGROUP_BASE, MKCGROUP_EARLY, side};

fn sides() -> [Side; 2] {
    [
        side("base", MKCGROUP_BASE.iter()),
        side("early", MKCGROUP_EARLY.iter()),
    ]
}

fn comparison() -> Comparison {
    let [before, after] = sides();
    Comparison::of(before, after).unwrap()
}

/// The boots without what says how many iterations they did: the load is a command of somebody's own.
fn of_a_command(boots: &[Boot]) -> Vec<Boot> {
    let mut boots = boots.to_vec();
    for (_, profile) in boots.iter_mut().flatten() {
        if let Some(workload) = &mut profile.header.workload {
            workload.tasks = None;
        }
    }
    boots
}

#[test]
fn the_caller_that_allocates_less_in_its_holds_is_named_and_the_others_are_the_same() {
    let comparison = comparison();
    let answers = &comparison.settings[0].answers;
    assert_eq!(answers.setting.unit, WorkUnit::Iteration);
    let by_caller: Vec<(String, Verdict)> = answers
        .holds
        .iter()
        .filter_map(|finding| match finding.quantity {
            Quantity::SiteHold(site) => Some((site.name().to_owned(), finding.verdict)),
            _ => None,
        })
        .collect();
    let verdict = |name: &str| {
        let mut found = by_caller.iter().filter(|(caller, _)| caller == name);
        found.next().unwrap().1
    };
    assert_eq!(verdict("cgroup_kn_lock_live"), Verdict::Better);
    assert_eq!(verdict("css_release_work_fn"), Verdict::Same);
    assert_eq!(verdict("cgroup_bpf_release"), Verdict::Same);
    let said = sentence(&comparison);
    assert!(
        said.contains("the mean cgroup_kn_lock_live hold is 12.6 % shorter"),
        "{said}"
    );
}

#[test]
fn no_view_has_a_word_of_tasks() {
    let report = ComparisonReport::new(vec![comparison()], Vec::new());
    let views = [
        report.table(false),
        report.markdown(),
        report.json().unwrap(),
        report.html().unwrap(),
    ];
    for view in views {
        let text = String::from_utf8(view).unwrap();
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let of_tasks = [
            "life",
            "lives",
            "tasklist_lock",
            "pidmap_lock",
            "free_pid",
            "reap",
            "LKML",
        ];
        let mut found = words.filter(|word| of_tasks.contains(word));
        assert_eq!(found.next(), None, "{text}");
    }
    let json: serde_json::Value = serde_json::from_slice(&report.json().unwrap()).unwrap();
    let setting = &json["comparisons"][0]["settings"][0];
    assert_eq!(setting["divided_by"], "iteration");
    assert!(setting["placements"].as_array().unwrap().is_empty());
    assert_eq!(json["forecast"]["unit"], "iteration");
    assert!(json["comparisons"][0]["before"]["deferral"].is_null());
}

/// Two holds by the load, and one each by two workers of the kernel.
#[test]
fn what_an_iteration_asks_of_the_lock_is_a_station() {
    let [before, after] = sides();
    let demands = demands_of(&[&before, &after]).unwrap();
    assert_eq!(demands.subject.lock, "cgroup_mutex");
    assert_eq!(demands.subject.unit, WorkUnit::Iteration);
    assert!(!demands.subject.null_hold_known);
    for kernel in &demands.kernels {
        assert_eq!(kernel.boots.len(), 5, "{}", kernel.name);
        for boot in &kernel.boots {
            let names: Vec<&str> = boot.locks.iter().map(|lock| lock.name.as_str()).collect();
            assert_eq!(names, ["cgroup_mutex"]);
            let demand = boot.locks[0].demand;
            // What the probes add is not known: at most all that they add to an iteration.
            assert_eq!(demand.point, demand.high);
            let added = boot.profiled.unwrap() - boot.round;
            assert!((demand.high - demand.low - added).abs() < 1e-6, "{boot:?}");
            assert!(demand.high < boot.round, "{boot:?}");
        }
    }
}

#[test]
fn without_iterations_there_is_no_forecast_and_waits_are_by_seconds() {
    let [before, after] = [("base", &MKCGROUP_BASE), ("early", &MKCGROUP_EARLY)]
        .map(|(name, boots)| side(name, &of_a_command(boots)));
    let why = demands_of(&[&before, &after]).unwrap_err();
    assert!(why.contains("it takes a bundled load"), "{why}");
    let comparison = Comparison::of(before, after).unwrap();
    let answers = &comparison.settings[0].answers;
    assert_eq!(answers.setting.unit, WorkUnit::Second);
    assert_eq!(
        Quantity::Waited.key(answers.setting.unit),
        "wait_per_second"
    );
}

/// A lock whose holds nobody follows has waits, and no demand.
#[test]
fn a_lock_without_exact_holds_is_no_station() {
    let by_waits_alone = |name: &str, boots: &[Boot]| {
        let mut boots = boots.to_vec();
        let profiled = boots.iter_mut().flatten();
        for (_, profile) in profiled.filter(|(_, profile)| profile.header.tier == Tier::Exact) {
            profile.header.tier = Tier::WaitOnly;
            profile.header.attach.method = Method::Wait;
        }
        side(name, &boots)
    };
    let before = by_waits_alone("base", &MKCGROUP_BASE);
    let after = by_waits_alone("early", &MKCGROUP_EARLY);
    let why = demands_of(&[&before, &after]).unwrap_err();
    assert!(
        why.contains("holds of cgroup_mutex were not followed in base, so that what an iteration asks of it is unknown"),
        "{why}"
    );
}
