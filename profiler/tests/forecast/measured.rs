//! Demands from the numbers of recordings.

use lockprof::forecast::{CallTime, Demand, ForecastError, RoundMeasures, call_time, demands};

use crate::fixture::{guarded, mutex, prototype};

#[test]
fn the_correction_has_three_ends() {
    let round = demands(&prototype(1084.0)).unwrap();
    assert_eq!(round.round, 65_300.0);
    assert_eq!(
        round.locks[0].demand,
        Demand {
            low: 3252.0 - 870.0,
            point: 3252.0 - 759.0,
            high: 3252.0,
        }
    );
}

#[test]
fn a_lock_inside_has_only_what_is_outside() {
    let of = |deferred| {
        let measures = RoundMeasures {
            guarded: guarded(deferred),
            ..prototype(1084.0)
        };
        demands(&measures).unwrap().locks
    };
    let [base, deferred] = [of(false), of(true)];
    let points = |locks: &[lockprof::forecast::LockDemand]| -> Vec<(f64, f64)> {
        locks
            .iter()
            .map(|lock| (lock.demand.point, lock.inside.point))
            .collect()
    };
    // 700 and 600 a call, less a null hold each.
    assert_eq!(points(&base), [(2493.0, 0.0), (0.0, 447.0), (347.0, 347.0)]);
    assert_eq!(
        points(&deferred),
        [(2493.0, 0.0), (447.0, 0.0), (694.0, 0.0)]
    );
    assert_eq!(base[1].time_of, None);
    assert_eq!(deferred[1].time_of.as_deref(), Some("base"));
}

/// What is known not to lie inside of the holds is not taken off them.
#[test]
fn the_low_end_knows_what_the_spans_add() {
    let low = |added: f64, without_spans: Option<f64>| {
        let measures = RoundMeasures {
            profiled: 65_300.0 + added,
            without_spans: without_spans.map(|added| 65_300.0 + added),
            ..prototype(1084.0)
        };
        demands(&measures).unwrap().locks[0].demand.low
    };
    // Three null holds are 759.
    assert_eq!(low(2000.0, Some(2000.0)), 3252.0 - 759.0);
    assert_eq!(low(2600.0, Some(2000.0)), 3252.0 - 759.0 - 600.0);
    assert_eq!(low(2600.0, None), 3252.0 - 2600.0);
    // Noise: no more than all that was added, and no less than the null holds.
    assert_eq!(low(1000.0, Some(100.0)), 3252.0 - 1000.0);
    assert_eq!(low(1000.0, Some(1500.0)), 3252.0 - 759.0);
}

/// Of a lock without a null hold the point is what was reported, and the low end takes off all that was added.
#[test]
fn without_a_null_hold_all_that_was_added_may_be_inside() {
    let round = demands(&mutex(25_000.0)).unwrap();
    let lock = &round.locks[0];
    assert_eq!(lock.name, "cgroup_mutex");
    assert_eq!(
        lock.demand,
        Demand {
            low: 50_000.0 - 6_000.0,
            point: 50_000.0,
            high: 50_000.0,
        }
    );
}

/// A low end below nothing is nothing; one above the point, because the profiled round was not longer
/// by as much as its null holds, is the point.
#[test]
fn the_low_end_is_never_beyond() {
    let costly = RoundMeasures {
        profiled: 90_000.0,
        ..prototype(1084.0)
    };
    assert_eq!(demands(&costly).unwrap().locks[0].demand.low, 0.0);
    let cheap = RoundMeasures {
        profiled: 60_000.0,
        ..prototype(1084.0)
    };
    let demand = demands(&cheap).unwrap().locks[0].demand;
    assert_eq!(demand.low, demand.point);
}

#[test]
fn a_call_that_is_only_counted_borrows_its_time() {
    let own = call_time(Some(5.0), &[("other", Some(6.0))]);
    assert_eq!(
        own,
        Some(CallTime {
            mean: 5.0,
            of: None
        })
    );
    let other = call_time(None, &[("none", None), ("other", Some(6.0))]);
    assert_eq!(
        other,
        Some(CallTime {
            mean: 6.0,
            of: Some("other".to_owned())
        })
    );
    assert_eq!(call_time(None, &[("none", None)]), None);
}

#[test]
fn a_null_hold_that_leaves_nothing() {
    assert!(matches!(
        demands(&prototype(253.0)),
        Err(ForecastError::NullHoldTooLong { .. })
    ));
    let none = RoundMeasures {
        holds: Vec::new(),
        ..prototype(1.0)
    };
    assert!(matches!(
        demands(&none),
        Err(ForecastError::NullHoldTooLong { .. })
    ));
}
