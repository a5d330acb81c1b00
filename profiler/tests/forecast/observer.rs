//! What the profiler itself would leave.

use lockprof::forecast::{Subject, demands, forecast, throughput};

use crate::fixture::{five_boots, mutexes, of_a_mutex, one_lock, prototype};

#[test]
fn a_lock_that_limits_feels_the_probes_and_a_small_machine_does_not() {
    let measures = prototype(1_084.0);
    let answer = forecast(&[five_boots("base", &measures)], &Subject::default(), 1).unwrap();
    let observer = &answer.kernels[0].observer;
    let cpus: Vec<u32> = observer.iter().map(|point| point.cpus).collect();
    assert_eq!(cpus, [8, 24, 64]);
    assert!(observer[0].left > observer[1].left && observer[1].left > observer[2].left);
    // Three holds a round: where the lock limits, what is left is the hold without the null hold over the
    // hold with it.
    let limit = (1_084.0 - 253.0) / 1_084.0;
    assert!((observer[2].left - limit).abs() < 0.01, "{observer:?}");
}

/// Beside the network solved for each of the two.
#[test]
fn what_is_left_is_the_models() {
    let measures = prototype(1_084.0);
    let demand = demands(&measures).unwrap();
    let kernel = lockprof::forecast::KernelDemands {
        name: "base".to_owned(),
        boots: vec![demand],
    };
    let answer = forecast(&[kernel], &Subject::default(), 1).unwrap();
    let held = 3.0 * 1_084.0;
    let bare = held - 3.0 * 253.0;
    let with = throughput(measures.profiled - held, &[held], 24);
    let without = throughput(measures.bare - bare, &[bare], 24);
    let left = answer.kernels[0].observer[1].left;
    assert!((left - with[23] / without[23]).abs() < 1e-12, "{left}");
}

/// Then what the lock feels of it is not known: that all of its work were left would be wrong.
#[test]
fn nothing_is_said_where_no_null_hold_is_known() {
    let answer = forecast(&mutexes(), &of_a_mutex(), 1).unwrap();
    assert!(
        answer
            .kernels
            .iter()
            .all(|kernel| kernel.observer.is_empty())
    );
}

#[test]
fn nothing_is_said_of_a_profiler_that_was_not_measured() {
    let answer = forecast(
        &[one_lock("base", &[(1_000.0, 10.0)])],
        &Subject::default(),
        1,
    )
    .unwrap();
    assert!(answer.kernels[0].observer.is_empty());
}
