//! The longest wait of a contended lock: the programs keep it since the attach, and not by phase or window.

use lockprof::{
    profile::{Contention, Profile, Verdict},
    recording::schema::{ContentionInterval, Line, Phase, Window, WindowKind, WindowPlan},
    units::TimeUnit,
};
use lockprof_abi::{LCB_F_MUTEX, LCB_F_SPIN, LCB_F_WRITE};

use crate::fixture::{Synthetic, profile_of};

const LOCK: &str = "0xffff888100a0b0c0";

/// Waits by their lengths, with the longest since the attach.
fn waits(lengths: &[u64], longest_ns: u64) -> ContentionInterval {
    ContentionInterval {
        lock: LOCK.into(),
        name: None,
        object: None,
        flags: LCB_F_MUTEX,
        caller: Some("pipe_write+0x1".into()),
        stack: None,
        others: false,
        sampled: 0,
        in_hold_of: None,
        waits: lengths.len() as u64,
        waited_ns: lengths.iter().sum(),
        longest_ns,
        octaves: lengths.iter().flat_map(|ns| [ns.ilog2(), 1]).collect(),
    }
}

/// A recording with these waits in its intervals: the first is the warm-up's.
fn recording(intervals: &[ContentionInterval]) -> Vec<Line> {
    let synthetic = Synthetic {
        intervals: intervals.len() as u32 - 1,
        ..Synthetic::default()
    };
    let mut lines = synthetic.lines();
    let mut entries = intervals.iter();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.contention = entries.next().into_iter().cloned().collect();
        }
    }
    lines
}

fn row(profile: &Profile) -> Contention {
    profile.other_locks().next().unwrap().clone()
}

fn max(intervals: &[ContentionInterval]) -> String {
    row(&profile_of(recording(intervals)))
        .waits
        .max_text(TimeUnit::Nanoseconds)
}

/// An octave is a factor of two wide.
#[test]
fn the_longest_of_the_warm_up_is_a_bound_and_no_maximum() {
    let warm_up = waits(&[1990], 1990);
    assert_eq!(
        max(&[warm_up.clone(), waits(&[1100, 1200], 1990)]),
        "≤ 1.28 µs"
    );
    let many = waits(&[1100, 1200, 1900], 1990);
    assert_eq!(max(&[warm_up.clone(), many]), "≤ 1.99 µs");
    // What was longer than all before it is of the measured time.
    assert_eq!(
        max(&[warm_up.clone(), waits(&[1100, 3000], 3000)]),
        "3.00 µs"
    );
    let twice = [warm_up.clone(), waits(&[2100], 2100), waits(&[2500], 2500)];
    assert_eq!(max(&twice), "2.50 µs");
    // It may hide one that is as long.
    let hidden = [waits(&[3990], 3990), waits(&[2100, 3000], 3990)];
    assert_eq!(max(&hidden), "≤ 3.05 µs");
    // Of one wait the sum is its length.
    assert_eq!(max(&[warm_up, waits(&[1613], 1990)]), "1.61 µs");
}

#[test]
fn a_longest_wait_is_never_longer_than_all_together() {
    let intervals = [
        waits(&[2_090_000], 2_090_000),
        waits(&[1100, 1100, 1_050_000], 2_090_000),
    ];
    let mut lines = recording(&intervals);
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            for entry in &mut interval.contention {
                entry.flags = LCB_F_SPIN | LCB_F_WRITE;
            }
        }
    }
    let profile = profile_of(lines);
    let waits = row(&profile).waits;
    assert!(waits.max_is_bound());
    assert!(waits.max_ns().unwrap() <= waits.total_ns as f64);
    let text: Vec<String> = Verdict::of(&profile)
        .sentences()
        .map(str::to_owned)
        .collect();
    assert!(!text.join(" ").contains("2.09 ms"), "{text:?}");
}

/// What happened in a window of another kind, or at an edge, is not of the windows that are shown.
#[test]
fn the_longest_of_another_window_is_no_maximum() {
    let intervals = [
        waits(&[100], 100),
        waits(&[3990], 3990),
        waits(&[2100, 3000], 3990),
    ];
    let kinds = [None, Some(WindowKind::Spans), Some(WindowKind::Holds)];
    let shown = |edge: bool| {
        let mut lines = recording(&intervals);
        let mut kinds = kinds.into_iter();
        for line in &mut lines {
            match line {
                Line::Header(header) => {
                    header.windows = Some(WindowPlan {
                        seconds: 1.0,
                        turn: vec![WindowKind::Holds, WindowKind::Spans],
                    });
                }
                Line::Interval(interval) if interval.phase == Phase::Measured => {
                    let kind = kinds.by_ref().flatten().next().unwrap();
                    interval.window = Some(Window {
                        number: 1,
                        kind: if edge { WindowKind::Holds } else { kind },
                        edge: edge && kind == WindowKind::Spans,
                        done: None,
                    });
                }
                _ => {}
            }
        }
        row(&profile_of(lines))
            .waits
            .max_text(TimeUnit::Nanoseconds)
    };
    assert_eq!([shown(false), shown(true)], ["≤ 3.05 µs", "≤ 3.05 µs"]);
}

/// Without names the innermost frame is that of lockprof's own program, which asks for no lock.
#[test]
fn an_address_is_not_who_waits() {
    let mut entry = waits(&[1100, 1200], 1200);
    (entry.caller, entry.stack) = (None, Some(9));
    let mut lines = recording(&[waits(&[100], 100), entry]);
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            let frames = [
                "0xffffffffc0002d4a",
                "0xffffffff814ca233",
                "0xffffffff8226adbc",
            ];
            interval
                .stacks
                .insert(9, frames.map(str::to_owned).to_vec());
        }
    }
    let profile = profile_of(lines);
    assert_eq!(row(&profile).caller, None);
    let folded = lockprof::export::Format::Folded
        .exporter()
        .export(&profile)
        .unwrap();
    let folded = String::from_utf8(folded).unwrap();
    assert!(
        folded.contains("[no names];") && !folded.contains("c0002d4a"),
        "{folded}"
    );
}
