//! A forecast as a picture: its texts, and that all of it is on the sheet. How it looks is for a person to
//! judge: with LOCKPROF_PICTURES=DIR it is left there.

use lockprof::{
    export::forecast_svg,
    forecast::{Forecast, KernelDemands, LABEL, RoundMeasures, Subject, forecast},
};

use crate::fixture::{five_boots, guarded, mutexes, of_a_mutex, one_lock, pair, prototype};

fn draw(name: &str, kernels: &[KernelDemands]) -> String {
    draw_of(name, kernels, &Subject::default())
}

fn draw_of(name: &str, kernels: &[KernelDemands], subject: &Subject) -> String {
    let answer = forecast(kernels, subject, 1).unwrap();
    let svg = forecast_svg(&answer, true).unwrap();
    if let Some(directory) = std::env::var_os("LOCKPROF_PICTURES") {
        let file = std::path::Path::new(&directory).join(format!("forecast-{name}.svg"));
        std::fs::write(file, &svg).unwrap();
    }
    let without_head = forecast_svg(&answer, false).unwrap();
    for svg in [&svg, &without_head] {
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
        assert!(svg.len() < 200_000, "{name}: {} bytes", svg.len());
        assert!(
            texts(svg)
                .iter()
                .any(|text| *text == LABEL.replace('\'', "&apos;")),
            "{name}"
        );
        on_the_sheet(name, svg);
    }
    svg
}

fn texts(svg: &str) -> Vec<String> {
    let parts = svg.split("<text").skip(1);
    parts
        .map(|part| part.split(['>', '<']).nth(1).unwrap().trim().to_owned())
        .collect()
}

/// The pixels of every coordinate that an attribute has, and the sheet's.
fn on_the_sheet(name: &str, svg: &str) {
    let attribute = |tag: &str, key: &str| -> Vec<f64> {
        let (tag, key) = (format!("<{tag} "), format!(" {key}=\""));
        let parts = svg.split(tag.as_str()).skip(1);
        parts
            .filter_map(|part| {
                let tag = format!(" {}", part.split('>').next().unwrap());
                let value = tag.split(key.as_str()).nth(1)?;
                value.split('"').next().unwrap().parse().ok()
            })
            .collect()
    };
    let (width, height) = (attribute("svg", "width")[0], attribute("svg", "height")[0]);
    for x in attribute("text", "x") {
        assert!((0.0..width).contains(&x), "{name}: {x}");
    }
    for y in attribute("text", "y") {
        assert!((0.0..height).contains(&y), "{name}: {y}");
    }
    for list in svg.split("points=\"").skip(1) {
        for point in list.split('"').next().unwrap().split_whitespace() {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!(
                (0.0..width).contains(&x) && (0.0..height).contains(&y),
                "{name}: {point}"
            );
        }
    }
}

/// The prototype's kernels, and one whose randomness alone is deferred.
fn three() -> Vec<KernelDemands> {
    let mut kernels = pair();
    let some = RoundMeasures {
        guarded: guarded(true),
        ..prototype(800.0)
    };
    kernels.insert(1, five_boots("defer-randomness", &some));
    kernels[2].name = "defer-randomness-and-pids".to_owned();
    kernels
}

#[test]
fn every_forecast_can_be_drawn() {
    let simple = [("base", 1084.0), ("deferred", 476.0)]
        .map(|(name, mean_hold)| five_boots(name, &prototype(mean_hold)));
    draw("one-lock", &simple);
    draw("alone", &simple[..1]);
    draw("same", &[simple[0].clone(), simple[0].clone()]);
    draw("slower", &[simple[1].clone(), simple[0].clone()]);
    draw("three", &three());
    let names: Vec<String> = (0..9)
        .map(|kernel| format!("kernel-{kernel}-with-a-long-name-of-its-own"))
        .collect();
    let many: Vec<KernelDemands> = names
        .iter()
        .enumerate()
        .map(|(index, name)| five_boots(name, &prototype(1100.0 - 90.0 * index as f64)))
        .collect();
    draw("many", &many);
    // A lock that never saturates, and one that always is.
    draw(
        "far",
        &[one_lock("a", &[(1e6, 1.0)]), one_lock("b", &[(1e6, 1e6)])],
    );
    // All of the profiler's cost would leave nothing of the hold.
    let costly = RoundMeasures {
        profiled: 90_000.0,
        ..prototype(476.0)
    };
    draw(
        "costly",
        &[simple[0].clone(), five_boots("costly", &costly)],
    );
    draw(
        "slow",
        &[one_lock("a", &[(1e4, 1.0)]), one_lock("b", &[(1e6, 1.0)])],
    );
}

#[test]
fn what_was_published_stands_beside_the_curve() {
    let texts = texts(&draw("pair", &pair()));
    for expected in [
        "published: +15.0 %",
        "published: +23.4 %",
        "thread create/exit",
        "stress-ng pthread",
        "free_pid deferred alone",
        "tasklist_lock",
        "saturates at 26 CPUs",
        "512",
        "0 %",
    ] {
        assert!(
            texts.iter().any(|text| text == expected),
            "{expected} in {texts:?}"
        );
    }
}

#[test]
fn a_hostile_name_is_only_text() {
    let mut kernels = pair();
    kernels[0].name = "<script>alert(1)</script>\u{1b}[2J".to_owned();
    let svg = draw("hostile", &kernels);
    assert!(
        !svg.contains("<script>") && !svg.contains('\u{1b}'),
        "{svg}"
    );
}

#[test]
fn nothing_to_draw_is_no_panic() {
    let nothing = Forecast {
        kernels: Vec::new(),
        ..forecast(&pair(), &Subject::default(), 1).unwrap()
    };
    assert!(forecast_svg(&nothing, true).unwrap().contains("</svg>"));
}

#[test]
fn the_picture_of_a_mutex_has_nothing_of_tasks() {
    let svg = draw_of("mutex", &mutexes(), &of_a_mutex());
    let texts = texts(&svg).join(" ");
    assert!(
        texts.contains("forecast of iterations against CPUs"),
        "{texts}"
    );
    assert!(texts.contains("cgroup_mutex"), "{texts}");
    for word in ["lives", "life", "published", "tasklist_lock"] {
        assert!(!texts.contains(word), "{word}: {texts}");
    }
}
