//! What is said of the effect, and where.

use lockprof::{export::Format, profile::Verdict, recording::schema::Line};

use crate::{
    fixture::{Synthetic, profile_of},
    windowed::{Windowed, emulated, joined, json, table, text},
};

#[test]
fn the_effect_is_said_before_the_numbers_that_it_touches() {
    let profile = Windowed::default().profile();
    let verdict = Verdict::of(&profile);
    assert_eq!(
        verdict.caveats[..3],
        [
            "With the probes of holds the load kept 90.1 % of its rate (88.9 to 91.2 %, 3 pairs of \
             windows); with those of spans 69.9 % (64.9 to 75.3 %, 3 pairs of windows).",
            "Caution: the lengths of holds and waits are those of a load that the probes slow down.",
            "Caution: the times of calls inside holds are the numbers of a slower lock.",
        ]
    );
    let said = "90.1 % of its rate";
    for format in [Format::Markdown, Format::Html] {
        let text = joined(&text(&profile, format));
        let before = text.split_once(said).unwrap().0.len();
        assert!(
            before < text.find("was held for writing").unwrap(),
            "{text}"
        );
    }
    insta::assert_snapshot!(table(&profile));
}

#[test]
fn an_emulated_machine_has_an_effect_of_its_own() {
    let verdict = Verdict::of(&emulated().profile());
    let said = "That is the effect on this emulated machine, not on hardware.";
    assert_eq!(verdict.caveats[1], said);
}

#[test]
fn an_effect_that_is_small_is_no_caution() {
    let rates = [10_000, 9_900, 10_000, 9_910, 10_000, 9_890, 10_000];
    let verdict = Verdict::of(&Windowed::holds(&rates).profile());
    assert!(verdict.caveats[0].starts_with("With the probes of holds the load kept 99.0 %"));
    assert!(
        verdict
            .caveats
            .iter()
            .all(|caveat| !caveat.contains("Caution"))
    );
}

#[test]
fn what_is_not_known_is_said_with_what_would_tell() {
    let rates = [10_000, 9_000, 10_000, 10_000, 10_000, 11_000, 10_000];
    let wide = Verdict::of(&Windowed::holds(&rates).profile());
    assert!(
        wide.caveats[0].starts_with(
            "How much of its rate the load keeps with the probes of holds is not known: 99.7 %, but \
             anywhere from "
        ),
        "{:?}",
        wide.caveats
    );
    assert!(
        wide.caveats[0].ends_with("would tell."),
        "{:?}",
        wide.caveats
    );
    let one = Verdict::of(&Windowed::holds(&[10_000, 9_000]).profile());
    let said = "How much of its rate the load keeps with the probes of holds is not known: 90.0 % in 1 \
                pair of windows, which is too few. It takes a run of at least 10 s to tell.";
    assert_eq!(one.caveats[0], said);
    let mut unheard = Windowed::holds(&[20, 20, 20, 20, 20, 20, 20]);
    unheard.told = false;
    let few = Verdict::of(&unheard.profile());
    let said = "How much of its rate this machine keeps with the probes of holds is not known: too \
                few task lives to tell. It takes a run of at least ";
    assert!(few.caveats[0].starts_with(said), "{:?}", few.caveats);
}

#[test]
fn why_there_are_no_windows_is_said() {
    let mut lines = Synthetic::default().lines();
    let Line::Header(header) = &mut lines[0] else {
        panic!("no header")
    };
    header.no_windows = Some("the load cannot be parked.".to_owned());
    let profile = profile_of(lines.clone());
    let said = "What the probes do to the load is not known: the load cannot be parked.";
    assert_eq!(Verdict::of(&profile).caveats[0], said);
    assert!(!table(&profile).contains("not measured (--windows off)"));
    let Line::Header(header) = &mut lines[0] else {
        panic!("no header")
    };
    header.no_windows = None;
    header
        .command_line
        .extend(["--windows".into(), "off".into()]);
    let profile = profile_of(lines);
    assert!(joined(&table(&profile)).contains("effect not measured (--windows off)"));
    assert!(json(&profile)["effect"].is_null());
}
