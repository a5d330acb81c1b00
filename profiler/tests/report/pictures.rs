//! Pictures: their texts. How they look is for a person to judge: with LOCKPROF_PICTURES=DIR they
//! are left there.

use lockprof::{
    export::{Format, Picture},
    profile::Profile,
    recording::schema::{Clock, Line, Tier},
};
use lockprof_abi::Site;

use crate::fixture::Synthetic;

/// The pictures, in the order of their names' list.
fn draw(name: &str, synthetic: &Synthetic) -> [String; 5] {
    draw_profile(name, &synthetic.profile())
}

fn draw_profile(name: &str, profile: &Profile) -> [String; 5] {
    let pictures: Vec<String> = Picture::ALL
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
fn keep(name: &str, bytes: &[u8]) {
    if let Some(directory) = std::env::var_os("LOCKPROF_PICTURES") {
        std::fs::write(std::path::Path::new(&directory).join(name), bytes).unwrap();
    }
}

/// The texts of a picture: what stands between its tags.
fn texts(svg: &str) -> Vec<String> {
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
                sites: vec![Site::Reap],
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
                sites: Site::ALL.to_vec(),
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
    assert!(distribution.contains("No hold and no wait was seen."));
    assert!(heatmap.contains("Nobody held the lock for writing."));
    assert!(anatomy.contains("No hold was seen."));
    assert!(blame.contains("No acquisition had to wait."));
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
        sites: Site::ALL.to_vec(),
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
    for &picture in Picture::ALL {
        let bytes = small(picture);
        keep(&picture.file_name("png"), &bytes);
        assert!(bytes.is_empty() || bytes.starts_with(b"\x89PNG"));
    }
}
