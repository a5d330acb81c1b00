//! What a recording with windows says.

use lockprof::{
    compare::{Comparison, Instrument, Side},
    export::{ComparisonReport, Format, Picture},
    profile::{Stage, Verdict, anatomies},
    recording::schema::{
        Detail, Interval, Line, Phase, Probe, WindowKind,
        WindowKind::{Bare, Holds, Spans, Waits},
    },
    site::Site,
};
use serde_json::Value;

use crate::{
    fixture::profile_of,
    windowed::{EDGE_S, WINDOW_S, Windowed, joined, json, table, text, wait_only},
};

fn intervals(lines: &[Line]) -> impl Iterator<Item = &Interval> {
    lines.iter().filter_map(|line| match line {
        Line::Interval(interval) => Some(&**interval),
        _ => None,
    })
}

/// Of the windows of a kind, added up by hand.
fn sum(lines: &[Line], kind: WindowKind, number: impl Fn(&Interval) -> u64) -> u64 {
    let of_kind = intervals(lines).filter(|interval| {
        let window = interval.window;
        window.is_some_and(|window| window.kind == kind && !window.edge)
    });
    of_kind.map(number).sum()
}

fn reaps(interval: &Interval) -> (u64, u64) {
    let sites = interval.cpus.iter().flat_map(|cpu| &cpu.sites);
    let reaps = sites.filter(|totals| totals.site == "reap");
    reaps.fold((0, 0), |sum, totals| {
        (sum.0 + totals.holds, sum.1 + totals.held_ns)
    })
}

#[test]
fn each_number_is_of_its_kind_of_window() {
    let lines = Windowed::default().lines();
    let profile = profile_of(lines.clone());
    let held = |kind| sum(&lines, kind, |interval| reaps(interval).1);
    assert_ne!(held(Holds), held(Spans));
    let reap = profile.site(Site::REAP).unwrap().hold.as_ref().unwrap();
    assert_eq!(reap.total_ns, held(Holds));
    assert_eq!(
        reap.count(),
        sum(&lines, Holds, |interval| reaps(interval).0)
    );
    assert_eq!(profile.measured_s, 3.0 * WINDOW_S);
    assert_eq!(profile.intervals, 6);
    let in_spans = profile.holds_of_spans(Site::REAP).unwrap();
    assert_eq!(in_spans.total_ns, held(Spans));
    let span_ns = sum(&lines, Spans, |interval| {
        interval.spans.iter().map(|span| span.self_ns).sum()
    });
    let spans = profile.spans.iter();
    assert_eq!(spans.filter_map(|span| span.self_ns).sum::<u64>(), span_ns);
    let blamed: u64 = profile.blame.iter().map(|pair| pair.waited_ns).sum();
    let expected = sum(&lines, Holds, |interval| {
        interval.blame.iter().map(|pair| pair.waited_ns).sum()
    });
    assert_eq!(blamed, expected);
    let inner: u64 = profile
        .inner_waits
        .iter()
        .map(|wait| wait.waits.count())
        .sum();
    // Three in each interval of the windows of spans.
    assert_eq!(inner, 3 * 2 * 3);
    let cpus: u64 = profile.cpus.iter().map(|cpu| cpu.held_ns).sum();
    assert_eq!(Some(cpus), profile.held_ns());
    // Lost or not is asked of the windows that the numbers are of.
    let events = sum(&lines, Holds, of_target);
    assert_eq!(profile.losses.target_events, events);
}

fn of_target(interval: &Interval) -> u64 {
    let sites = interval.cpus.iter().flat_map(|cpu| &cpu.sites);
    sites.map(|totals| totals.holds + totals.waits).sum()
}

#[test]
fn the_parts_of_a_hold_are_of_the_holds_that_they_were_measured_in() {
    let profile = Windowed::default().profile();
    let anatomies = anatomies(&profile);
    let reap = anatomies
        .iter()
        .find(|anatomy| anatomy.site == Site::REAP)
        .unwrap();
    let holds = profile.holds_of_spans(Site::REAP).unwrap();
    assert_eq!(reap.total_ns, holds.total_ns);
    assert_eq!(
        reap.parts.iter().map(|part| part.ns).sum::<u64>(),
        reap.total_ns
    );
    let results = profile.site(Site::REAP).unwrap().hold.as_ref().unwrap();
    assert_ne!(reap.total_ns, results.total_ns);
}

/// In a window without probes, and at an edge, a lock is not measured: it is not idle.
#[test]
fn stretches_without_probes_are_not_measured() {
    let profile = Windowed::default().profile();
    let mut stages = Vec::new();
    for point in &profile.series {
        let seen = matches!(point.stage, Stage::WarmUp | Stage::Measured | Stage::Spans);
        assert_eq!(point.holds.is_some(), seen, "{point:?}");
        assert_eq!(point.lives.is_some(), seen);
        assert_eq!(point.held_ns.is_some(), seen);
        assert_eq!(point.cpus.is_empty(), !seen);
        stages.push(point.stage);
    }
    stages.dedup();
    let of_turn = [Stage::Bare, Stage::Measured, Stage::Bare, Stage::Spans];
    let turns = of_turn.iter().cycle().take(13);
    let mut expected = vec![Stage::WarmUp];
    expected.extend(turns.flat_map(|&stage| [Stage::Edge, stage]));
    assert_eq!(stages, expected);
    let json = json(&profile);
    let point = &json["series"][2];
    assert_eq!(point["phase"], "bare");
    for name in [
        "held_share",
        "cpu_held_share",
        "holds",
        "mean_hold_ns",
        "lives_per_second",
    ] {
        assert!(point[name].is_null(), "{name}: {point}");
    }
    assert_eq!(json["series"][1]["phase"], "edge");
}

#[test]
fn what_comes_after_the_last_window_is_the_ending() {
    let mut lines = Windowed::default().lines();
    // Before the footer; the last window is bare.
    let Some(Line::Interval(last)) = lines.iter().rev().nth(1).cloned() else {
        panic!("no interval")
    };
    let mut ending = *last;
    ending.at_s += 1.0;
    (ending.phase, ending.window) = (Phase::WarmUp, None);
    lines.insert(lines.len() - 1, Line::Interval(Box::new(ending)));
    let profile = profile_of(lines);
    let stages: Vec<Stage> = profile.series.iter().map(|point| point.stage).collect();
    assert_eq!(stages.last(), Some(&Stage::Ending));
    assert_eq!(stages[stages.len() - 2], Stage::Bare);
    assert_eq!(stages[0], Stage::WarmUp);
}

#[test]
fn json_has_the_effect_and_the_windows() {
    let json = json(&Windowed::default().profile());
    let holds = &json["effect"]["holds"];
    assert_eq!(holds["windows"], 3);
    assert_eq!(holds["pairs"], 3);
    assert_eq!(holds["verdict"], "felt");
    assert_eq!(holds["of"], "iterations");
    assert!(holds["more_s"].is_null());
    for (name, expected) in [
        ("ratio", 0.900_529),
        ("low", 0.888_740),
        ("high", 0.912_475),
    ] {
        let found = holds[name].as_f64().unwrap();
        assert!((found - expected).abs() < 2e-5, "{name}: {found}");
    }
    assert_eq!(json["effect"]["spans"]["verdict"], "slower_lock");
    let edges = json["effect"]["edges"]["share_of_time"].as_f64().unwrap();
    assert!((edges - EDGE_S / (EDGE_S + WINDOW_S)).abs() < 1e-9);
    let kinds: Vec<(&str, u64)> = json["windows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["kind"].as_str().unwrap(),
                row["windows"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [("bare", 7), ("holds", 3), ("spans", 3), ("edge", 13)];
    assert_eq!(kinds, expected);
    assert_eq!(json["windows"][1]["iterations"], 9_000 + 9_100 + 9_050);
    // Without probes, and not what is left with them.
    let rate = json["workload"]["per_second"].as_f64().unwrap();
    assert!((rate - 70_350.0 / 7.0).abs() < 1e-6, "{rate}");
}

/// The load's totals are of the whole run, and nothing to compare some windows with.
#[test]
fn forks_are_compared_with_the_tasks_of_the_same_windows() {
    let lines = Windowed::default().lines();
    let profile = profile_of(lines.clone());
    let check = &profile.ground_truth;
    assert_eq!(check.windows, Some(6));
    assert_eq!(check.lives_by_load, None);
    // Its intervals have less than the windows themselves: the smaller is certain.
    let created = |interval: &Interval| interval.machine.tasks_created;
    let created = sum(&lines, Holds, created) + sum(&lines, Spans, created);
    assert_eq!(check.tasks_created_by_kernel, Some(created));
    let forks = |interval: &Interval| {
        let sites = interval.cpus.iter().flat_map(|cpu| &cpu.sites);
        let forks = sites.filter(|totals| totals.site == "fork");
        forks.map(|totals| totals.holds).sum()
    };
    let forks = sum(&lines, Holds, forks) + sum(&lines, Spans, forks);
    assert_eq!(check.fork_holds, Some(forks));
    let said = "in 6 windows with holds the kernel created 480 tasks";
    let table = joined(&table(&profile));
    assert!(table.contains(said), "{table}");
    assert!(table.contains("being created at 12 edges"), "{table}");
}

#[test]
fn losses_of_an_edge_are_none_of_the_run() {
    for (edge, void) in [(true, false), (false, true)] {
        let mut lines = Windowed::default().lines();
        for line in &mut lines {
            if let Line::Interval(interval) = line
                && let Some(window) = interval.window
                && window.edge == edge
            {
                interval.losses.insert("hold_without_start".into(), 1);
            }
        }
        assert_eq!(profile_of(lines).void(), void, "{edge}");
    }
}

#[test]
fn one_window_alone() {
    let bare = Windowed::holds(&[1_000]).profile();
    assert_eq!((bare.intervals, bare.write_holds()), (0, None));
    let text = joined(&table(&bare));
    let said = "Nothing was measured: the run ended before its first window with probes.";
    assert!(text.contains(said), "{text}");
    assert!(!text.contains("never taken"), "{text}");
    let holds = Windowed {
        turn: vec![Holds],
        iterations: vec![1_000],
        ..Windowed::default()
    };
    let verdict = Verdict::of(&holds.profile());
    let said = "How much of its rate the load keeps with the probes of holds is not known: no window \
                with them has one without beside it. It takes a run of at least 5 s to tell.";
    assert_eq!(verdict.caveats[0], said);
}

#[test]
fn a_run_that_ends_before_its_spans() {
    let profile = Windowed {
        iterations: vec![1_000, 900, 1_000],
        ..Windowed::default()
    }
    .profile();
    assert!(profile.spans_not_reached());
    assert!(anatomies(&profile).is_empty());
    let verdict = Verdict::of(&profile);
    let said = "The run ended before its first window of spans: what holds are spent on was not \
                measured.";
    assert!(verdict.caveats.iter().any(|caveat| caveat == said));
    assert!(!joined(&table(&profile)).contains("No span was called"));
}

#[test]
fn a_run_that_was_cut_short_in_an_edge() {
    let whole = Windowed::default().lines();
    let mut lines = whole.clone();
    // The footer and both intervals of the last window, which is bare.
    lines.truncate(whole.len() - 3);
    let Some(Line::Interval(edge)) = lines.last_mut() else {
        panic!("no interval")
    };
    let window = edge.window.as_mut().unwrap();
    assert!(window.edge);
    window.done = None;
    let (cut, whole) = (profile_of(lines), profile_of(whole));
    assert!(cut.cut_short);
    assert_eq!(cut.sites, whole.sites);
    assert_eq!(cut.windows.edges().unwrap().windows, 12);
    assert_eq!(cut.windows.of(Bare).unwrap().windows, 6);
    assert_eq!(cut.series.last().unwrap().stage, Stage::Edge);
    let spans = cut.effect.unwrap().of_kind(Spans).copied().unwrap();
    assert_eq!(spans.pairs, 3);
}

/// So that it can stand beside recordings that were made with one set of probes each.
#[test]
fn a_comparison_takes_each_kind_of_window_for_a_recording_of_its_own() {
    let mut lines = Windowed::default().lines();
    if let Some(Line::Header(header)) = lines.first_mut() {
        // What has no probes is not compared.
        header.attach.probes.push(Probe {
            program: "span_entered".into(),
            target: "free_pid".into(),
            absent: None,
        });
    }
    let profile = profile_of(lines.clone());
    let mut side = Side::new("a kernel");
    side.add("a recording", &profile);
    let runs = &side.boots.values().next().unwrap()[0].runs;
    let run = |wanted: &dyn Fn(&Instrument) -> bool| {
        let mut runs = runs.iter().filter(|(instrument, _)| wanted(instrument));
        let (_, totals) = runs.next().unwrap();
        assert!(runs.next().is_none());
        totals
    };
    let off = run(&|instrument| instrument.is_off());
    assert_eq!(off.rates, [70_350.0 / 7.0]);
    assert!(off.holds.is_empty() && !off.waits_of.is_known());
    let of = |detail| run(&|instrument| !instrument.is_off() && instrument.detail == detail);
    let (holds, spans) = (of(Detail::Holds), of(Detail::Spans));
    assert_eq!((holds.seconds, spans.seconds), (3.0, 3.0));
    assert_eq!(holds.rates, [27_150.0 / 3.0]);
    assert_eq!(spans.rates, [21_100.0 / 3.0]);
    let held = |kind| sum(&lines, kind, |interval| reaps(interval).1);
    assert_eq!(holds.holds[&Site::REAP].total_ns, held(Holds));
    assert_eq!(spans.holds[&Site::REAP].total_ns, held(Spans));
    let lives = |kind| sum(&lines, kind, |interval| reaps(interval).0) as f64;
    assert_eq!((holds.work, spans.work), (lives(Holds), lives(Spans)));
    assert!(holds.spans.is_empty() && !spans.spans.is_empty());
    assert!(holds.waits_of.is_known() && !spans.waits_of.is_known());
    assert!(spans.inner_waits_of.is_known());
}

/// Runs that ended before their first window of holds.
#[test]
fn windows_of_waits_are_compared_as_what_has_no_holds() {
    let like_waits = Windowed {
        turn: vec![Bare, Waits, Bare, Holds],
        iterations: vec![10_000, 9_900, 10_000],
        ..Windowed::default()
    };
    let side = |name: &str| {
        let mut lines = like_waits.lines();
        for line in &mut lines {
            match line {
                Line::Header(header) => {
                    header.kernel.boot_id = name.to_owned();
                    header.attach.probes.push(Probe {
                        program: "span_entered".into(),
                        target: "free_pid".into(),
                        absent: None,
                    });
                }
                // The probes of holds are not there.
                Line::Interval(interval) => interval.cpus.clear(),
                _ => {}
            }
        }
        let mut side = Side::new(name);
        side.add("a recording", &profile_of(lines));
        side
    };
    let sides = [side("a"), side("b")];
    let runs = &sides[0].boots.values().next().unwrap()[0].runs;
    let mut probed = runs.iter().filter(|(instrument, _)| !instrument.is_off());
    let (instrument, totals) = probed.next().unwrap();
    assert!(probed.next().is_none());
    assert!(!instrument.sees_holds(), "{instrument:?}");
    assert_eq!(
        instrument.describe(),
        "wait-only tier by contention tracepoints, spans"
    );
    assert_eq!(totals.rates, [9_900.0]);
    assert!(totals.holds.is_empty() && totals.spans_of.is_empty());

    let [before, after] = sides;
    let comparison = Comparison::of(before, after).unwrap();
    let instruments = comparison.settings[0].answers.instruments;
    assert_eq!(instruments.holds, None);
    assert!(instruments.probed.is_some());
    let report = ComparisonReport::new(vec![comparison], Vec::new());
    let table = joined(&String::from_utf8(report.table(false)).unwrap());
    assert!(
        table.contains(
            "Holds: not measured; waits: wait-only tier by contention tracepoints, spans."
        ),
        "{table}"
    );
    assert!(
        table.contains("With the probes of waits alone attached the load has 99.0 %"),
        "{table}"
    );
    let json: Value = serde_json::from_slice(&report.json().unwrap()).unwrap();
    let instruments = &json["comparisons"][0]["settings"][0]["instruments"];
    assert!(instruments["holds"].is_null(), "{instruments}");
}

#[test]
fn waits_alone() {
    let rates = [10_000, 9_900, 10_000, 9_910, 10_000, 9_890, 10_000];
    let profile = wait_only(&rates).profile();
    assert_eq!(profile.measured_s, 3.0);
    let reap = profile.site(Site::REAP).unwrap().wait.as_ref().unwrap();
    assert_eq!(reap.count(), 6 * 40);
    let waits = profile.effect.as_ref().unwrap().of_kind(Waits).unwrap();
    assert_eq!(waits.pairs, 3);
    assert!(profile.ground_truth.fork_holds.is_none());
    let said = "With the probes of waits the load kept 99.0 % of its rate";
    assert!(Verdict::of(&profile).caveats[0].starts_with(said));
}

/// Every view of every shape can be made, and none says that a lock was free where nobody looked.
#[test]
fn pictures_leave_blank_what_nobody_saw() {
    let profile = Windowed::default().profile();
    for &picture in Picture::of(&profile) {
        assert!(text(&profile, Format::Svg(picture)).contains("</svg>"));
    }
    let page = joined(&text(&profile, Format::Html));
    assert!(
        page.contains("the numbers are of 3.00 s of 14.6 s."),
        "{page}"
    );
    let map = text(&profile, Format::Svg(Picture::Heatmap));
    assert!(map.contains("blank: without the probes of holds, or with more"));
    let trace: Value = serde_json::from_str(&text(&profile, Format::Trace)).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let slices = events.iter().filter(|event| event["ph"] == "X");
    let bare: Vec<&Value> = slices
        .filter(|event| event["name"] == "without probes")
        .collect();
    assert_eq!(bare.len(), 14);
    for slice in bare {
        let start = &slice["ts"];
        let counter = |event: &&Value| event["ph"] == "C" && &event["ts"] == start;
        assert!(!events.iter().any(|event| counter(&event)), "{slice}");
    }
}
