//! A lock of which nothing is known besides: its callers were learned, and are told by their functions.

use lockprof::{
    export::{Format, Picture},
    recording::schema::{BlameInterval, Line, READERS_AND_HANDOVER},
    site::Site,
};
use serde_json::Value;

use crate::fixture::{Synthetic, profile_of};

const NAMES: [&str; 4] = [
    "netlink_table_grab",
    "work [module]",
    "read:netlink_lock_table",
    "other",
];

/// Holds by each, and waits behind each other.
fn lines() -> Vec<Line> {
    let mut lines = Synthetic {
        sites: NAMES.map(Site::named).to_vec(),
        ..Synthetic::default()
    }
    .lines();
    for line in &mut lines {
        match line {
            Line::Header(header) => header.lock.name = "nl_table_lock".to_owned(),
            Line::Interval(interval) => {
                let pair = |waiter: &str, holder: &str, waited_ns| BlameInterval {
                    waiter: waiter.to_owned(),
                    holder: holder.to_owned(),
                    waited_ns,
                };
                interval.blame = vec![
                    pair(NAMES[0], NAMES[1], 40_000),
                    pair(NAMES[0], READERS_AND_HANDOVER, 9_000),
                    pair(NAMES[2], NAMES[0], 20_000),
                ];
            }
            _ => {}
        }
    }
    lines
}

fn text(format: Format) -> String {
    let bytes = format.exporter().export(&profile_of(lines())).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn each_caller_is_a_row_by_its_function() {
    let summary: Value = serde_json::from_str(&text(Format::Json)).unwrap();
    let rows = summary["sites"].as_array().unwrap().iter();
    let mut rows: Vec<[&Value; 2]> = rows.map(|row| [&row["name"], &row["symbol"]]).collect();
    rows.sort_by_key(|row| NAMES.iter().position(|name| row[0] == name));
    let symbols = [
        "netlink_table_grab".into(),
        "work [module]".into(),
        "netlink_lock_table".into(),
        Value::Null,
    ];
    for (row, (name, symbol)) in rows.iter().zip(NAMES.iter().zip(&symbols)) {
        assert_eq!(*row, [&Value::from(*name), symbol]);
    }
    assert_eq!(rows.len(), NAMES.len());
}

/// No task's life takes this lock, so that the tasks that the kernel has created are beside no holds.
#[test]
fn its_holds_say_nothing_of_lives() {
    let profile = profile_of(lines());
    let truth = profile.ground_truth;
    assert!(truth.tasks_created_by_kernel.is_some());
    assert_eq!(
        [truth.fork_holds, truth.exit_holds, truth.reap_holds],
        [None; 3]
    );
    assert!(!text(Format::Markdown).contains("holds seen: fork"));
}

#[test]
fn who_waits_behind_whom_is_told_by_functions() {
    let blame = profile_of(lines()).blame;
    let intervals = blame[0].waited_ns / 40_000;
    let pairs: Vec<_> = blame
        .iter()
        .map(|pair| {
            let holder = pair.holder.map(Site::name);
            (pair.waiter.name(), holder, pair.waited_ns / intervals)
        })
        .collect();
    assert_eq!(
        pairs,
        [
            (NAMES[0], Some(NAMES[1]), 40_000),
            (NAMES[2], Some(NAMES[0]), 20_000),
            (NAMES[0], None, 9_000),
        ]
    );
}

/// Readers are in no sum of holds, however they are called.
#[test]
fn readers_hold_nothing_exclusively() {
    let profile = profile_of(lines());
    let of_writers = profile.sites.iter().filter(|site| site.site.is_writer());
    let holds = of_writers.map(|site| site.hold.as_ref().unwrap().count());
    let by_cpus = profile.cpus.iter().map(|cpu| cpu.holds);
    assert_eq!(holds.sum::<u64>(), by_cpus.sum::<u64>());
    assert_eq!(profile.sites.len(), NAMES.len());
}

#[test]
fn all_views_show_callers_as_they_show_sites() {
    for picture in [Picture::Distribution, Picture::Anatomy, Picture::Blame] {
        let svg = text(Format::Svg(picture));
        assert!(svg.contains(NAMES[0]), "{picture:?}");
    }
    let page = text(Format::Html);
    let table = page.split("<tbody>").nth(1).unwrap();
    let row = table.split("</tr>").find(|row| row.contains(NAMES[0]));
    assert!(row.unwrap().contains("class=\"swatch\""), "{row:?}");
}
