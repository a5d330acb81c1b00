//! Pictures: their texts. How they look is for a person to judge: with LOCKPROF_PICTURES=DIR they
//! are left there.

use lockprof::{
    export::{Format, Picture},
    profile::Profile,
    recording::{
        Recording,
        schema::{BlameInterval, Clock, Line, Tier},
    },
    site::Site,
};

use crate::fixture::{Synthetic, classify, known_sites};

/// The pictures, in the order of their names' list.
fn draw(name: &str, synthetic: &Synthetic) -> [String; 5] {
    draw_profile(name, &synthetic.profile())
}

fn draw_profile(name: &str, profile: &Profile) -> [String; 5] {
    let pictures: Vec<String> = Picture::of(profile)
        .iter()
        .map(|&picture| {
            let bytes = Format::Svg(picture).exporter().export(profile).unwrap();
            keep(&format!("{name}-{}", picture.file_name("svg")), &bytes);
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    pictures.try_into().unwrap()
}

/// Leaves a file for a person to look at, where one asks for it.
pub fn keep(name: &str, bytes: &[u8]) {
    if let Some(directory) = std::env::var_os("LOCKPROF_PICTURES") {
        std::fs::write(std::path::Path::new(&directory).join(name), bytes).unwrap();
    }
}

/// The texts of a picture: what stands between its tags.
pub fn texts(svg: &str) -> Vec<String> {
    let parts = svg.split("<text").skip(1);
    parts
        .map(|part| part.split(['>', '<']).nth(1).unwrap().trim().to_owned())
        .collect()
}

#[test]
fn every_size_can_be_drawn() {
    for (name, synthetic) in [
        (
            "cpu1",
            Synthetic {
                cpus: 1,
                intervals: 10,
                ..Synthetic::default()
            },
        ),
        (
            "cpu2",
            Synthetic {
                cpus: 2,
                intervals: 10,
                holds: 500,
                ..Synthetic::default()
            },
        ),
        (
            "cpu24",
            Synthetic {
                cpus: 24,
                intervals: 60,
                holds: 40,
                ..Synthetic::default()
            },
        ),
        (
            "cpu256",
            Synthetic {
                cpus: 256,
                intervals: 30,
                holds: 4,
                ..Synthetic::default()
            },
        ),
        (
            "one",
            Synthetic {
                cpus: 1,
                intervals: 1,
                holds: 1,
                sites: vec![Site::REAP],
                ..Synthetic::default()
            },
        ),
        (
            "many",
            Synthetic {
                cpus: 4,
                intervals: 30,
                times: 3000,
                ..Synthetic::default()
            },
        ),
        (
            "sites",
            Synthetic {
                sites: known_sites(),
                holds: 200,
                intervals: 5,
                ..Synthetic::default()
            },
        ),
        (
            "insn",
            Synthetic {
                cpus: 1,
                clock: Clock::Instructions,
                ..Synthetic::default()
            },
        ),
        (
            "long",
            Synthetic {
                cpus: 4,
                intervals: 600,
                holds: 4,
                ..Synthetic::default()
            },
        ),
    ] {
        for svg in draw(name, &synthetic) {
            assert!(svg.contains("</svg>"), "{name}");
            assert!(!svg.contains("NaN"), "{name}");
            assert!(svg.len() < 1 << 20, "{name}: {} bytes", svg.len());
        }
    }
}

#[test]
fn percentiles_stand_where_they_are_read() {
    let [distribution, ..] = draw(
        "labels",
        &Synthetic {
            holds: 100,
            ..Synthetic::default()
        },
    );
    let texts = texts(&distribution);
    for expected in [
        "reap", "fork", "exit", "p50", "p90", "p99", "1 µs", "100 %", "0.1 %",
    ] {
        assert!(
            texts.iter().any(|text| text == expected),
            "{expected} in {texts:?}"
        );
    }
    assert!(
        texts.iter().filter(|text| text.starts_with("p50 ")).count() >= 2,
        "{texts:?}"
    );
}

#[test]
fn what_is_not_known_gets_a_sentence() {
    let wait_only = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    let [distribution, anatomy, heatmap, blame, _] = draw("wait-only", &wait_only);
    assert!(distribution.contains("Holds are not measured in this tier."));
    for picture in [&anatomy, &heatmap, &blame] {
        assert!(picture.contains("Holds are not measured in this tier"));
    }

    let instructions = Synthetic {
        clock: Clock::Instructions,
        ..Synthetic::default()
    };
    let [distribution, ..] = draw("instructions", &instructions);
    assert!(distribution.contains("Waits are not measured on the instruction clock."));
    assert!(
        texts(&distribution)
            .iter()
            .any(|text| text.ends_with(" insn"))
    );
    assert!(
        !texts(&distribution)
            .iter()
            .any(|text| text.ends_with(" ns"))
    );

    let nothing = Synthetic {
        holds: 0,
        ..Synthetic::default()
    };
    let [distribution, anatomy, heatmap, blame, _] = draw("nothing", &nothing);
    for (picture, none) in [
        (distribution, "No write hold of tasklist_lock was seen"),
        (anatomy, "No write hold of tasklist_lock was seen"),
        (heatmap, "No write hold of tasklist_lock was seen"),
        (blame, "No wait for tasklist_lock was seen"),
    ] {
        let said = texts(&picture).join(" ");
        assert!(said.contains(none), "{said}");
        assert!(
            said.contains("would have seen one was not tried."),
            "{said}"
        );
    }
}

#[test]
fn a_hostile_name_is_only_text() {
    let mut lines = Synthetic::default().lines();
    let Line::Header(header) = &mut lines[0] else {
        panic!("no header")
    };
    header.workload.as_mut().unwrap().name = "\"'</text><script>alert(1)</script>&\u{1b}[2J".into();
    header.kernel.release = "<svg onload=x>".into();
    let profile = crate::fixture::profile_of(lines);
    for svg in draw_profile("hostile", &profile) {
        // The flame graph has a script of its own.
        assert!(!svg.contains("<script>alert"), "{svg}");
        assert!(!svg.contains("onload=x>"), "{svg}");
        assert!(!svg.contains('\u{1b}'));
        assert!(svg.contains("&lt;s"), "{svg}");
    }
}

/// Every colour has another one on dark pages, or it would be lost there.
#[test]
fn every_colour_is_known() {
    let all_sites = Synthetic {
        sites: known_sites(),
        holds: 200,
        ..Synthetic::default()
    };
    let page = Format::Html
        .exporter()
        .export(&all_sites.profile())
        .unwrap();
    let page = String::from_utf8(page).unwrap();
    let [distribution, anatomy, heatmap, blame, _] = draw("colours", &all_sites);
    for svg in [distribution, anatomy, heatmap, blame] {
        for attribute in ["fill", "stroke"] {
            for part in svg.split(&format!(" {attribute}=\"#")).skip(1) {
                let rule = format!("svg [{attribute}=\"#{}\"]", &part[..6]);
                assert!(page.contains(&rule), "{rule}");
            }
        }
    }
}

/// Where fonts are missing a PNG is refused; where there are some, its texts are in it.
#[test]
fn pixels_have_the_texts_too() {
    let profile = Synthetic::default().profile();
    let small = |picture| match Format::Png(picture).exporter().export(&profile) {
        Ok(bytes) => bytes,
        Err(error) => {
            assert!(
                format!("{error:#}").contains("no font is installed"),
                "{error:#}"
            );
            println!("SKIPPED pixels_have_the_texts_too: no font is installed");
            Vec::new()
        }
    };
    for &picture in Picture::of(&profile) {
        let bytes = small(picture);
        keep(&picture.file_name("png"), &bytes);
        assert!(bytes.is_empty() || bytes.starts_with(b"\x89PNG"));
    }
}

/// The lines under a bar have the own time of each part: of a hold there is 100 %.
#[test]
fn the_shares_of_a_hold_add_up() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let real = Recording::read(&data.join("forkexit-debian-6.1.jsonl")).unwrap();
    for profile in [
        Synthetic::default().profile(),
        Profile::from_recording(real, classify),
    ] {
        let [_, anatomy, ..] = draw_profile("shares", &profile);
        let names: Vec<&str> = profile.sites.iter().map(|site| site.site.name()).collect();
        let mut sums: Vec<(String, f64)> = Vec::new();
        for text in texts(&anatomy) {
            if names.contains(&text.as_str()) {
                sums.push((text, 0.0));
            } else if let Some(percent) = text.strip_suffix(" %") {
                sums.last_mut().unwrap().1 += percent.parse::<f64>().unwrap();
            }
        }
        let taken_apart: Vec<_> = sums.into_iter().filter(|(_, sum)| *sum > 0.0).collect();
        assert!(!taken_apart.is_empty());
        for (site, sum) in taken_apart {
            assert!((sum - 100.0).abs() < 0.3, "{site}: {sum}");
        }
    }
}

/// The attributes of the rectangles that are so wide, as `(left, top, fill)`.
fn squares(svg: &str, width: i32) -> Vec<(i32, i32, String)> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let number = |tag: &str, name: &str| attribute(tag, name)?.parse::<i32>().ok();
    let tags = svg.split("<rect").skip(1);
    tags.filter(|tag| number(tag, "width") == Some(width) && number(tag, "height") == Some(width))
        .filter_map(|tag| {
            Some((
                number(tag, "x")?,
                number(tag, "y")?,
                attribute(tag, "fill")?,
            ))
        })
        .collect()
}

#[test]
fn no_two_sites_have_the_same_swatch() {
    let all_sites = Synthetic {
        sites: known_sites(),
        intervals: 1,
        ..Synthetic::default()
    };
    let mut lines = all_sites.lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            let pair = |site: &Site| BlameInterval {
                waiter: site.name().to_owned(),
                holder: "reap".to_owned(),
                waited_ns: 1000,
            };
            interval.blame = known_sites().iter().map(pair).collect();
        }
    }
    let [.., blame, _] = draw_profile("swatches", &crate::fixture::profile_of(lines));
    let mut looks: Vec<(String, bool)> = Vec::new();
    let hollows = squares(&blame, 6);
    for (left, top, fill) in squares(&blame, 12)
        .into_iter()
        .filter(|(left, ..)| *left == 24)
    {
        let hollow = hollows
            .iter()
            .any(|(x, y, _)| (*x, *y) == (left + 3, top + 3));
        assert!(
            !looks.contains(&(fill.clone(), hollow)),
            "{fill}, hollow: {hollow}"
        );
        looks.push((fill, hollow));
    }
    assert_eq!(looks.len(), known_sites().len());
    assert!(looks.iter().any(|(_, hollow)| *hollow));
}

/// The root has a name, and no label is longer than its frame in fonts whose letters are 0.6 of their height.
#[test]
fn labels_fit_their_frames() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let real = Recording::read(&data.join("threadspawn-wait-only.jsonl")).unwrap();
    let [.., flamegraph] = draw_profile("frames", &Profile::from_recording(real, classify));
    let (_, frames) = flamegraph.split_once("id=\"frames\"").unwrap();
    let mut labelled = 0;
    for frame in frames.split("<g>").skip(1) {
        let (_, width) = frame.split_once(" width=\"").unwrap();
        let percent: f64 = width.split_once('%').unwrap().0.parse().unwrap();
        let label = texts(frame).remove(0);
        let pixels = 3.0 + label.chars().count() as f64 * 0.602 * 12.0;
        assert!(
            label.is_empty() || pixels <= percent / 100.0 * 1020.0,
            "{label}: {pixels}"
        );
        labelled += usize::from(!label.is_empty());
        if frame.starts_with("<title>all (") {
            assert_eq!(label, "all");
        }
    }
    assert!(labelled > 20, "{labelled}");
}

/// The tail of each site is labelled where it is, not only that of the first ones.
#[test]
fn every_tail_is_labelled_in_place() {
    let five = Synthetic {
        sites: vec![Site::FORK, Site::EXIT, Site::REAP, Site::EXEC, Site::SETSID],
        holds: 200,
        ..Synthetic::default()
    };
    let [distribution, ..] = draw("tails", &five);
    let labels = texts(&distribution);
    let tails = labels.iter().filter(|text| text.starts_with("p99 "));
    assert!(tails.count() >= 8, "{labels:?}");
}
