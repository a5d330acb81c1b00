//! What windows say of the effect, beside the same worked out by another program.

use lockprof::{
    profile::{Counted, Effect, EffectVerdict, FinishedWindow},
    recording::schema::{
        Done, WindowKind,
        WindowKind::{Bare, Holds, Spans},
        WindowPlan,
    },
};

/// Windows of one second in turn, one after the other.
fn effect(turn: &[WindowKind], iterations: &[u64]) -> Effect {
    let (plan, finished) = windows(turn, iterations);
    Effect::of(&plan, &finished)
}

fn windows(turn: &[WindowKind], iterations: &[u64]) -> (WindowPlan, Vec<FinishedWindow>) {
    let plan = WindowPlan {
        turn: turn.to_vec(),
        seconds: 1.0,
    };
    let finished = iterations.iter().zip(0_u32..).map(|(&iterations, index)| {
        let done = Done {
            seconds: 1.0,
            iterations: Some(iterations),
            tasks_created: 2 * iterations,
        };
        FinishedWindow {
            kind: turn[index as usize % turn.len()],
            edge: false,
            middle_s: f64::from(index) + 0.5,
            done,
        }
    });
    (plan, finished.collect())
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 2e-5, "{found} {expected}");
}

fn is(effect: &Effect, kind: WindowKind, pairs: u64, [ratio, low, high]: [f64; 3]) {
    let of_kind = effect.of_kind(kind).unwrap();
    assert_eq!(of_kind.pairs, pairs);
    close(of_kind.ratio.unwrap(), ratio);
    let interval = of_kind.interval.unwrap();
    close(interval.low, low);
    close(interval.high, high);
}

/// Python, with scipy's t: exp of mean ± t(0.975, n − 1) · s / sqrt(n) · sqrt(1 + 2/6) of the logarithms.
#[test]
fn pairs_that_share_a_bare_window_widen_the_interval() {
    let rates = [
        10_000, 9_700, 10_400, 9_900, 9_800, 9_850, 10_200, 9_780, 10_000,
    ];
    let effect = effect(&[Bare, Holds], &rates);
    is(&effect, Holds, 4, [0.971_249, 0.943_599, 0.999_710]);
    let holds = effect.of_kind(Holds).unwrap();
    assert_eq!(holds.verdict, EffectVerdict::Told);
    assert_eq!((effect.of, holds.windows), (Counted::Iterations, 4));
}

/// Python, without the widening: no two pairs of a kind share a window.
#[test]
fn pairs_of_their_own_do_not() {
    let rates = [
        10_000, 9_000, 10_100, 7_000, 10_200, 9_100, 10_000, 7_200, 9_900, 9_050, 10_100, 6_900,
        10_050,
    ];
    let effect = effect(&[Bare, Holds, Bare, Spans], &rates);
    is(&effect, Holds, 3, [0.900_529, 0.888_740, 0.912_475]);
    is(&effect, Spans, 3, [0.699_175, 0.649_006, 0.753_222]);
    let verdict = |kind| effect.of_kind(kind).unwrap().verdict;
    assert_eq!(verdict(Holds), EffectVerdict::Felt);
    assert_eq!(verdict(Spans), EffectVerdict::SlowerLock);
}

#[test]
fn the_nearer_bare_window_weighs_more() {
    let rates = [1_000, 950, 900, 1_100];
    let effect = effect(&[Bare, Holds, Spans], &rates);
    // exp(ln 950 − (2/3 ln 1000 + 1/3 ln 1100)).
    close(effect.of_kind(Holds).unwrap().ratio.unwrap(), 0.920_293);
    let last = Effect::of_kind(&effect, Spans).unwrap();
    assert_eq!((last.pairs, last.interval), (1, None));
}

#[test]
fn at_the_end_one_neighbour_is_enough() {
    let effect = effect(&[Bare, Holds], &[1_000, 900]);
    let holds = effect.of_kind(Holds).unwrap();
    assert_eq!(holds.pairs, 1);
    close(holds.ratio.unwrap(), 0.9);
    assert_eq!(holds.verdict, EffectVerdict::NotKnown);
    // One in two seconds: three take six, rounded up.
    assert_eq!(holds.more_s, Some(10.0));
}

#[test]
fn a_wide_interval_is_not_known_and_a_longer_run_would_tell() {
    let rates = [10_000, 9_000, 10_000, 10_000, 10_000, 11_000, 10_000];
    let told = effect(&[Bare, Holds], &rates);
    let holds = told.of_kind(Holds).unwrap();
    assert_eq!(holds.verdict, EffectVerdict::NotKnown);
    let enough = holds.more_s.unwrap();
    // So many windows that vary alike do tell.
    let times = (enough / 6.0).ceil() as usize;
    let long: Vec<u64> = rates[..6].repeat(times);
    let longer = effect(&[Bare, Holds], &long);
    let longer = longer.of_kind(Holds).unwrap();
    assert_eq!(longer.verdict, EffectVerdict::Told, "{longer:?}");
    assert_eq!(longer.more_s, None);
    // And a quarter of them would not.
    let short = effect(&[Bare, Holds], &long[..long.len() / 4 / 6 * 6]);
    let short = short.of_kind(Holds).unwrap();
    assert_eq!(short.verdict, EffectVerdict::NotKnown, "{short:?}");
}

/// As a short run has them: spans once, at its end.
#[test]
fn spans_come_too_seldom_for_an_interval() {
    let order = [Holds, Bare, Holds, Bare, Holds, Bare, Spans];
    let rates = [9_000, 10_000, 9_000, 10_000, 9_000, 10_000, 6_000];
    let (mut plan, finished) = windows(&order, &rates);
    plan.turn = vec![Holds, Bare, Spans];
    let effect = Effect::of(&plan, &finished);
    let spans = effect.of_kind(Spans).unwrap();
    assert_eq!((spans.pairs, spans.interval), (1, None));
    close(spans.ratio.unwrap(), 0.6);
    assert_eq!(spans.verdict, EffectVerdict::NotKnown);
    // Not three times as long: a run of known length has them once in forty seconds.
    assert_eq!(spans.more_s, Some(120.0));
    is(&effect, Holds, 3, [0.9, 0.9, 0.9]);
}

#[test]
fn a_handful_of_events_tells_nothing() {
    let few = effect(&[Bare, Holds], &[100, 50, 100, 50, 100, 50, 100]);
    let holds = few.of_kind(Holds).unwrap();
    assert_eq!(holds.verdict, EffectVerdict::TooFew);
    assert_eq!((holds.ratio, holds.interval), (None, None));
    // 150 of 400: eight pairs, at three in seven seconds.
    assert_eq!(holds.more_s, Some(20.0));
    let none = effect(&[Bare, Holds], &[0, 0, 0]);
    let none = none.of_kind(Holds).unwrap();
    assert_eq!((none.verdict, none.more_s), (EffectVerdict::TooFew, None));
}

#[test]
fn a_window_without_events_has_no_rate() {
    let effect = effect(&[Bare, Holds], &[9_000, 0, 9_000, 9_000, 9_000, 9_000]);
    let holds = effect.of_kind(Holds).unwrap();
    assert_eq!((holds.verdict, holds.ratio), (EffectVerdict::TooFew, None));
}

#[test]
fn a_window_that_was_cut_short_is_in_no_pair() {
    let rates = [10_000, 9_800, 10_000, 9_800, 10_000, 9_800, 10_000, 1];
    let (plan, mut finished) = windows(&[Bare, Holds], &rates);
    finished.last_mut().unwrap().done.seconds = 0.01;
    let effect = Effect::of(&plan, &finished);
    let holds = effect.of_kind(Holds).unwrap();
    assert_eq!((holds.windows, holds.pairs), (4, 3));
    close(holds.ratio.unwrap(), 0.98);
}

#[test]
fn without_a_load_that_tells_the_machines_lives_count() {
    let rates = [5_000, 4_500, 5_000, 4_500, 5_000, 4_500];
    let (plan, mut finished) = windows(&[Bare, Holds], &rates);
    for window in &mut finished {
        window.done.iterations = None;
    }
    let effect = Effect::of(&plan, &finished);
    assert_eq!(effect.of, Counted::TaskLives);
    close(effect.of_kind(Holds).unwrap().ratio.unwrap(), 0.9);
}

#[test]
fn edges_count_into_the_whole() {
    let (plan, mut finished) = windows(&[Bare, Holds], &[1_000, 900, 1_000, 900]);
    let mut edge = finished[1];
    (edge.edge, edge.done.seconds, edge.done.iterations) = (true, 0.5, Some(100));
    finished.insert(1, edge);
    let effect = Effect::of(&plan, &finished);
    let edges = effect.edges.unwrap();
    assert_eq!(edges.edges, 1);
    close(edges.ratio, 0.2);
    close(edges.share_of_time, 0.5 / 4.5);
    close(effect.whole.unwrap(), 3_900.0 / 4.5 / 1_000.0);
    // So few that chance decides: nothing is said of them.
    for window in &mut finished {
        window.done.iterations = window.done.iterations.map(|iterations| iterations / 10);
    }
    let few = Effect::of(&plan, &finished);
    assert_eq!((few.edges, few.whole), (None, None));
}

#[test]
fn a_run_without_bare_windows_has_no_effect_to_tell() {
    let effect = effect(&[Holds], &[1_000, 900]);
    let holds = effect.of_kind(Holds).unwrap();
    assert_eq!((holds.pairs, holds.ratio), (0, None));
    assert_eq!((effect.whole, effect.edges), (None, None));
}
