//! The page's words, and that words are all that names can be.

use std::path::Path;

use lockprof::{
    export::Format,
    profile::Profile,
    recording::{
        Recording,
        schema::{CgroupInterval, Interval, Line, Tier},
    },
};

use crate::fixture::{Synthetic, classify, profile_of};

/// What a page, a picture and an attribute would each obey.
const HOSTILE: &str = "</text></svg></style>\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\u{1b}[2J\u{202e}]]>;-->";

/// A recording in which every string from outside is hostile.
pub fn hostile() -> Profile {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        match line {
            Line::Header(header) => {
                let kernel = &mut header.kernel;
                for text in [
                    &mut kernel.release,
                    &mut kernel.version,
                    &mut kernel.machine,
                    &mut kernel.boot_id,
                    &mut kernel.clock_source,
                    &mut kernel.cpu_model,
                    &mut header.lock.name,
                    &mut header.lockprof,
                ] {
                    *text = HOSTILE.to_owned();
                }
                header.command_line = vec![HOSTILE.to_owned(); 2];
                header.attach.reasons = vec![HOSTILE.to_owned()];
                for probe in &mut header.attach.probes {
                    probe.program = HOSTILE.to_owned();
                    probe.absent = Some(HOSTILE.to_owned());
                }
                if let Some(workload) = &mut header.workload {
                    workload.name = HOSTILE.to_owned();
                    workload.command = vec![HOSTILE.to_owned()];
                    workload.mode = Some(HOSTILE.to_owned());
                }
            }
            Line::Interval(interval) => hostile_interval(interval),
            Line::Footer(footer) => footer.write_failures = vec![HOSTILE.to_owned()],
            Line::Calibration(_) | Line::Killed(_) => {}
        }
    }
    profile_of(lines)
}

fn hostile_interval(interval: &mut Interval) {
    for entry in &mut interval.contention {
        entry.name = Some(HOSTILE.to_owned());
    }
    for frames in interval.stacks.values_mut() {
        *frames = vec![HOSTILE.to_owned(), format!("{HOSTILE}+0x1")];
    }
    for event in &mut interval.longest {
        event.comm = HOSTILE.to_owned();
        event.cgroup = HOSTILE.to_owned();
    }
    interval.cgroups = [(HOSTILE.to_owned(), CgroupInterval::default())].into();
    interval.missed = [(HOSTILE.to_owned(), Some(3))].into();
}

fn page(profile: &Profile) -> String {
    String::from_utf8(Format::Html.exporter().export(profile).unwrap()).unwrap()
}

#[test]
fn names_are_only_text() {
    let page = page(&hostile());
    for obeyed in [
        "<script>alert",
        "<img",
        "onerror=alert(2)>",
        "</style>\"",
        "\u{1b}",
        "\u{202e}",
    ] {
        assert!(!page.contains(obeyed), "{obeyed}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"));
    // One style sheet and one body: neither was ended early. The flame graph's are escaped.
    for tag in ["<style>", "</style>", "<body>", "</body>", "</html>"] {
        assert_eq!(page.matches(tag).count(), 1, "{tag}");
    }
}

/// The words of a page: what stands between its tags, without pictures, styles and scripts.
fn words(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1;
    let mut text = String::new();
    let mut rest = body;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let (name, _) = tag
            .split_once(|c: char| c == '>' || c.is_whitespace())
            .unwrap();
        let block = [
            "h1",
            "h2",
            "h3",
            "p",
            "li",
            "tr",
            "dt",
            "summary",
            "figcaption",
        ];
        if block.contains(&name) {
            text.push('\n');
        } else if ["td", "th", "dd"].contains(&name) {
            text.push_str(" | ");
        }
        // A picture is skipped as a whole.
        let end = if name == "svg" { "</svg>" } else { ">" };
        rest = tag.split_once(end).unwrap().1;
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_the_page_of_a_real_recording_says() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut entries: Vec<_> = std::fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    entries.sort();
    assert!(entries.len() >= 5, "{entries:?}");
    for path in entries {
        let recording = Recording::read(&path).unwrap();
        let profile = Profile::from_recording(recording, classify);
        let name = path.file_stem().unwrap().to_str().unwrap();
        insta::assert_snapshot!(format!("{name}-page"), words(&page(&profile)));
        let table = Format::Table {
            width: 80,
            color: false,
        };
        for (kind, format) in [
            ("table", table),
            ("csv", Format::Csv),
            ("markdown", Format::Markdown),
            ("folded", Format::Folded),
        ] {
            let bytes = format.exporter().export(&profile).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            insta::assert_snapshot!(format!("{name}-{kind}"), text);
        }
    }
}

#[test]
fn a_run_without_anything_has_sentences_in_the_place_of_pictures() {
    let nothing = Synthetic {
        holds: 0,
        intervals: 1,
        ..Synthetic::default()
    };
    let mut lines = nothing.lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.contention.clear();
        }
    }
    let page = page(&profile_of(lines));
    for sentence in [
        "was never taken for writing",
        "No hold and no wait was seen.",
        "No hold was seen.",
        "Nobody held the lock for writing.",
        "No acquisition had to wait.",
        "No wait for any lock was seen.",
    ] {
        assert!(page.contains(sentence), "{sentence}");
    }
}

/// A lock that nobody waited for, where holds are not measured: it is said once.
#[test]
fn that_nobody_waited_is_said_once() {
    let wait_only = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    let mut lines = wait_only.lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.contention.clear();
        }
    }
    let words = words(&page(&profile_of(lines)));
    assert_eq!(
        words.matches("No wait for the lock was seen").count(),
        1,
        "{words}"
    );
    assert!(words.contains("None was seen."), "{words}");
    assert!(!words.contains("was not recorded"), "{words}");
}

/// Writers' holds alone are by cgroup; where they are not those by site, the page says both.
#[test]
fn what_is_by_cgroup_is_told() {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            let totals = CgroupInterval {
                holds: 100,
                ..CgroupInterval::default()
            };
            interval.cgroups = [("/a.service".to_owned(), totals)].into();
        }
    }
    let words = words(&page(&profile_of(lines)));
    let told = "Holds and waits of writers. Their holds are 300 here and 360 by site";
    assert!(words.contains(told), "{words}");
}
