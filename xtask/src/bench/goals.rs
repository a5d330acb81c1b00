//! What lockprof aims at, and whether it gets there.

use super::loads::HOLDS_OF_A_LIFE;
use super::results::{DaemonCosts, KernelCosts, ObserverCosts, OneTask, Results};
use super::statistics::Interval;

/// The kernel whose numbers the goals are about.
pub const KERNEL: &str = "debian:6.12";
/// The observer that the goals are about.
const HOLDS: &str = "lockprof-holds-fentry";
const SPANS: &str = "lockprof-spans-fentry";
const FLOOR: &str = "empty-fexit-fentry";
const FLOOR_OF_SPANS: &str = "empty-spans";
const CLOCK: &str = "clock-fexit-fentry";
const CLOCK_SPANS: &str = "clock-spans";
/// By fentry as well, and where that cannot be had by kprobe, which costs more by itself.
const BPFTRACE: [&str; 2] = ["bpftrace-kfunc", "bpftrace-kprobe"];

/// What stands where nothing was measured.
pub const NOT_MEASURED: &str = "not measured";

/// A goal, and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// What is measured.
    pub what: &'static str,
    /// What it is to be.
    pub wanted: &'static str,
    /// What it is.
    pub measured: String,
    /// Whether the goal is met; `None` where it was not measured, or too noisy to tell.
    pub met: Option<bool>,
    /// What was measured of that which stands in the way of a goal that is not met.
    pub in_the_way: String,
}

impl Goal {
    /// Says what stands in the way, where the goal is not met and something was measured.
    fn because(mut self, what: Option<String>) -> Self {
        if self.met == Some(false) {
            self.in_the_way = what.unwrap_or_default();
        }
        self
    }
}

fn goal(
    what: &'static str,
    wanted: &'static str,
    value: Option<f64>,
    show: impl Fn(f64) -> String,
    met: impl Fn(f64) -> bool,
) -> Goal {
    Goal {
        what,
        wanted,
        measured: value.map_or(NOT_MEASURED.to_owned(), show),
        met: value.map(met),
        in_the_way: String::new(),
    }
}

/// All goals.
pub fn goals(results: &Results) -> Vec<Goal> {
    let mut kernels = results.deterministic.iter().map(|part| &part.found);
    let costs = kernels.find(|costs| costs.kernel == KERNEL);
    let of = |name: &str| costs.and_then(|costs| observer(costs, name));
    let daemon = results.daemon.as_ref().map(|part| &part.found);
    let size = |cpus| {
        daemon.and_then(|daemon| daemon.sizes.iter().find(|size| size.possible_cpus == cpus))
    };
    let refresh = |cpus| {
        let mut all = daemon.into_iter().flat_map(|daemon| &daemon.refreshes);
        let found = all.find(|refresh| refresh.cpus == cpus);
        found.map(|refresh| refresh.cpu_s * 1e3)
    };
    let busy = daemon.and_then(|daemon| daemon.busy.as_ref());
    let busy = busy.map(|busy| busy.resident_bytes);
    let peer = BPFTRACE.iter().find_map(|name| of(name));
    let milliseconds = |ms: f64| format!("{ms:.2} ms, every CPU active");
    let instructions = |value: f64| format!("{value:.0} instructions");
    let mut goals = vec![
        goal(
            "added to one pair, holds",
            "at most 450 instructions",
            of(HOLDS).map(|costs| costs.pair.added),
            instructions,
            |added| added <= 450.0,
        )
        .because(of(CLOCK).map(|clock| {
            format!(
                "two programs that only read the clock add {:.0}",
                clock.pair.added
            )
        })),
        goal(
            "null hold as reported",
            "at most 200 instructions",
            of(HOLDS).and_then(|costs| costs.reported_null_hold),
            instructions,
            |hold| hold <= 200.0,
        )
        .because(
            of(FLOOR)
                .and_then(|floor| floor.pair.added_in_hold)
                .map(|held| {
                    format!(
                        "ends of two trampolines lie between the two readings of the clock; with empty \
                         programs {held:.0} instructions of them are in the hold"
                    )
                }),
        ),
        goal(
            "all spans of a life, inside its holds",
            "at most 1.3 × their empty probes",
            costs.and_then(|costs| spans_by_their_floor(costs, SPANS, HOLDS)),
            |ratio| format!("{ratio:.2} ×"),
            |ratio| ratio <= 1.3,
        )
        .because(
            costs
                .and_then(|costs| spans_by_their_floor(costs, CLOCK_SPANS, CLOCK))
                .map(|ratio| format!("programs that only read the clock: {ratio:.2} ×")),
        ),
        goal(
            "one pair, holds, beside the bpftrace script",
            "at most 1/7",
            of(HOLDS)
                .zip(peer)
                .map(|(own, peer)| peer.pair.added / own.pair.added),
            |times| {
                let by = peer.and_then(|peer| peer.name.split('-').nth(1));
                format!("1/{times:.1}, by {}", by.unwrap_or_default())
            },
            |times| times >= 7.0,
        )
        .because(of(CLOCK).zip(peer).map(|(clock, peer)| {
            format!(
                "programs that only read the clock: 1/{:.1}",
                peer.pair.added / clock.pair.added
            )
        })),
        throughput(costs),
        goal(
            "the daemon's refresh each second, 24 CPUs",
            "at most 2 ms of CPU (0.2 %)",
            refresh(24),
            milliseconds,
            |ms| ms <= 2.0,
        ),
        goal(
            "the daemon's memory, 24 CPUs",
            "at most 24 MiB resident",
            size(24)
                .map(|size| size.resident_bytes)
                .max(busy)
                .map(mebibytes),
            |size| format!("{size:.1} MiB"),
            |size| size <= 24.0,
        ),
        goal(
            "the daemon's refresh, 1024 CPUs",
            "at most 20 ms of CPU",
            refresh(1024),
            milliseconds,
            |ms| ms <= 20.0,
        ),
    ];
    goals.push(launch(daemon));
    goals
}

fn throughput(costs: Option<&KernelCosts>) -> Goal {
    let share = costs
        .and_then(|costs| costs.throughput.as_ref())
        .map(OneTask::share);
    let percent = |share: f64| format!("{:.2}", share * 100.0);
    let show = |Interval { middle, low, high }: Interval| {
        let [middle, low, high] = [middle, low, high].map(percent);
        format!("{middle} % ({low} to {high} %)")
    };
    let floor = costs
        .and_then(|costs| observer(costs, FLOOR))
        .zip(costs.and_then(|costs| observer(costs, FLOOR)?.life.as_ref()))
        .map(|(floor, life)| {
            let left = life.bare / (life.bare + f64::from(HOLDS_OF_A_LIFE) * floor.pair.added);
            format!(
                "a life is {:.0} instructions: two empty programs, {:.0} a pair, leave {} %",
                life.bare,
                floor.pair.added,
                percent(left)
            )
        });
    Goal {
        what: "throughput of threadspawn -t 1, holds",
        wanted: "at least 97.5 % of bare",
        measured: share.map_or(NOT_MEASURED.to_owned(), show),
        met: share.and_then(|share| share.is_at_least(0.975)),
        in_the_way: String::new(),
    }
    .because(floor)
}

fn launch(daemon: Option<&DaemonCosts>) -> Goal {
    let host = daemon.and_then(|daemon| daemon.host.as_ref());
    let tier = host.map_or("", |host| host.tier.as_str());
    goal(
        "launch to probes attached, warm, on the host",
        "at most 250 ms",
        host.map(|host| host.launch_to_attach_s * 1e3),
        |ms| format!("{ms:.0} ms, in the tier {tier}"),
        |ms| ms <= 250.0,
    )
}

/// The first observer whose name begins so.
pub fn observer<'a>(costs: &'a KernelCosts, name: &str) -> Option<&'a ObserverCosts> {
    costs
        .observers
        .iter()
        .find(|observer| observer.name.starts_with(name))
}

/// What all of an observer's spans add to the holds of a life, by what empty probes in the same places add.
fn spans_by_their_floor(costs: &KernelCosts, with: &str, without: &str) -> Option<f64> {
    let held = |name: &str| observer(costs, name)?.life.as_ref()?.added_in_hold;
    let own = held(with)? - held(without)?;
    let floor = held(FLOOR_OF_SPANS)? - held(FLOOR)?;
    (floor > 0.0).then(|| own / floor)
}

/// Bytes in MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::super::results::{Cost, Part};
    use super::*;

    fn costs(name: &str, pair: f64, life_in_hold: f64) -> ObserverCosts {
        ObserverCosts {
            name: name.to_owned(),
            pair: Cost {
                added: pair,
                ..Cost::default()
            },
            life: Some(Cost {
                bare: 1000.0,
                added: 10.0,
                added_in_hold: Some(life_in_hold),
                ..Cost::default()
            }),
            reported_null_hold: Some(201.0),
            ..ObserverCosts::default()
        }
    }

    #[test]
    fn goals_are_judged_by_their_numbers() {
        let found = KernelCosts {
            kernel: KERNEL.to_owned(),
            observers: vec![
                costs(HOLDS, 450.0, 600.0),
                costs(SPANS, 450.0, 1250.0),
                costs(FLOOR, 300.0, 500.0),
                costs(FLOOR_OF_SPANS, 300.0, 1000.0),
                costs("bpftrace-kprobe", 3000.0, 0.0),
            ],
            throughput: Some(OneTask {
                shares: vec![0.98, 0.981, 0.979],
                ..OneTask::default()
            }),
            ..KernelCosts::default()
        };
        let results = Results {
            deterministic: vec![Part {
                with: Vec::new(),
                found,
            }],
            ..Results::default()
        };
        let goals = goals(&results);
        let met = goals.iter().map(|goal| goal.met).collect::<Vec<_>>();
        let expected = [Some(true), Some(false), Some(true), Some(false), Some(true)];
        assert_eq!(met[..5], expected, "{goals:?}");
        assert!(met[5..].iter().all(Option::is_none));
        assert_eq!(goals[2].measured, "1.30 ×");
        assert_eq!(goals[3].measured, "1/6.7, by kprobe");
        // A null hold of 201 is one too many; a floor that was not measured inside holds says nothing.
        assert_eq!(goals[1].in_the_way, "");
        assert_eq!(goals[0].in_the_way, "", "the goal is met");
    }
}
