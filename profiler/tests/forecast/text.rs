//! A forecast as text.

use lockprof::{
    export::forecast_text,
    forecast::{LABEL, Subject, forecast},
};

use crate::fixture::{mutexes, of_a_mutex, one_lock, pair};

/// Without line ends, so that a sentence is found wherever it is broken.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_mail_has_room_for_it() {
    let text = forecast_text(&forecast(&pair(), &Subject::default(), 1).unwrap(), 72);
    println!("{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 72, "{line}");
    }
    let text = flowing(&text);
    assert!(text.contains(LABEL));
    let subject = Subject::default();
    for assumption in subject.assumptions(true) {
        assert!(text.contains(&flowing(&assumption)), "{assumption}");
    }
    assert!(text.contains("+15.0 % on 24 CPUs"), "{text}");
    assert!(text.contains("+23.4 % on 224 CPUs"), "{text}");
    assert!(text.contains("tasklist_lock limits it"), "{text}");
    assert!(text.contains(&flowing(&subject.observer())), "{text}");
    assert!(text.contains("time of a call is that of base"), "{text}");
}

#[test]
fn too_few_boots_are_said_in_place_of_an_interval() {
    let kernels = [
        one_lock("base", &[(65_300.0, 2493.0)]),
        one_lock("deferred", &[(65_300.0, 669.0)]),
    ];
    let text = forecast_text(&forecast(&kernels, &Subject::default(), 1).unwrap(), 72);
    let row = text
        .lines()
        .find(|line| line.trim_start().starts_with("24 "))
        .unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>().join(" "),
        "24 21.68 23.93 +10.3 % too few boots"
    );
    assert!(
        flowing(&text).contains("Too few boots: base has 1 boot,"),
        "{text}"
    );
}

#[test]
fn one_kernel_is_compared_with_none() {
    let kernels = [one_lock("base", &[(65_300.0, 2493.0)])];
    let text = forecast_text(&forecast(&kernels, &Subject::default(), 1).unwrap(), 72);
    assert!(!text.contains("change"), "{text}");
    assert!(text.lines().any(|line| line.contains("21.68")), "{text}");
}

/// A mutex is asked for by iterations of the load, and nothing of tasks is said of it.
#[test]
fn a_mutex_has_iterations_and_other_locks_are_unknown() {
    let subject = of_a_mutex();
    let text = forecast_text(&forecast(&mutexes(), &subject, 1).unwrap(), 72);
    println!("{text}");
    let unknown = text.lines().find(|line| line.contains("kernfs_rwsem"));
    let cells: Vec<&str> = unknown.unwrap().split_whitespace().collect();
    assert_eq!(cells, ["kernfs_rwsem", "unknown", "–", "–"]);
    let text = flowing(&text);
    for words in [
        "Forecast: iterations against CPUs",
        "insn an iteration",
        "cgroup_mutex limits it: however many CPUs there are, it has no more iterations than 2.0 CPUs",
        "somebody was seen to wait, and holds were not followed",
        "for how much of that is in them is not known",
        "guest instructions an iteration",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for word in [
        "life",
        "lives",
        "tasklist_lock",
        "null hold",
        "published",
        "LKML",
    ] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    for assumption in subject.assumptions(false) {
        assert!(text.contains(&flowing(&assumption)), "{assumption}");
    }
}

#[test]
fn that_no_other_lock_was_waited_for_leaves_it_open_all_the_same() {
    let subject = Subject {
        unknown: Vec::new(),
        ..of_a_mutex()
    };
    let text = flowing(&forecast_text(
        &forecast(&mutexes(), &subject, 1).unwrap(),
        72,
    ));
    assert!(
        text.contains("Of other locks the demand is unknown"),
        "{text}"
    );
}
