//! Kernels that were never built.

use lockprof::forecast::{
    CallTime, Demand, GuardedCalls, KernelDemands, LockDemand, RoundDemands, RoundMeasures,
    SiteHolds, Subject, demands,
};
use lockprof::work_unit::WorkUnit;

/// A kernel with these rounds and demands on one lock, one a boot.
pub fn one_lock(name: &str, boots: &[(f64, f64)]) -> KernelDemands {
    KernelDemands {
        name: name.to_owned(),
        boots: boots
            .iter()
            .map(|&(round, demand)| RoundDemands {
                round,
                profiled: None,
                locks: vec![LockDemand::new("tasklist_lock", Demand::exact(demand))],
            })
            .collect(),
    }
}

/// What the prototype measured on one CPU of Linux 6.12: a mean hold over all sites, three holds a round,
/// 290 instructions that its programs added to each, and a null hold of 253.
pub fn prototype(mean_hold: f64) -> RoundMeasures {
    RoundMeasures {
        lock: "tasklist_lock".to_owned(),
        bare: 65_300.0,
        profiled: 65_300.0 + 3.0 * 290.0,
        without_spans: None,
        null_hold: Some(253.0),
        holds: vec![SiteHolds {
            per_round: 3.0,
            mean: mean_hold,
        }],
        guarded: Vec::new(),
    }
}

/// A kernel of five boots, in each of which a round and the holds are a little longer.
pub fn five_boots(name: &str, measures: &RoundMeasures) -> KernelDemands {
    KernelDemands {
        name: name.to_owned(),
        boots: (0..5)
            .map(|boot| {
                let mut measures = measures.clone();
                measures.bare += f64::from(boot) * 20.0;
                measures.profiled += f64::from(boot) * 20.0;
                measures.holds[0].mean += f64::from(boot) * 0.1;
                demands(&measures).unwrap()
            })
            .collect(),
    }
}

/// Calls of free_pid and add_device_randomness: one each a reap, and the second once more a fork.
pub fn guarded(deferred: bool) -> Vec<GuardedCalls> {
    let calls = |lock: &str, inside: f64, outside: f64, mean: f64| GuardedCalls {
        lock: lock.to_owned(),
        inside_per_round: if deferred { 0.0 } else { inside },
        outside_per_round: if deferred { inside + outside } else { outside },
        time: CallTime {
            mean,
            of: deferred.then(|| "base".to_owned()),
        },
    };
    vec![
        calls("pidmap_lock", 1.0, 0.0, 700.0),
        calls("input_pool", 1.0, 1.0, 600.0),
    ]
}

/// The prototype's two kernels, with the locks that are taken inside.
pub fn pair() -> Vec<KernelDemands> {
    [("base", 1084.0, false), ("deferred", 476.0, true)]
        .map(|(name, mean_hold, deferred)| {
            let measures = RoundMeasures {
                guarded: guarded(deferred),
                ..prototype(mean_hold)
            };
            five_boots(name, &measures)
        })
        .into()
}

/// A forecast about a mutex, by a load that takes it twice an iteration.
pub fn of_a_mutex() -> Subject {
    Subject {
        lock: "cgroup_mutex".to_owned(),
        unit: WorkUnit::Iteration,
        null_hold_known: false,
        unknown: vec!["kernfs_rwsem".to_owned(), "zone_lock".to_owned()],
    }
}

/// What one boot says of that: half of an iteration is holds, to which the probes add nobody knows how much of 6,000.
pub fn mutex(mean_hold: f64) -> RoundMeasures {
    RoundMeasures {
        lock: "cgroup_mutex".to_owned(),
        bare: 100_000.0,
        profiled: 106_000.0,
        without_spans: Some(106_000.0),
        null_hold: None,
        holds: vec![SiteHolds {
            per_round: 2.0,
            mean: mean_hold,
        }],
        guarded: Vec::new(),
    }
}

/// A kernel and a patched one.
pub fn mutexes() -> [KernelDemands; 2] {
    [("base", 25_000.0), ("early", 20_000.0)].map(|(name, mean_hold)| KernelDemands {
        name: name.to_owned(),
        boots: vec![demands(&mutex(mean_hold)).unwrap(); 5],
    })
}
