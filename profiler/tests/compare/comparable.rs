//! What may stand beside each other, and by which instrument.

use lockprof::{
    compare::{
        Basis, Boot, Calls, Comparison, Instrument, Placement, Quantity, Side, Totals, Verdict,
        WaitTotals, demands_of,
    },
    export::ComparisonReport,
    profile::{Durations, Scale},
    recording::schema::{Clock, Detail, Kind, Method, Tier},
    site::Site,
    span::Span,
    work_unit::WorkUnit,
};

use crate::{
    boots::{BASE, DEFERRED, side},
    samples::{rates, setting},
};

const HOLDS: Instrument = Instrument {
    tier: Tier::Exact,
    method: Method::Fentry,
    detail: Detail::Holds,
    readers: false,
    cgroups: false,
};
const NO_WAIT_SEEN: &str = "No wait for another lock was seen";

fn of_lives(work: f64) -> Basis {
    Basis {
        recordings: 1,
        work,
        unit: WorkUnit::TaskLife,
        ..Basis::default()
    }
}

/// A side of five boots in which a site waits for the lock behind another one, and for another lock.
fn waiting(name: &str, spin_waits_invisible: bool) -> Side {
    let boots = (1..=5_u32).map(|number| {
        let mut waits = Durations::new(Scale::Steps);
        waits.add(&[20, 100], u64::from(100_000 + number));
        let other = WaitTotals {
            waits: 100.0,
            waited_ns: f64::from(50_000 + number),
        };
        let totals = Totals {
            recordings: 1,
            seconds: 1.0,
            work: 100.0,
            waits: [(Site::FORK, waits)].into(),
            waits_of: of_lives(100.0),
            other_locks_of: of_lives(100.0),
            spin_waits_invisible,
            blame: [((Site::FORK, Some(Site::REAP)), 100_000.0)].into(),
            other_locks: [("pidmap_lock".to_owned(), other)].into(),
            ..Totals::default()
        };
        Boot {
            id: format!("{name}-{number}"),
            started_at_s: f64::from(number),
            runs: [(HOLDS, totals)].into(),
        }
    });
    let mut side = Side::new(name);
    side.boots.insert(setting(), boots.collect());
    side
}

fn table(comparison: Comparison) -> String {
    let report = ComparisonReport::new(vec![comparison], Vec::new());
    String::from_utf8(report.table(false)).unwrap()
}

#[test]
fn waits_that_are_seen_in_different_ways_are_not_compared() {
    let of_waits = |comparison: &Comparison| {
        let setting = &comparison.settings[0];
        let answers = &setting.answers;
        let waits = answers.waits.len() + answers.blame.len() + answers.called_locks.len();
        let main = answers.finding(&Quantity::Waited).into_iter().count();
        let mut distributions = setting.distributions.iter();
        let distributed = distributions.any(|pair| pair.kind == Kind::Wait);
        (waits + main + answers.locks.len(), distributed)
    };
    for spin_waits_invisible in [false, true] {
        let sides = ["a", "b"].map(|name| waiting(name, spin_waits_invisible));
        let [before, after] = sides;
        let alike = Comparison::of(before, after).unwrap();
        let (waits, distributed) = of_waits(&alike);
        assert!(waits > 3 && distributed, "{waits}");
        assert!(alike.differences.is_empty(), "{:?}", alike.differences);
    }
    // A boot of another kind is enough.
    let mut mixed = waiting("b", false);
    let boots = mixed.boots.get_mut(&setting()).unwrap();
    let totals = boots[0].runs.get_mut(&HOLDS).unwrap();
    totals.spin_waits_invisible = true;
    for other in [waiting("b", true), mixed] {
        let comparison = Comparison::of(waiting("a", false), other).unwrap();
        assert_eq!(of_waits(&comparison), (0, false));
        let mut differences = comparison.differences.iter();
        let said = differences.find(|difference| difference.text.contains("virt_spin_lock()"));
        let said = said.unwrap();
        assert!(said.excludes && said.text.ends_with("waits are not compared."));
        assert!(!table(comparison).contains(NO_WAIT_SEEN));
    }
}

#[test]
fn no_wait_was_seen_only_where_somebody_looked() {
    let bare = || [rates("a", &[1.0, 2.0, 3.0]), rates("b", &[1.0, 2.0, 3.0])];
    let [before, after] = bare();
    let unattached = table(Comparison::of(before, after).unwrap());
    assert!(!unattached.contains(NO_WAIT_SEEN), "{unattached}");
    let quiet = |waits_known: bool, waits_proved: bool| {
        let sides = bare().map(|mut side| {
            for boot in side.boots.values_mut().flatten() {
                let totals = Totals {
                    recordings: 1,
                    work: 10.0,
                    waits_of: if waits_known {
                        of_lives(10.0)
                    } else {
                        Basis::default()
                    },
                    waits_proved,
                    ..Totals::default()
                };
                boot.runs.insert(HOLDS, totals);
            }
            side
        });
        let [before, after] = sides;
        table(Comparison::of(before, after).unwrap())
    };
    assert!(!quiet(false, true).contains(NO_WAIT_SEEN));
    assert!(
        quiet(true, true)
            .contains("No wait for another lock was seen on either side; their probes")
    );
    // Looking is not seeing.
    let unproved: Vec<String> = quiet(true, false)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert!(
        unproved
            .join(" ")
            .contains("not all boots prove that their probes would")
    );
}

/// Where nobody would have been seen to wait for it, a lock is not said to be waited for by nobody.
#[test]
fn invisible_waits_are_not_zero() {
    let lock = || Quantity::OtherLock("pidmap_lock".to_owned());
    let totals = |spinlock_waits_invisible| Totals {
        work: 100.0,
        other_locks_of: of_lives(100.0),
        spinlock_waits_invisible,
        ..Totals::default()
    };
    assert_eq!(lock().value(&totals(false)), Some(0.0));
    assert_eq!(lock().value(&totals(true)), None);
    // What a recording proves is more than what another supposes.
    let proved = Totals {
        spinlock_waits_proved: true,
        ..totals(true)
    };
    assert_eq!(lock().value(&proved), Some(0.0));
}

/// A call that was seen where no hold was has not left the holds.
#[test]
fn calls_without_holds_are_in_no_place() {
    let calls = |holds| Calls {
        in_hold: 0.0,
        in_reap: 0.0,
        all: 100.0,
        work: 100.0,
        holds,
        probed: true,
    };
    let inside = Calls {
        in_hold: 100.0,
        ..calls(300.0)
    };
    let placement = |after| Placement {
        span: Span::FREE_PID,
        calls: [inside, after],
    };
    assert_eq!(calls(0.0).share(), None);
    assert!(!placement(calls(0.0)).moved());
    assert_eq!(calls(300.0).share(), Some(0.0));
    assert!(placement(calls(300.0)).moved());
}

/// All runs of a side that are not of the load alone, as if they had been made by kprobes.
fn by_kprobe(mut side: Side) -> Side {
    for boot in side.boots.values_mut().flatten() {
        let runs = std::mem::take(&mut boot.runs).into_iter();
        let otherwise = runs.map(|(instrument, totals)| {
            let method = match instrument.method {
                Method::Fentry => Method::Kprobe,
                other => other,
            };
            let instrument = Instrument {
                method,
                ..instrument
            };
            (instrument, totals)
        });
        boot.runs = otherwise.collect();
    }
    side
}

#[test]
fn a_forecast_is_of_kernels_that_were_probed_in_one_way() {
    let before = side("base", &BASE[..5]);
    let after = side("other", DEFERRED.iter());
    assert!(demands_of(&[&before, &after]).is_ok());
    let otherwise = by_kprobe(after);
    let why = demands_of(&[&before, &otherwise]).unwrap_err();
    assert!(
        why.contains("base by fentry") && why.contains("other by kprobe"),
        "{why}"
    );
    assert!(demands_of(&[&by_kprobe(before), &otherwise]).is_ok());
}

#[test]
fn a_stray_recording_does_not_hide_the_boots_that_can_answer() {
    let with_one_of_holds = |name, boots: &[crate::boots::Boot]| {
        let mut side = side(name, boots);
        for boot in side.boots.values_mut().flatten().skip(1) {
            boot.runs
                .retain(|instrument, _| instrument.detail == Detail::Spans || instrument.is_off());
        }
        side
    };
    let before = with_one_of_holds("base", &BASE[..5]);
    let after = with_one_of_holds("deferred", &DEFERRED);
    let comparison = Comparison::of(before, after).unwrap();
    let answers = &comparison.settings[0].answers;
    assert_eq!(answers.setting.clock, Clock::Instructions);
    let hold = answers.finding(&Quantity::MeanHold).unwrap();
    assert_eq!(hold.instrument.detail, Detail::Spans);
    assert_eq!(hold.verdict, Verdict::Better, "{hold:?}");
}
