//! Numbers that no forecast can be made from are refused, each with its reason.

use lockprof::forecast::{
    Demand, ForecastError, KernelDemands, LockDemand, RoundDemands, Subject, demands, forecast,
};
use proptest::{collection::vec, prelude::*};

use crate::fixture::{one_lock, prototype};

fn refused(kernels: &[KernelDemands]) -> ForecastError {
    match forecast(kernels, &Subject::default(), 1) {
        Err(ForecastError::OfBoot { source, .. }) => *source,
        Err(error) => error,
        Ok(answer) => panic!("{answer:?}"),
    }
}

#[test]
fn nothing_to_forecast_from() {
    assert_eq!(refused(&[]), ForecastError::NoKernels);
    let kernel = "base".to_owned();
    assert_eq!(
        refused(&[one_lock("base", &[])]),
        ForecastError::NoBoots { kernel }
    );
    let kernel = "base".to_owned();
    assert_eq!(
        refused(&[one_lock("base", &[(100.0, 0.0)])]),
        ForecastError::NoDemand { kernel }
    );
}

#[test]
fn numbers_that_make_no_sense() {
    for (round, demand) in [
        (100.0, -1.0),
        (100.0, f64::NAN),
        (100.0, f64::INFINITY),
        (f64::NAN, 1.0),
        (f64::INFINITY, 1.0),
        (0.0, 0.0),
        (-5.0, 1.0),
    ] {
        let error = refused(&[one_lock("base", &[(round, demand)])]);
        assert!(
            matches!(error, ForecastError::BadNumber { .. }),
            "{round} {demand}: {error}"
        );
    }
    assert!(matches!(
        refused(&[one_lock("base", &[(100.0, 101.0)])]),
        ForecastError::DemandsExceedRound { .. }
    ));
    let unordered = Demand {
        low: 3.0,
        point: 2.0,
        high: 4.0,
    };
    let mut kernel = one_lock("base", &[(100.0, 1.0)]);
    kernel.boots[0].locks[0].demand = unordered;
    assert!(matches!(
        refused(&[kernel]),
        ForecastError::Unordered { .. }
    ));
}

#[test]
fn boots_that_do_not_belong_together() {
    let mut kernel = one_lock("base", &[(100.0, 1.0), (100.0, 1.0)]);
    kernel.boots[1].locks[0].name = "pidmap_lock".to_owned();
    assert!(matches!(
        refused(&[kernel]),
        ForecastError::LocksDiffer { boot: 2, .. }
    ));
    let mut kernel = one_lock("base", &[(100.0, 1.0)]);
    let lock = kernel.boots[0].locks[0].clone();
    kernel.boots[0].locks.push(lock);
    assert!(matches!(
        refused(&[kernel]),
        ForecastError::LockTwice { .. }
    ));
}

#[test]
fn an_error_says_which_boot() {
    let kernel = one_lock("base", &[(100.0, 1.0), (100.0, f64::NAN)]);
    let error = forecast(&[kernel], &Subject::default(), 1)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "boot 2 of kernel \"base\": the demand on tasklist_lock is NaN, and must be from 0 to 1e15"
    );
}

#[test]
fn measures_that_make_no_sense() {
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        let changes: [fn(&mut lockprof::forecast::RoundMeasures, f64); 6] = [
            |measures, bad| measures.bare = bad,
            |measures, bad| measures.profiled = bad,
            |measures, bad| measures.null_hold = Some(bad),
            |measures, bad| measures.without_spans = Some(bad),
            |measures, bad| measures.holds[0].mean = bad,
            |measures, bad| measures.holds[0].per_round = bad,
        ];
        for change in changes {
            let mut measures = prototype(1084.0);
            change(&mut measures, bad);
            assert!(matches!(
                demands(&measures),
                Err(ForecastError::BadNumber { .. })
            ));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_number_makes_it_panic(rounds in vec((any::<f64>(), any::<[f64; 6]>()), 0..3)) {
        let boots = rounds.into_iter().map(|(round, [a, b, c, d, e, f])| {
            let mut lock = LockDemand::new("tasklist_lock", Demand { low: a, point: b, high: c });
            lock.inside = Demand { low: d, point: e, high: f };
            RoundDemands { round, profiled: Some(a), locks: vec![lock] }
        });
        let kernel = KernelDemands { name: "base".to_owned(), boots: boots.collect() };
        let _ = forecast(&[kernel], &Subject::default(), 1);
    }

    /// What is accepted has an answer, however small or large it is.
    #[test]
    fn what_is_accepted_has_an_answer(round in 0.0..15.0_f64, share in -300.0..0.0_f64) {
        let round = 10_f64.powf(round);
        let demand = round * 10_f64.powf(share);
        let answer = forecast(&[one_lock("base", &[(round, demand)])], &Subject::default(), 1).unwrap();
        for at in &answer.kernels[0].curve {
            prop_assert!(at.rounds.point.is_finite() && at.rounds.point >= 1.0 - 1e-9, "{at:?}");
        }
    }
}
