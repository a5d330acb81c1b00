//! What a plan costs on this machine, and what the budget allows of it: before anything is attached by what
//! /proc/stat tells, and later by what was counted.

use anyhow::{Result, bail};

use super::{
    Budget, Costs, Decision, MeasuredEffect, Predicted, Rates, Speed, Tally, announce, decide,
    predict,
    rates::{of_lock, passing},
};
use crate::{
    kernel::{AttachPlan, Capabilities, LockRates},
    recording::schema::{
        Arrangement, BudgetPlan, Detail, Method, NullHold, RunTime, Tier, WindowKind,
    },
};

/// What a decision depends on, and what does not change while a run lasts.
#[derive(Clone, Copy, Debug)]
pub struct Foresight {
    budget: Budget,
    method: Method,
    arrangement: Option<Arrangement>,
    wanted: WindowKind,
    cpus: u32,
    counted: Counted,
}

/// What was counted for a moment before anything was attached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// How often locks of the target's kind are taken here, where that is followed by task.
    pub locks: Option<LockRates>,
    /// How often the functions are called whose calls were asked for, where any were.
    pub calls_per_s: Option<f64>,
}

impl Foresight {
    /// Of a plan that has what was asked for, as far as this kernel allows it.
    #[must_use]
    pub fn new(
        budget: Budget,
        plan: &AttachPlan,
        detail: Detail,
        capabilities: &Capabilities,
    ) -> Self {
        Self {
            budget,
            method: plan.method,
            arrangement: plan.arrangement,
            wanted: match (plan.tier, plan.detail(detail)) {
                (Tier::Exact, Detail::Spans) => WindowKind::Spans,
                (Tier::Exact, Detail::Holds) => WindowKind::Holds,
                _ => WindowKind::Waits,
            },
            cpus: capabilities.machine.cpus_online.unwrap_or(1),
            counted: Counted::default(),
        }
    }

    /// The same, by what was counted before anything was attached.
    #[must_use]
    pub const fn with_counted(self, counted: Counted) -> Self {
        Self { counted, ..self }
    }

    /// How often what costs something happens, before anything is attached.
    fn first_rates(&self, lives_per_s: f64) -> Rates {
        let rates = match self.counted.locks {
            Some(locks) => Rates::by_locks(self.cpus, locks),
            None => Rates::by_lives(self.cpus, lives_per_s),
        };
        self.with_passing(rates)
    }

    /// What is counted from now on.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let locks = self.counted.locks;
        locks.map_or_else(Tally::default, |locks| Tally::with_holds(of_lock(locks)))
    }

    /// Rates that were counted in a window, where nobody counts the holds of other locks, the switches and the calls outside
    /// of its holds: as many as before.
    #[must_use]
    pub fn with_passing(&self, rates: Rates) -> Rates {
        Rates {
            calls: self.counted.calls_per_s.unwrap_or(0.0),
            passing: self.counted.locks.map_or(0.0, passing),
            switches: self
                .counted
                .locks
                .and_then(|locks| locks.switches_per_s)
                .unwrap_or(0.0),
            ..rates
        }
    }

    /// The online CPUs.
    #[must_use]
    pub const fn cpus(&self) -> u32 {
        self.cpus
    }

    /// How fast this machine runs the programs, by its null hold in windows of this kind.
    #[must_use]
    pub fn speed(&self, null_hold: &NullHold, kind: WindowKind, run_time: &[RunTime]) -> Speed {
        Speed::measured(null_hold, kind, self.method, self.arrangement, run_time)
    }

    /// A decision as the recording has it.
    #[must_use]
    pub fn to_recording(&self, decision: &Decision, speed: Speed) -> BudgetPlan {
        BudgetPlan {
            allowed: self.budget.share(),
            expected: decision.expected,
            kind: decision.kind.unwrap_or(WindowKind::Bare),
            share: decision.share,
            reason: decision.reason.clone(),
            costs: speed.source().to_owned(),
        }
    }

    /// What each kind of window up to that is expected to cost.
    #[must_use]
    pub fn predict(&self, speed: Speed, rates: &Rates) -> Predicted {
        let costs: Vec<(WindowKind, Costs)> = WindowKind::ALL
            .into_iter()
            .filter(|kind| *kind != WindowKind::Bare && *kind <= self.wanted)
            .map(|kind| {
                let costs = if kind >= WindowKind::Holds && self.counted.locks.is_some() {
                    Costs::by_task(kind, self.method, speed)
                } else {
                    Costs::of(kind, self.method, self.arrangement, speed)
                };
                (kind, costs)
            })
            .collect();
        predict(&costs, rates)
    }

    /// What the budget allows at these rates.
    #[must_use]
    pub fn decide(&self, speed: Speed, rates: &Rates, measured: &[MeasuredEffect]) -> Decision {
        decide(
            self.budget,
            self.wanted,
            &self.predict(speed, rates),
            measured,
        )
    }

    /// What the budget allows before anything is attached, by the tasks that the machine makes a second.
    ///
    /// # Errors
    /// It allows nothing.
    pub fn decide_first(&self, lives_per_s: f64) -> Result<Decision> {
        let rates = self.first_rates(lives_per_s);
        let decision = self.decide(Speed::assumed(), &rates, &[]);
        if decision.kind.is_none() {
            bail!("{}; --budget off attaches all the same", decision.reason);
        }
        Ok(decision)
    }

    /// What is to be said before it is attached: `plan` has what was decided.
    #[must_use]
    pub fn announce(
        &self,
        plan: &AttachPlan,
        capabilities: &Capabilities,
        lives_per_s: f64,
        decision: &Decision,
    ) -> Vec<String> {
        let speed = Speed::assumed();
        let rates = self.first_rates(lives_per_s);
        announce(
            plan,
            &capabilities.others,
            lives_per_s,
            self.counted,
            &self.predict(speed, &rates),
            decision,
            speed.source(),
        )
    }
}
