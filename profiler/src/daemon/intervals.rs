//! Reads the counters at the end of each interval, and writes what happened in it.

use std::{collections::BTreeMap, time::Instant};

use anyhow::Result;
use lockprof_abi::Phase as AbiPhase;

use super::{
    Collector,
    cost::Usage,
    load::Load,
    progress::{Moment, Seen},
    session::{ENDING, Session},
    windows::Reading,
};
use crate::{
    probe::{misses, programs::Programs},
    recording::schema::{Calibration, Interval, Line, Phase, Window, WindowKind},
    units::TimeUnit,
};

/// What comes after an interval.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// The same again.
    Same,
    /// Another phase.
    Phase(Phase),
    /// The edge before a window of this kind.
    Edge(WindowKind),
    /// The window behind an edge.
    Window,
}

impl Session {
    /// Runs that the kernel refused, by program.
    pub(super) fn missed(&self) -> BTreeMap<String, Option<u64>> {
        let programs = self.programs.as_ref();
        programs.map_or_else(BTreeMap::new, |programs| {
            misses::read(programs, &self.release)
        })
    }

    /// Says which spans could not be attached just now, and leaves it to the next interval to tell.
    pub(super) fn note_refused(&mut self) {
        let Some(programs) = &self.programs else {
            return;
        };
        for (span, why) in programs.refused() {
            if self.state.absent.insert(span.clone()) {
                self.progress.say(&format!("goes on without {span}: {why}"));
                self.state.refused.insert(span, why);
            }
        }
    }

    /// What a bundled load has done since the last call.
    fn iterations(&mut self) -> Option<u64> {
        let now = self.state.load.as_ref().and_then(Load::iterations)?;
        let done = now.saturating_sub(self.state.iterations);
        self.state.iterations = now;
        Some(done)
    }

    /// Ends an interval.
    pub(super) fn close_interval(&mut self, next: Next) -> Result<()> {
        let missed = self.missed();
        self.close_interval_with(missed, next)
    }

    /// The same; the programs are told of what comes next as soon as the counters are read. What ends in
    /// between is counted in the next interval, but noted among the longest of this phase.
    pub(super) fn close_interval_with(
        &mut self,
        missed: BTreeMap<String, Option<u64>>,
        next: Next,
    ) -> Result<()> {
        self.write_calibration()?;
        let control = self.control_of_interval();
        let now = Instant::now();
        let seconds = (now - self.state.interval_began).as_secs_f64();
        let mut interval = Interval {
            at_s: (now - self.attached).as_secs_f64(),
            seconds,
            phase: self.state.phase,
            iterations: self.iterations(),
            stopped_s: self.state.stopped.take().map(|time| time.as_secs_f64()),
            control,
            refused: std::mem::take(&mut self.state.refused),
            ..Interval::default()
        };
        let mut reading = None;
        let phase = self.told_phase();
        if let Some(programs) = &self.programs {
            let load = self.state.load.as_ref();
            self.collector.collect(programs, &mut interval, phase, || {
                tell(programs, next);
                if !matches!(next, Next::Same) {
                    reading = Some(Reading::now(load.and_then(Load::iterations)));
                }
            });
        }
        if let Some(owners) = &mut self.owners {
            interval.owner_samples = owners.take(self.programs.as_ref(), &mut self.collector.names);
        }
        let window = self.window_until(next, reading);
        interval.window = window;
        // Those of the calibration are written with it, after the warm-up.
        if self.state.calibrated {
            interval.controls = std::mem::take(&mut self.sight.controls);
        }
        self.judge_interval(&mut interval);
        let usage = Usage::read();
        (interval.own, interval.machine) = usage.since(&self.state.usage);
        // What is attached changes at an edge: nothing there is in a result.
        if !window.is_some_and(|window| window.edge) {
            interval.missed = since(&missed, &self.state.missed);
        }
        self.state.usage = usage;
        self.state.missed = match next {
            Next::Window => self.missed(),
            _ => missed,
        };
        self.state.interval_began = now;
        let (holds, held_ns) = Collector::holds(&interval.cpus);
        let waits = interval.contention.iter().map(|lock| lock.waits).sum();
        self.keep_budget(&interval);
        self.recording.write(&Line::Interval(Box::new(interval)))?;
        // Windows come and go too fast to be read.
        if matches!(next, Next::Edge(_) | Next::Window) {
            return Ok(());
        }
        self.progress.show(&Moment {
            elapsed: self.state.phase_began.elapsed(),
            whole: match (self.state.phase, self.state.doing) {
                (Phase::Measured, _) => self.settings.duration,
                (Phase::WarmUp, "warm-up") => Some(self.settings.warm_up),
                (Phase::WarmUp, _) => None,
            },
            phase: self.state.doing,
            holds,
            held_ns,
            waits,
            seconds,
            unit: TimeUnit::of(self.clock),
            seen: self.seen(window),
        });
        Ok(())
    }

    /// The phase as the programs know it: maxima of windows that lengthen the holds are kept apart.
    fn told_phase(&self) -> AbiPhase {
        let window = self.window();
        match self.state.phase {
            Phase::WarmUp => AbiPhase::WarmUp,
            Phase::Measured if window.is_some_and(|window| window.edge) => AbiPhase::Edge,
            Phase::Measured => measured(window.map(|window| window.kind)),
        }
    }

    /// Tells the programs the phase of the window that goes on.
    pub fn tell_measured(&self, programs: &Programs) {
        programs.tell(self.told_phase());
    }

    /// The window that goes on, in the measured time of a run with windows.
    pub(super) fn window(&self) -> Option<Window> {
        let windows = self.state.windows.as_ref()?;
        (self.state.phase == Phase::Measured).then(|| windows.window())
    }

    /// The window of the interval that ends; with what was done in it, where it ends as well.
    fn window_until(&mut self, next: Next, reading: Option<Reading>) -> Option<Window> {
        let mut window = self.window()?;
        // A load that ended by itself did so some time ago.
        let known = !matches!(next, Next::Phase(_)) || self.settings.duration.is_some();
        if let Some((windows, now)) = self.state.windows.as_mut().zip(reading) {
            let done = windows.finish(now);
            window.done = known.then_some(done);
        }
        Some(window)
    }

    /// What an interval shows on the progress line.
    fn seen(&self, window: Option<Window>) -> Seen {
        if self.state.doing == ENDING {
            return Seen::Controls;
        }
        let attached = self.programs.as_ref().map(Programs::kind);
        let is_edge = self.is_changing() || window.is_some_and(|window| window.edge);
        match window.map(|window| window.kind).or(attached) {
            _ if is_edge => Seen::Nothing,
            None | Some(WindowKind::Bare) => Seen::Nothing,
            Some(_) if attached.is_none() => Seen::Nothing,
            Some(WindowKind::Holds | WindowKind::Spans) => Seen::Holds,
            Some(WindowKind::Waits) => Seen::Waits,
        }
    }

    /// Writes the calibration once, before the first measured interval is written.
    fn write_calibration(&mut self) -> Result<()> {
        if self.state.calibrated || self.state.phase == Phase::WarmUp {
            return Ok(());
        }
        self.state.calibrated = true;
        self.recording.write(&Line::Calibration(Calibration {
            null_hold: self.state.null_hold,
            run_time: std::mem::take(&mut self.state.run_time),
            controls: std::mem::take(&mut self.sight.controls),
        }))?;
        Ok(())
    }
}

/// The measured phase of a window, as the programs know it.
const fn measured(kind: Option<WindowKind>) -> AbiPhase {
    match kind {
        Some(WindowKind::Spans) => AbiPhase::Spans,
        _ => AbiPhase::Measured,
    }
}

/// Tells the programs what comes next.
fn tell(programs: &Programs, next: Next) {
    match next {
        Next::Same => {}
        Next::Phase(Phase::WarmUp) => programs.tell(AbiPhase::WarmUp),
        Next::Phase(Phase::Measured) => programs.tell(AbiPhase::Measured),
        Next::Edge(kind) => programs.turn_to(kind),
        Next::Window => programs.arm(measured(Some(programs.kind()))),
    }
}

/// What was counted since the last reading, by program.
fn since(
    now: &BTreeMap<String, Option<u64>>,
    before: &BTreeMap<String, Option<u64>>,
) -> BTreeMap<String, Option<u64>> {
    let before = |program| before.get(program).copied().flatten().unwrap_or(0);
    now.iter()
        .map(|(program, total)| {
            let change = total.map(|total| total.saturating_sub(before(program)));
            (program.clone(), change)
        })
        .collect()
}
