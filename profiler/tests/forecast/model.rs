//! What a forecast says.

use lockprof::forecast::{
    Demand, KernelDemands, LockDemand, PUBLISHED, RoundDemands, Subject, forecast,
};

use crate::fixture::{five_boots, one_lock, pair, prototype};

/// The prototype's holds and round gave +9 % to +18 % at 24 CPUs, depending on the correction.
#[test]
fn the_prototypes_numbers() {
    let kernels = [("base", 1084.0), ("deferred", 476.0)]
        .map(|(name, mean_hold)| five_boots(name, &prototype(mean_hold)));
    let answer = forecast(&kernels, &Subject::default(), 1).unwrap();
    let change = answer.at(1, 24).unwrap().change.unwrap();
    println!("{change:?}");
    assert!((0.09..0.18).contains(&change.point), "{change:?}");
    let interval = change.interval.unwrap();
    // All of the profiler's cost taken off, and none.
    assert!((0.085..0.095).contains(&interval.low), "{change:?}");
    assert!((0.23..0.24).contains(&interval.high), "{change:?}");
    assert!(interval.contains(PUBLISHED[0].change));
    let knee = |kernel: usize| answer.kernels[kernel].locks[0].knee_cpus.point;
    assert!((knee(0) - 65_340.0 / 2493.6).abs() < 1e-9);
    assert!((knee(1) - 65_340.0 / 669.6).abs() < 1e-9);
    // Nothing is gained where nobody waits.
    assert!(answer.at(1, 1).unwrap().change.unwrap().point.abs() < 1e-12);
}

#[test]
fn rounds_are_in_those_of_the_first_kernel_on_one_cpu() {
    let kernels = [
        one_lock("slow", &[(2000.0, 10.0)]),
        one_lock("fast", &[(1000.0, 10.0)]),
    ];
    let answer = forecast(&kernels, &Subject::default(), 1).unwrap();
    assert_eq!(answer.at(0, 1).unwrap().rounds.point, 1.0);
    assert_eq!(answer.at(1, 1).unwrap().rounds.point, 2.0);
    assert_eq!(answer.at(1, 1).unwrap().change.unwrap().point, 1.0);
    assert_eq!(answer.at(0, 1).unwrap().change, None);
    assert_eq!(answer.at(0, 3333), None);
    assert_eq!(answer.at(2, 1), None);
}

#[test]
fn locks_saturate_one_after_another() {
    let answer = forecast(&pair(), &Subject::default(), 1).unwrap();
    let [base, deferred] = &answer.kernels[..] else {
        panic!("two kernels")
    };
    assert_eq!(base.locks[0].name, "tasklist_lock");
    let busy = base.locks[0].busy_from_cpus.point;
    assert!((25.0..60.0).contains(&busy), "{busy}");
    // The other locks never are, while the first one lets so few through.
    assert!(
        base.locks[1..]
            .iter()
            .all(|lock| lock.busy_from_cpus.point.is_infinite())
    );
    // Inside of the holds are as many calls again.
    let next = base.next_limit.as_ref().unwrap();
    assert_eq!(next.lock, "input_pool");
    assert!((next.knee_cpus - 65_340.0 / 694.0).abs() < 1e-9);
    // The randomness that was moved limits now.
    assert_eq!(deferred.locks[0].name, "input_pool");
    assert_eq!(deferred.next_limit.as_ref().unwrap().lock, "tasklist_lock");
}

#[test]
fn a_borrowed_time_is_said() {
    let answer = forecast(&pair(), &Subject::default(), 1).unwrap();
    let notes = answer.notes.join("\n");
    assert_eq!(answer.notes.len(), 2, "{notes}");
    assert!(
        notes.contains("deferred: calls that take pidmap_lock"),
        "{notes}"
    );
    assert!(notes.contains("that of base"), "{notes}");
}

#[test]
fn too_few_boots_have_no_interval() {
    let mut kernels = pair();
    kernels[1].boots.truncate(4);
    let answer = forecast(&kernels, &Subject::default(), 1).unwrap();
    assert!(answer.at(0, 24).unwrap().rounds.interval.is_some());
    assert!(answer.at(1, 24).unwrap().rounds.interval.is_none());
    assert!(
        answer.notes[0].contains("deferred has 4 boots"),
        "{:?}",
        answer.notes
    );
    kernels.swap(0, 1);
    let answer = forecast(&kernels, &Subject::default(), 1).unwrap();
    let intervals = (0..2).map(|kernel| answer.at(kernel, 24).unwrap().rounds.interval);
    assert_eq!(intervals.flatten().count(), 0, "nothing to compare with");
}

/// Boots that differ only by chance: the interval of the mean is as wide as theory says.
#[test]
fn boots_make_the_interval() {
    let boots: Vec<(f64, f64)> = (0..20)
        .map(|boot| (10_000.0, 90.0 + f64::from(boot)))
        .collect();
    let answer = forecast(&[one_lock("base", &boots)], &Subject::default(), 1).unwrap();
    let knee = answer.kernels[0].locks[0].knee_cpus.interval.unwrap();
    let demand = (10_000.0 / knee.high, 10_000.0 / knee.low);
    // A mean of 99.5 whose standard error is the root of 35 / 20, times 1.96.
    let half = 1.96 * (35.0_f64 / 20.0).sqrt();
    assert!((demand.0 - (99.5 - half)).abs() < 0.4, "{demand:?}");
    assert!((demand.1 - (99.5 + half)).abs() < 0.4, "{demand:?}");
}

#[test]
fn a_lock_without_demand_limits_nothing() {
    let boots = vec![
        RoundDemands {
            round: 1000.0,
            profiled: None,
            locks: vec![
                LockDemand::new("pidmap_lock", Demand::exact(0.0)),
                LockDemand::new("tasklist_lock", Demand::exact(10.0)),
            ],
        };
        5
    ];
    let kernel = KernelDemands {
        name: "base".to_owned(),
        boots,
    };
    let answer = forecast(&[kernel], &Subject::default(), 1).unwrap();
    let kernel = &answer.kernels[0];
    assert_eq!(kernel.locks[0].name, "tasklist_lock");
    assert!(kernel.locks[1].knee_cpus.point.is_infinite());
    assert_eq!(kernel.next_limit, None);
}

#[test]
fn the_seed_makes_the_draws() {
    let boots: Vec<(f64, f64)> = (0..6)
        .map(|boot| (1e4, 90.0 + f64::from(boot * boot)))
        .collect();
    let kernels = [one_lock("base", &boots)];
    let at = |seed| forecast(&kernels, &Subject::default(), seed).unwrap();
    assert_eq!(at(1), at(1));
    assert_ne!(at(1).kernels, at(2).kernels);
}
