//! What is said of a mutex: it has no readers, its holders sleep, and its shortest hold is not known.

use lockprof::{
    recording::schema::{Detail, Line, LockFamily, Proof},
    site::Site,
};

use crate::{
    absence::{all_views, changed, idle, says_none_of, set_controls},
    fixture::Synthetic,
};

/// Makes a recording one of cgroup_mutex.
fn of_cgroup_mutex(line: &mut Line) {
    set_controls(line, Proof::Proved);
    match line {
        Line::Header(header) => {
            header.lock.name = "cgroup_mutex".into();
            header.lock.kind = Some(LockFamily::Mutex);
            header.detail = Detail::Holds;
        }
        Line::Calibration(calibration) => calibration.null_hold = None,
        Line::Interval(interval) => {
            interval.spans.clear();
            interval.calls_outside.clear();
        }
        Line::Footer(_) | Line::Killed(_) => {}
    }
}

#[test]
fn nothing_is_said_of_writers_readers_and_calls() {
    let synthetic = Synthetic {
        sites: vec![Site::OTHER],
        ..Synthetic::default()
    };
    let text = all_views(&changed(&synthetic, of_cgroup_mutex));
    for said in [
        "cgroup_mutex was held ",
        "lockprof has no shortest hold of a mutex",
        "of a mutex they are not followed",
    ] {
        assert!(text.contains(said), "{said}");
    }
    says_none_of(
        &text,
        &[
            "held for writing",
            "by writers",
            "task lives/s",
            "--readers",
            "--detail spans",
        ],
    );
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
