//! How often chance alone gets a verdict: boots of one kernel, dealt to two sides.

use lockprof::{
    compare::{Comparison, Finding, LEVEL},
    statistics::Resampler,
};

use crate::boots::{BASE, side};

const SPLITS: u64 = 1000;
/// Intervals decide about no verdict of a change, and are cheap here.
const RESAMPLES: usize = 40;

/// What chance has brought about in a split.
struct Outcome {
    /// A verdict, after the corrections.
    verdict: bool,
    /// A p-value that would have been one if each question had been asked alone.
    uncorrected: bool,
}

fn split(seed: u64) -> Outcome {
    let mut order: Vec<usize> = (0..BASE.len()).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    let (first, second) = order.split_at(order.len() / 2);
    let side = |name, boots: &[usize]| side(name, boots.iter().map(|&boot| &BASE[boot]));
    let mut resampler = Resampler::with_resamples(seed, RESAMPLES);
    let comparison =
        Comparison::with(side("first", first), side("second", second), &mut resampler).unwrap();
    let any = |is: fn(&Finding) -> bool| comparison.findings().any(|(_, finding)| is(finding));
    Outcome {
        verdict: any(|finding| finding.verdict.is_change()),
        uncorrected: any(|finding| finding.test.is_some_and(|test| test.p <= LEVEL)),
    }
}

#[test]
fn verdicts_by_chance_are_as_rare_as_the_level_says() {
    assert_eq!(BASE.len(), 20);
    let outcomes: Vec<Outcome> = (0..SPLITS).map(split).collect();
    let rate = |which: fn(&Outcome) -> bool| {
        outcomes.iter().filter(|outcome| which(outcome)).count() as f64 / SPLITS as f64
    };
    let verdicts = rate(|outcome| outcome.verdict);
    assert!(verdicts <= LEVEL, "{verdicts}");
    // So many questions, each asked alone, would have been answered wrongly more often than that: the
    // test could have failed.
    let uncorrected = rate(|outcome| outcome.uncorrected);
    assert!(uncorrected > LEVEL, "{uncorrected}");
}
