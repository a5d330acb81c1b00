//! What holds for every network.

use lockprof::forecast::{
    Demand, KernelDemands, LEAST_BOOTS, LockDemand, RoundDemands, Subject, forecast, throughput,
};
use proptest::{collection::vec, prelude::*};

/// Rounding.
const SLACK: f64 = 1.0 + 1e-9;

fn demands() -> impl Strategy<Value = Vec<f64>> {
    vec(0.0..1000.0_f64, 1..5)
}

fn kernel(boots: usize) -> impl Strategy<Value = KernelDemands> {
    let demand =
        (0.0..300.0_f64, 0.0..300.0_f64, 1.0..300.0_f64).prop_map(|(low, more, most)| Demand {
            low,
            point: low + more,
            high: low + more + most,
        });
    let boot = (3000.0..60_000.0_f64, vec(demand, 3..=3));
    vec(boot, 1..=boots).prop_map(|boots| KernelDemands {
        name: "some".to_owned(),
        boots: boots
            .into_iter()
            .map(|(round, demands)| RoundDemands {
                round,
                profiled: None,
                locks: demands
                    .into_iter()
                    .zip(["tasklist_lock", "pidmap_lock", "input_pool"])
                    .map(|(demand, name)| LockDemand::new(name, demand))
                    .collect(),
            })
            .collect(),
    })
}

proptest! {
    #[test]
    fn rounds_stay_within_the_bounds(delay in 1.0..1e5_f64, demands in demands()) {
        let rates = throughput(delay, &demands, 300);
        let most = demands.iter().copied().fold(0.0, f64::max);
        let sum: f64 = demands.iter().sum();
        let mut before = 0.0;
        for (index, &rate) in rates.iter().enumerate() {
            let tasks = (index + 1) as f64;
            prop_assert!(rate * SLACK >= before);
            prop_assert!(rate * most <= SLACK);
            prop_assert!(rate <= tasks / (delay + sum) * SLACK);
            // Even if everybody always waited for everybody.
            prop_assert!(rate * SLACK >= tasks / (delay + tasks * sum));
            before = rate;
        }
    }

    #[test]
    fn less_demand_is_never_fewer_rounds(
        delay in 0.0..1e5_f64,
        demands in demands(),
        which in any::<prop::sample::Index>(),
        less in 0.0..1.0_f64,
    ) {
        let mut lower = demands.clone();
        let lock = which.index(demands.len());
        lower[lock] *= less;
        prop_assume!(delay + lower.iter().sum::<f64>() > 1.0);
        let saved = demands[lock] - lower[lock];
        let before = throughput(delay, &demands, 200);
        let gone = throughput(delay, &lower, 200);
        let moved = throughput(delay + saved, &lower, 200);
        for ((before, gone), moved) in before.iter().zip(gone).zip(moved) {
            prop_assert!(moved * SLACK >= *before, "moved out of the lock");
            prop_assert!(gone * SLACK >= moved, "saved");
        }
    }
}

proptest! {
    // A forecast takes a thousand draws.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn an_interval_contains_its_point(base in kernel(7), other in kernel(7), seed in any::<u64>()) {
        let kernels = [base, other];
        let answer = forecast(&kernels, &Subject::default(), seed).unwrap();
        prop_assert_eq!(&forecast(&kernels, &Subject::default(), seed).unwrap(), &answer, "the same seed");
        let enough = |kernel: &KernelDemands| kernel.boots.len() >= LEAST_BOOTS;
        for (place, kernel) in answer.kernels.iter().enumerate() {
            let expected = enough(&kernels[0]) && enough(&kernels[place]);
            let numbers = kernel.curve.iter().flat_map(|at| [Some(at.rounds), at.change]);
            let locks = kernel.locks.iter().flat_map(|lock| [lock.knee_cpus, lock.busy_from_cpus]);
            for number in numbers.flatten().chain(locks) {
                prop_assert!(!number.point.is_nan());
                prop_assert_eq!(number.interval.is_some(), expected);
                if let Some(interval) = number.interval {
                    prop_assert!(interval.contains(number.point), "{number:?}");
                }
            }
        }
    }
}
