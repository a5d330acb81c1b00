//! When controls are made, and what becomes of a run whose probes die.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use lockprof_abi::Phase as AbiPhase;

use super::{
    run_time::{self, RunTimeWindow},
    session::Session,
};
use crate::{
    guard::Patience,
    kernel::ByTask,
    probe::{
        calibrate,
        controls::{
            Circumstances, OwnHolds, holds_not_proved, null_holds, prove, prove_holds, prove_life,
        },
        programs::Programs,
    },
    recording::schema::{
        Control, Died, HoldsControl, Interval, Phase, Proof, Proves, RunTime, WindowKind,
    },
};

/// Null holds in the window in which the programs' run time is measured.
const TIMED_NULL_HOLDS: u64 = 200;
/// Between two controls of intervals, at least.
const SPACING: Duration = Duration::from_millis(100);

/// Takes a lock of this process by the functions that probes stand at, and proves by the kernel's own count that the
/// programs run; and what a run took.
///
/// That count has runs with any lock of the kind, and is cut to what was done here: it proves that a program runs at
/// all, not that it has run each time. None of them is with the target, but by chance: a run with another lock ends where
/// the address is compared.
fn hold_another(
    by_task: &ByTask,
    programs: &Programs,
    circumstances: &Circumstances,
) -> (Control, Vec<RunTime>) {
    let Some(window) = RunTimeWindow::open(programs) else {
        let why = format!(
            "BPF statistics, which take CAP_SYS_ADMIN, would tell whether the programs run with {} of lockprof's own",
            by_task.one
        );
        return (holds_not_proved(&why), Vec::new());
    };
    let held = (by_task.hold)(TIMED_NULL_HOLDS);
    let run_time = window.close(programs);
    if let Err(error) = held {
        let why = format!(
            "{} of lockprof's own could not be taken: {error}",
            by_task.one
        );
        return (holds_not_proved(&why), run_time);
    }
    let of_holds = programs
        .attached()
        .filter(|loaded| by_task.held_by.contains(&&*loaded.probe.target));
    let runs = of_holds.map(|loaded| {
        let of_it = |time: &&RunTime| time.program == loaded.probe.program;
        run_time.iter().find(of_it).map_or(0, |time| time.runs)
    });
    let seen = runs.min().unwrap_or(0);
    let control = prove_holds(TIMED_NULL_HOLDS, seen, circumstances);
    (control, run_time)
}

/// Whether holds are followed in windows of this kind.
const fn has_holds(kind: WindowKind) -> bool {
    matches!(kind, WindowKind::Holds | WindowKind::Spans)
}

impl Session {
    /// Measures the null hold and, around some more, the programs' own run time; and proves what the programs see.
    pub fn calibrate(&mut self) -> Result<()> {
        let Some(programs) = &self.programs else {
            return Ok(());
        };
        let mut made = None;
        let another = self.sight.circumstances.takes_another;
        let another = another.filter(|_| self.exact && has_holds(programs.kind()));
        if let Some(by_task) = another {
            let (control, run_time) = hold_another(by_task, programs, &self.sight.circumstances);
            self.state.run_time = run_time;
            made = Some(control);
        } else if self.exact && has_holds(programs.kind()) {
            let calibrated = calibrate::null_hold(programs)?;
            self.state.null_hold = calibrated.null_hold;
            let circumstances = &self.sight.circumstances;
            made = Some(prove_holds(
                calibrate::NULL_HOLDS,
                calibrated.seen,
                circumstances,
            ));
            self.heart.beat(programs);
            if let Some(window) = RunTimeWindow::open(programs) {
                calibrate::hold_nothing(TIMED_NULL_HOLDS)?;
                self.state.run_time = window.close(programs);
            }
            if let Some((keeper, null_hold)) = self.keeper.as_mut().zip(self.state.null_hold) {
                keeper.calibrate(&null_hold, programs.kind(), &self.state.run_time);
            }
            self.sight.own = OwnHolds::introduce(programs);
        } else if !self.can_count_under_load()
            && let Some(window) = RunTimeWindow::open(programs)
        {
            // What the machine does has to be enough: what contends a lock on purpose is not typical.
            thread::sleep(run_time::WINDOW);
            self.state.run_time = window.close(programs);
        }
        self.sight.controls = prove(programs, &self.sight.circumstances, made);
        self.sight.spans_tried = programs.kind() == WindowKind::Spans;
        self.beat();
        self.judge_controls();
        Ok(())
    }

    /// Makes the null holds of an interval that is about to be read: how many.
    pub(super) fn control_of_interval(&mut self) -> Option<HoldsControl> {
        let own = self.sight.own?;
        let programs = self.programs.as_ref()?;
        let is_edge = self.window().is_some_and(|window| window.edge);
        if is_edge || !has_holds(programs.kind()) || self.sight.made.elapsed() < SPACING {
            return None;
        }
        own.make();
        self.sight.made = Instant::now();
        Some(HoldsControl {
            done: OwnHolds::EACH,
            seen: 0,
        })
    }

    /// Looks whether they were seen.
    pub(super) fn judge_interval(&mut self, interval: &mut Interval) {
        let Some(control) = &mut interval.control else {
            return;
        };
        // What the interval before had not seen yet.
        control.seen = control.seen.min(control.done);
        if let Some(at_s) = self.sight.misses.add(*control, interval.at_s) {
            let why = self.sight.circumstances.cause();
            self.die(Proves::Holds, at_s, why);
        }
    }

    /// Proves spans when their probes are attached for the first time, between two windows.
    pub(super) fn prove_spans(&mut self) {
        let Some(programs) = &self.programs else {
            return;
        };
        if programs.kind() != WindowKind::Spans
            || self.sight.spans_tried
            || self.state.phase != Phase::Measured
        {
            return;
        }
        self.sight.spans_tried = true;
        self.heart.beat(programs);
        programs.arm(AbiPhase::Edge);
        self.sight.controls = prove_life(programs, &self.sight.circumstances);
    }

    /// Proves once more what is attached in the end: what a footer says. A run that ends without probes, as every
    /// second one with windows does, attaches those of waits once more for it: that takes milliseconds, where holds
    /// would take a third of a second to be left, and holds were proved in each interval of theirs.
    pub(super) fn prove_at_the_end(&mut self) -> Vec<Control> {
        // Nothing is made any more once the probes go.
        let own = self.sight.own.take();
        let Some(programs) = &mut self.programs else {
            return Vec::new();
        };
        if programs.kind() == WindowKind::Bare {
            self.heart.beat_for(programs, Patience::Changing);
            if let Err(error) = programs.attach(WindowKind::Waits) {
                self.progress.say(&format!(
                    "what the probes see is not proved once more at the end: {error:#}"
                ));
                return Vec::new();
            }
        }
        let Some(programs) = &self.programs else {
            return Vec::new();
        };
        // Links may have changed for longer than programs without a beat go on: they would see nothing, and not be dead.
        self.heart.beat(programs);
        let own = own.filter(|_| has_holds(programs.kind()));
        let made = own.map(|own| {
            let (done, seen) = null_holds(own, programs);
            prove_holds(done, seen, &self.sight.circumstances)
        });
        let before = std::mem::replace(
            &mut self.sight.controls,
            prove(programs, &self.sight.circumstances, made),
        );
        self.judge_controls();
        std::mem::replace(&mut self.sight.controls, before)
    }

    /// Whether the controls say that the probes are dead.
    fn judge_controls(&mut self) {
        let mut controls = self.sight.controls.iter();
        let dead = controls.find(|control| control.outcome == Proof::Dead);
        if let Some(Control { proves, why, .. }) = dead.cloned() {
            let at_s = self.sight.misses.since_s;
            let at_s = at_s.unwrap_or_else(|| self.attached.elapsed().as_secs_f64());
            self.die(proves, at_s, why.unwrap_or_default());
        }
    }

    /// The probes were found dead: said at once, and the run is void.
    fn die(&mut self, proves: Proves, at_s: f64, why: String) {
        if self.sight.died.is_some() {
            return;
        }
        self.progress.say(&format!(
            "from {at_s:.1} s after the attach on the probes see nothing any more: {why}; the run is void"
        ));
        self.sight.died = Some(Died { at_s, proves, why });
    }
}
