//! Keeps a budget while a run goes on: decides again after each window with probes, by what was counted in it.

use super::{Decision, Foresight, MeasuredEffect, Speed, Tally};
use crate::{
    profile::{Effect, Windows},
    recording::schema::{BudgetPlan, Interval, NullHold, RunTime, WindowKind, WindowPlan},
};

/// A share that differs from the present one by less than this part of it changes nothing.
const WORTH_A_CHANGE: f64 = 0.1;

/// So many windows and edges tell the effect as it is now.
const REMEMBERED: usize = 200;
/// Nothing is attached any more where that is decided so often in a row: a gust is no reason to leave.
const OVER_IN_A_ROW: u32 = 3;

/// What is needed to decide again, and what was decided last.
#[derive(Debug)]
pub struct Keeper {
    foresight: Foresight,
    speed: Speed,
    plan: WindowPlan,
    /// What has been measured of the effect.
    windows: Windows,
    /// What has been counted in the window that goes on, and the daemon's own time since the beginning.
    tally: Tally,
    decided: Decision,
    /// How often in a row nothing was allowed.
    over: u32,
}

impl Keeper {
    /// Begins with what was decided before anything was attached.
    #[must_use]
    pub fn new(foresight: Foresight, decided: Decision, plan: WindowPlan) -> Self {
        Self {
            foresight,
            speed: Speed::assumed(),
            plan,
            windows: Windows::default(),
            tally: foresight.tally(),
            decided,
            over: 0,
        }
    }

    /// Takes note of how fast this machine runs the programs of windows of this kind.
    pub fn calibrate(&mut self, null_hold: &NullHold, kind: WindowKind, run_time: &[RunTime]) {
        self.speed = self.foresight.speed(null_hold, kind, run_time);
    }

    /// What is measured by the last decision.
    #[must_use]
    pub const fn kind(&self) -> Option<WindowKind> {
        self.decided.kind
    }

    /// Takes note of an interval: what is decided anew, where it ends a window with probes and anything
    /// changes.
    pub fn saw(&mut self, interval: &Interval) -> Option<&Decision> {
        let window = interval.window?;
        self.windows.add(interval, &window);
        self.windows.forget_all_but(REMEMBERED);
        let has_probes = window.kind != WindowKind::Bare && !window.edge;
        self.tally.add(interval, has_probes);
        let done = window.done.filter(|_| has_probes)?;
        let lives = done.tasks_created as f64 / done.seconds;
        let rates = self.tally.take(self.foresight.cpus(), window.kind, lives)?;
        let rates = self.foresight.with_passing(rates);
        let measured = self.measured();
        let decision = self.foresight.decide(self.speed, &rates, &measured);
        self.over = if decision.kind.is_none() {
            self.over + 1
        } else {
            0
        };
        let not_yet = (1..OVER_IN_A_ROW).contains(&self.over);
        if not_yet || !differs(&self.decided, &decision) {
            return None;
        }
        self.decided = decision;
        Some(&self.decided)
    }

    /// The effects of all kinds, as far as windows have told them: also of those that are measured no more.
    fn measured(&self) -> Vec<MeasuredEffect> {
        let effect = Effect::of(&self.plan, self.windows.finished());
        let known = effect.kinds.iter().filter_map(|of_kind| {
            let interval = of_kind.interval?;
            Some(MeasuredEffect {
                kind: of_kind.kind,
                lost: 1.0 - of_kind.ratio?,
                low: 1.0 - interval.high,
                high: 1.0 - interval.low,
            })
        });
        known.collect()
    }

    /// The last decision, as the recording has it.
    #[must_use]
    pub fn to_recording(&self) -> BudgetPlan {
        self.foresight.to_recording(&self.decided, self.speed)
    }
}

/// Whether a decision changes what is attached, or for how much of the time.
fn differs(old: &Decision, new: &Decision) -> bool {
    old.kind != new.kind || (new.share - old.share).abs() > WORTH_A_CHANGE * old.share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        daemon::budget::{Budget, Rates},
        kernel::{Request, examples::debian_6_12, plan},
        recording::schema::{CpuInterval, Detail, Done, OwnCost, SiteInterval, Window},
    };

    fn keeper(lives_per_s: f64) -> Keeper {
        let capabilities = debian_6_12();
        let request = Request {
            detail: Detail::Holds,
            ..Request::default()
        };
        let plan = plan(&capabilities, &request).unwrap();
        let budget = Budget::Share(0.01);
        let foresight = Foresight::new(budget, &plan, Detail::Holds, &capabilities);
        let rates = Rates::by_lives(foresight.cpus(), lives_per_s);
        let decided = foresight.decide(Speed::assumed(), &rates, &[]);
        let turn = vec![WindowKind::Holds, WindowKind::Bare];
        Keeper::new(foresight, decided, WindowPlan { turn, seconds: 0.5 })
    }

    /// A whole window of one second, in which the lock was held so often.
    fn window(number: u32, kind: WindowKind, holds: u64, iterations: u64) -> Interval {
        Interval {
            at_s: number.into(),
            seconds: 1.0,
            window: Some(Window {
                number,
                kind,
                edge: false,
                done: Some(Done {
                    seconds: 1.0,
                    iterations: Some(iterations),
                    tasks_created: holds / 3,
                }),
            }),
            cpus: vec![CpuInterval {
                cpu: 0,
                sites: vec![SiteInterval {
                    site: "fork".to_owned(),
                    holds,
                    held_ns: holds * 500,
                    waits: 0,
                    waited_ns: 0,
                    hold_buckets: Vec::new(),
                    wait_buckets: Vec::new(),
                }],
            }],
            own: OwnCost {
                cpu_s: 0.001,
                resident_bytes: 0,
            },
            ..Interval::default()
        }
    }

    #[test]
    fn a_busier_machine_gets_fewer_windows_and_a_quieter_one_more() {
        let mut keeper = keeper(100.0);
        assert_eq!(keeper.decided.share, 1.0);
        let share = |keeper: &mut Keeper, number, holds| {
            let interval = window(number, WindowKind::Holds, holds, 1000);
            let decided = keeper.saw(&interval).cloned();
            decided.map(|decided| (decided.kind, decided.share < 0.999))
        };
        let holds = Some(WindowKind::Holds);
        assert_eq!(share(&mut keeper, 1, 300), None);
        assert_eq!(share(&mut keeper, 3, 200_000), Some((holds, true)));
        assert_eq!(share(&mut keeper, 5, 200_000), None);
        assert_eq!(share(&mut keeper, 7, 300), Some((holds, false)));
        // Bare windows and edges tell nothing of rates.
        let bare = window(8, WindowKind::Bare, 0, 1000);
        assert_eq!(keeper.saw(&bare), None);
        assert_eq!(keeper.to_recording().allowed, Some(0.01));
    }

    #[test]
    fn a_lock_that_is_never_at_rest_is_left() {
        let mut keeper = keeper(100.0);
        let mut decided = None;
        for number in 1..4 {
            let interval = window(number, WindowKind::Holds, 30_000_000, 1000);
            decided = keeper.saw(&interval).cloned().or(decided);
        }
        assert_ne!(keeper.kind(), Some(WindowKind::Holds), "{decided:?}");
    }

    #[test]
    fn a_measured_effect_that_is_beyond_the_budget_counts() {
        let mut keeper = keeper(100.0);
        // By prediction it costs next to nothing; the load loses a fifth.
        let mut last = None;
        for number in 0..10 {
            let noise = u64::from(number % 2);
            let bare = window(2 * number + 1, WindowKind::Bare, 0, 100_000 + noise);
            assert_eq!(keeper.saw(&bare), None);
            let holds = window(2 * number + 2, WindowKind::Holds, 300, 80_000 - noise);
            last = keeper.saw(&holds).cloned().or(last);
        }
        let decided = last.expect("it is decided anew");
        assert_eq!(decided.kind, Some(WindowKind::Waits), "{decided:?}");
    }
}
