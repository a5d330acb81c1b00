//! How a run ended: what was still held, a load that failed, a signal; and which run would tell more.

use lockprof::{
    export::Format,
    profile::{Profile, Verdict},
    recording::schema::{
        Ended, Footer, Header, InProgress, Kind, Line, OpenEvent, WindowKind, Workload,
    },
};
use serde_json::Value;

use crate::{
    fixture::{Synthetic, profile_of},
    windowed::{Windowed, joined, text},
};

fn changed(
    mut lines: Vec<Line>,
    header: impl Fn(&mut Header),
    footer: impl Fn(&mut Footer),
) -> Profile {
    for line in &mut lines {
        match line {
            Line::Header(line) => header(line),
            Line::Footer(line) => footer(line),
            _ => {}
        }
    }
    profile_of(lines)
}

fn ended(change: impl Fn(&mut Footer)) -> Profile {
    changed(Synthetic::default().lines(), |_| {}, change)
}

fn view(profile: &Profile, format: Format) -> String {
    joined(&text(profile, format).replace('\u{a0}', " "))
}

/// What a person reads.
fn views(profile: &Profile) -> Vec<String> {
    let table = Format::Table {
        width: 100,
        color: false,
        by: None,
    };
    let all = [table, Format::Markdown, Format::Html];
    all.map(|format| view(profile, format)).to_vec()
}

fn open(kind: Kind, site: &str) -> OpenEvent {
    OpenEvent {
        kind,
        at_least_ns: 2_900_000_000,
        since_attach: false,
        lock: Some("0xffffffff8260a080".into()),
        name: Some("tasklist_lock".into()),
        flags: 5,
        caller: None,
        site: Some(site.into()),
        cpu: Some(1),
        pid: Some(5),
        tgid: Some(5),
        comm: Some("cat".into()),
    }
}

fn in_progress(events: Vec<OpenEvent>) -> Profile {
    ended(|footer| {
        footer.in_progress = Some(InProgress {
            events: events.clone(),
            ..InProgress::default()
        });
    })
}

/// What lockprof does before it measures is no warm-up that somebody asked for.
#[test]
fn a_run_without_a_warm_up_has_none() {
    let run = |warm_up_s| {
        let lines = Synthetic::default().lines();
        changed(lines, |header| header.warm_up_s = warm_up_s, |_| {})
    };
    for text in views(&run(Some(0.0))) {
        assert!(text.contains("after 1.00 s of preparation"), "{text}");
        assert!(!text.contains("warm-up"), "{text}");
    }
    for warm_up_s in [None, Some(1.0)] {
        for text in views(&run(warm_up_s)) {
            assert!(text.contains("after 1.00 s of warm-up"), "{text}");
        }
    }
}

/// A lock that is held for all of the time is not little held.
#[test]
fn an_open_hold_is_in_the_share() {
    let profile = in_progress(vec![open(Kind::Hold, "reap")]);
    assert!(profile.held_is_bound() && profile.held_share().unwrap() > 0.96);
    let verdict = Verdict::of(&profile);
    assert!(
        verdict.findings[0].starts_with(
            "tasklist_lock was held for writing at least 96.7 % of the time; 38.3 % of the time of holds that had \
             ended is reap's ("
        ),
        "{verdict:?}"
    );
    assert_eq!(verdict.next, None);
    for text in views(&profile) {
        assert!(!text.contains("That is little"), "{text}");
        assert!(
            text.contains("at least 96.7 % of the time by writers"),
            "{text}"
        );
    }
    let json: Value = serde_json::from_str(&view(&profile, Format::Json)).unwrap();
    let share = json["held_share"].as_f64().unwrap();
    assert!(share > 0.96);
    // Over time as in the whole, on its CPU; the sites have what had ended.
    let points = json["series"].as_array().unwrap().iter();
    let measured: Vec<&Value> = points
        .filter(|point| point["phase"] == "measured")
        .collect();
    let held =
        |point: &Value| point["held_share"].as_f64().unwrap() * point["seconds"].as_f64().unwrap();
    let over_time: f64 = measured.iter().map(|point| held(point)).sum();
    assert!(
        (over_time / json["duration_s"].as_f64().unwrap() - share).abs() < 0.01,
        "{over_time}"
    );
    let last = measured.last().unwrap();
    assert!(
        last["cpu_held_share"]["1"].as_f64().unwrap() > 0.9,
        "{last}"
    );
    let sites = json["sites"].as_array().unwrap().iter();
    let ended: f64 = sites.filter_map(|site| site["held_share"].as_f64()).sum();
    assert!(ended < 0.02, "{ended}");
    // A wait that goes on is no hold, and no reason to say that nobody waits.
    let waits = in_progress(vec![open(Kind::Wait, "fork")]);
    assert!(!waits.held_is_bound() && waits.held_share().unwrap() < 0.02);
    assert_eq!(Verdict::of(&waits).next, None);
    // What another lock does says nothing of this one.
    let mut other = open(Kind::Wait, "fork");
    (other.lock, other.name) = (Some("0xffff888100a0b0c0".into()), None);
    let said = Verdict::of(&in_progress(vec![other])).next.unwrap();
    assert!(said.starts_with("That is little"), "{said}");
}

/// Where none has ended there is one all the same.
#[test]
fn a_hold_that_has_not_ended_is_no_absence() {
    let idle = Synthetic {
        holds: 0,
        ..Synthetic::default()
    };
    let events = vec![open(Kind::Hold, "reap")];
    let profile = changed(
        idle.lines(),
        |_| {},
        |footer| {
            footer.in_progress = Some(InProgress {
                events: events.clone(),
                ..InProgress::default()
            });
        },
    );
    assert_eq!(
        Verdict::of(&profile).findings[0],
        "tasklist_lock was held for writing at least 96.7 % of the time, by a hold that had not ended."
    );
    for text in views(&profile) {
        assert!(!text.contains("never taken for writing"), "{text}");
        assert!(text.contains("by a hold that had not ended."), "{text}");
    }
}

/// In a run with windows nobody knows how much of it is in the windows of holds.
#[test]
fn an_open_hold_of_another_window_is_in_no_share() {
    let share = |events: Vec<OpenEvent>| {
        let lines = Windowed::default().lines();
        let profile = changed(
            lines,
            |_| {},
            |footer| {
                footer.in_progress = Some(InProgress {
                    events: events.clone(),
                    ..InProgress::default()
                });
            },
        );
        (profile.held_share().unwrap(), Verdict::of(&profile))
    };
    let (without, _) = share(Vec::new());
    let (with, verdict) = share(vec![open(Kind::Hold, "reap")]);
    assert!((with - without).abs() < 1e-12);
    let said = "tasklist_lock was held for writing at least ";
    assert!(verdict.findings[0].starts_with(said), "{verdict:?}");
}

#[test]
fn a_load_that_failed_is_said_in_every_report() {
    let failed = |status| {
        ended(|footer| {
            (footer.ended, footer.load_status) = (Ended::LoadEnded, Some(status));
        })
    };
    let said = "The load failed: it ended with status 1, after 3.00 s of the measured time.";
    for text in views(&failed(1)) {
        assert!(text.contains(said), "{text}");
    }
    let caveats = Verdict::of(&failed(137)).caveats;
    assert!(caveats[0].starts_with("The load failed: it ended with status 137 (signal 9), "));
    assert_eq!(Verdict::of(&failed(0)).caveats, [""; 0]);
    // The one that lockprof ends is ended by a signal, too.
    let ours = ended(|footer| {
        (footer.ended, footer.load_status) = (Ended::Duration, Some(143));
    });
    assert_eq!(Verdict::of(&ours).caveats, [""; 0]);
}

/// Where nothing was measured that is the reason; a void run is void before all.
#[test]
fn a_load_that_failed_at_once_explains_that_nothing_was_measured() {
    let nothing = Synthetic {
        intervals: 0,
        ..Synthetic::default()
    };
    let profile = changed(
        nothing.lines(),
        |_| {},
        |footer| {
            (footer.ended, footer.load_status) = (Ended::LoadEnded, Some(127));
        },
    );
    assert_eq!(
        Verdict::of(&profile).caveats,
        [
            "The load failed: it ended with status 127, before the measured time. What follows may be of a part of it.",
            "Nothing was measured, so nothing can be said.",
        ]
    );
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.losses.insert("entry_lost".into(), 5000);
        }
    }
    let void = changed(
        lines,
        |_| {},
        |footer| {
            (footer.ended, footer.load_status) = (Ended::LoadEnded, Some(1));
        },
    );
    let caveats = Verdict::of(&void).caveats;
    assert!(caveats[0].starts_with("This run is void"), "{caveats:?}");
    assert!(caveats[1].starts_with("The load failed"), "{caveats:?}");
}

#[test]
fn a_run_that_a_signal_ended_is_said_to_be_one() {
    let signal = |header: fn(&mut Header)| {
        let lines = Synthetic::default().lines();
        let profile = changed(lines, header, |footer| footer.ended = Ended::Signal);
        Verdict::of(&profile).caveats
    };
    assert_eq!(
        signal(|_| {}),
        ["A signal ended this run and its load, after 3.00 s of the measured time."]
    );
    let asked_for = signal(|header| {
        header.workload = None;
        header.command_line = ["lockprof", "attach", "-d", "9"]
            .map(str::to_owned)
            .to_vec();
    });
    assert_eq!(
        asked_for,
        ["A signal ended this run before its time, after 3.00 s of the measured time."]
    );
    // Nothing else ends one that is to go on.
    let endless = signal(|header| {
        header.workload = None;
        header.command_line = ["lockprof", "attach"].map(str::to_owned).to_vec();
    });
    assert_eq!(endless, [""; 0]);
}

/// Of one pair of windows nothing is known of the next: five seconds are the least, and no promise.
#[test]
fn no_run_is_promised_to_tell() {
    let one = Windowed::holds(&[10_000, 9_000]);
    let caveats = Verdict::of(&one.profile()).caveats;
    assert!(
        caveats[0].ends_with(" It takes a run of at least 10 s to tell."),
        "{caveats:?}"
    );
    let rates = [10_000, 9_000, 10_000, 10_000, 10_000, 11_000, 10_000];
    let some = Windowed::holds(&rates);
    let caveats = Verdict::of(&some.profile()).caveats;
    assert!(caveats[0].contains(" By estimate a run of "), "{caveats:?}");
    // A command that is over at once takes no longer run.
    let command = changed(
        one.lines(),
        |header| {
            header.workload = Some(Workload {
                name: "command".into(),
                tasks: None,
                mode: None,
                command: vec!["true".into()],
            });
        },
        |footer| footer.ended = Ended::LoadEnded,
    );
    let caveats = Verdict::of(&command).caveats;
    assert!(
        caveats[0].ends_with(" It takes a load that runs for at least 10 s to tell."),
        "{caveats:?}"
    );
    let effect = command.effect.unwrap();
    assert_eq!(effect.of_kind(WindowKind::Holds).unwrap().interval, None);
}

#[test]
fn one_process_is_one() {
    let tasks = |tasks, mode: &'static str| {
        let lines = Synthetic::default().lines();
        let profile = changed(
            lines,
            |header| {
                let workload = header.workload.as_mut().unwrap();
                (workload.tasks, workload.mode) = (Some(tasks), Some(mode.to_owned()));
            },
            |_| {},
        );
        view(&profile, Format::Markdown)
    };
    assert!(tasks(1, "processes").contains("threadspawn, 1 process:"));
    assert!(tasks(1, "threads").contains("threadspawn, 1 thread:"));
    assert!(tasks(2, "threads").contains("threadspawn, 2 threads:"));
}

#[test]
fn nothing_is_measured_in_no_interval() {
    let nothing = Synthetic {
        intervals: 0,
        ..Synthetic::default()
    };
    let text = view(&nothing.profile(), Format::Markdown);
    assert!(text.contains("nothing, after 1.00 s of warm-up"), "{text}");
    assert!(
        !text.contains("in 0 intervals") && !text.contains("0.0 MiB"),
        "{text}"
    );
    let one = ended(|footer| {
        footer.tasks_created = 1;
        footer.write_failures = vec!["No space left on device".to_owned()];
    });
    let text = view(&one, Format::Markdown);
    assert!(text.contains("the kernel created 1 task;"), "{text}");
    assert!(
        text.contains("1 line of the recording could not be written"),
        "{text}"
    );
}
