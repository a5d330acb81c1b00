//! Holds taken apart: the parts add up to the hold.

use lockprof::{
    profile::{Anatomy, Part, Profile, What, anatomies},
    recording::{
        Recording,
        schema::{ContentionInterval, Line},
    },
    site::Site,
    span::Span,
};
use lockprof_abi::LCB_F_SPIN;
use proptest::prelude::*;

use crate::fixture::{Synthetic, classify, profile_of};

fn assert_adds_up(anatomy: &Anatomy) {
    let sum: u64 = anatomy.parts.iter().map(|part| part.ns).sum();
    assert_eq!(sum, anatomy.total_ns, "{anatomy:?}");
    anatomy.parts.iter().for_each(assert_holds_what_is_inside);
}

fn assert_holds_what_is_inside(part: &Part) {
    let inside: u64 = part.inside.iter().map(|part| part.ns).sum();
    assert!(inside <= part.ns, "{part:?}");
    assert_eq!(part.own_ns() + inside, part.ns);
    part.inside.iter().for_each(assert_holds_what_is_inside);
}

fn reap(profile: &Profile) -> Anatomy {
    let mut all = anatomies(profile).into_iter();
    all.find(|anatomy| anatomy.site == Site::REAP).unwrap()
}

fn names(parts: &[Part]) -> Vec<String> {
    parts
        .iter()
        .map(|part| match &part.what {
            What::Span(span) => span.name().to_owned(),
            What::InnerWait(lock) => format!("wait for {lock}"),
            What::OwnWork => "own work".to_owned(),
        })
        .collect()
}

/// Recordings of real kernels: before the deferral free_pid is called by __change_pid, after it not
/// inside the hold at all.
#[test]
fn the_parts_of_real_holds_add_up() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for (name, nested) in [
        ("forkexit-debian-6.1.jsonl", true),
        ("forkexit-debian-6.12.jsonl", true),
        ("forkexit-debian-7.2.jsonl", false),
    ] {
        let recording = Recording::read(&data.join(name)).unwrap();
        let profile = Profile::from_recording(recording, classify);
        let all = anatomies(&profile);
        assert!(all.len() >= 3, "{name}");
        all.iter().for_each(assert_adds_up);
        let reap = reap(&profile);
        assert_eq!(reap.excess_ns, 0, "{name}");
        let change_pid = reap
            .parts
            .iter()
            .find(|part| part.what == What::Span(Span::CHANGE_PID))
            .unwrap();
        assert_eq!(
            names(&change_pid.inside).contains(&"free_pid".to_owned()),
            nested,
            "{name}: {reap:?}"
        );
        assert!(
            !names(&reap.parts).contains(&"free_pid".to_owned()),
            "{name}"
        );
    }
}

/// What was waited for a lock is inside the call that takes it, if it is as long.
#[test]
fn an_inner_wait_is_inside_the_call_that_takes_its_lock() {
    let wait = |name: &str, ns| ContentionInterval {
        lock: "0xffffffff82611c40".into(),
        name: Some(name.into()),
        object: None,
        flags: LCB_F_SPIN,
        caller: None,
        stack: None,
        others: false,
        sampled: 0,
        in_hold_of: Some("reap".into()),
        waits: 1,
        waited_ns: ns,
        longest_ns: ns,
        octaves: vec![6, 1],
    };
    let with = |entry: ContentionInterval| {
        let mut lines = Synthetic::default().lines();
        let Some(Line::Interval(interval)) = lines.get_mut(4) else {
            panic!("no interval")
        };
        interval.contention = vec![entry];
        for line in &mut lines {
            if let Line::Interval(interval) = line {
                interval.contention.retain(|entry| entry.stack.is_none());
            }
        }
        reap(&profile_of(lines))
    };
    let inside = with(wait("input_pool+0x78", 100));
    assert_adds_up(&inside);
    let random = inside
        .parts
        .iter()
        .find(|part| part.what == What::Span(Span::ADD_DEVICE_RANDOMNESS))
        .unwrap();
    assert_eq!(names(&random.inside), ["wait for input_pool+0x78"]);
    // Of a lock that no measured call takes for itself, it is the holder's.
    let beside = with(wait("some_lock", 100));
    assert_adds_up(&beside);
    assert!(names(&beside.parts).contains(&"wait for some_lock".to_owned()));
    // Longer than all calls of it: it cannot have been inside them.
    let longer = with(wait("input_pool", 400_000));
    assert_adds_up(&longer);
    assert!(names(&longer.parts).contains(&"wait for input_pool".to_owned()));
}

proptest! {
    #[test]
    fn whatever_was_read_adds_up(
        free_pid in 0_u64..2_000_000,
        own in 0_u64..2_000_000,
        nested in 0_u64..2_000_000,
        random in 0_u64..2_000_000,
        waited in 0_u64..2_000_000,
    ) {
        let mut lines = Synthetic { intervals: 1, ..Synthetic::default() }.lines();
        for line in &mut lines {
            let Line::Interval(interval) = line else { continue };
            for span in &mut interval.spans {
                (span.in_hold_ns, span.self_ns) = match span.span.as_str() {
                    "free_pid" => (free_pid, free_pid),
                    "__change_pid" => (own + nested, own),
                    _ => (random, random),
                };
            }
            for entry in &mut interval.contention {
                entry.waited_ns = waited;
            }
        }
        anatomies(&profile_of(lines)).iter().for_each(assert_adds_up);
    }
}
