//! Pictures of a recording of all locks: their texts.

use lockprof::{
    export::{Format, Picture},
    profile::{Locks, Profile},
    recording::schema::Line,
    units,
};

use crate::{
    all_locks::{AllLocks, SERVER, WAIT_NS, busy_sum},
    fixture::profile_of,
    pictures::{keep, texts},
    windowed::{text, wait_only},
};

fn draw(name: &str, profile: &Profile, picture: Picture) -> String {
    let svg = text(profile, Format::Svg(picture));
    keep(
        &format!("{name}-{}", picture.file_name("svg")),
        svg.as_bytes(),
    );
    svg
}

fn locks(profile: &Profile) -> &Locks {
    profile.locks.as_ref().unwrap()
}

fn percent(ns: u64, all: u64) -> String {
    units::percent(ns as f64 / all as f64)
}

/// Eighty processes, and more classes than there are bars.
pub fn eighty() -> AllLocks {
    AllLocks {
        processes: 80,
        servers: 15,
        spinlocks: 20,
        callers: 6,
        intervals: 10,
        ..AllLocks::default()
    }
}

/// Names that fit no column.
pub fn long_names() -> AllLocks {
    AllLocks {
        processes: 14,
        servers: 2,
        callers: 5,
        comm: "kworker/u256:12-events_unbound".to_owned(),
        function: "__a_function_with_a_name_that_is_far_too_long_for_any_bar_".to_owned(),
        ..AllLocks::default()
    }
}

#[test]
fn each_class_has_a_bar_with_its_share() {
    let profile = eighty().profile();
    let locks = locks(&profile);
    // The mmap_locks, the mutexes of pipe_write, and the spinning ones.
    assert_eq!(locks.classes.len(), 22);
    let all = texts(&draw("eighty", &profile, Picture::Classes));
    let rows: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|text| text.starts_with("spinlock of ") || text.ends_with(')'))
        .collect();
    assert_eq!(rows.len(), 11, "{all:?}");
    assert!(all.contains(&"mmap_lock (rwsem)".to_owned()), "{all:?}");
    assert!(all.contains(&"mutex of pipe_write".to_owned()), "{all:?}");
    let waited = |classes: &[lockprof::profile::ClassWaits]| {
        let waited = classes.iter().map(|class| class.waits.total_ns);
        waited.sum::<u64>()
    };
    for class in &locks.classes[..12] {
        let share = percent(class.waits.total_ns, locks.waited_ns());
        assert!(all.contains(&share), "{share} in {all:?}");
    }
    // All that have no bar have one together, beside which their sum stands.
    let others = all.iter().position(|text| text == "10 other classes");
    let [waited_text, share, count] = &all[others.unwrap() + 1..][..3] else {
        panic!("{all:?}")
    };
    let rest = waited(&locks.classes[12..]);
    assert_eq!(*waited_text, units::nanoseconds(rest as f64));
    assert_eq!(*share, percent(rest, locks.waited_ns()));
    assert_eq!(*count, units::count(rest / WAIT_NS));
}

/// Beneath a bar is who asked; what is cut off is the same as what is left out of it.
#[test]
fn a_bar_is_divided_by_who_asked() {
    let profile = eighty().profile();
    let all = texts(&draw("callers", &profile, Picture::Classes));
    for expected in [
        "__vm_munmap 60.0 %",
        "vm_mmap_pgoff 30.0 %",
        "do_user_addr_fault 10.0 %",
        "pipe_write 100 %",
        // 6, 5, 4, 3, 2, 1 of 21.
        "function_0_0 28.6 %",
        "function_0_2 19.0 %",
        "3 others 28.6 %",
    ] {
        assert!(
            all.iter().any(|text| text == expected),
            "{expected} in {all:?}"
        );
    }
}

#[test]
fn the_matrix_has_its_own_process_first_and_the_rest_last() {
    let profile = eighty().profile();
    let all = texts(&draw("eighty", &profile, Picture::Waiters));
    let place = |wanted: &str| {
        let place = all.iter().position(|text| text == wanted);
        place.unwrap_or_else(|| panic!("{wanted} in {all:?}"))
    };
    let names: Vec<&String> = all
        .iter()
        .filter(|text| text.starts_with("mmload"))
        .collect();
    assert_eq!(names.len(), 12, "{all:?}");
    let servers = all.iter().filter(|text| text.starts_with("server"));
    assert_eq!(servers.count(), 11, "{all:?}");
    assert!(place("its own process") < place(&format!("server {SERVER}")));
    assert!(place("4 others") < place("not seen"));
    // The row of those that have none: its own, eleven servers, the others, not seen, in all.
    let row = &all[place("68 others") + 1..][..30];
    let waits = busy_sum(10);
    let all_ns: u64 = 80 * waits * (10 + 3 * 15) * WAIT_NS;
    let cells = [9, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3 * 4, 1, 10 + 3 * 15];
    for (cell, part) in row.chunks(2).zip(cells) {
        let ns = 68 * waits * part * WAIT_NS;
        let expected = [units::nanoseconds(ns as f64), percent(ns, all_ns)];
        assert_eq!(cell, expected, "{row:?}");
    }
}

#[test]
fn one_process_has_one_row() {
    let one = AllLocks {
        processes: 1,
        servers: 0,
        spinlocks: 0,
        intervals: 1,
        ..AllLocks::default()
    };
    let profile = one.profile();
    let matrix = texts(&draw("one", &profile, Picture::Waiters));
    let rows = matrix.iter().filter(|text| text.starts_with("mmload "));
    assert_eq!(rows.count(), 1, "{matrix:?}");
    assert!(matrix.contains(&"90.0 %".to_owned()), "{matrix:?}");
    let bars = texts(&draw("one", &profile, Picture::Classes));
    let named = bars.iter().filter(|text| text.ends_with("(rwsem)"));
    assert_eq!(named.count(), 1, "{bars:?}");
    let over_time = texts(&draw("one", &profile, Picture::WaitsOverTime));
    assert!(
        over_time.contains(&"mmap_lock (rwsem) 100 %".to_owned()),
        "{over_time:?}"
    );
}

/// What is waited for in each stretch adds up to what the classes have.
#[test]
fn nothing_is_lost_over_time() {
    for intervals in [1, 10, 121, 700] {
        let recording = AllLocks {
            intervals,
            spinlocks: 9,
            ..AllLocks::default()
        };
        let profile = recording.profile();
        let locks = locks(&profile);
        assert!(locks.over_time.len() <= 120);
        assert!(locks.over_time.len() as u32 >= intervals.min(60));
        for (place, class) in locks.classes.iter().enumerate() {
            let stretches = locks.over_time.iter();
            let waited: u64 = stretches.map(|stretch| stretch.by_class[place]).sum();
            assert_eq!(waited, class.waits.total_ns, "{:?}", class.class);
        }
        // One warm-up comes before.
        assert!((locks.over_time[0].from_s - 1.0).abs() < 1e-9);
        let seconds: f64 = locks.over_time.iter().map(|stretch| stretch.seconds).sum();
        assert!((seconds - f64::from(intervals)).abs() < 1e-6);
    }
}

#[test]
fn each_colour_over_time_has_its_share() {
    let profile = eighty().profile();
    let locks = locks(&profile);
    let svg = draw("eighty", &profile, Picture::WaitsOverTime);
    let all = texts(&svg);
    // Six classes, and all others.
    assert_eq!(svg.matches("<polygon").count(), 7);
    let first = locks.classes[0].waits.total_ns;
    let share = percent(first, locks.waited_ns());
    let expected = format!("mutex of pipe_write {share}");
    assert!(all.contains(&expected), "{expected} in {all:?}");
    let rest: u64 = locks.classes[6..]
        .iter()
        .map(|class| class.waits.total_ns)
        .sum();
    let expected = format!("all others {}", percent(rest, locks.waited_ns()));
    assert!(all.contains(&expected), "{expected} in {all:?}");
    assert!(!all.iter().any(|text| text == "blank: without probes"));
}

/// Where windows without probes lie between, nothing is drawn.
#[test]
fn windows_without_probes_are_blank() {
    let windowed = wait_only(&[10_000, 9_900, 10_000, 9_900, 10_000]);
    let profile = profile_of(AllLocks::default().fill(windowed.lines()));
    let locks = locks(&profile);
    assert_eq!(locks.classes.len(), 4);
    let measured: f64 = locks.over_time.iter().map(|stretch| stretch.seconds).sum();
    assert!((measured - profile.measured_s).abs() < 1e-9);
    let svg = draw("windows", &profile, Picture::WaitsOverTime);
    assert!(svg.contains("blank: without probes"));
    // Of each class one for each of the two windows.
    assert_eq!(svg.matches("<polygon").count(), 8);
}

/// Names that are too long are shortened in the middle, and none is written over another.
#[test]
fn long_names_stay_in_their_place() {
    let profile = long_names().profile();
    for &picture in Picture::of(&profile) {
        let svg = draw("long", &profile, picture);
        assert!(
            svg.contains('…') || picture == Picture::Flamegraph,
            "{picture:?}"
        );
        if picture == Picture::Classes {
            // Beneath the head, which has a line to itself.
            let names = &texts(&svg)[2..];
            let longest = names.iter().map(|name| name.chars().count()).max();
            assert!(longest < Some(40), "{names:?}");
        }
    }
}

/// Every colour has another one on dark pages, or it would be lost there.
#[test]
fn every_colour_has_one_in_the_dark() {
    let profile = eighty().profile();
    let page = text(&profile, Format::Html);
    for picture in [Picture::Classes, Picture::Waiters, Picture::WaitsOverTime] {
        let svg = draw("colours", &profile, picture);
        for attribute in ["fill", "stroke"] {
            for part in svg.split(&format!(" {attribute}=\"#")).skip(1) {
                let rule = format!("svg [{attribute}=\"#{}\"]", &part[..6]);
                assert!(page.contains(&rule), "{rule}");
            }
        }
    }
}

/// Where nobody waited, a sentence stands in the place of each picture.
#[test]
fn nothing_to_draw_is_said() {
    let nobody = AllLocks {
        processes: 0,
        spinlocks: 0,
        servers: 0,
        ..AllLocks::default()
    };
    let mut lines = nobody.lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.contention.clear();
        }
    }
    let profile = profile_of(lines);
    for &picture in Picture::of(&profile) {
        let said = texts(&draw("nobody", &profile, picture)).join(" ");
        assert!(said.contains("No wait for any lock"), "{said}");
    }
    let page = text(&profile, Format::Html);
    assert!(!page.contains("<section id=\"owners\""));
    assert!(page.contains("No wait for any lock"));
}
