//! What following a lock of a kind aims at: to cost half of what the tool costs that a user has today.

use super::goal::{Goal, goal};
use crate::bench::kinds::observers::{CLOCK, KLOCKSTAT};
use crate::bench::kinds::results::{KernelKinds, KindObserver, OfKind};

/// What the names of lockprof's own observers begin with.
const OWN: &str = "lockprof-";
/// The share of klockstat's instructions that is to be enough.
const SHARE: f64 = 0.5;

/// One for each kernel and kind that were measured.
pub fn goals(found: &[&KernelKinds]) -> Vec<Goal> {
    let all = found.iter().flat_map(|kernel| {
        let kinds = kernel.kinds.iter();
        kinds.map(|kind| beside_klockstat(&kernel.kernel, kind))
    });
    all.collect()
}

fn beside_klockstat(kernel: &str, kind: &OfKind) -> Goal {
    let of = |is_it: &dyn Fn(&KindObserver) -> bool| {
        let observer = kind.observers.iter().find(|one| is_it(one))?;
        Some(kind.pair(observer))
    };
    let own = of(&|one| one.name.starts_with(OWN));
    let klockstat = of(&|one| one.name == KLOCKSTAT);
    goal(
        format!("{kernel}: a pair of the {} that is followed", kind.kind),
        "at most half of klockstat's instructions, which looks at the same lock alone",
        own.zip(klockstat).map(|(own, klockstat)| own / klockstat),
        |share| format!("{:.0} %", share * 100.0),
        |share| share <= SHARE,
    )
    .because(of(&|one| one.name == CLOCK).zip(own).map(|(clock, own)| {
        format!("of {own:.0} instructions programs that only read the clock take {clock:.0}")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Cost;

    #[test]
    fn a_pair_is_held_against_klockstats() {
        let observer = |name: &str, added| KindObserver {
            name: name.to_owned(),
            followed: Cost {
                added,
                ..Cost::default()
            },
            ..KindObserver::default()
        };
        let kernel = |own| KernelKinds {
            kernel: "debian:6.12".to_owned(),
            kinds: vec![OfKind {
                kind: "mutex".to_owned(),
                observers: vec![
                    observer("lockprof-holds-fentry-cgroup_mutex", own),
                    observer(KLOCKSTAT, 2000.0),
                    observer(CLOCK, 400.0),
                ],
                ..OfKind::default()
            }],
            ..KernelKinds::default()
        };
        let met = |own| goals(&[&kernel(own)])[0].met;
        assert_eq!((met(1000.0), met(1001.0)), (Some(true), Some(false)));
        let alone = KernelKinds {
            kinds: vec![OfKind::default()],
            ..KernelKinds::default()
        };
        assert_eq!(goals(&[&alone])[0].met, None);
    }
}
