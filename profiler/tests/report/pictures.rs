//! Pictures: their texts. How they look is for a person to judge: with LOCKPROF_PICTURES=DIR they
//! are left there.

use lockprof::{
    export::{Format, Picture},
    recording::schema::{Clock, Line, Tier},
};
use lockprof_abi::Site;

use crate::fixture::Synthetic;

fn draw(name: &str, synthetic: &Synthetic) -> [String; 2] {
    [Picture::Distribution, Picture::Heatmap].map(|picture| {
        let bytes = Format::Svg(picture)
            .exporter()
            .export(&synthetic.profile())
            .unwrap();
        if let Some(directory) = std::env::var_os("LOCKPROF_PICTURES") {
            let file = format!("{name}-{}", picture.file_name());
            std::fs::write(std::path::Path::new(&directory).join(file), &bytes).unwrap();
        }
        String::from_utf8(bytes).unwrap()
    })
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
    let [distribution, _] = draw(
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
    let [distribution, heatmap] = draw("wait-only", &wait_only);
    assert!(distribution.contains("Holds are not measured in this tier."));
    assert!(heatmap.contains("Holds are not measured in this tier"));

    let instructions = Synthetic {
        clock: Clock::Instructions,
        ..Synthetic::default()
    };
    let [distribution, _] = draw("instructions", &instructions);
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
    let [distribution, heatmap] = draw("nothing", &nothing);
    assert!(distribution.contains("No hold was seen."));
    assert!(heatmap.contains("Nobody held the lock for writing."));
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
    for &picture in Picture::ALL {
        let bytes = Format::Svg(picture).exporter().export(&profile).unwrap();
        let svg = String::from_utf8(bytes).unwrap();
        if let Some(directory) = std::env::var_os("LOCKPROF_PICTURES") {
            let file = format!("hostile-{}", picture.file_name());
            std::fs::write(std::path::Path::new(&directory).join(file), &svg).unwrap();
        }
        assert!(!svg.contains("<script"), "{svg}");
        assert!(!svg.contains("onload=x>"), "{svg}");
        assert!(!svg.contains('\u{1b}'));
        assert!(svg.contains("&lt;script&gt;"));
    }
}
