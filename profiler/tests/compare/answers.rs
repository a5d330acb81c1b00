//! What the deferral does is known: the reap hold loses two calls, and nothing else changes.

use lockprof::{
    compare::{Finding, Quantity, Verdict, sentence},
    site::Site,
    span::Span,
    work_unit::WorkUnit,
};

use crate::boots::{BASE, patched, side};

fn finding(comparison: &lockprof::compare::Comparison, quantity: &Quantity) -> Finding {
    let answers = &comparison.settings[0].answers;
    answers.finding(quantity).unwrap().clone()
}

#[test]
fn the_reap_hold_is_less_than_half_and_the_others_are_the_same() {
    let comparison = patched();
    let reap = finding(&comparison, &Quantity::SiteHold(Site::REAP));
    assert_eq!(reap.verdict, Verdict::Better);
    assert!(reap.change.unwrap() < -0.5, "{reap:?}");
    for site in [Site::FORK, Site::EXIT] {
        let hold = finding(&comparison, &Quantity::SiteHold(site));
        assert_eq!(hold.verdict, Verdict::Same, "{hold:?}");
        assert!(hold.change.unwrap().abs() < 0.02, "{hold:?}");
    }
}

#[test]
fn the_calls_have_left_the_hold() {
    let comparison = patched();
    let placements = &comparison.settings[0].placements;
    let of = |span: Span| {
        let found = placements.iter().find(|placement| placement.span == span);
        found.unwrap().calls
    };
    let [before, after] = of(Span::FREE_PID);
    assert_eq!((before.share(), after.share()), (Some(1.0), Some(0.0)));
    assert!((before.in_hold_per_unit().unwrap() - 1.0).abs() < 1e-9);
    assert!(after.all > 0.0, "it is called all the same");
    let [before, after] = of(Span::ADD_DEVICE_RANDOMNESS);
    assert!((before.in_hold_per_unit().unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(after.in_hold, 0.0);
}

#[test]
fn the_sentence_names_what_changed_and_not_what_only_looks_like_it() {
    let sentence = sentence(&patched());
    let hold = sentence.split(';').next().unwrap();
    assert!(hold.starts_with("deferred against base: the mean reap hold is "));
    assert!(hold.contains("free_pid (") && hold.contains("add_device_randomness ("));
    // It contains free_pid, and with it goes what probing that cost.
    assert!(!hold.contains("__change_pid"), "{hold}");
    assert!(sentence.contains("fork and exit holds are the same within 1"));
}

/// A long name is said where it tells which kernel is which, and "before" and "after" do elsewhere.
#[test]
fn long_names_are_said_once() {
    let name = "defer-randomness-and-pids";
    let before = side("base", &BASE[..5]);
    let after = side(name, crate::boots::DEFERRED.iter());
    let comparison = lockprof::compare::Comparison::of(before, after).unwrap();
    // By itself the sentence has both.
    assert!(sentence(&comparison).starts_with("defer-randomness-and-pids against base: the mean"));
    let report = lockprof::export::ComparisonReport::new(vec![comparison], Vec::new());
    let [table, markdown, page] = [
        report.table(false),
        report.markdown(),
        report.html().unwrap(),
    ]
    .map(|bytes| String::from_utf8(bytes).unwrap());
    let title = "defer-randomness-and-pids (Linux 6.12.117-lockprof-…) against base (Linux 6.12.117-lockprof-…)";
    assert!(
        markdown.starts_with(&format!("## {title}\n\nThe mean reap hold is ")),
        "{markdown}"
    );
    assert!(table.replace('\n', " ").starts_with(title), "{table}");
    assert!(
        page.contains("<p class=\"finding\">The mean reap hold is"),
        "{page}"
    );
    // Up to the forecast: in the title, where before and after are told apart, and with its configuration.
    let (compared, _) = markdown.split_once("## On machines").unwrap();
    assert_eq!(compared.matches(name).count(), 4, "{compared}");
}

/// What has moved is a fact; what only shrinks since the probes of a call have left it gets no verdict.
#[test]
fn no_verdict_is_about_the_probes_themselves() {
    let comparison = patched();
    let part = |span| finding(&comparison, &Quantity::SpanInHold(Site::REAP, span));
    assert_eq!(part(Span::FREE_PID).verdict, Verdict::Better);
    let distorted = [
        part(Span::CHANGE_PID),
        finding(&comparison, &Quantity::OwnWork(Site::REAP)),
    ];
    for part in distorted {
        assert_eq!(part.verdict, Verdict::NotAsked, "{part:?}");
        assert!(part.change.unwrap() < -0.1, "{part:?}");
    }
}

/// Two values a side have an interval, but not one of 95 %.
#[test]
fn few_boots_are_not_called_the_same() {
    let before = side("base", &BASE[..2]);
    let after = side("deferred", &crate::boots::DEFERRED[..2]);
    let comparison = lockprof::compare::Comparison::of(before, after).unwrap();
    let mut findings = comparison.findings();
    assert!(findings.all(|(_, finding)| finding.verdict != Verdict::Same));
}

#[test]
fn boots_of_one_kernel_show_no_difference() {
    let (first, second) = BASE.split_at(BASE.len() / 2);
    let comparison =
        lockprof::compare::Comparison::of(side("first", first), side("second", second)).unwrap();
    let changes: Vec<String> = comparison
        .findings()
        .filter(|(_, finding)| finding.verdict.is_change())
        .map(|(_, finding)| finding.quantity.key(WorkUnit::TaskLife))
        .collect();
    assert!(changes.is_empty(), "{changes:?}");
    // It is not that nothing could be told: holds repeat on this clock.
    for site in [Site::FORK, Site::EXIT] {
        let hold = finding(&comparison, &Quantity::SiteHold(site));
        assert_eq!(hold.verdict, Verdict::Same, "{hold:?}");
    }
}
