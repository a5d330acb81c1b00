//! Recordings of all locks beside each other: of one boot, five a side.

use std::{fs, path::Path, process::Command};

use assert_cmd::assert::OutputAssertExt as _;
use lockprof::{
    compare::{
        CompareError, Comparison, Finding, LockName, LockRow, Measure, Quantity, Sampled, Side,
        Verdict, cannot_judge, regressions, sentence,
    },
    export::ComparisonReport,
    profile::Profile,
    recording::schema::{Control, Line, LockFamily, Proof, Proves},
};

use crate::{
    fixture::{Synthetic, bytes, profile_of},
    lock_runs::{BUSY, CGROUP, JITTER, MMAP, RUN_QUEUE, Waits, changed, lines, longer, side},
};

fn compared(before: &[Waits], after: &[Waits]) -> Comparison {
    Comparison::of(side("old", 0, before), side("new", 1, after)).unwrap()
}

fn rows(comparison: &Comparison) -> &[LockRow] {
    let answers = &comparison.settings[0].answers;
    &answers.every_lock.as_ref().unwrap().classes
}

fn row<'a>(comparison: &'a Comparison, class: &str) -> &'a LockRow {
    let mut rows = rows(comparison).iter();
    rows.find(|row| row.class().unwrap().name == class).unwrap()
}

fn verdict(comparison: &Comparison, class: &str) -> Verdict {
    row(comparison, class).finding().unwrap().verdict
}

fn all(comparison: &Comparison) -> &Finding {
    let answers = &comparison.settings[0].answers;
    answers
        .finding(&Quantity::AllLocks(Measure::Waited))
        .unwrap()
}

fn views(comparison: Comparison) -> [String; 4] {
    let report = ComparisonReport::new(vec![comparison], Vec::new());
    let views = [
        report.table(false),
        report.markdown(),
        report.html().unwrap(),
        report.json().unwrap(),
    ];
    assert!(!report.pictures().unwrap().is_empty());
    views.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_class_that_changed_is_told_by_its_name() {
    let comparison = compared(&BUSY, &longer());
    assert_eq!(verdict(&comparison, "cgroup_mutex"), Verdict::Worse);
    assert!(!verdict(&comparison, "mmap_lock").is_change());
    assert_eq!(all(&comparison).verdict, Verdict::Worse);
    assert_eq!(all(&comparison).sampled, Sampled::Recording);
    let text = sentence(&comparison);
    assert!(
        text.starts_with("new against old: waiting for locks rose by 2")
            && text.contains("; waiting for cgroup_mutex (mutex) rose by ")
            && text.contains(", in longer waits (1.01 ms → 3.03 ms)"),
        "{text}"
    );
    let answers = &comparison.settings[0].answers;
    let locks = answers.every_lock.as_ref().unwrap();
    let mut callers = locks.callers.iter();
    let caller = callers.find(|row| row.class().unwrap().name == "cgroup_mutex");
    let caller = caller.unwrap().finding().unwrap();
    assert_eq!(caller.verdict, Verdict::Worse);
    // How often was asked, and has not changed.
    let cgroup = LockName {
        name: "cgroup_mutex".to_owned(),
        family: Some(LockFamily::Mutex),
        is_guessed: false,
    };
    let waits = Quantity::LockClass(cgroup, Measure::Waits);
    assert_eq!(answers.finding(&waits).unwrap().verdict, Verdict::Same);
    // 459 ms in a second, and as much of a task.
    let waited = all(&comparison).before.median.unwrap();
    assert!((459e6..470e6).contains(&waited), "{waited}");
}

#[test]
fn every_view_has_the_classes_and_nothing_of_holds() {
    let [table, markdown, page, json] = views(compared(&BUSY, &longer()));
    for line in table.lines() {
        assert!(line.chars().count() <= 72, "{line}");
    }
    let markdown = markdown.replace('\\', "");
    for view in [&table, &markdown, &page, &json] {
        assert!(view.contains("cgroup_mutex"), "{view}");
        assert!(view.contains("try_to_wake_up") && !view.contains("isra"));
    }
    for view in [&table, &markdown] {
        assert!(!view.contains("hold"), "{view}");
        let words: Vec<&str> = view.split_whitespace().collect();
        assert!(words.join(" ").contains("a recording is one sample"));
    }
    assert!(page.contains("Waiting by class") && !page.contains("On machines with more CPUs"));
    assert!(!page.contains("holds"), "{page}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let setting = &json["comparisons"][0]["settings"][0];
    assert_eq!(setting["lock"], "all contended locks");
    assert_eq!(setting["every_lock"]["sample"], "recording");
    let classes = setting["every_lock"]["classes"].as_array().unwrap();
    let cgroup = classes.iter().find(|row| row["class"] == "cgroup_mutex");
    let quantity = &cgroup.unwrap()["quantity"];
    let findings = setting["findings"].as_array().unwrap();
    let mut findings = findings.iter();
    let finding = findings.find(|finding| finding["quantity"] == *quantity);
    assert_eq!(finding.unwrap()["verdict"], "worse");
}

#[test]
fn equal_sides_have_no_difference() {
    let comparison = compared(&BUSY, &BUSY);
    for (_, finding) in comparison.findings() {
        assert!(!finding.verdict.is_change(), "{finding:?}");
    }
    assert!(!sentence(&comparison).contains("rose"));
    assert_eq!(cannot_judge(&comparison), None);
    assert!(regressions(&comparison, 0.01).is_empty());
}

/// A kernel that takes waiting from one lock to another has changed, though all waiting is the same.
#[test]
fn a_class_that_gained_what_another_lost_is_found() {
    let cgroup = Waits {
        waited_ns: CGROUP.waited_ns + 40_000_000,
        ..CGROUP
    };
    let mmap = Waits {
        waited_ns: MMAP.waited_ns - 40_000_000,
        ..MMAP
    };
    let comparison = compared(&BUSY, &[mmap, cgroup, RUN_QUEUE]);
    assert!(!all(&comparison).verdict.is_change());
    assert_eq!(verdict(&comparison, "cgroup_mutex"), Verdict::Worse);
    assert_eq!(verdict(&comparison, "mmap_lock"), Verdict::Better);
}

#[test]
fn a_class_on_one_side_alone_is_told_where_the_other_would_have_seen_it() {
    let without = [MMAP, RUN_QUEUE];
    let appeared = compared(&without, &BUSY);
    let cgroup = row(&appeared, "cgroup_mutex").finding().unwrap();
    assert_eq!(cgroup.verdict, Verdict::Worse);
    assert_eq!(cgroup.before.median, Some(0.0));
    let text = sentence(&appeared);
    assert!(
        text.contains("waiting for cgroup_mutex (mutex) appeared (0"),
        "{text}"
    );
    assert_eq!(
        verdict(&compared(&BUSY, &without), "cgroup_mutex"),
        Verdict::Better
    );
}

/// The same where one side does not prove that it sees waits for mutexes, or may have the lock by another name.
#[test]
fn a_class_that_the_other_side_may_have_has_no_verdict() {
    let unproved = |lines: &mut Vec<Line>| {
        let Some(Line::Footer(footer)) = lines.last_mut() else {
            panic!("a recording ends with its footer");
        };
        footer.controls = vec![Control {
            proves: Proves::Waits(LockFamily::Mutex),
            outcome: Proof::NotProved,
            done: 10,
            seen: 0,
            why: Some("nobody waited".to_owned()),
        }];
    };
    let unseen = changed("new", 1, &[MMAP, RUN_QUEUE], unproved);
    // A kernel that does not tell where its mutex is.
    let nameless = Waits {
        lock: (CGROUP.lock.0, None),
        ..CGROUP
    };
    let renamed = side("new", 1, &[MMAP, nameless, RUN_QUEUE]);
    for (after, why) in [(unseen, "does not prove"), (renamed, "another name")] {
        let comparison = Comparison::of(side("old", 0, &BUSY), after).unwrap();
        let cgroup = row(&comparison, "cgroup_mutex");
        assert_eq!(cgroup.seen[1], None);
        assert!(cgroup.seen[0].is_some());
        let said = cgroup.outcome.as_ref().unwrap_err();
        assert!(said.contains(why), "{said}");
        assert!(!sentence(&comparison).contains("cgroup_mutex"));
        let [table, ..] = views(comparison);
        let words: Vec<&str> = table.split_whitespace().collect();
        assert!(
            words.join(" ").contains("Not compared: cgroup_mutex"),
            "{table}"
        );
    }
}

#[test]
fn all_locks_are_compared_where_all_see_the_same_kinds() {
    let blind = |lines: &mut Vec<Line>| {
        if let Some(Line::Header(header)) = lines.first_mut() {
            header.kernel.spinlock_waits_invisible = Some("of this cause".to_owned());
        }
    };
    let comparison = |after: Side| Comparison::of(side("old", 0, &BUSY), after).unwrap();
    let unlike = comparison(changed("new", 1, &[MMAP, CGROUP], blind));
    let text = sentence(&unlike);
    assert!(
        text.contains("all locks together are not compared (up to 1.9")
            && text.contains("of the waiting in a recording is for a spinlock"),
        "{text}"
    );
    assert!(
        cannot_judge(&unlike)
            .unwrap()
            .contains("cannot be compared (up to")
    );
    views(unlike);
    // Of what was seen it is known that it is.
    let alike = comparison(changed("new", 1, &BUSY, blind));
    assert_eq!(cannot_judge(&alike), None);
}

#[test]
fn nothing_on_both_sides_is_no_difference() {
    let comparison = compared(&[], &[]);
    assert_eq!(all(&comparison).verdict, Verdict::Same);
    assert_eq!(cannot_judge(&comparison), None);
    let text = sentence(&comparison);
    assert!(
        text.ends_with("no wait for a lock was seen on either side."),
        "{text}"
    );
    let report = ComparisonReport::new(vec![comparison], Vec::new());
    assert!(!report.table(false).is_empty() && report.html().is_ok());
}

#[test]
fn few_recordings_are_no_verdict() {
    let three = |name: &str, number: u32, waits: &[Waits]| {
        let mut side = Side::new(name);
        for index in 0..3 {
            let profile = profile_of(lines(waits, "the boot", number, index));
            side.add(&format!("{name}/{index}"), &profile);
        }
        side
    };
    let comparison = Comparison::of(three("old", 0, &BUSY), three("new", 1, &longer())).unwrap();
    let why = cannot_judge(&comparison).unwrap();
    assert!(
        why.contains("too few recordings for a verdict about waiting for locks (3 and 3"),
        "{why}"
    );
    let changes = comparison
        .findings()
        .any(|(_, finding)| finding.verdict.is_change());
    assert!(!changes);
}

/// Where there are several boots, these are the samples, and none is on both sides.
#[test]
fn recordings_of_several_boots_are_samples_by_boot() {
    let of_boots = |name: &str, number: u32, waits: &[Waits], boots: &str| {
        let mut side = Side::new(name);
        for index in 0..10 {
            let boot = format!("{boots} {}", index / 2);
            let profile = profile_of(lines(waits, &boot, number, index));
            side.add(&format!("{name}/{index}"), &profile);
        }
        side
    };
    let [old, new] = [
        of_boots("old", 0, &BUSY, "a"),
        of_boots("new", 1, &longer(), "b"),
    ];
    let comparison = Comparison::of(old.clone(), new).unwrap();
    assert_eq!(all(&comparison).boots(), [5, 5]);
    assert_eq!(all(&comparison).sampled, Sampled::Boot);
    assert_eq!(verdict(&comparison, "cgroup_mutex"), Verdict::Worse);
    let of_same = of_boots("new", 1, &longer(), "a");
    let error = Comparison::of(old, of_same).unwrap_err();
    assert!(matches!(error, CompareError::SameBoot { .. }), "{error}");
}

#[test]
fn another_filter_or_load_is_said() {
    let only = |words: &'static str| {
        move |lines: &mut Vec<Line>| {
            if let Some(Line::Header(header)) = lines.first_mut() {
                let plan = header.locks.as_mut().unwrap();
                plan.only = vec![words.to_owned()];
            }
        }
    };
    let filtered = changed("new", 1, &BUSY, only("kind mutex"));
    let comparison = Comparison::of(side("old", 0, &BUSY), filtered).unwrap();
    assert!(comparison.settings.is_empty());
    let said: Vec<&str> = comparison
        .differences
        .iter()
        .map(|difference| difference.text.as_str())
        .collect();
    assert!(
        said.iter()
            .any(|text| text.contains("contended locks, only kind mutex")),
        "{said:?}"
    );
    // A process has another number each time.
    let of_process = |name: &str, number: u32, words| changed(name, number, &BUSY, only(words));
    let before = of_process("old", 0, "process 17");
    let comparison = Comparison::of(before, of_process("new", 1, "process 18")).unwrap();
    let setting = &comparison.settings[0].answers.setting;
    assert_eq!(setting.lock, "contended locks, only one process");
    let mut said = comparison.differences.iter();
    assert!(said.any(|difference| difference.text.contains("(process 17 / process 18)")));
}

fn write(folder: &Path, number: usize, lines: &[Line]) {
    let folder = folder.join(number.to_string());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("recording.jsonl"), bytes(lines)).unwrap();
}

#[test]
fn a_mix_with_recordings_of_one_lock_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [locks, other, worse] = ["locks", "other", "worse"].map(|name| folder.path().join(name));
    for number in 0..JITTER.len() {
        write(&locks, number, &lines(&BUSY, "the boot", 0, number));
        write(&worse, number, &lines(&longer(), "the boot", 1, number));
    }
    write(&other, 0, &Synthetic::default().lines());
    let compare = |before: &Path, after: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockprof"));
        command.arg("compare").arg(before).arg("--vs").arg(after);
        command.arg("--fail-on-regression");
        command
    };
    for (before, after) in [(&locks, &other), (&other, &locks)] {
        let output = compare(before, after).assert().code(1);
        let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(
            said.contains("locks has recordings of all locks (lockprof locks)")
                || said.contains("and locks of all locks (lockprof locks)"),
            "{said}"
        );
    }
    let output = compare(&locks, &worse).assert().code(4);
    let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(
        said.contains("regression in worse: waiting for locks by +2"),
        "{said}"
    );
    compare(&worse, &locks).assert().success();
}

/// A recording of one lock is none of all, whatever waits it has.
#[test]
fn recordings_of_one_lock_are_compared_as_before() {
    let one = |name: &str, boot: &str| {
        let mut profile: Profile = Synthetic::default().profile();
        profile.header.kernel.boot_id = boot.to_owned();
        let mut side = Side::new(name);
        side.add(name, &profile);
        side
    };
    let comparison = Comparison::of(one("a", "first"), one("b", "second")).unwrap();
    assert!(!comparison.is_of_all_locks());
    assert!(comparison.settings[0].answers.every_lock.is_none());
}
