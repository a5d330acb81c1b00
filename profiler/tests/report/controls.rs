//! Recordings whose probes stopped seeing.

use lockprof::{
    export::Format,
    profile::{Known, Profile, Verdict},
    recording::schema::{Died, HoldsControl, Line, Proves},
    report::Validity,
};

use crate::{
    fixture::{Synthetic, profile_of},
    windowed,
};

const WHY: &str = "kernel.ftrace_enabled is 0";

fn died() -> Profile {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        if let Line::Footer(footer) = line {
            footer.died = Some(Died {
                at_s: 3.0,
                proves: Proves::Holds,
                why: WHY.to_owned(),
            });
        }
    }
    profile_of(lines)
}

#[test]
fn a_run_whose_probes_died_is_void_and_says_when() {
    let profile = died();
    assert!(matches!(Validity::of(&profile), Validity::Void));
    let verdict = Verdict::of(&profile);
    assert_eq!(
        verdict.sentences().collect::<Vec<_>>(),
        [
            "This run is void: from 3.00 s after the attach on its probes saw nothing any more \
             (kernel.ftrace_enabled is 0), so nothing is concluded from the rest."
        ]
    );
    let table = Format::Table {
        width: 200,
        color: false,
        by: None,
    };
    for (format, said) in [
        (table, "VOID: from 3.00 s after the attach on"),
        (Format::Markdown, "VOID: from 3.00 s after the attach on"),
        (Format::Html, "VOID: from 3.00"),
        (Format::Json, r#""why": "kernel.ftrace_enabled is 0""#),
    ] {
        let text = windowed::text(&profile, format);
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn a_recording_that_was_cut_short_tells_by_its_null_holds() {
    let seen = |seen: [u64; 3]| {
        let synthetic = Synthetic {
            footer: false,
            ..Synthetic::default()
        };
        let mut lines = synthetic.lines();
        let mut seen = seen.into_iter();
        for line in &mut lines {
            if let Line::Interval(interval) = line {
                interval.control = seen.next().map(|seen| HoldsControl { done: 10, seen });
            }
        }
        profile_of(lines)
    };
    assert!(!seen([10, 0, 10]).void());
    let profile = seen([10, 0, 0]);
    assert!(profile.void());
    assert_eq!(profile.controls.died().unwrap().at_s, 2.0);
    assert_eq!(
        profile.controls.holds(),
        Some(HoldsControl { done: 30, seen: 10 })
    );
}

#[test]
fn of_an_older_recording_nothing_is_known() {
    let profile = Synthetic::default().profile();
    assert_eq!(profile.proof(Proves::Holds), Known::Untried);
    assert!(!profile.void());
}
