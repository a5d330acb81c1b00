//! What is said of a mutex, and of an rwsem: their holders sleep, and their shortest hold is not known; a mutex has no
//! readers.

use lockprof::{
    export::{Format, Picture},
    profile::Profile,
    recording::schema::{
        BlameInterval, Detail, Line, LockFamily, OffCpuInterval, Probe, Proof,
        READERS_AND_HANDOVER, SpanInterval, Tier,
    },
    site::Site,
    span::Span,
};
use lockprof_abi::LCB_F_WRITE;

use crate::{
    absence::{all_views, changed, idle, says_none_of, set_controls},
    fixture::{Synthetic, profile_of},
    windowed::{Windowed, json, table, text},
};

fn synthetic() -> Synthetic {
    Synthetic {
        sites: vec![Site::OTHER],
        ..Synthetic::default()
    }
}

/// Makes a recording one of cgroup_mutex.
fn of_cgroup_mutex(line: &mut Line) {
    set_controls(line, Proof::Proved);
    match line {
        Line::Header(header) => {
            header.lock.name = "cgroup_mutex".into();
            header.lock.kind = Some(LockFamily::Mutex);
            header.detail = Detail::Holds;
        }
        Line::Calibration(calibration) => {
            calibration.null_hold = None;
            for (run, program) in calibration
                .run_time
                .iter_mut()
                .zip(["mutex_acquired_lock", "mutex_released"])
            {
                run.program = program.to_owned();
            }
        }
        Line::Interval(interval) => {
            interval.spans.clear();
            interval.calls_outside.clear();
            // Its waits are those of its sites, for it has no readers.
            interval
                .contention
                .retain(|wait| wait.flags & LCB_F_WRITE == 0);
            let pair = |holder: &str, waited_ns| BlameInterval {
                waiter: Site::OTHER.name().to_owned(),
                holder: holder.to_owned(),
                waited_ns,
            };
            if !interval.blame.is_empty() {
                interval.blame = vec![
                    pair(Site::OTHER.name(), 40_000),
                    pair(READERS_AND_HANDOVER, 90_000),
                ];
            }
        }
        Line::Footer(_) | Line::Killed(_) => {}
    }
}

/// The same, in which the calls of a function were asked for of which lockprof knows nothing: in each interval with holds
/// three are inside holds, and one is not.
fn of_named_calls(line: &mut Line) {
    const FUNCTION: &str = "css_populate_dir";
    of_cgroup_mutex(line);
    match line {
        Line::Header(header) => {
            header.detail = Detail::Spans;
            // As whoever reads a header does.
            let _met = Span::named(FUNCTION);
            let probes = ["span_left", "span_entered"].map(|program| Probe {
                program: format!("{program}_{FUNCTION}"),
                target: FUNCTION.to_owned(),
                absent: None,
            });
            header.attach.probes.extend(probes);
        }
        Line::Interval(interval) if !interval.cpus.is_empty() => {
            interval.spans.push(SpanInterval {
                span: FUNCTION.to_owned(),
                site: Site::OTHER.name().to_owned(),
                calls: 3,
                in_hold_ns: 3_000,
                self_ns: 2_000,
            });
            interval.calls_outside.insert(FUNCTION.to_owned(), 1);
        }
        Line::Interval(_) | Line::Calibration(_) | Line::Footer(_) | Line::Killed(_) => {}
    }
}

#[test]
fn calls_that_were_named_are_told_as_those_that_are_known() {
    let profile = changed(&synthetic(), of_named_calls);
    let text = all_views(&profile);
    for said in [
        "css_populate_dir: ",
        "75.0 % in other holds",
        "Tasks that sleep in holds",
    ] {
        assert!(text.contains(said), "{said}");
    }
    assert!(Picture::of(&profile).contains(&Picture::Anatomy));
    says_none_of(&text, &["The calls inside holds", "--detail spans"]);
}

/// The same, in which somebody looked what its holders did instead of running: in each interval they slept for a
/// millisecond in two functions that one calls the other, and once another task was put in the holder's place.
fn of_slow_holders(line: &mut Line) {
    of_cgroup_mutex(line);
    match line {
        Line::Header(header) => header.attach.probes.push(Probe {
            program: "holder_switched".to_owned(),
            target: "sched_switch".to_owned(),
            absent: None,
        }),
        Line::Interval(interval) => {
            let stack = [
                "__schedule+0x9",
                "schedule+0x1",
                "msleep+0x4",
                "a_driver+0x8",
            ];
            interval
                .stacks
                .insert(77, stack.map(str::to_owned).to_vec());
            let slept = OffCpuInterval {
                site: Some(Site::OTHER.name().to_owned()),
                preempted: false,
                stack: Some(77),
                stretches: 2,
                asleep_ns: 1_000_000,
                runnable_ns: 0,
                longest_ns: 700_000,
            };
            let preempted = OffCpuInterval {
                preempted: true,
                stack: None,
                stretches: 1,
                asleep_ns: 0,
                runnable_ns: 250_000,
                longest_ns: 250_000,
                ..slept.clone()
            };
            interval.off_cpu = vec![slept, preempted];
        }
        _ => {}
    }
}

#[test]
fn holders_that_do_not_run_are_told_with_what_they_do() {
    let recording = changed(&synthetic(), of_slow_holders);
    let said = table(&recording);
    assert!(said.contains("Holders that were not running"), "{said}");
    assert!(said.contains("msleep < a_driver"), "{said}");
    assert!(said.contains("(preempted)"), "{said}");
    let summary = json(&recording);
    let off_cpu = summary["off_cpu"].as_array().unwrap();
    assert_eq!(
        off_cpu[0]["path"],
        serde_json::json!(["msleep", "a_driver"])
    );
    let whole_ns =
        |field: &str| -> u64 { off_cpu.iter().filter_map(|off| off[field].as_u64()).sum() };
    assert_eq!(whole_ns("asleep_ns"), 4 * whole_ns("runnable_ns"));
    let csv = text(&recording, Format::Csv);
    assert!(
        csv.contains("off_cpu,other,msleep;a_driver,,,stretches,"),
        "{csv}"
    );
    // Nobody looked.
    let recording = changed(&synthetic(), of_cgroup_mutex);
    assert!(json(&recording)["off_cpu"].is_null());
    assert!(!table(&recording).contains("not running"));
}

#[test]
fn nothing_is_said_of_writers_readers_and_calls() {
    let text = all_views(&changed(&synthetic(), of_cgroup_mutex));
    for said in [
        "cgroup_mutex was held ",
        "behind hand-over, not a hold",
        "runs of the lock's own programs were with other locks than this one",
        "lockprof has no shortest hold of such a lock",
        "of a mutex they are not followed",
    ] {
        assert!(text.contains(said), "{said}");
    }
    says_none_of(
        &text,
        &[
            "held for writing",
            "by writers",
            "of writers",
            "task lives",
            "lives/s",
            "write holds",
            "--readers",
            "--detail spans",
        ],
    );
}

/// All but the summary for programs, in which the column of readers and hand-over has one name for all locks.
fn views_for_people(profile: &Profile) -> String {
    let views = [
        Format::Table {
            width: 100,
            color: false,
            by: None,
        },
        Format::Csv,
        Format::Markdown,
        Format::Folded,
        Format::Trace,
        Format::Html,
    ];
    let pictures = Picture::of(profile).iter();
    let pictures = pictures.map(|&picture| Format::Svg(picture));
    let views = views.into_iter().chain(pictures);
    views.map(|format| text(profile, format)).collect()
}

#[test]
fn its_waits_are_for_a_mutex_and_behind_no_readers() {
    let text = views_for_people(&changed(&synthetic(), of_cgroup_mutex));
    assert!(text.contains("cgroup_mutex (mutex)"));
    says_none_of(&text, &["rwlock", "readers", "write holds", "task lives"]);
}

#[test]
fn no_window_of_it_tells_task_lives() {
    let windowed = Windowed {
        like: synthetic(),
        ..Windowed::holds(&[10_000, 9_000, 10_100, 9_100, 10_200, 9_050])
    };
    let mut lines = windowed.lines();
    lines.iter_mut().for_each(of_cgroup_mutex);
    let profile = profile_of(lines);
    let summary = json(&profile);
    assert!(summary["scaled"]["holds"]["estimate"].as_f64() > Some(0.0));
    assert!(summary["scaled"]["lives"].is_null());
    let series = summary["series"].as_array().unwrap();
    assert!(series.iter().any(|point| point["holds"].as_u64() > Some(0)));
    assert!(
        series
            .iter()
            .all(|point| point["lives_per_second"].is_null())
    );
    let text = all_views(&profile) + &views_for_people(&profile);
    assert!(text.contains("stands for"));
    says_none_of(&text, &["task lives", "write holds"]);
}

/// `lockprof doctor` looks at another lock.
#[test]
fn why_its_holds_are_not_measured_is_said_in_the_report() {
    let waits = Synthetic {
        tier: Tier::WaitOnly,
        ..synthetic()
    };
    let text = all_views(&changed(&waits, of_cgroup_mutex));
    assert!(text.contains("what stands in the way is said beside the tier"));
    says_none_of(&text, &["lockprof doctor"]);
}

#[test]
fn that_it_was_never_taken_is_said_where_it_is_proved() {
    let text = all_views(&idle(of_cgroup_mutex));
    assert!(text.contains("cgroup_mutex was never taken in 3.00 s."));
    let unproved = all_views(&idle(|line| {
        of_cgroup_mutex(line);
        set_controls(line, Proof::NotProved);
    }));
    says_none_of(&unproved, &["never taken"]);
    assert!(unproved.contains("No hold of cgroup_mutex was seen in 3.00 s"));
}

/// Makes a recording one of an rwsem.
fn of_uts_sem(line: &mut Line) {
    of_cgroup_mutex(line);
    match line {
        Line::Header(header) => {
            header.lock.name = "uts_sem".into();
            header.lock.kind = Some(LockFamily::Rwsem);
        }
        Line::Calibration(calibration) => {
            let programs = ["rwsem_acquired_down_write", "rwsem_released_up_write"];
            for (run, program) in calibration.run_time.iter_mut().zip(programs) {
                run.program = program.to_owned();
            }
        }
        Line::Interval(_) | Line::Footer(_) | Line::Killed(_) => {}
    }
}

#[test]
fn an_rwsem_has_writers_and_readers_and_no_calls() {
    let text = all_views(&changed(&synthetic(), of_uts_sem));
    for said in [
        "uts_sem was held for writing",
        "behind readers and hand-over, not a writer's hold",
        "runs of the lock's own programs were with other locks than this one",
        "lockprof has no shortest hold of such a lock",
        "of an rwsem they are not followed",
        "--readers",
        "uts_sem (rwsem:W)",
    ] {
        assert!(text.contains(said), "{said}");
    }
    says_none_of(
        &text,
        &["task lives", "lives/s", "--detail spans", "rwlock:"],
    );
}
