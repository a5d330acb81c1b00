//! What recordings add up to.

use std::collections::BTreeMap;

use lockprof::{
    export::Format,
    profile::Scale,
    recording::schema::{ContentionInterval, Line, Phase, Probe, Tier},
    site::Site,
    span::Span,
};
use lockprof_abi::LCB_F_SPIN;

use crate::{
    fixture::{Synthetic, profile_of},
    windowed::{joined, text},
};

#[test]
fn only_the_measured_time_is_in_the_results() {
    let synthetic = Synthetic::default();
    let profile = synthetic.profile();
    let per_interval = u64::from(synthetic.cpus * synthetic.holds);
    assert_eq!(profile.intervals, 3);
    assert_eq!(profile.measured_s, 3.0);
    assert_eq!(profile.lives(), Some(3 * per_interval));
    assert_eq!(profile.write_holds(), Some(9 * per_interval));
    // From attach to detach, the warm-up is there.
    assert_eq!(
        profile.attached.holds.as_ref().unwrap()[&Site::REAP],
        4 * per_interval
    );
    assert_eq!(
        profile.attached.spans[&Span::FREE_PID].calls_in_hold,
        4 * per_interval
    );
    assert_eq!(
        profile.attached.spans[&Span::ADD_DEVICE_RANDOMNESS].calls,
        8 * per_interval
    );
    assert_eq!(profile.ground_truth.fork_difference(), Some(0));
    assert_eq!(profile.series.len(), 4);
}

#[test]
fn cpus_and_sites_have_the_same_sum() {
    let profile = Synthetic {
        cpus: 24,
        ..Synthetic::default()
    }
    .profile();
    let cpus: u64 = profile.cpus.iter().map(|cpu| cpu.holds).sum();
    assert_eq!(profile.write_holds(), Some(cpus));
    let held: u64 = profile.cpus.iter().map(|cpu| cpu.held_ns).sum();
    assert_eq!(profile.held_ns(), Some(held));
    for point in &profile.series {
        let shares: f64 = point.cpus.iter().map(|cpu| cpu.held).sum();
        assert!((shares - point.held_share().unwrap()).abs() < 1e-9);
    }
}

#[test]
fn the_longest_of_all_intervals_and_cpus_is_kept() {
    let profile = Synthetic {
        cpus: 4,
        intervals: 9,
        ..Synthetic::default()
    }
    .profile();
    let reap = profile.site(Site::REAP).unwrap();
    let longest = reap.longest_hold.as_ref().unwrap();
    assert_eq!(reap.hold.as_ref().unwrap().longest_ns, Some(longest.ns));
    let (low, high, _) = reap
        .hold
        .as_ref()
        .unwrap()
        .histogram
        .buckets()
        .last()
        .unwrap();
    assert!((low..high).contains(&longest.ns));
}

#[test]
fn without_probes_the_target_is_found_by_the_stacks_of_its_waits() {
    let profile = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    }
    .profile();
    let sites: Vec<Site> = profile.sites.iter().map(|site| site.site).collect();
    assert_eq!(sites, [Site::REAP, Site::FORK]);
    let reap = profile.site(Site::REAP).unwrap();
    assert_eq!(reap.hold, None);
    let wait = reap.wait.as_ref().unwrap();
    assert_eq!((wait.count(), wait.mean_ns()), (120, Some(24_000.0)));
    assert_eq!(wait.histogram.scale(), Scale::Octaves);
    assert_eq!(profile.losses.target_events, 195);
    let targets: Vec<&str> = profile
        .contention
        .iter()
        .filter(|wait| wait.is_target)
        .filter_map(|wait| wait.caller.as_deref())
        .collect();
    assert_eq!(targets, ["release_task", "copy_process"]);
}

/// As a recording has it whose waiters that spin were sampled: each with its caller, and beside them one
/// sample, whose stack is known.
fn sampled() -> Vec<Line> {
    let synthetic = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    let mut lines = synthetic.lines();
    for line in &mut lines {
        match line {
            Line::Header(header) => header.sample_every = Some(251),
            Line::Interval(interval) => {
                let spinning = |entry: &&mut ContentionInterval| entry.flags & LCB_F_SPIN != 0;
                let mut samples = Vec::new();
                for entry in interval.contention.iter_mut().filter(spinning) {
                    let caller = match entry.stack {
                        Some(1) => "release_task+0x3",
                        _ => "copy_process+0x3",
                    };
                    entry.caller = Some(caller.to_owned());
                    samples.push(ContentionInterval {
                        sampled: 1,
                        waits: 0,
                        waited_ns: 0,
                        octaves: Vec::new(),
                        ..entry.clone()
                    });
                    entry.stack = None;
                }
                (interval.callers_checked, interval.callers_wrong) = (2, 0);
                interval.contention.extend(samples);
                interval.contention.push(ContentionInterval {
                    lock: "0x1".to_owned(),
                    name: None,
                    object: None,
                    flags: LCB_F_SPIN,
                    caller: None,
                    stack: None,
                    others: true,
                    in_hold_of: None,
                    sampled: 0,
                    waits: 9,
                    waited_ns: 90_000_000,
                    longest_ns: 9_000,
                    octaves: vec![13, 9],
                });
            }
            Line::Calibration(_) | Line::Footer(_) | Line::Killed(_) => {}
        }
    }
    lines
}

#[test]
fn samples_are_counted_and_in_no_length() {
    let profile = profile_of(sampled());
    let reap = profile.site(Site::REAP).unwrap().wait.as_ref().unwrap();
    // Three intervals, with forty waits and one sample in each.
    assert_eq!((reap.count(), reap.measured(), reap.sampled), (123, 120, 3));
    assert_eq!(reap.mean_ns(), Some(24_000.0));
    assert_eq!(profile.samples.taken, 6);
    assert_eq!(profile.samples.spinning, 3 * (41 + 26 + 9));
    assert_eq!(profile.samples.wrong_share(), Some(0.0));
    let targets: Vec<(Option<&str>, u64)> = profile
        .contention
        .iter()
        .filter(|wait| wait.is_target)
        .map(|wait| (wait.caller.as_deref(), wait.waits.count()))
        .collect();
    let expected = [(Some("release_task"), 123), (Some("copy_process"), 78)];
    assert_eq!(targets, expected);
}

#[test]
fn what_had_no_place_is_no_lock_and_is_said() {
    let profile = profile_of(sampled());
    assert!(profile.other_locks().all(|wait| wait.lock() != "others"));
    let others: Vec<u64> = profile
        .unnamed_locks()
        .map(|wait| wait.waits.count())
        .collect();
    assert_eq!(others, [27]);
    let table = text(
        &profile,
        Format::Table {
            width: 80,
            color: false,
            by: None,
        },
    );
    let said = "no place for: 27 for a spinlock (270 ms)";
    assert!(joined(&table).contains(said), "{table}");
    // The longest waited for by far, but nobody can look at it next.
    assert!(!joined(&table).contains("Another lock"), "{table}");
}

#[test]
fn wrong_callers_are_said_and_right_ones_are_not() {
    let right = text(
        &profile_of(sampled()),
        Format::Table {
            width: 80,
            color: false,
            by: None,
        },
    );
    assert!(
        joined(&right).contains("of 6 of 228 spinning waits"),
        "{right}"
    );
    assert!(!right.contains("wrong"), "{right}");
    let mut lines = sampled();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.callers_wrong = 1;
        }
    }
    let wrong = text(
        &profile_of(lines),
        Format::Table {
            width: 80,
            color: false,
            by: None,
        },
    );
    let said = "3 of 6 callers that they check are wrong (50.0 %)";
    assert!(joined(&wrong).contains(said), "{wrong}");
}

/// The waited time of each caller is its own in a flame graph, and only its way there is a sample's.
#[test]
fn folded_stacks_have_all_waited_time() {
    let profile = profile_of(sampled());
    let folded = text(&profile, Format::Folded);
    let lock = "0xffffffff8260a080 (rwlock:W)";
    for line in [
        format!("release_task;{lock} {}", 3 * 40 * 24_000),
        format!("copy_process;{lock} {}", 3 * 25 * 24_000),
        "[no call stack];[others] (spinlock) 270000000".to_owned(),
    ] {
        assert!(
            folded.lines().any(|found| found == line),
            "{line} in {folded}"
        );
    }
}

#[test]
fn losses_of_the_measured_time_make_a_run_void() {
    for (phase, void) in [(Phase::WarmUp, false), (Phase::Measured, true)] {
        let mut lines = Synthetic::default().lines();
        for line in &mut lines {
            if let Line::Interval(interval) = line
                && interval.phase == phase
            {
                interval.losses.insert("hold_without_start".into(), 1);
            }
        }
        assert_eq!(profile_of(lines).void(), void);
    }
}

#[test]
fn a_recording_with_nothing_measured_is_no_division_by_zero() {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.phase = Phase::WarmUp;
            interval.seconds = 0.0;
        }
    }
    let profile = profile_of(lines);
    assert_eq!(profile.held_share(), None);
    assert_eq!(profile.lives(), None);
    assert!(profile.sites.is_empty());
}

/// A span for which there was no room when its windows were attached is absent from then on, whatever was planned.
#[test]
fn a_span_that_was_refused_is_absent() {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        match line {
            Line::Header(header) => {
                let planned = |program: &str| Probe {
                    program: program.to_owned(),
                    target: "free_pid".to_owned(),
                    absent: None,
                };
                let probes = &mut header.attach.probes;
                probes.extend(["span_left_free_pid", "span_entered_free_pid"].map(planned));
            }
            Line::Interval(interval) => {
                interval.refused = BTreeMap::from([("free_pid".to_owned(), "no room".to_owned())]);
            }
            _ => {}
        }
    }
    let absent = profile_of(lines).absent_spans;
    let names: Vec<&str> = absent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["flush_sigqueue", "free_pid"]);
    assert_eq!(absent[1].1, "no room");
}
