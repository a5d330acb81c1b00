//! What a sample is, and what may not stand beside each other.

use lockprof::{
    compare::{
        Boot, CompareError, Comparison, Finding, Instrument, Quantity, Samples, Setting, Side,
        Totals, Verdict,
    },
    recording::schema::{Clock, Detail, Method, Tier},
    work_unit::WorkUnit,
};
use proptest::prelude::*;

use crate::boots::{BASE, DEFERRED, side};

pub fn setting() -> Setting {
    Setting {
        clock: Clock::Hardware,
        cpus: 24,
        emulated_by: None,
        lock: "tasklist_lock".to_owned(),
        load: "threadspawn, 24 processes".to_owned(),
        unit: WorkUnit::TaskLife,
    }
}

const BARE: Instrument = Instrument {
    tier: Tier::Off,
    method: Method::Off,
    detail: Detail::Holds,
    readers: false,
    cgroups: false,
};

/// A side whose boots have these rates of the load alone.
pub fn rates(name: &str, rates: &[f64]) -> Side {
    let boots = rates.iter().zip(0..).map(|(&rate, number)| {
        let totals = Totals {
            recordings: 1,
            rates: vec![rate],
            ..Totals::default()
        };
        Boot {
            id: format!("{name}-{number}"),
            started_at_s: f64::from(number),
            runs: [(BARE, totals)].into(),
        }
    });
    let mut side = Side::new(name);
    side.boots.insert(setting(), boots.collect());
    side
}

fn throughput(before: &[f64], after: &[f64]) -> Finding {
    let comparison = Comparison::of(rates("a", before), rates("b", after)).unwrap();
    let answers = &comparison.settings[0].answers;
    answers.finding(&Quantity::Throughput).unwrap().clone()
}

#[test]
fn less_than_one_percent_gets_no_verdict_however_sure_it_is() {
    let before: Vec<f64> = (0..20)
        .map(|boot| 1000.0 + f64::from(boot) * 0.01)
        .collect();
    let by = |share: f64| {
        before
            .iter()
            .map(|rate| rate * (1.0 + share))
            .collect::<Vec<_>>()
    };
    let below = throughput(&before, &by(0.009));
    assert!(below.corrected_p.unwrap() < 1e-6, "{below:?}");
    assert_eq!(below.verdict, Verdict::Same);
    assert_eq!(throughput(&before, &by(0.011)).verdict, Verdict::Better);
    assert_eq!(throughput(&before, &by(-0.011)).verdict, Verdict::Worse);
}

/// Who waits for a lock on more CPUs than are emulated at once waits for a CPU, too: that is no news of a kernel.
#[test]
fn cpus_that_share_real_ones_get_no_verdict_about_throughput() {
    let verdict = |emulated_by: Option<u32>| {
        let [before, after] = [("a", 1000.0), ("b", 300.0)].map(|(name, rate)| {
            let mut side = rates(
                name,
                &[rate, rate + 1.0, rate + 2.0, rate + 3.0, rate + 4.0],
            );
            let boots = side.boots.remove(&setting()).unwrap();
            let emulated = Setting {
                clock: Clock::EmulatedWall,
                emulated_by,
                ..setting()
            };
            side.boots.insert(emulated, boots);
            side
        });
        let comparison = Comparison::of(before, after).unwrap();
        let sentence = lockprof::compare::sentence(&comparison);
        let throughput = comparison.settings[0]
            .answers
            .finding(&Quantity::Throughput);
        let judged = lockprof::compare::cannot_judge(&comparison).is_none();
        (throughput.unwrap().verdict, sentence, judged)
    };
    let (on_enough, _, judged) = verdict(Some(24));
    assert_eq!((on_enough, judged), (Verdict::Worse, true));
    for fewer in [Some(2), None] {
        let (shared, sentence, judged) = verdict(fewer);
        assert_eq!((shared, judged), (Verdict::NotAsked, false));
        assert!(sentence.contains("get no verdict"), "{sentence}");
    }
}

#[test]
fn few_boots_and_noisy_boots_are_told_apart() {
    assert_eq!(
        throughput(&[1.0, 1.1, 1.2], &[2.0, 2.1, 2.2]).verdict,
        Verdict::TooFew
    );
    let noisy = throughput(&[1.0, 2.0, 3.0, 4.0, 5.0], &[1.5, 2.5, 3.5, 4.5, 5.5]);
    assert_eq!(noisy.verdict, Verdict::Noisy);
}

/// Whom a limit was promised must not go on where it may have been passed.
#[test]
fn noise_past_a_limit_is_no_answer() {
    let [low, high] = [[1.0, 2.0, 3.0, 4.0, 5.0], [1.5, 2.5, 3.5, 4.5, 5.5]];
    let comparison = Comparison::of(rates("a", &low), rates("b", &high)).unwrap();
    let too_noisy = |limit: f64| lockprof::compare::too_noisy(&comparison, limit);
    let why = too_noisy(0.05).unwrap();
    assert!(
        why.starts_with("throughput of b against a is too noisy for a limit of 5.00 % (95 % -")
            && why.ends_with("it takes more boots"),
        "{why}"
    );
    // Throughput cannot lose more than all; and of no limit all noise would be past it.
    assert_eq!(too_noisy(1.0), None);
    assert_eq!(too_noisy(0.0), None);
}

#[test]
fn recordings_of_one_boot_are_one_sample() {
    let once = side("base", &BASE[..3]);
    let twice = side("base", BASE[..3].iter().chain(&BASE[..3]));
    let (setting, boots) = twice.boots.iter().next().unwrap();
    assert_eq!(boots.len(), 3);
    assert!(
        boots
            .iter()
            .all(|boot| boot.runs.values().all(|totals| totals.recordings == 2))
    );
    // Twice as much of the same is the same.
    let mean_hold = |side: &Side| {
        let samples = Samples::of(side, setting);
        let bare = |instrument: &Instrument| instrument.tier == Tier::Exact;
        let instrument = samples.instruments().into_iter().find(bare).unwrap();
        let values: Vec<Option<f64>> = samples
            .totals(instrument)
            .map(|totals| Quantity::MeanHold.value(totals))
            .collect();
        values
    };
    assert_eq!(mean_hold(&once), mean_hold(&twice));
}

#[test]
fn a_boot_is_of_one_kernel() {
    let error = Comparison::of(side("a", &BASE[..3]), side("b", &BASE[2..5])).unwrap_err();
    assert!(matches!(error, CompareError::SameBoot { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("a and b both have recordings of the boot")
    );
}

#[test]
fn what_was_measured_otherwise_is_not_compared() {
    let mut other = rates("other", &[1.0, 2.0, 3.0, 4.0]);
    let boots = other.boots.remove(&setting()).unwrap();
    let on_two_cpus = Setting {
        cpus: 2,
        ..setting()
    };
    other.boots.insert(on_two_cpus, boots);
    let comparison = Comparison::of(rates("a", &[1.0, 2.0, 3.0, 4.0]), other).unwrap();
    assert!(comparison.settings.is_empty());
    assert!(!comparison.differences.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever subset of recordings there is, there is a report.
    #[test]
    fn any_recordings_make_a_report(picks in proptest::collection::vec((any::<bool>(), 0_usize..60), 1..12)) {
        let mut sides = [Side::new("a"), Side::new("b")];
        let all: Vec<_> = BASE.iter().chain(DEFERRED.iter()).flatten().collect();
        for (number, (second, pick)) in picks.into_iter().enumerate() {
            let (origin, profile) = &all[pick % all.len()];
            let mut profile = profile.clone();
            // Each on its own: a boot on both sides is an error, tried elsewhere.
            profile.header.kernel.boot_id = format!("boot {number}");
            sides[usize::from(second)].add(origin, &profile);
        }
        let [a, b] = sides;
        match Comparison::of(a, b) {
            Ok(comparison) => crate::views::every_view(comparison),
            Err(error) => {
                let nothing = matches!(error, CompareError::NothingUsable { .. });
                prop_assert!(nothing, "{}", error);
            }
        }
    }
}
