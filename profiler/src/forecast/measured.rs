//! Demands from the numbers of recordings on the instruction clock.

use super::{
    demand::{Demand, LockDemand, RoundDemands},
    error::{ForecastError, at_least_one, not_negative},
};

/// The write holds of one site.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SiteHolds {
    /// Holds in a round.
    pub per_round: f64,
    /// Their mean length in guest instructions, as measured.
    pub mean: f64,
}

/// How long a call is.
#[derive(Clone, Debug, PartialEq)]
pub struct CallTime {
    /// Its mean own time in guest instructions, as measured.
    pub mean: f64,
    /// The kernel that it was measured on, where that is another one.
    pub of: Option<String>,
}

/// Calls that take a lock of their own: free_pid takes pidmap_lock (kernel/pid.c), and
/// add_device_randomness the lock of input_pool (drivers/char/random.c), both at v6.12.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardedCalls {
    /// The lock that they take.
    pub lock: String,
    /// Calls in a round inside of holds of the target lock.
    pub inside_per_round: f64,
    /// Calls in a round outside of every hold of the target lock.
    pub outside_per_round: f64,
    /// How long one is.
    pub time: CallTime,
}

/// What the recordings of one boot say of a round. Times are in guest instructions.
///
/// Take the holds from a recording with `--detail holds`: the programs of spans lengthen the holds
/// that they measure, the more the more calls there are, and only the low end of the correction
/// takes that off. The spans' times and counts come from one with `--detail spans`.
///
/// Most of what the profiler adds to a round is outside of the holds that it reports, for it reads the
/// clock last when a hold begins and first when it ends. The programs of holds are in a reported hold for
/// a null hold at most; those of spans for all that they add to a round. So the low end takes off the null
/// holds and what a round with spans has more than one without, where that was measured; else all that
/// was added to a round, as where there is no null hold.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundMeasures {
    /// The lock whose holds were measured.
    pub lock: String,
    /// A round without the profiler.
    pub bare: f64,
    /// A round with the profiler, in the recording that the holds are from.
    pub profiled: f64,
    /// A round with the programs of holds alone (`--detail holds`), where one was measured in the same
    /// boot: [`Self::profiled`] where the holds are from such a recording.
    pub without_spans: Option<f64>,
    /// The null hold of that recording; none where the lock has none that could be measured.
    pub null_hold: Option<f64>,
    /// The write holds of the target lock by site.
    pub holds: Vec<SiteHolds>,
    /// Calls that take another lock.
    pub guarded: Vec<GuardedCalls>,
}

/// The time of a call on this kernel, else on the first of the others that has it: a kernel that makes
/// a call only outside of holds counts it, and does not time it. None where no kernel has it.
#[must_use]
pub fn call_time(own: Option<f64>, others: &[(&str, Option<f64>)]) -> Option<CallTime> {
    let borrowed = || {
        others.iter().find_map(|(kernel, mean)| {
            Some(CallTime {
                mean: (*mean)?,
                of: Some((*kernel).to_owned()),
            })
        })
    };
    own.map(|mean| CallTime { mean, of: None })
        .or_else(borrowed)
}

/// The demands of one round.
///
/// The target lock's is the time of its holds, and everything done inside of them counts for it,
/// whichever other lock it takes there: a holder that works or waits is busy. A network whose stations
/// can be solved exactly has a task at one station at a time, so that a lock taken inside of a hold
/// gets only the calls outside of it as its own demand; the calls inside are in
/// [`LockDemand::inside`]. A call counts as a hold of its lock from beginning to end, and is corrected
/// as a hold is, for the programs at its ends are like those of a hold; but there is no null span, so that
/// its low end takes off all that was added to a round.
///
/// # Errors
///
/// When a number is negative, not a number or too large, a round has less than one instruction, or the null hold leaves nothing
/// of the holds.
pub fn demands(measures: &RoundMeasures) -> Result<RoundDemands, ForecastError> {
    check(measures)?;
    let null_hold = measures.null_hold.unwrap_or(0.0);
    let added = (measures.profiled - measures.bare).max(0.0);
    let sites = || measures.holds.iter();
    let holds_per_round: f64 = sites().map(|site| site.per_round).sum();
    let holds: f64 = sites().map(|site| site.per_round * site.mean).sum();
    let null_holds = holds_per_round * null_hold;
    if holds <= null_holds {
        return Err(ForecastError::NullHoldTooLong { holds, null_holds });
    }
    // Without a null hold nobody knows how much of it is inside.
    let without_spans = measures
        .without_spans
        .filter(|_| measures.null_hold.is_some());
    let inside_at_most = without_spans.map_or(added, |without_spans| {
        let by_spans = (measures.profiled - without_spans).max(0.0);
        added.min(null_holds + by_spans)
    });
    let target = corrected(holds, null_holds, inside_at_most);
    let mut locks = vec![LockDemand::new(&measures.lock, target)];
    for calls in &measures.guarded {
        let demand =
            |per_round: f64| corrected(per_round * calls.time.mean, per_round * null_hold, added);
        locks.push(LockDemand {
            name: calls.lock.clone(),
            demand: demand(calls.outside_per_round),
            inside: demand(calls.inside_per_round),
            time_of: calls.time.of.clone(),
        });
    }
    Ok(RoundDemands {
        round: measures.bare,
        profiled: Some(measures.profiled),
        locks,
    })
}

/// A measured time at the three ends of the correction; none is below zero.
fn corrected(measured: f64, null: f64, added: f64) -> Demand {
    let point = (measured - null).max(0.0);
    Demand {
        low: (measured - added).clamp(0.0, point),
        point,
        high: measured,
    }
}

fn check(measures: &RoundMeasures) -> Result<(), ForecastError> {
    at_least_one("a round without the profiler", measures.bare)?;
    at_least_one("a round with the profiler", measures.profiled)?;
    if let Some(without_spans) = measures.without_spans {
        at_least_one("a round with the programs of holds alone", without_spans)?;
    }
    if let Some(null_hold) = measures.null_hold {
        not_negative(|| "the null hold".to_owned(), null_hold)?;
    }
    for site in &measures.holds {
        not_negative(
            || "the number of holds in a round".to_owned(),
            site.per_round,
        )?;
        not_negative(|| "the mean of a site's holds".to_owned(), site.mean)?;
    }
    for calls in &measures.guarded {
        let lock = &calls.lock;
        not_negative(
            || format!("the time of a call that takes {lock}"),
            calls.time.mean,
        )?;
        for per_round in [calls.inside_per_round, calls.outside_per_round] {
            not_negative(
                || format!("the number of calls in a round that take {lock}"),
                per_round,
            )?;
        }
    }
    Ok(())
}
