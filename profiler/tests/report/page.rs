//! The page's words, and that words are all that names can be.

use std::path::Path;

use lockprof::{
    export::Format,
    profile::Profile,
    recording::{
        Recording,
        schema::{CgroupInterval, Clock, Interval, Line, Tier},
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
            by: None,
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
        "No write hold of tasklist_lock was seen in",
        "No wait for tasklist_lock was seen;",
        "No wait for any lock was seen;",
        "None was seen; what that means is said above.",
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
    let page = page(&profile_of(lines));
    for section in ["lengths", "longest"] {
        assert!(!page.contains(&format!("id=\"{section}\"")), "{section}");
    }
    let words = words(&page);
    for again in ["None was seen", "was not recorded"] {
        assert!(!words.contains(again), "{again}: {words}");
    }
    let said = words.matches("No wait for tasklist_lock was seen").count();
    assert_eq!(said, 1, "{words}");
}

/// A page has no section on what was not measured: that, and what it would take, is said once, at its beginning.
#[test]
fn what_was_not_measured_has_no_section() {
    let of = |tier: Tier, clock: Clock| {
        let synthetic = Synthetic {
            tier,
            clock,
            ..Synthetic::default()
        };
        page(&synthetic.profile())
    };
    for (tier, clock, missing) in [
        (Tier::Exact, Clock::Hardware, &[][..]),
        (
            Tier::WaitOnly,
            Clock::Hardware,
            &["anatomy", "time", "blame", "longest"],
        ),
        (Tier::Exact, Clock::Instructions, &["blame", "locks"]),
    ] {
        let page = of(tier, clock);
        for section in [
            "verdict", "lengths", "anatomy", "time", "blame", "locks", "longest", "measured",
        ] {
            let there = page.contains(&format!("<section id=\"{section}\""));
            let linked = page.contains(&format!("href=\"#{section}\""));
            let wanted = !missing.contains(&section);
            assert_eq!(
                (there, linked),
                (wanted, wanted || section == "verdict"),
                "{tier:?} {section}"
            );
        }
        let words = words(&page);
        assert!(!words.contains("not measured in this tier"), "{words}");
        let what_it_takes = words.matches("Holds take a kernel whose lock").count();
        assert_eq!(
            what_it_takes,
            usize::from(tier == Tier::WaitOnly),
            "{words}"
        );
    }
}

/// What it takes to measure holds depends on why they were not.
#[test]
fn what_holds_would_take_is_what_was_in_their_way() {
    for (words, takes) in [
        (
            "lockprof attach",
            "`lockprof doctor` says what stands in the way",
        ),
        (
            "lockprof run --attach wait -- make",
            "Without --attach wait",
        ),
        (
            "lockprof run --attach=wait -- make",
            "Without --attach wait",
        ),
    ] {
        let wait_only = Synthetic {
            tier: Tier::WaitOnly,
            ..Synthetic::default()
        };
        let mut lines = wait_only.lines();
        if let Some(Line::Header(header)) = lines.first_mut() {
            header.command_line = words.split(' ').map(str::to_owned).collect();
        }
        let profile = profile_of(lines);
        let table = Format::Table {
            width: 1000,
            color: false,
            by: None,
        };
        for format in [table, Format::Markdown, Format::Html] {
            let bytes = format.exporter().export(&profile).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            assert!(
                text.replace('\u{a0}', " ")
                    .replace("\\`", "`")
                    .contains(takes),
                "{words}: {text}"
            );
        }
    }
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
