//! A forecast as text.

use lockprof::{
    export::forecast_text,
    forecast::{ASSUMPTIONS, LABEL, OBSERVER, forecast},
};

use crate::fixture::{one_lock, pair};

/// Without line ends, so that a sentence is found wherever it is broken.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_mail_has_room_for_it() {
    let text = forecast_text(&forecast(&pair(), 1).unwrap(), 72);
    println!("{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 72, "{line}");
    }
    let text = flowing(&text);
    assert!(text.contains(LABEL));
    for assumption in ASSUMPTIONS {
        assert!(text.contains(&flowing(assumption)), "{assumption}");
    }
    assert!(text.contains("+15.0 % on 24 CPUs"), "{text}");
    assert!(text.contains("+23.4 % on 224 CPUs"), "{text}");
    assert!(text.contains("tasklist_lock limits it"), "{text}");
    assert!(text.contains(&flowing(OBSERVER)), "{text}");
    assert!(text.contains("time of a call is that of base"), "{text}");
}

#[test]
fn too_few_boots_are_said_in_place_of_an_interval() {
    let kernels = [
        one_lock("base", &[(65_300.0, 2493.0)]),
        one_lock("deferred", &[(65_300.0, 669.0)]),
    ];
    let text = forecast_text(&forecast(&kernels, 1).unwrap(), 72);
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
    let text = forecast_text(&forecast(&kernels, 1).unwrap(), 72);
    assert!(!text.contains("change"), "{text}");
    assert!(text.lines().any(|line| line.contains("21.68")), "{text}");
}
