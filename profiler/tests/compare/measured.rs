//! What one recording has measured and another has not is not compared with nothing.

use std::path::Path;

use lockprof::{
    compare::{
        Comparison, Quantity, Side, Totals, Verdict, cannot_judge, demands_of, regressions,
        sentence,
    },
    export::ComparisonReport,
    kernel::classify_stack,
    profile::Profile,
    profile_file::read_profile,
    recording::schema::{Calibration, Clock, Control, Ended, LockFamily, Proof, Proves},
    site::Site,
    span::Span,
    work_unit::WorkUnit,
};

use crate::boots::{BASE, Boot, DEFERRED, side};

const INLINED: &str = "the kernel has no such function: it is inlined";

/// A side of boots in whose recordings something is otherwise.
fn changed<'a>(
    name: &str,
    boots: impl IntoIterator<Item = &'a Boot>,
    change: impl Fn(usize, &mut Profile),
) -> Side {
    let mut side = Side::new(name);
    for (number, boot) in boots.into_iter().enumerate() {
        for (origin, profile) in boot {
            let mut profile = profile.clone();
            change(number, &mut profile);
            side.add(origin, &profile);
        }
    }
    side
}

/// As if a span had no place for a probe.
fn without_probe(profile: &mut Profile, span: Span) {
    let mut found = false;
    for probe in &mut profile.header.attach.probes {
        if probe.target == span.name() {
            probe.absent = Some(INLINED.to_owned());
            found = true;
        }
    }
    if found {
        let absent = (span.name().to_owned(), INLINED.to_owned());
        profile.absent_spans.push(absent);
        profile.spans.retain(|calls| calls.span != span);
    }
}

fn texts(comparison: &Comparison) -> String {
    let texts = comparison.differences.iter();
    let texts: Vec<&str> = texts.map(|difference| difference.text.as_str()).collect();
    texts.join("\n")
}

/// What the table says of where it is called.
fn row_of_free_pid(comparison: &Comparison) -> String {
    let report = ComparisonReport::new(vec![comparison.clone()], Vec::new());
    let text = String::from_utf8(report.table(false)).unwrap();
    let (_, section) = text.split_once("Which calls happen inside a hold").unwrap();
    let mut rows = section.lines();
    let row = rows.find(|line| line.trim_start().starts_with("free_pid"));
    row.unwrap().to_owned()
}

#[test]
fn a_call_without_a_probe_has_not_left_the_hold() {
    let base = || side("base", &BASE[..5]);
    let unprobed = |which: fn(usize) -> bool| {
        changed("unprobed", DEFERRED.iter(), |number, profile| {
            if which(number) {
                without_probe(profile, Span::FREE_PID);
            }
        })
    };
    let of = |comparison: &Comparison, quantity: &Quantity| {
        let answers = &comparison.settings[0].answers;
        answers.finding(quantity).cloned()
    };
    let free_pid = Quantity::SpanInHold(Site::REAP, Span::FREE_PID);
    let around = [
        Quantity::SpanInHold(Site::REAP, Span::CHANGE_PID),
        Quantity::OwnWork(Site::REAP),
    ];
    let randomness = Quantity::SpanInHold(Site::REAP, Span::ADD_DEVICE_RANDOMNESS);

    for sides in [[base(), unprobed(|_| true)], [unprobed(|_| true), base()]] {
        let [before, after] = sides;
        let comparison = Comparison::of(before, after).unwrap();
        for quantity in around.iter().chain([&free_pid]) {
            assert!(of(&comparison, quantity).is_none(), "{quantity:?}");
        }
        let because = sentence(&comparison);
        assert!(because.contains(", in part because of add_device_randomness ("));
        assert!(!because.contains("free_pid"), "{because}");
        assert!(of(&comparison, &randomness).unwrap().verdict.is_change());
        let placements = &comparison.settings[0].placements;
        let mut placed = placements.iter();
        let placed = placed.find(|placement| placement.span == Span::FREE_PID);
        let placed = placed.unwrap();
        let unprobed = comparison.before.name != "unprobed";
        let probed = placed.calls.map(|calls| calls.probed);
        assert_eq!(probed, [unprobed, !unprobed]);
        assert!(!placed.moved());
        let row = row_of_free_pid(&comparison);
        assert_eq!(row.matches("not measured").count(), 1, "{row}");
        assert!(row.contains("100 % (1.00 a life)"), "{row}");
        let said = texts(&comparison);
        let expected =
            format!("free_pid was not probed in unprobed ({INLINED}): where it is called");
        assert!(said.contains(&expected), "{said}");
        let why = demands_of(&[&comparison.before, &comparison.after]).unwrap_err();
        assert!(
            why.starts_with("calls of free_pid were not probed in unprobed"),
            "{why}"
        );
    }

    // The boots that did probe it can be compared, in what is its own.
    let comparison = Comparison::of(base(), unprobed(|number| number == 0)).unwrap();
    let own = of(&comparison, &free_pid).unwrap();
    assert_eq!(own.after.values, [0.0; 4]);
    for quantity in &around {
        assert!(of(&comparison, quantity).is_none(), "{quantity:?}");
    }
    let said = texts(&comparison);
    let expected = format!("free_pid was not probed in 1 of 5 boots of unprobed ({INLINED}): ");
    assert!(said.contains(&expected), "{said}");
    // Nothing is to be said where it is so on both sides, or on none.
    let both = changed("base", &BASE[..5], |_, profile| {
        without_probe(profile, Span::FREE_PID);
    });
    for sides in [
        [both, unprobed(|_| true)],
        [base(), side("deferred", DEFERRED.iter())],
    ] {
        let [before, after] = sides;
        let comparison = Comparison::of(before, after).unwrap();
        assert_eq!(texts(&comparison), "");
        assert!(of(&comparison, &around[1]).is_some());
    }
}

/// Where waits are seen: the one such recording there is, as that of another boot.
fn with_waits(boot: u32) -> Profile {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/threadspawn-debian-6.12.jsonl");
    let mut profile = read_profile(&path, classify_stack).unwrap();
    profile.header.clock = Clock::Hardware;
    profile.header.kernel.boot_id = format!("boot {boot}");
    profile.header.started_at_s += f64::from(boot);
    // Boots differ.
    for site in &mut profile.sites {
        if let Some(wait) = &mut site.wait {
            wait.total_ns += u64::from(boot);
        }
    }
    profile
}

fn without_waits(mut profile: Profile) -> Profile {
    for probe in &mut profile.header.attach.probes {
        if probe.target.starts_with("contention_") {
            probe.absent = Some("the tracepoint could not be attached".to_owned());
        }
    }
    for site in &mut profile.sites {
        site.wait = None;
    }
    profile.blame.clear();
    profile.contention.clear();
    profile.inner_waits.clear();
    profile
}

#[test]
fn waits_are_divided_by_the_lives_of_those_who_measured_them() {
    let once = || {
        let mut side = Side::new("once");
        for boot in 0..5 {
            side.add("once", &with_waits(boot));
        }
        side
    };
    // Whichever comes first.
    for last in [false, true] {
        let mut twice = Side::new("twice");
        for boot in 10..15 {
            let known = with_waits(boot);
            let unknown = without_waits(known.clone());
            let both = if last {
                [known, unknown]
            } else {
                [unknown, known]
            };
            for profile in &both {
                twice.add("twice", profile);
            }
        }
        let comparison = Comparison::of(once(), twice).unwrap();
        let waited = comparison.settings[0].answers.finding(&Quantity::Waited);
        assert_eq!(waited.unwrap().verdict, Verdict::Same, "{waited:?}");
        assert_eq!(regressions(&comparison, 0.01).len(), 0);
        assert_eq!(cannot_judge(&comparison), None);
        let said = texts(&comparison);
        assert!(
            said.contains("Waits are not known in 5 of 10 recordings of twice (exact tier"),
            "{said}"
        );
    }
    // A side without any is no side where nobody waits, and no good one for a script.
    let mut never = Side::new("never");
    for boot in 20..25 {
        never.add("never", &without_waits(with_waits(boot)));
    }
    let comparison = Comparison::of(once(), never).unwrap();
    let answers = &comparison.settings[0].answers;
    assert!(answers.finding(&Quantity::Waited).is_none());
    let said = texts(&comparison);
    assert!(
        said.contains("Only once has a number for waiting for the lock (exact tier"),
        "{said}"
    );
    let why = cannot_judge(&comparison).unwrap();
    assert!(
        why.starts_with("waiting for the lock is known of once alone, with threadspawn"),
        "{why}"
    );
}

#[test]
fn a_load_that_failed_is_no_sample() {
    let add = |change: fn(&mut Profile)| {
        let mut profile = BASE[0][0].1.clone();
        change(&mut profile);
        let mut side = Side::new("a");
        side.add("this run", &profile);
        side
    };
    let well = add(|_| {});
    assert!(well.unused.is_empty() && well.cautions.is_empty());
    let failed = add(|profile| profile.footer.as_mut().unwrap().load_status = Some(1));
    assert!(failed.boots.is_empty());
    assert!(
        failed.unused[0].starts_with("this run: its load failed (status 1), with 400 ms measured"),
        "{:?}",
        failed.unused
    );
    // Commands may end as they please.
    let command = add(|profile| {
        profile.footer.as_mut().unwrap().load_status = Some(124);
        profile.header.workload.as_mut().unwrap().tasks = None;
    });
    assert_eq!(command.boots.len(), 1);
    assert!(
        command.cautions[0].starts_with("The command of this run ended with status 124, with "),
        "{:?}",
        command.cautions
    );
    let signalled = add(|profile| profile.footer.as_mut().unwrap().ended = Ended::Signal);
    assert_eq!(signalled.boots.len(), 1);
    assert!(
        signalled.cautions[0].starts_with("this run was ended by a signal, with "),
        "{:?}",
        signalled.cautions
    );
    let without_load = add(|profile| {
        profile.footer.as_mut().unwrap().ended = Ended::Signal;
        profile.header.workload = None;
    });
    assert!(without_load.cautions.is_empty());
}

#[test]
fn loads_that_were_run_otherwise_are_told_apart() {
    let base = || side("base", &BASE[..5]);
    let compared = |change: fn(&mut Profile)| {
        let other = changed("other", DEFERRED.iter(), |_, profile| change(profile));
        Comparison::of(base(), other).unwrap()
    };
    let free = compared(|profile| {
        let workload = profile.header.workload.as_mut().unwrap();
        workload.command.push("--no-affinity".to_owned());
    });
    let scarce = compared(|profile| {
        let footer = profile.footer.as_mut().unwrap();
        footer.ground_truth.as_mut().unwrap().affinity = false;
    });
    assert!(free.settings.is_empty() && scarce.settings.is_empty());
    assert!(
        texts(&free).contains("other has threadspawn, 1 process, not pinned, on 1 CPU"),
        "{}",
        texts(&free)
    );
    // Keeping totals by cgroup is one more thing at each hold.
    let by_cgroup = compared(|profile| profile.header.cgroups = true);
    let hold = by_cgroup.settings[0].answers.finding(&Quantity::MeanHold);
    assert!(hold.is_none());
    assert!(
        texts(&by_cgroup)
            .contains("Only other has runs with exact tier by fentry, holds, cgroups by"),
        "{}",
        texts(&by_cgroup)
    );
    let warm = compared(|profile| {
        let command = &mut profile.header.workload.as_mut().unwrap().command;
        for word in command {
            *word = word.replace("--warm-up=0.1", "--warm-up=2");
        }
    });
    assert_eq!(warm.settings.len(), 1);
    let said = texts(&warm);
    assert!(
        said.contains(
            "The options of the load differ (--warm-up=0.1 --duration=0.4 / --warm-up=2 --duration=0.4)"
        ),
        "{said}"
    );
    assert_eq!(said.matches("The options of the load").count(), 1);
}

/// That there are two CPUs is no reason where the same run proves the contrary.
#[test]
fn spinlock_waits_that_are_proved_to_be_seen_are_not_invisible() {
    let hidden = |controls: Vec<Control>| {
        let mut profile = with_waits(0);
        profile.contention.clear();
        profile.controls.add_calibration(&Calibration {
            null_hold: None,
            run_time: Vec::new(),
            controls,
        });
        let mut totals = Totals::default();
        totals.add(&profile, WorkUnit::TaskLife);
        totals.hides_spinlock_waits()
    };
    assert!(hidden(Vec::new()));
    assert!(!hidden(vec![Control {
        proves: Proves::Waits(LockFamily::Spinlock),
        outcome: Proof::Proved,
        done: 10,
        seen: 10,
        why: None,
    }]));
}
