//! Kernels that were never built.

use lockprof::forecast::{
    CallTime, Demand, GuardedCalls, KernelDemands, LifeDemands, LifeMeasures, LockDemand,
    SiteHolds, demands,
};

/// A kernel with these lives and demands on one lock, one a boot.
pub fn one_lock(name: &str, boots: &[(f64, f64)]) -> KernelDemands {
    KernelDemands {
        name: name.to_owned(),
        boots: boots
            .iter()
            .map(|&(life, demand)| LifeDemands {
                life,
                profiled: None,
                locks: vec![LockDemand::new("tasklist_lock", Demand::exact(demand))],
            })
            .collect(),
    }
}

/// What the prototype measured on one CPU of Linux 6.12: a mean hold over all sites, three holds a life,
/// 290 instructions that its programs added to each, and a null hold of 253.
pub fn prototype(mean_hold: f64) -> LifeMeasures {
    LifeMeasures {
        bare: 65_300.0,
        profiled: 65_300.0 + 3.0 * 290.0,
        without_spans: None,
        null_hold: 253.0,
        holds: vec![SiteHolds {
            per_life: 3.0,
            mean: mean_hold,
        }],
        guarded: Vec::new(),
    }
}

/// A kernel of five boots, in each of which a life and the holds are a little longer.
pub fn five_boots(name: &str, measures: &LifeMeasures) -> KernelDemands {
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
        inside_per_life: if deferred { 0.0 } else { inside },
        outside_per_life: if deferred { inside + outside } else { outside },
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
            let measures = LifeMeasures {
                guarded: guarded(deferred),
                ..prototype(mean_hold)
            };
            five_boots(name, &measures)
        })
        .into()
}
