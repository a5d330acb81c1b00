//! What the probes do to the load: its rate with them over its rate without, from windows of one run
//! that lie beside each other. Pure.

use serde::Serialize;

use super::windows::{FinishedWindow, WindowTotals, main_kind};
use crate::{
    recording::schema::{SPANS_EVERY_S, WindowKind, WindowPlan},
    statistics::{Interval, mean, median, t_975},
};

/// An effect that is surely below this is felt.
pub const FELT: f64 = 0.95;
/// With an effect that is surely below this the numbers are those of a slower lock.
pub const SLOWER_LOCK: f64 = 0.8;
/// An interval that reaches further than this to both sides, and over [`FELT`], tells nothing.
const WANTED_REACH: f64 = 0.05;
/// With fewer pairs of windows than this there is no interval.
const FEWEST_PAIRS: usize = 3;
/// With fewer events than this in all windows of a kind, chance alone moves a rate by more than the
/// accuracy that is wanted: by 1/sqrt(400), which is 5 %.
const FEWEST_EVENTS: u64 = 400;
/// What takes more pairs than this, nobody measures.
const MOST_PAIRS: usize = 1_000_000;
/// A window without probes is a neighbour up to so many lengths of the longer of the two away.
const NEAR: f64 = 6.0;
/// A window that was cut short to less than this share of what is usual for its kind says little, and
/// would count as much as all others.
const SHORTEST_SHARE: f64 = 0.5;

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Counted {
    /// Iterations of a bundled load.
    #[serde(rename = "iterations")]
    Iterations,
    /// Tasks that were created on the whole machine.
    #[serde(rename = "task lives")]
    TaskLives,
}

/// What there is to say of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectVerdict {
    /// The interval says it all.
    Told,
    /// The interval lies below 95 %.
    Felt,
    /// The interval lies below 80 %.
    SlowerLock,
    /// There is no interval, or it is too wide.
    NotKnown,
    /// Too little happened for a rate.
    TooFew,
}

/// What the probes of one kind of window do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KindEffect {
    /// The kind.
    pub kind: WindowKind,
    /// Its windows that came to their end.
    pub windows: u64,
    /// Those that could be compared with a window without probes beside them.
    pub pairs: u64,
    /// The load's rate with the probes over that without: a geometric mean over pairs.
    pub ratio: Option<f64>,
    /// Where it lies, with 95 % confidence.
    pub interval: Option<Interval>,
    /// What that means.
    pub verdict: EffectVerdict,
    /// How long the measured time of a run would have to be to tell, in seconds, where this one does not: an
    /// estimate where there is an interval, else the least that it takes.
    pub more_s: Option<f64>,
}

/// What the changing of the probes does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeEffect {
    /// How many edges there were.
    pub edges: u64,
    /// The load's rate at them over that without probes.
    pub ratio: f64,
    /// The share of the measured time that they took.
    pub share_of_time: f64,
}

/// What a run did to its load.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// What the rates count.
    pub of: Counted,
    /// By kind of window, the one that disturbs least first.
    pub kinds: Vec<KindEffect>,
    /// The edges.
    pub edges: Option<EdgeEffect>,
    /// The load's rate over the whole measured time, edges included, over that without probes.
    pub whole: Option<f64>,
}

impl Effect {
    /// The effect by windows that came to their end, in their order.
    #[must_use]
    pub fn of(plan: &WindowPlan, finished: &[FinishedWindow]) -> Self {
        let told = |window: &FinishedWindow| window.done.iterations.is_some();
        let of = if finished.iter().any(told) {
            Counted::Iterations
        } else {
            Counted::TaskLives
        };
        let windows: Vec<&FinishedWindow> = finished.iter().filter(|window| !window.edge).collect();
        let probing = WindowKind::ALL.into_iter().filter(|&kind| {
            let is = |window: &&FinishedWindow| window.kind == kind;
            kind != WindowKind::Bare && (plan.turn.contains(&kind) || windows.iter().any(is))
        });
        let usable = usable(of, &windows);
        let bare = windows.iter().copied();
        let bare = WindowTotals::of(bare.filter(|window| window.kind == WindowKind::Bare));
        let all = WindowTotals::of(finished.iter());
        let edges = WindowTotals::of(finished.iter().filter(|window| window.edge));
        let over_bare = |sum: &WindowTotals| {
            let bare_rate = rate(of, &bare)?;
            // What there would be without probes: where that is little, chance is more than the rest.
            let expected = bare_rate * sum.seconds.min(bare.seconds);
            let enough = expected >= FEWEST_EVENTS as f64;
            Some(rate(of, sum).filter(|_| enough)? / bare_rate)
        };
        Self {
            of,
            kinds: probing
                .map(|kind| {
                    let of_kind = windows.iter().filter(|window| window.kind == kind);
                    let run_of = |pairs| run_of(plan, finished, kind, pairs);
                    kind_effect(kind, of_kind.count() as u64, &usable, run_of)
                })
                .collect(),
            edges: over_bare(&edges).map(|ratio| EdgeEffect {
                edges: edges.windows,
                ratio,
                share_of_time: edges.seconds / all.seconds,
            }),
            whole: over_bare(&all),
        }
    }

    /// That of a kind of window.
    #[must_use]
    pub fn of_kind(&self, kind: WindowKind) -> Option<&KindEffect> {
        self.kinds.iter().find(|effect| effect.kind == kind)
    }
}

fn rate(of: Counted, totals: &WindowTotals) -> Option<f64> {
    let count = match of {
        Counted::Iterations => totals.iterations?,
        Counted::TaskLives => totals.tasks_created,
    };
    (totals.seconds > 0.0).then(|| count as f64 / totals.seconds)
}

/// The windows that have a rate, and what happened in each: none that was cut short, or in which nobody
/// counted.
fn usable<'a>(of: Counted, windows: &[&'a FinishedWindow]) -> Vec<(&'a FinishedWindow, u64)> {
    let usual_s = |kind| {
        let of_kind = windows.iter().filter(|window| window.kind == kind);
        let lengths: Vec<f64> = of_kind.map(|window| window.done.seconds).collect();
        median(&lengths).unwrap_or_default()
    };
    let usual_s = WindowKind::ALL.map(|kind| (kind, usual_s(kind)));
    let is_whole = |window: &FinishedWindow| {
        let usual_s = usual_s.iter().find(|(kind, _)| *kind == window.kind);
        let least_s = usual_s.map_or(0.0, |(_, usual_s)| usual_s * SHORTEST_SHARE);
        window.done.seconds > 0.0 && window.done.seconds >= least_s
    };
    let whole = windows.iter().filter(|window| is_whole(window));
    whole
        .filter_map(|window| {
            let events = match of {
                Counted::Iterations => window.done.iterations?,
                Counted::TaskLives => window.done.tasks_created,
            };
            Some((*window, events))
        })
        .collect()
}

/// A window with probes, and those without that are next to it.
#[derive(Debug, Default)]
struct Pairs {
    /// Logarithms of the ratios; none where nothing happened in one of the windows.
    logarithms: Vec<Option<f64>>,
    with: u64,
    without: u64,
    /// Two pairs next to each other have a window without probes in common.
    share: bool,
}

/// Each window of a kind beside the bare one before it and the one after it, weighted by how near they
/// are, as in a linear interpolation; beside one alone where there is only one.
fn pairs(kind: WindowKind, usable: &[(&FinishedWindow, u64)]) -> Pairs {
    let mut all = Pairs::default();
    let mut last_after = None;
    for (index, (window, count)) in usable.iter().enumerate() {
        if window.kind != kind {
            continue;
        }
        let is_bare = |&other: &usize| usable[other].0.kind == WindowKind::Bare;
        let away = |other: usize| (usable[other].0.middle_s - window.middle_s).abs();
        // What lies further away, behind a stop or a window that was left out, is no neighbour.
        let is_near = |&other: &usize| {
            let between_s =
                away(other) - (usable[other].0.done.seconds + window.done.seconds) / 2.0;
            between_s <= NEAR * window.done.seconds.max(usable[other].0.done.seconds)
        };
        let before = (0..index).rev().find(is_bare).filter(is_near);
        let after = (index + 1..usable.len()).find(is_bare).filter(is_near);
        let neighbours = match (before, after) {
            (Some(before), Some(after)) => {
                let of_before = away(after) / (away(before) + away(after));
                vec![(before, of_before), (after, 1.0 - of_before)]
            }
            (Some(one), None) | (None, Some(one)) => vec![(one, 1.0)],
            (None, None) => continue,
        };
        let logarithm = |(window, count): &(&FinishedWindow, u64)| {
            (*count > 0).then(|| (*count as f64 / window.done.seconds).ln())
        };
        let without = neighbours.iter().try_fold(0.0, |sum, &(other, weight)| {
            Some(sum + weight * logarithm(&usable[other])?)
        });
        let with = logarithm(&usable[index]);
        all.logarithms
            .push(with.zip(without).map(|(with, without)| with - without));
        all.with = all.with.saturating_add(*count);
        let counts = neighbours.iter().map(|&(other, _)| usable[other].1);
        // Of two, the mean: as much as the window that they are compared with.
        let bare = counts.sum::<u64>() / neighbours.len() as u64;
        all.without = all.without.saturating_add(bare);
        all.share |= last_after.is_some() && last_after == before;
        last_after = after;
    }
    all
}

fn kind_effect(
    kind: WindowKind,
    windows: u64,
    usable: &[(&FinishedWindow, u64)],
    run_of: impl Fn(usize) -> f64,
) -> KindEffect {
    let pairs = pairs(kind, usable);
    let count = pairs.logarithms.len();
    let mut effect = KindEffect {
        kind,
        windows,
        pairs: count as u64,
        ratio: None,
        interval: None,
        verdict: EffectVerdict::NotKnown,
        more_s: None,
    };
    if count == 0 {
        effect.more_s = Some(sayable(run_of(FEWEST_PAIRS)));
        return effect;
    }
    let events = pairs.with.min(pairs.without);
    let logarithms: Option<Vec<f64>> = pairs.logarithms.into_iter().collect();
    let Some(logarithms) = logarithms.filter(|_| events >= FEWEST_EVENTS) else {
        effect.verdict = EffectVerdict::TooFew;
        let times = FEWEST_EVENTS as f64 / events as f64;
        // Where a window had none, nobody knows how many more it takes.
        let pairs = ((count as f64 * times).ceil() as usize).max(FEWEST_PAIRS);
        effect.more_s = (events > 0 && times > 1.0).then(|| sayable(run_of(pairs)));
        return effect;
    };
    let middle = mean(&logarithms).unwrap_or_default();
    effect.ratio = Some(middle.exp());
    let Some(spread) = Spread::of(&logarithms, pairs.share) else {
        effect.more_s = Some(sayable(run_of(FEWEST_PAIRS)));
        return effect;
    };
    let reach = spread.reach(count);
    let interval = Interval {
        low: (middle - reach).exp(),
        high: (middle + reach).exp(),
    };
    effect.interval = Some(interval);
    effect.verdict = judged(interval);
    if effect.verdict == EffectVerdict::NotKnown {
        let wanted = (WANTED_REACH / middle.exp()).asinh();
        effect.more_s = Some(sayable(run_of(spread.pairs_for(wanted))));
    }
    effect
}

fn judged(Interval { low, high }: Interval) -> EffectVerdict {
    let wide = (high - low) / 2.0 > WANTED_REACH;
    if high < SLOWER_LOCK {
        EffectVerdict::SlowerLock
    } else if high < FELT {
        EffectVerdict::Felt
    } else if wide && low < FELT {
        EffectVerdict::NotKnown
    } else {
        EffectVerdict::Told
    }
}

/// How much pairs differ from each other.
#[derive(Clone, Copy, Debug)]
struct Spread {
    /// The standard error of the mean of one pair.
    of_one: f64,
}

impl Spread {
    /// The standard deviation of some pairs. Where pairs that are next to each other share a bare window
    /// it is widened: a pair is x − (a + b) / 2, so that if all windows vary alike, with the variance
    /// v, it has 3/2 v, and has v / 4 in common with the pair before it and with the one after, which is
    /// a correlation of 1/6. The variance of the mean is then 1 + 2/6 times as large.
    fn of(logarithms: &[f64], share: bool) -> Option<Self> {
        let middle = mean(logarithms).filter(|_| logarithms.len() >= FEWEST_PAIRS)?;
        let squares = logarithms.iter().map(|value| (value - middle).powi(2));
        let variance = squares.sum::<f64>() / (logarithms.len() - 1) as f64;
        let widened = if share { 1.0 + 2.0 / 6.0 } else { 1.0 };
        Some(Self {
            of_one: (variance * widened).sqrt(),
        })
    }

    /// How far the 95 % interval of so many pairs reaches to both sides, by Student's t.
    fn reach(self, pairs: usize) -> f64 {
        let t = t_975(pairs.saturating_sub(1)).unwrap_or(f64::INFINITY);
        t * self.of_one / (pairs as f64).sqrt()
    }

    /// How many pairs an interval takes that reaches no further than this.
    fn pairs_for(self, wanted: f64) -> usize {
        let mut pairs = FEWEST_PAIRS;
        while self.reach(pairs) > wanted && pairs < MOST_PAIRS {
            pairs += 1 + pairs / 50;
        }
        pairs
    }
}

/// The measured time of a run with so many pairs of a kind, its edges included, if they come as often as in
/// this one.
fn run_of(plan: &WindowPlan, finished: &[FinishedWindow], kind: WindowKind, pairs: usize) -> f64 {
    let of_kind = finished
        .iter()
        .filter(|window| !window.edge && window.kind == kind);
    let each_s = match of_kind.count() {
        // Beside a bare window each.
        0 => 2.0 * plan.seconds,
        count => {
            let lengths = finished.iter().map(|window| window.done.seconds);
            lengths.sum::<f64>() / count as f64
        }
    };
    let apart = kind == WindowKind::Spans && main_kind(plan) != kind;
    let each_s = if apart {
        each_s.max(SPANS_EVERY_S)
    } else {
        each_s
    };
    pairs as f64 * each_s
}

/// Rounded up to a time that one would say.
fn sayable(seconds: f64) -> f64 {
    const SAID: [f64; 13] = [
        5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0,
    ];
    let said = SAID.into_iter().find(|&said| seconds <= said);
    said.unwrap_or_else(|| (seconds / 3600.0).ceil() * 3600.0)
}
