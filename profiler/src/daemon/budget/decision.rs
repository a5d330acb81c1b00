//! What is measured within a budget, and for which share of the time.

use super::{Budget, Predicted};
use crate::{
    recording::schema::WindowKind,
    units::{self, without_needless_digits},
};

/// Windows of a kind for less than this share of the time tell too little: something cheaper is measured.
pub const MIN_SHARE: f64 = 0.05;

/// The effect of windows of one kind over bare ones, as it was measured: the share of its rate that the load
/// lost in them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredEffect {
    /// The kind.
    pub kind: WindowKind,
    /// The share.
    pub lost: f64,
    /// The lower end of its interval, which may be below 0.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What is to be measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The kind of window; `None` where nothing fits the budget, and nothing is attached.
    pub kind: Option<WindowKind>,
    /// The share of the time for which its probes are attached; 1: always.
    pub share: f64,
    /// The average effect that is then expected, the daemon's own included.
    pub expected: f64,
    /// Why, with the numbers: a sentence.
    pub reason: String,
}

/// Decides. `wanted` is what was asked for: nothing that costs more is measured. A measurement overrides the
/// prediction of its kind only where its whole interval lies on one side of the budget.
#[must_use]
pub fn decide(
    budget: Budget,
    wanted: WindowKind,
    predicted: &Predicted,
    measured: &[MeasuredEffect],
) -> Decision {
    let Some(allowed) = budget.share() else {
        return unlimited(wanted, predicted);
    };
    let for_probes = allowed - predicted.daemon;
    let mut refused = Vec::new();
    let candidates = predicted
        .of
        .iter()
        .rev()
        .filter(|(kind, _)| **kind <= wanted && **kind != WindowKind::Bare);
    for (kind, expected) in candidates {
        let (effect, how) = effect(*kind, expected.effect(), for_probes, measured);
        let share = if effect > for_probes {
            for_probes / effect
        } else {
            1.0
        };
        if for_probes > 0.0 && share >= MIN_SHARE {
            return Decision {
                kind: Some(*kind),
                share,
                expected: predicted.daemon + share * effect,
                reason: reason(*kind, share, effect, how, allowed, &refused),
            };
        }
        refused.push(format!("{} {how} {}", kind.name(), percent(effect)));
    }
    Decision {
        kind: None,
        share: 0.0,
        expected: predicted.daemon,
        reason: format!(
            "nothing is attached: of the {} that are allowed, the daemon itself takes {}; {} of the machine \
             all the time, and less than {} of the time is too little",
            percent(allowed),
            percent(predicted.daemon),
            refused.join(", "),
            percent(MIN_SHARE)
        ),
    }
}

/// A share as a part of a sentence.
fn percent(share: f64) -> String {
    without_needless_digits(&units::percent(share))
}

/// What is asked for, always.
fn unlimited(wanted: WindowKind, predicted: &Predicted) -> Decision {
    let effect = predicted
        .of
        .get(&wanted)
        .map_or(0.0, |expected| expected.effect());
    Decision {
        kind: Some(wanted),
        share: 1.0,
        expected: predicted.daemon + effect,
        reason: format!(
            "{} are measured without a limit: no budget was asked for",
            wanted.name()
        ),
    }
}

/// The effect of a kind while its probes are attached, and the word for how it is known.
fn effect(
    kind: WindowKind,
    predicted: f64,
    for_probes: f64,
    measured: &[MeasuredEffect],
) -> (f64, &'static str) {
    let expected = (predicted, "would cost");
    let Some(measured) = measured.iter().find(|measured| measured.kind == kind) else {
        return expected;
    };
    // The share of the time that the prediction allows; there, the measurement has to be beyond the budget.
    let share = if predicted > for_probes {
        for_probes / predicted
    } else {
        1.0
    };
    if share * measured.low > for_probes {
        (measured.lost, "cost, as measured,")
    } else if share * measured.high < for_probes && measured.high < predicted {
        // The end that is on the safe side.
        (measured.high.max(0.0), "cost, as measured, at most")
    } else {
        expected
    }
}

fn reason(
    kind: WindowKind,
    share: f64,
    effect: f64,
    how: &str,
    allowed: f64,
    refused: &[String],
) -> String {
    let name = kind.name();
    let time = if share >= 1.0 {
        "without a limit".to_owned()
    } else {
        format!("{} of the time", percent(share))
    };
    let costlier = if refused.is_empty() {
        String::new()
    } else {
        format!(" ({})", refused.join(", "))
    };
    format!(
        "{name} are measured {time}: they {how} {} of the machine all the time, and {} are allowed{costlier}",
        percent(effect),
        percent(allowed),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::budget::Expected;

    const WAITS: WindowKind = WindowKind::Waits;
    const HOLDS: WindowKind = WindowKind::Holds;
    const SPANS: WindowKind = WindowKind::Spans;

    fn predicted(waits: f64, holds: f64, spans: f64, daemon: f64) -> Predicted {
        let of = [(WAITS, waits), (HOLDS, holds), (SPANS, spans)];
        Predicted {
            of: of
                .into_iter()
                .map(|(kind, lock)| {
                    (
                        kind,
                        Expected {
                            lock,
                            elsewhere: 0.0,
                        },
                    )
                })
                .collect(),
            daemon,
            waits_assumed: false,
        }
    }

    fn near(first: f64, second: f64) -> bool {
        (first - second).abs() < 1e-9
    }

    #[test]
    fn the_costliest_kind_that_fits_is_measured_as_long_as_it_may() {
        let one = Budget::Share(0.01);
        for (budget, wanted, costs, kind, share) in [
            // Everything fits.
            (one, SPANS, (0.001, 0.002, 0.005, 0.0), Some(SPANS), 1.0),
            // Never more than was asked for.
            (one, HOLDS, (0.001, 0.002, 0.005, 0.0), Some(HOLDS), 1.0),
            // A fifth of the time.
            (one, SPANS, (0.001, 0.01, 0.05, 0.0), Some(SPANS), 0.2),
            // The daemon's own share counts.
            (one, SPANS, (0.001, 0.01, 0.05, 0.005), Some(SPANS), 0.1),
            // Just enough, and not quite.
            (one, SPANS, (0.001, 0.02, 0.1, 0.0), Some(SPANS), 0.1),
            (one, SPANS, (0.001, 0.02, 0.21, 0.0), Some(HOLDS), 0.5),
            (one, SPANS, (0.04, 0.3, 0.9, 0.0), Some(WAITS), 0.25),
            (one, SPANS, (0.5, 0.6, 0.9, 0.0), None, 0.0),
            // The daemon alone is too much.
            (one, SPANS, (0.0, 0.0, 0.0, 0.02), None, 0.0),
            (Budget::Off, SPANS, (0.5, 0.6, 0.9, 0.02), Some(SPANS), 1.0),
        ] {
            let (waits, holds, spans, daemon) = costs;
            let decision = decide(budget, wanted, &predicted(waits, holds, spans, daemon), &[]);
            assert_eq!(decision.kind, kind, "{costs:?}: {decision:?}");
            assert!(near(decision.share, share), "{costs:?}: {decision:?}");
            if let (Some(_), Budget::Share(allowed)) = (kind, budget) {
                assert!(decision.expected <= allowed + 1e-9, "{decision:?}");
            }
        }
    }

    #[test]
    fn a_measurement_overrides_only_where_it_excludes_the_budget() {
        let effect = |lost, low, high| MeasuredEffect {
            kind: HOLDS,
            lost,
            low,
            high,
        };
        for (measured, share) in [
            // By prediction: half of the time.
            (effect(0.02, 0.0, 0.04), 0.5),
            (effect(0.03, 0.019, 0.05), 0.5),
            // More, for certain: less of the time.
            (effect(0.04, 0.03, 0.05), 0.25),
            // Less, for certain: more of the time, by the safe end.
            (effect(0.005, -0.002, 0.0125), 0.8),
            (effect(-0.01, -0.02, -0.001), 1.0),
            // Another kind's says nothing of this one.
            (
                MeasuredEffect {
                    kind: SPANS,
                    ..effect(0.3, 0.2, 0.4)
                },
                0.5,
            ),
        ] {
            let predicted = predicted(0.001, 0.02, 0.9, 0.0);
            let decision = decide(Budget::Share(0.01), HOLDS, &predicted, &[measured]);
            assert_eq!(decision.kind, Some(HOLDS));
            assert!(near(decision.share, share), "{measured:?}: {decision:?}");
        }
    }

    #[test]
    fn the_reason_has_the_numbers() {
        for (costs, wanted, sentence) in [
            (
                (0.001, 0.002, 0.004),
                SPANS,
                "spans are measured without a limit: they would cost 0.4 % of the machine all the time, and 1 % \
                 are allowed",
            ),
            (
                (0.001, 0.02, 0.5),
                SPANS,
                "holds are measured 50 % of the time: they would cost 2 % of the machine all the time, and \
                 1 % are allowed (spans would cost 50 %)",
            ),
            (
                (0.5, 0.6, 0.7),
                HOLDS,
                "nothing is attached: of the 1 % that are allowed, the daemon itself takes 0 %; holds would \
                 cost 60 %, waits would cost 50 % of the machine all the time, and less than 5 % of the time \
                 is too little",
            ),
        ] {
            let (waits, holds, spans) = costs;
            let predicted = predicted(waits, holds, spans, 0.0);
            let decision = decide(Budget::Share(0.01), wanted, &predicted, &[]);
            assert_eq!(decision.reason, sentence);
        }
    }
}
