//! The table for terminals.

use lockprof::{
    export::Format,
    profile::Profile,
    recording::schema::{BudgetPlan, Clock, Killed, Line, Phase, Tier, WindowKind},
};

use crate::fixture::{Synthetic, known_sites, profile_of};

fn table(profile: &Profile, width: usize, color: bool) -> String {
    let bytes = Format::Table {
        width,
        color,
        by: None,
    }
    .exporter()
    .export(profile)
    .unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn exact() {
    insta::assert_snapshot!(table(&Synthetic::default().profile(), 80, false));
}

#[test]
fn wait_only() {
    let synthetic = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    insta::assert_snapshot!(table(&synthetic.profile(), 80, false));
}

#[test]
fn instructions() {
    let synthetic = Synthetic {
        clock: Clock::Instructions,
        ..Synthetic::default()
    };
    insta::assert_snapshot!(table(&synthetic.profile(), 80, false));
}

/// What was expected before, and a gap, are said.
#[test]
fn a_budget_and_a_time_in_which_it_was_stopped() {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        match line {
            Line::Header(header) => {
                header.budget = Some(BudgetPlan {
                    allowed: Some(0.01),
                    expected: 0.0042,
                    kind: WindowKind::Holds,
                    share: 0.3,
                    reason: "holds are measured 30 % of the time".into(),
                    costs: "costs are a benchmark's".into(),
                });
            }
            Line::Interval(interval) if interval.phase == Phase::WarmUp => {
                interval.stopped_s = Some(15.0);
            }
            _ => {}
        }
    }
    let text = table(&profile_of(lines), 200, false);
    assert!(
        text.contains("STOPPED: lockprof was stopped for 15.0 s"),
        "{text}"
    );
    assert!(
        text.contains("by estimate: holds are measured 30 % of the time; in all 0.42 %"),
        "{text}"
    );
}

/// The guard has said why there is no footer.
#[test]
fn killed_by_its_guard() {
    for (stopped, words) in [
        (true, "stopped for 12 s"),
        (false, "without a CPU, for 12 s"),
    ] {
        let mut lines = Synthetic {
            footer: false,
            ..Synthetic::default()
        }
        .lines();
        lines.push(Line::Killed(Killed {
            silent_s: 12,
            stopped,
        }));
        let text = table(&profile_of(lines), 200, false);
        assert!(
            text.contains("CUT SHORT: lockprof was killed by its guard"),
            "{text}"
        );
        assert!(text.contains(words), "{text}");
    }
}

/// Losses, the deferral, no footer: what has to be said first is said first.
#[test]
fn void_and_cut_short() {
    let mut lines = Synthetic {
        footer: false,
        ..Synthetic::default()
    }
    .lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.losses.insert("hold_without_start".into(), 3);
            interval.spans.retain(|span| span.span != "free_pid");
            interval.calls_outside.insert("free_pid".into(), 40);
        }
    }
    let text = table(&profile_of(lines), 80, false);
    let first: Vec<&str> = text.lines().take(4).map(str::trim).collect();
    assert_eq!(
        first,
        [
            "VOID: 1.64 % of the lock's events are missing (9 lost, 540 seen; the limit is",
            "0.10 %). Do not rely on the numbers below.",
            "CUT SHORT: the recording has no end; the numbers are those up to its last",
            "interval.",
        ]
    );
    assert!(text.contains("free_pid: 120 calls, never inside a hold (the deferral is seen)"));
    assert!(
        text.contains("hold_without_start 9 (1.64 % of the lock's holds and waits)"),
        "{text}"
    );
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    let mut hostile = Synthetic {
        comm: "\u{1b}[31m\n,\"<b>".into(),
        ..Synthetic::default()
    };
    hostile.sites = known_sites();
    let mut lines = hostile.lines();
    let Line::Header(header) = &mut lines[0] else {
        panic!("no header")
    };
    header.lock.name = "l".repeat(60);
    header.workload.as_mut().unwrap().name = "/a/very/long/path".repeat(9);
    let profile = profile_of(lines);
    for width in [40, 60, 80, 81, 100, 132, 250] {
        let text = table(&profile, width, false);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}

#[test]
fn colours_are_only_where_they_are_asked_for() {
    let profile = Synthetic::default().profile();
    let plain = table(&profile, 80, false);
    assert!(!plain.contains('\u{1b}'));
    let colored = table(&profile, 80, true);
    assert!(colored.contains("\u{1b}[1m"));
    let mut parts = colored.split("\u{1b}[");
    let mut stripped = parts.next().unwrap().to_owned();
    parts.for_each(|part| stripped.push_str(part.split_once('m').unwrap().1));
    assert_eq!(stripped, plain);
}
