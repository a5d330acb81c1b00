//! A comparison as text, as JSON and as pictures.

use lockprof::{compare::Comparison, export::ComparisonReport};

use crate::boots::{BASE, DEFERRED, patched, side};

fn report(comparison: Comparison) -> ComparisonReport {
    ComparisonReport::new(vec![comparison], vec!["recorded for this test".to_owned()])
}

/// Makes every view of a comparison.
pub fn every_view(comparison: Comparison) {
    let report = report(comparison);
    assert!(!report.table(true).is_empty());
    assert!(!report.markdown().is_empty());
    report.json().unwrap();
    report.html().unwrap();
    report.pictures().unwrap();
}

fn table(comparison: Comparison) -> String {
    String::from_utf8(report(comparison).table(false)).unwrap()
}

#[test]
fn the_table_is_for_a_mail() {
    let table = table(patched());
    let widest = table
        .lines()
        .max_by_key(|line| line.chars().count())
        .unwrap();
    assert!(widest.chars().count() <= 72, "{widest}");
    // The model and what was compared are held elsewhere.
    let (numbers, _) = table.split_once("What was compared").unwrap();
    insta::assert_snapshot!(numbers);
}

#[test]
fn names_of_any_length_fit() {
    let long = "a-kernel-with-a-name-that-its-owner-will-regret-before-the-week-is-over";
    let comparison = Comparison::of(side(long, &BASE[..5]), side("b", &BASE[5..10])).unwrap();
    for line in table(comparison).lines() {
        assert!(line.chars().count() <= 72 || line.contains(long), "{line}");
    }
}

#[test]
fn markdown_is_for_an_issue() {
    let text = String::from_utf8(report(patched()).markdown()).unwrap();
    let (numbers, _) = text.split_once("What was compared").unwrap();
    insta::assert_snapshot!(numbers);
}

#[test]
fn json_has_each_boot_and_each_verdict() {
    let bytes = report(patched()).json().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(json["schema"], 1);
    let findings = &json["comparisons"][0]["settings"][0]["findings"];
    let reap = findings
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["quantity"] == "reap.hold")
        .unwrap();
    assert_eq!(reap["before"]["values"].as_array().unwrap().len(), 5);
    assert_eq!(reap["verdict"], "better");
    assert!(reap["interval"]["high"].as_f64().unwrap() < -0.5);
    assert!(
        json["forecast"]["kernels"].is_array(),
        "{}",
        json["no_forecast"]
    );
}

#[test]
fn pictures_have_names_and_texts() {
    let pictures = report(patched()).pictures().unwrap();
    let names: Vec<&str> = pictures.iter().map(|(name, _)| name.as_str()).collect();
    for picture in ["boots", "anatomy", "distributions", "forecast"] {
        assert!(
            names.iter().any(|name| name.ends_with(picture)),
            "{names:?}"
        );
    }
    let (_, boots) = &pictures[0];
    for text in [
        "deferred against base: by boot",
        "the mean reap hold",
        "better",
        "same",
    ] {
        assert!(boots.contains(text), "{text}");
    }
}

#[test]
fn hostile_names_are_text() {
    let name = "<script>alert(1)</script>\u{202e}";
    let comparison = Comparison::of(side(name, &BASE[..5]), side("b", &BASE[5..10])).unwrap();
    let report = report(comparison);
    let page = String::from_utf8(report.html().unwrap()).unwrap();
    assert!(!page.contains("<script") && !page.contains('\u{202e}'));
    let table = String::from_utf8(report.table(false)).unwrap();
    assert!(!table.contains('\u{202e}'));
}

/// The forecast has a column for each kernel.
#[test]
fn hostile_names_are_text_above_a_column() {
    let name = "red\u{1b}[31m";
    let comparison = Comparison::of(side(name, &BASE[..5]), side("b", DEFERRED.iter())).unwrap();
    let table = table(comparison);
    assert!(table.contains("Forecast: task lives"), "{table}");
    assert!(!table.contains('\u{1b}'));
}
