//! What the windows stand for, beside the same worked out by hand.

use lockprof::{
    export::Format,
    profile::{Estimate, Profile, Scaled},
    recording::schema::{
        AddressSource, CpuInterval, Interval, Line, SiteInterval, Tier,
        WindowKind::{Bare, Holds, Waits},
    },
};

use crate::{
    fixture::{Synthetic, profile_of},
    windowed::{EDGE_S, WINDOW_S, Windowed, joined, json, table, text, wait_only},
};

/// Windows without probes and with those of holds in turn; of reap's holds so many in each of the latter,
/// which lasts so long, and each hold so many nanoseconds.
fn reaps(windows: &[(u64, f64)], ns: u64) -> Profile {
    let iterations = vec![1_000; 2 * windows.len()];
    let mut lines = Windowed::holds(&iterations).lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line
            && let Some(window) = interval.window
            && window.kind == Holds
            && !window.edge
        {
            let (holds, seconds) = windows[window.number as usize / 2 - 1];
            // In one interval of the two: a window is one number.
            put(interval, if window.done.is_some() { holds } else { 0 }, ns);
            interval.seconds = seconds / 2.0;
        }
    }
    profile_of(lines)
}

fn put(interval: &mut Interval, holds: u64, ns: u64) {
    let site = SiteInterval {
        site: "reap".into(),
        holds,
        held_ns: holds * ns,
        waits: 0,
        waited_ns: 0,
        hold_buckets: vec![20, holds as u32],
        wait_buckets: Vec::new(),
    };
    interval.cpus = vec![CpuInterval {
        cpu: 0,
        sites: vec![site],
    }];
}

fn is(estimate: Option<Estimate>, expected: [f64; 3]) {
    let estimate = estimate.unwrap();
    let interval = estimate.interval.unwrap();
    let found = [estimate.total, interval.low, interval.high];
    for (found, expected) in found.into_iter().zip(expected) {
        let off = (found - expected).abs() / expected;
        assert!(off < 1e-4, "{estimate:?}: {expected}");
    }
}

/// The windows lie at 1.25, 3.5 and 5.75 s of 6.75 s, and stand for 2.875, 2.25 and 1.625 s: 287.5 + 247.5 + 195
/// = 730. Squares of the deviations from 110: 100 + 0 + 100, so a variance of 100 a second; for the rests of 1.875,
/// 1.25 and 0.625 s, r + r²: 9.21875, so 921.875, whose root times t, 4.3027, is 130.64.
#[test]
fn windows_of_one_length() {
    let profile = reaps(&[(100, 1.0), (110, 1.0), (120, 1.0)], 500);
    let scaled = profile.scaled.unwrap();
    assert_eq!((scaled.kind, scaled.windows), (Holds, 3));
    assert_eq!((scaled.seconds, scaled.of_s), (3.0, 6.75));
    is(scaled.holds, [730.0, 599.36, 860.64]);
    is(scaled.lives, [730.0, 599.36, 860.64]);
    is(scaled.held_ns, [365_000.0, 299_680.0, 430_320.0]);
}

/// 100, 130 and 120 a second for 2.875, 3.25 and 1.625 s: 287.5 + 422.5 + 195 = 905. The mean is 120; squares by
/// their lengths: 1 · 20² + 2 · 10² + 0 = 600, so a variance of 300 a second; for the rests of 1.875, 1.25 and
/// 0.625 s, r + r²/s: 8.4375, so 2,531.25, whose root times 4.3027 is 216.48.
#[test]
fn windows_count_by_their_lengths() {
    let profile = reaps(&[(100, 1.0), (260, 2.0), (120, 1.0)], 500);
    let scaled = profile.scaled.unwrap();
    assert_eq!((scaled.seconds, scaled.of_s), (4.0, 7.75));
    is(scaled.holds, [905.0, 688.52, 1121.48]);
}

#[test]
fn there_was_not_less_than_what_was_seen() {
    let scaled = reaps(&[(10, 1.0), (10, 1.0), (400, 1.0)], 500).scaled;
    let interval = scaled.unwrap().holds.unwrap().interval.unwrap();
    assert_eq!(interval.low, 420.0);
}

#[test]
fn few_windows_or_events_have_no_interval() {
    let one = reaps(&[(100, 1.0)], 500);
    let holds = one.scaled.unwrap().holds.unwrap();
    assert_eq!((holds.total, holds.interval), (225.0, None));
    let said = "stands for 2.25 s in all, estimated from 1 window of holds (1.00 s): 225 write holds, held \
                for 113 µs, 225 task lives, no waits seen; too few windows to tell how sure";
    let one = joined(&table(&one));
    assert!(one.contains(said), "{one}");
    // Equal by chance, and not sure to be so.
    let few = reaps(&[(5, 1.0), (5, 1.0), (5, 1.0)], 500);
    assert_eq!(few.scaled.unwrap().holds.unwrap().interval, None);
    let few = joined(&table(&few));
    assert!(!few.contains("too few windows to tell"), "{few}");
    let said = "34 write holds (too few to tell how sure)";
    assert!(few.contains(said), "{few}");
}

#[test]
fn what_is_measured_as_a_whole_needs_no_estimate() {
    let whole = Synthetic::default().profile();
    assert_eq!(whole.scaled, None);
    assert!(json(&whole)["scaled"].is_null());
    assert!(!table(&whole).contains("stands for"));
    let bare = Windowed::holds(&[1_000]).profile();
    assert_eq!(bare.scaled, None);
    let mut lines = Windowed {
        turn: vec![Holds],
        iterations: vec![1_000],
        ..Windowed::default()
    }
    .lines();
    lines.retain(|line| {
        !matches!(line, Line::Interval(interval)
            if interval.window.is_some_and(|window| window.edge))
    });
    let all = profile_of(lines);
    assert_eq!((all.measured_s, all.scaled), (WINDOW_S, None));
}

/// About the numbers of the tables, times the whole measured time over that of their windows: these stand for
/// stretches of nearly the same length.
fn is_what_tables_say(profile: &Profile, of_s: f64) -> Scaled {
    let scaled = profile.scaled.unwrap();
    let by = of_s / profile.measured_s;
    assert!((scaled.of_s - of_s).abs() < 1e-9, "{scaled:?}");
    assert_eq!(scaled.seconds, profile.measured_s);
    let waits = profile.sites.iter().filter_map(|site| site.wait.as_ref());
    let waits = waits.map(|waits| [waits.count(), waits.total_ns]);
    let [waits, waited] = waits.fold([0; 2], |[sum, sum_ns], [waits, ns]| {
        [sum + waits, sum_ns + ns]
    });
    assert!(waits > 0 && waited > 0);
    for (estimate, seen) in [
        (scaled.holds, profile.write_holds()),
        (scaled.held_ns, profile.held_ns()),
        (scaled.lives, profile.lives()),
        (scaled.waits, Some(waits)),
        (scaled.waited_ns, Some(waited)),
    ] {
        let total = estimate.map(|estimate| estimate.total);
        let expected = seen.map(|seen| seen as f64 * by);
        let off = total
            .zip(expected)
            .map(|(found, expected)| (found / expected - 1.0).abs());
        assert!(off.is_none_or(|off| off < 0.05), "{total:?} {expected:?}");
        assert_eq!(total.is_some(), expected.is_some());
    }
    scaled
}

#[test]
fn of_holds_alone_and_not_of_spans() {
    let profile = Windowed::default().profile();
    let scaled = is_what_tables_say(&profile, 13.0 * (WINDOW_S + EDGE_S));
    assert_eq!(scaled.windows, 3);
    for format in [Format::Markdown, Format::Html] {
        let text = joined(&text(&profile, format));
        assert!(text.contains("estimated from 3 windows of holds"), "{text}");
    }
    let json = &json(&profile)["scaled"];
    assert_eq!(
        (&json["kind"], &json["windows"]),
        (&"holds".into(), &3.into())
    );
    let waits = &json["waits"];
    let of = |name: &str| waits[name].as_f64().unwrap();
    assert!(of("low") <= of("estimate") && of("estimate") <= of("high"));
}

/// Whether the lock's address is known or found by who waited for it.
#[test]
fn waits_alone_are_those_of_the_lock() {
    let mut lines = wait_only(&[10_000; 7]).lines();
    for learned in [false, true] {
        let Line::Header(header) = &mut lines[0] else {
            panic!("no header")
        };
        if learned {
            header.lock.address = None;
            header.lock.address_source = AddressSource::Stacks;
        }
        let scaled = is_what_tables_say(&profile_of(lines.clone()), 7.0 * (WINDOW_S + EDGE_S));
        assert_eq!((scaled.kind, scaled.windows), (Waits, 3));
        assert_eq!(
            (scaled.holds, scaled.held_ns, scaled.lives),
            (None, None, None)
        );
        assert!(scaled.waits.unwrap().interval.is_some());
    }
}

/// An unknown number is none, and not 0.
#[test]
fn what_nobody_could_see_is_not_estimated() {
    let mut lines = wait_only(&[10_000; 7]).lines();
    for line in &mut lines {
        match line {
            Line::Header(header) => header.lock.address = None,
            Line::Interval(interval) => interval.contention.clear(),
            _ => {}
        }
    }
    let profile = profile_of(lines);
    assert_eq!(profile.header.tier, Tier::WaitOnly);
    assert_eq!(profile.scaled.unwrap().waits, None);
    assert!(json(&profile)["scaled"]["waits"].is_null());
    assert_eq!(profile.windows.of(Bare).unwrap().windows, 4);
    assert!(!table(&profile).contains("stands for"));
}
