//! What a round asks of each lock.

use serde::Serialize;

use super::error::{ForecastError, at_least_one, not_negative};

/// Work per round, in guest instructions, at the three ends of the correction for what the
/// profiler itself does inside of holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Demand {
    /// With everything subtracted that the profiler added to a round and may have added here.
    pub low: f64,
    /// With a null hold subtracted from each hold.
    pub point: f64,
    /// As it was measured.
    pub high: f64,
}

impl Demand {
    /// The same at each end.
    #[must_use]
    pub const fn exact(demand: f64) -> Self {
        Self {
            low: demand,
            point: demand,
            high: demand,
        }
    }

    /// The demand at one end of the correction.
    pub(super) const fn at(&self, end: End) -> f64 {
        match end {
            End::Low => self.low,
            End::Point => self.point,
            End::High => self.high,
        }
    }

    /// Each end by itself.
    pub(super) fn from_ends(demand_at: impl Fn(End) -> f64) -> Self {
        Self {
            low: demand_at(End::Low),
            point: demand_at(End::Point),
            high: demand_at(End::High),
        }
    }

    fn check(&self, lock: &str) -> Result<(), ForecastError> {
        for end in End::ALL {
            not_negative(|| format!("the demand on {lock}"), self.at(end))?;
        }
        if self.low <= self.point && self.point <= self.high {
            return Ok(());
        }
        Err(ForecastError::Unordered {
            lock: lock.to_owned(),
            low: self.low,
            point: self.point,
            high: self.high,
        })
    }
}

/// How much of the profiler's own cost is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of it.
    Low,
    /// The null hold.
    Point,
    /// Nothing.
    High,
}

impl End {
    pub(super) const ALL: [Self; 3] = [Self::Low, Self::Point, Self::High];
}

/// What a round asks of one lock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LockDemand {
    /// The lock.
    pub name: String,
    /// What is done under it outside of every hold of another lock of the network: tasks queue for
    /// this.
    pub demand: Demand,
    /// What is done under it inside of a hold of the outer lock, as a part of the outer lock's demand.
    /// The outer lock lets only one task in, so that nobody queues for this; it counts again where the
    /// outer lock is relieved.
    pub inside: Demand,
    /// The kernel that the time of a call was measured on, where this one had only the number of
    /// calls.
    pub time_of: Option<String>,
}

impl LockDemand {
    /// A lock that is never taken inside of another's hold.
    #[must_use]
    pub fn new(name: &str, demand: Demand) -> Self {
        Self {
            name: name.to_owned(),
            demand,
            inside: Demand::default(),
            time_of: None,
        }
    }
}

/// Service demands of one round in one boot, in guest instructions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundDemands {
    /// All work of a round, the locks included, without the profiler: one CPU's instructions per second
    /// over its rounds per second in the bare runs of the same boot.
    pub round: f64,
    /// The same with the probes of holds attached, where it was measured.
    pub profiled: Option<f64>,
    /// By lock, in the same order in each boot of a kernel.
    pub locks: Vec<LockDemand>,
}

impl RoundDemands {
    fn check(&self) -> Result<(), ForecastError> {
        at_least_one("a round", self.round)?;
        if let Some(profiled) = self.profiled {
            at_least_one("a round with the profiler", profiled)?;
        }
        for (index, lock) in self.locks.iter().enumerate() {
            lock.demand.check(&lock.name)?;
            lock.inside.check(&lock.name)?;
            if self.locks[..index]
                .iter()
                .any(|other| other.name == lock.name)
            {
                return Err(ForecastError::LockTwice {
                    lock: lock.name.clone(),
                });
            }
        }
        // The most that the locks take is the measured demand.
        let demand: f64 = self.locks.iter().map(|lock| lock.demand.high).sum();
        if demand > self.round {
            return Err(ForecastError::DemandsExceedRound {
                demand,
                round: self.round,
            });
        }
        Ok(())
    }

    fn has_locks_of(&self, other: &Self) -> bool {
        let names = |round: &Self| -> Vec<String> {
            round.locks.iter().map(|lock| lock.name.clone()).collect()
        };
        names(self) == names(other)
    }

    /// The mean of some boots of one kernel, of which there is at least one.
    pub(super) fn mean(boots: &[&Self]) -> Self {
        let mean = |of: &dyn Fn(&Self) -> f64| {
            boots.iter().map(|boot| of(boot)).sum::<f64>() / boots.len().max(1) as f64
        };
        let locks = boots.first().map_or(&[][..], |first| &first.locks);
        Self {
            round: mean(&|boot| boot.round),
            profiled: boots
                .iter()
                .map(|boot| boot.profiled)
                .sum::<Option<f64>>()
                .map(|sum| sum / boots.len().max(1) as f64),
            locks: locks
                .iter()
                .enumerate()
                .map(|(index, lock)| LockDemand {
                    name: lock.name.clone(),
                    demand: Demand::from_ends(|end| mean(&|boot| boot.locks[index].demand.at(end))),
                    inside: Demand::from_ends(|end| mean(&|boot| boot.locks[index].inside.at(end))),
                    time_of: lock.time_of.clone(),
                })
                .collect(),
        }
    }
}

/// The boots of one kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelDemands {
    /// The kernel's name in the comparison.
    pub name: String,
    /// Its boots: a boot is the sample.
    pub boots: Vec<RoundDemands>,
}

impl KernelDemands {
    /// Whether a forecast can be made from them.
    pub(super) fn check(&self) -> Result<(), ForecastError> {
        let Some(first) = self.boots.first() else {
            return Err(ForecastError::NoBoots {
                kernel: self.name.clone(),
            });
        };
        for (index, boot) in self.boots.iter().enumerate() {
            boot.check().map_err(|source| ForecastError::OfBoot {
                kernel: self.name.clone(),
                boot: index + 1,
                source: Box::new(source),
            })?;
            if !boot.has_locks_of(first) {
                return Err(ForecastError::LocksDiffer {
                    kernel: self.name.clone(),
                    boot: index + 1,
                });
            }
        }
        let demanded = self.boots.iter().flat_map(|boot| &boot.locks);
        if demanded.map(|lock| lock.demand.point).sum::<f64>() > 0.0 {
            return Ok(());
        }
        Err(ForecastError::NoDemand {
            kernel: self.name.clone(),
        })
    }
}
