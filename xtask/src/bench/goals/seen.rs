//! What the wait-only tier aims at: that it does not hide the waits that it looks for.

use super::goal::{Goal, goal, not_measured};
use crate::bench::results::{Beside, WaitCosts};
use crate::bench::statistics::ratio_interval;

/// Others, by what their descriptions contain, and the share of theirs that is to be seen.
const SHARES: [(&str, &str, f64); 2] = [
    (
        "without stacks",
        "at least 90 % of the same programs without stacks",
        0.90,
    ),
    ("script", "at least 75 % of the bpftrace script's", 0.75),
];

/// All of them.
pub fn goals(costs: Option<&WaitCosts>) -> Vec<Goal> {
    let mut goals = vec![goal(
        "a run of contention_began, on the host",
        "at most 300 ns",
        costs.and_then(|costs| costs.began_ns_per_run),
        |ns| format!("{ns:.0} ns"),
        |ns| ns <= 300.0,
    )];
    for (other, wanted, least) in SHARES {
        let mut all = costs.into_iter().flat_map(|costs| &costs.beside);
        let beside = all.find(|beside| beside.what.contains(other));
        match beside {
            Some(beside) => goals.extend(shares(beside, wanted, least)),
            None => goals.push(not_measured("waits and waited time, on the host", wanted)),
        }
    }
    goals
}

fn shares(beside: &Beside, wanted: &str, least: f64) -> impl Iterator<Item = Goal> {
    beside.ratios().into_iter().map(move |(what, ratios)| {
        let interval = ratio_interval(&ratios);
        let [middle, low, high] =
            [interval.middle, interval.low, interval.high].map(|share| share * 100.0);
        Goal {
            measured: format!("{middle:.0} % ({low:.0} to {high:.0} %)"),
            met: interval.is_at_least(least),
            ..not_measured(format!("{what}, on the host"), wanted)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::goal::NOT_MEASURED;
    use super::*;
    use crate::bench::results::{SeenWaits, Waits};

    #[test]
    fn a_share_is_judged_by_its_interval() {
        let seen = |count: f64| SeenWaits {
            target: Waits {
                count,
                waited_ns: count,
            },
            all: Waits {
                count: 100.0,
                waited_ns: 100.0,
            },
        };
        let costs = WaitCosts {
            began_ns_per_run: Some(4600.0),
            beside: vec![Beside {
                what: "bpftrace 1 script".to_owned(),
                pairs: vec![(seen(50.0), seen(100.0)); 6],
            }],
            ..WaitCosts::default()
        };
        let goals = goals(Some(&costs));
        let met: Vec<Option<bool>> = goals.iter().map(|goal| goal.met).collect();
        let script = [Some(false), Some(false), Some(true), Some(true)];
        assert_eq!(met, [&[Some(false), None], &script[..]].concat());
        assert_eq!(goals[1].measured, NOT_MEASURED);
        assert_eq!(goals[2].measured, "50 % (50 to 50 %)");
    }
}
