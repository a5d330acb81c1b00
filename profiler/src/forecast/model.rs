//! From demands to a forecast.

use serde::Serialize;

use super::{
    LABEL, PUBLISHED, Subject,
    demand::{Demand, End, KernelDemands, LockDemand, RoundDemands},
    error::ForecastError,
    intervals::{Estimate, LEAST_BOOTS, estimates},
    observer::{ObserverPoint, observer},
    published::PublishedPoint,
    rates::rates,
};
use crate::{units, work_unit::WorkUnit};

/// A lock that is in use for this share of the time is saturated.
pub const BUSY: f64 = 0.95;
/// The numbers of CPUs of a table.
pub const TABLE_CPUS: &[u32] = &[1, 2, 4, 8, 16, 24, 32, 64, 128, 224, 256, 512];
/// The numbers of CPUs of a curve.
pub const CURVE_CPUS: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160,
    192, 224, 256, 320, 384, 448, 512,
];

/// What is to be expected of some kernels on machines of 1 to [`MOST_CPUS`](super::MOST_CPUS) CPUs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// What it is: stands wherever its numbers stand.
    pub label: &'static str,
    /// The lock whose holds were measured.
    pub lock: String,
    /// What it is of: a round is one of these.
    pub unit: WorkUnit,
    /// Whether the lock's null hold is known, and taken off its holds.
    pub null_hold_known: bool,
    /// Locks that were waited for and are no stations, the longest wait first: what is asked of them is unknown.
    pub unknown: Vec<String>,
    /// What it stands on.
    pub assumptions: Vec<String>,
    /// What an interval is.
    pub intervals: String,
    /// What [`KernelForecast::observer`] is.
    pub observer: String,
    /// What else is to be known of these numbers.
    pub notes: Vec<String>,
    /// The seed of the intervals' draws.
    pub seed: u64,
    /// The kernels, in the order that they were given; the others are compared with the first.
    pub kernels: Vec<KernelForecast>,
    /// What others measured.
    pub published: &'static [PublishedPoint],
}

/// What is to be expected of one kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelForecast {
    /// Its name.
    pub name: String,
    /// The boots that it is from.
    pub boots: usize,
    /// A round in guest instructions, the mean of the boots.
    pub round: f64,
    /// Its locks, the one with the greatest demand first.
    pub locks: Vec<LockForecast>,
    /// Rounds against CPUs, at [`CURVE_CPUS`].
    pub curve: Vec<CurvePoint>,
    /// The lock that limits when the first of `locks` does not any more.
    pub next_limit: Option<NextLimit>,
    /// What would be left of its rounds with the profiler attached; empty where that was not measured.
    pub observer: Vec<ObserverPoint>,
}

/// One number of CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// CPUs.
    pub cpus: u32,
    /// Rounds per second, in those of the first kernel on one CPU.
    pub rounds: Estimate,
    /// By what share of its rounds this kernel has more than the first one with as many CPUs. None for the
    /// first.
    pub change: Option<Estimate>,
}

/// What is to be expected of one lock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LockForecast {
    /// The lock.
    pub name: String,
    /// Its demand in guest instructions a round, the mean of the boots.
    pub demand: Demand,
    /// Of the outer lock's demand, what is done under this one.
    pub inside: Demand,
    /// The kernel that its calls' time was measured on, where that is another one.
    pub time_of: Option<String>,
    /// A round over the demand: so many CPUs would keep the lock in use all the time if none ever
    /// waited. More CPUs cannot have more rounds than these. Infinite where there is no demand.
    pub knee_cpus: Estimate,
    /// The least number of CPUs at which it is in use [`BUSY`] of the time; infinite where that is more
    /// than [`MOST_CPUS`](super::MOST_CPUS), or another lock keeps it from that.
    pub busy_from_cpus: Estimate,
}

/// The lock that limits next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NextLimit {
    /// The lock.
    pub lock: String,
    /// A round over its demand, which includes here what it does inside of the first one's holds.
    pub knee_cpus: f64,
}

impl Forecast {
    /// What is to be expected of one kernel on a machine, by the kernel's place.
    #[must_use]
    pub fn at(&self, kernel: usize, cpus: u32) -> Option<&CurvePoint> {
        let curve = &self.kernels.get(kernel)?.curve;
        curve.iter().find(|point| point.cpus == cpus)
    }
}

/// The forecast for some kernels, of which the first is the one to compare with. The same seed gives
/// the same forecast.
///
/// # Errors
///
/// When there is no kernel or no boot, or a boot's numbers make no sense: negative, not finite, more
/// in the locks than in the round, or other locks than the kernel's first boot has.
pub fn forecast(
    kernels: &[KernelDemands],
    subject: &Subject,
    seed: u64,
) -> Result<Forecast, ForecastError> {
    if kernels.is_empty() {
        return Err(ForecastError::NoKernels);
    }
    for kernel in kernels {
        kernel.check()?;
    }
    let estimates = estimates(kernels, seed, statistics);
    let rows = kernels.iter().zip(estimates).enumerate();
    let mut boots = kernels.iter().flat_map(|kernel| &kernel.boots);
    let has_calls = boots.any(|boot| boot.locks.len() > 1);
    Ok(Forecast {
        label: LABEL,
        lock: subject.lock.clone(),
        unit: subject.unit,
        null_hold_known: subject.null_hold_known,
        unknown: subject.unknown.clone(),
        assumptions: subject.assumptions(has_calls),
        intervals: subject.intervals(),
        observer: subject.observer(),
        notes: notes(kernels),
        seed,
        kernels: rows
            .map(|(place, (kernel, estimates))| kernel_forecast(place, kernel, &estimates, subject))
            .collect(),
        published: match subject.unit {
            WorkUnit::TaskLife => PUBLISHED,
            WorkUnit::Iteration | WorkUnit::Second => &[],
        },
    })
}

/// The numbers of each kernel: its rounds and its change at each number of CPUs of a curve, then knee and
/// busy point of each lock.
fn statistics(kernels: &[RoundDemands], end: End) -> Vec<Vec<f64>> {
    let rates: Vec<Vec<f64>> = kernels.iter().map(|kernel| rates(kernel, end)).collect();
    let Some(first) = rates.first() else {
        return Vec::new();
    };
    let at = |rates: &[f64], cpus: u32| rates[cpus as usize - 1];
    let rows = kernels.iter().zip(&rates);
    rows.map(|(kernel, rates)| {
        let curve = || CURVE_CPUS.iter().copied();
        let rounds = curve().map(|cpus| at(rates, cpus) / at(first, 1));
        let changes = curve().map(|cpus| at(rates, cpus) / at(first, cpus) - 1.0);
        let demands = || kernel.locks.iter().map(|lock| lock.demand.at(end));
        let knees = demands().map(|demand| kernel.round / demand);
        let busy = demands().map(|demand| busy_from(rates, demand));
        rounds.chain(changes).chain(knees).chain(busy).collect()
    })
    .collect()
}

/// The least number of CPUs at which a lock is in use most of the time.
fn busy_from(rates: &[f64], demand: f64) -> f64 {
    let index = rates.iter().position(|rate| rate * demand >= BUSY);
    index.map_or(f64::INFINITY, |index| (index + 1) as f64)
}

fn kernel_forecast(
    place: usize,
    kernel: &KernelDemands,
    estimates: &[Estimate],
    subject: &Subject,
) -> KernelForecast {
    let mean = RoundDemands::mean(&kernel.boots.iter().collect::<Vec<_>>());
    let (rounds, rest) = estimates.split_at(CURVE_CPUS.len());
    let (changes, rest) = rest.split_at(CURVE_CPUS.len());
    let (knees, busy) = rest.split_at(mean.locks.len());
    let curve = CURVE_CPUS.iter().zip(rounds).zip(changes);
    let curve = curve.map(|((&cpus, &rounds), &change)| CurvePoint {
        cpus,
        rounds,
        change: (place > 0).then_some(change),
    });
    let locks = mean.locks.iter().zip(knees).zip(busy);
    let mut locks: Vec<LockForecast> = locks
        .map(|((lock, &knee_cpus), &busy_from_cpus)| LockForecast {
            name: lock.name.clone(),
            demand: lock.demand,
            inside: lock.inside,
            time_of: lock.time_of.clone(),
            knee_cpus,
            busy_from_cpus,
        })
        .collect();
    locks.sort_by(|a, b| b.demand.point.total_cmp(&a.demand.point));
    KernelForecast {
        name: kernel.name.clone(),
        boots: kernel.boots.len(),
        round: mean.round,
        observer: observer(&mean, subject),
        next_limit: next_limit(mean.round, &locks),
        locks,
        curve: curve.collect(),
    }
}

/// Without the first lock, what the others do inside of its holds has to queue for them.
fn next_limit(round: f64, locks: &[LockForecast]) -> Option<NextLimit> {
    let whole = |lock: &LockForecast| lock.demand.point + lock.inside.point;
    let others = locks.iter().skip(1).filter(|lock| whole(lock) > 0.0);
    let next = others.max_by(|a, b| whole(a).total_cmp(&whole(b)))?;
    Some(NextLimit {
        lock: next.name.clone(),
        knee_cpus: round / whole(next),
    })
}

fn notes(kernels: &[KernelDemands]) -> Vec<String> {
    let mut notes = Vec::new();
    for kernel in kernels {
        let boots = kernel.boots.len();
        if boots < LEAST_BOOTS {
            notes.push(format!(
                "Too few boots: {} has {}, and an interval takes {LEAST_BOOTS} of each kernel.",
                kernel.name,
                units::count_of(boots, "boot"),
            ));
        }
        let locks: &[LockDemand] = kernel.boots.first().map_or(&[], |boot| &boot.locks);
        for lock in locks {
            if let Some(other) = &lock.time_of {
                notes.push(format!(
                    "{}: calls that take {} were counted and not timed; the time of a call is that of {other}, \
                     where it runs inside of a hold.",
                    kernel.name, lock.name,
                ));
            }
        }
    }
    notes
}
