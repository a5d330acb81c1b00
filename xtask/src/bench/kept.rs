//! What observers leave of the throughput of a machine that is not there, by the project's own network
//! model: one station with one server for the lock, and a delay for the rest of a life.

use super::loads::HOLDS_OF_A_LIFE;
use super::results::{ContendedCosts, KernelCosts, ObserverCosts};
use super::statistics::mean;
use network::throughput;

// The profiler's own: the forecast of `lockprof compare`.
#[path = "../../../profiler/src/forecast/network.rs"]
mod network;

/// The machines.
pub const CPUS: [u32; 4] = [8, 16, 24, 64];
/// Holds of a life.
const HOLDS: f64 = HOLDS_OF_A_LIFE as f64;

/// In the names of those that look at the calls inside of a hold, which a null hold has none of.
const WITH_SPANS: &str = "spans";

/// What one observer leaves, as shares of the throughput without it, for each of [`CPUS`].
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What it is.
    pub what: String,
    /// Its name.
    pub name: String,
    /// Where no hold is a contended one.
    pub uncontended: [f64; CPUS.len()],
    /// Where every hold is.
    pub contended: Option<[f64; CPUS.len()]>,
}

/// A life, in instructions.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Life {
    /// In its holds.
    demand: f64,
    /// Outside.
    delay: f64,
}

impl Life {
    fn and(self, demand: f64, delay: f64) -> Self {
        Self {
            demand: self.demand + demand,
            delay: self.delay + delay,
        }
    }

    /// Of the throughput of `bare`, by the number of CPUs.
    fn share_of(self, bare: Self) -> [f64; CPUS.len()] {
        let most = CPUS.into_iter().max().unwrap_or(1);
        let [with, without] = [self, bare].map(|life| throughput(life.delay, &[life.demand], most));
        CPUS.map(|cpus| with[cpus as usize - 1] / without[cpus as usize - 1])
    }
}

/// What each observer leaves on one kernel; nothing where no hold was counted.
pub fn kept(costs: &KernelCosts) -> Vec<Kept> {
    // All observers' lives without them: where a life gets its memory from varies, and what it frees in its
    // holds.
    let lives = costs.observers.iter().filter_map(|one| one.life.as_ref());
    let lives = lives.filter_map(|life| Some((life.bare, life.bare_in_hold?)));
    let lives: Vec<(f64, f64)> = lives.collect();
    if lives.is_empty() {
        return Vec::new();
    }
    let demand = mean(lives.iter().map(|(_, in_holds)| *in_holds));
    let bare = Life {
        demand,
        delay: mean(lives.iter().map(|(life, _)| *life)) - demand,
    };
    let contended = |name: &str| costs.contended.iter().find(|one| one.name == name);
    let of_one_cpu = costs.observers.iter();
    let mut kept: Vec<Kept> = of_one_cpu
        .filter_map(|one| of_observer(bare, one, contended(&one.name)))
        .collect();
    let others = costs.contended.iter();
    let others = others.filter(|one| !costs.observers.iter().any(|other| other.name == one.name));
    kept.extend(others.map(|one| of_contention(bare, one)));
    kept
}

/// An observer that was measured on one CPU, and perhaps where the lock is contended.
fn of_observer(
    bare: Life,
    costs: &ObserverCosts,
    contended: Option<&ContendedCosts>,
) -> Option<Kept> {
    let in_hold = costs.pair.added_in_hold?;
    // A pair repeats to the instruction, and a life does not: only spans cost other holds more than this one.
    let in_holds = if costs.name.contains(WITH_SPANS) {
        costs.life.as_ref()?.added_in_hold?
    } else {
        HOLDS * in_hold
    };
    let outside = HOLDS * (costs.pair.added - in_hold);
    let with = bare.and(in_holds, outside);
    Some(Kept {
        what: costs.what.clone(),
        name: costs.name.clone(),
        uncontended: with.share_of(bare),
        contended: contended.map(|one| all_contended(bare, with, one)),
    })
}

/// An observer that was measured where the lock is contended alone.
fn of_contention(bare: Life, costs: &ContendedCosts) -> Kept {
    let with = bare.and(HOLDS * costs.uncontended.added, 0.0);
    Kept {
        what: costs.what.clone(),
        name: costs.name.clone(),
        uncontended: with.share_of(bare),
        contended: Some(all_contended(bare, with, costs)),
    }
}

/// The same where each hold is had in the slow path: it is as much longer as a contended null hold is than an
/// uncontended one, and what comes before the queue is not waited for by others.
fn all_contended(bare: Life, with: Life, costs: &ContendedCosts) -> [f64; CPUS.len()] {
    let (in_hold, alone, queue) = (&costs.in_hold, &costs.uncontended, &costs.to_the_queue);
    let without = bare.and(HOLDS * (in_hold.bare - alone.bare), HOLDS * queue.bare);
    let with = with.and(
        HOLDS * (in_hold.whole() - alone.whole()),
        HOLDS * queue.whole(),
    );
    with.share_of(without)
}

#[cfg(test)]
mod tests {
    use super::super::results::{Added, Cost};
    use super::*;

    fn added(bare: f64, added: f64) -> Added {
        Added {
            bare,
            added,
            differs_by: 0.0,
        }
    }

    fn costs(in_hold: f64) -> KernelCosts {
        KernelCosts {
            observers: vec![ObserverCosts {
                name: "x".to_owned(),
                pair: Cost {
                    added: in_hold + 37.0,
                    added_in_hold: Some(in_hold),
                    ..Cost::default()
                },
                life: Some(Cost {
                    bare: 41_595.0,
                    bare_in_hold: Some(1607.0),
                    added_in_hold: Some(4100.0),
                    ..Cost::default()
                }),
                ..ObserverCosts::default()
            }],
            ..KernelCosts::default()
        }
    }

    #[test]
    fn a_lock_that_limits_feels_what_is_in_its_holds() {
        let nothing = kept(&costs(0.0));
        assert!(nothing[0].uncontended.iter().all(|share| *share > 0.99));
        let kept_by = |costs: &KernelCosts| kept(costs)[0].uncontended;
        let mut costs = costs(549.0);
        let [eight, _, twenty_four, sixty_four] = kept_by(&costs);
        assert!(eight > 0.9 && twenty_four < eight, "{eight}, {twenty_four}");
        // The lock alone limits so many CPUs: 1607 by 1607 and thrice 549.
        assert!((sixty_four - 1607.0 / 3254.0).abs() < 0.01, "{sixty_four}");
        assert_eq!(kept(&costs)[0].contended, None);
        // Spans cost what they were seen to cost a life: 1607 by 1607 and 4100.
        costs.observers[0].name = "x-spans".to_owned();
        let sixty_four = kept_by(&costs)[3];
        assert!((sixty_four - 1607.0 / 5707.0).abs() < 0.01, "{sixty_four}");
    }

    #[test]
    fn a_contended_hold_is_held_against_a_contended_one() {
        let mut costs = costs(0.0);
        costs.contended = vec![ContendedCosts {
            name: "x".to_owned(),
            uncontended: added(10.0, 0.0),
            in_hold: added(60.0, 0.0),
            to_the_queue: added(20.0, 500.0),
            ..ContendedCosts::default()
        }];
        // What comes before the queue holds nobody up where the lock limits.
        let kept_by = |costs: &KernelCosts| kept(costs)[0].contended.unwrap_or_default();
        assert!(kept_by(&costs)[3] > 0.99, "{:?}", kept_by(&costs));
        costs.contended[0].in_hold.added = 535.0;
        let sixty_four = kept_by(&costs)[3];
        assert!((sixty_four - 1757.0 / 3362.0).abs() < 0.01, "{sixty_four}");
    }

    #[test]
    fn an_observer_of_waits_alone_is_among_them() {
        let mut costs = costs(0.0);
        costs.contended = vec![ContendedCosts {
            name: "waits".to_owned(),
            in_hold: added(60.0, 60.0),
            ..ContendedCosts::default()
        }];
        let kept = kept(&costs);
        assert_eq!(kept.len(), 2);
        assert!(kept[1].uncontended[3] > 0.999);
        assert!(kept[1].contended.is_some_and(|shares| shares[3] < 0.95));
    }
}
