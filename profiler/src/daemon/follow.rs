//! What happens from the attached probes to the footer.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, anyhow};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{MissedTickBehavior, interval, interval_at},
};
use workloads::WorkloadLine;

use super::{
    LoadSpec, Outcome,
    budget::Keeper,
    cost::Usage,
    events::{Asked, Logger, Signals, at, changed, next, readable},
    heart::BEAT,
    in_progress::Watch,
    intervals::Next,
    load::{Load, LoadEvent},
    owners, priority, process,
    run_time::{self, RunTimeWindow},
    session::{ENDING, Session},
    windows::{Reading, Windows},
};
use crate::{
    guard::Patience,
    probe::programs::Programs,
    recording::schema::{Clock, Ended, Footer, Line, Phase},
    renounce,
};

/// How long a load that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A warm-up that is long enough for a window of the programs' run time under the load.
const ENOUGH_WARM_UP: Duration = Duration::from_millis(500);

impl Session {
    /// Says to the programs and to the guard that the daemon lives.
    pub fn beat(&self) {
        if let Some(programs) = &self.programs {
            self.heart.beat(programs);
        }
    }

    /// Runs the load, or waits, until something ends the run.
    pub async fn follow(&mut self, signals: &mut Signals) -> Result<Ended> {
        let mut logger = self.listen_to_programs()?;
        let spec = self.settings.load.clone();
        let keeps_time = matches!(spec, Some(LoadSpec::Bundled { .. }));
        let warm_up = self.settings.warm_up;
        let mut window = self
            .programs
            .as_ref()
            .filter(|_| self.can_count_under_load())
            .and_then(RunTimeWindow::open);
        self.begin(Phase::WarmUp, "warm-up");
        let niceness = priority::raise();
        let programs = self.programs.as_ref();
        let followed = programs.and_then(|programs| programs.process.clone());
        if let Some((followed, process)) = followed.as_ref().zip(self.settings.process) {
            followed.begin(process);
        }
        self.state.load = spec
            .as_ref()
            .map(|spec| Load::start(spec, self.mark.clone(), niceness, followed.clone()))
            .transpose()?;
        self.renounce();
        let mut deadline = (!keeps_time).then(|| Instant::now() + warm_up);
        // A command may be over before a moment that lies in the past has come up among other events.
        if !keeps_time && warm_up.is_zero() {
            deadline = self.begin_measured()?;
        }
        let mut ending: Option<Ended> = None;
        let mut ticker = interval_at(
            (Instant::now() + self.settings.interval).into(),
            self.settings.interval,
        );
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = interval(owners::EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let window_over = self.window_over();
            let window_ends = window.as_ref().map(|window| window.ends);
            tokio::select! {
                asked = signals.next(), if ending != Some(Ended::Signal) => {
                    if asked == Asked::Stop && self.state.load.is_none() && ending.is_none() {
                        window = None;
                        let stopped = self.pause().await?;
                        deadline = deadline.map(|deadline| deadline + stopped);
                        continue;
                    }
                    Signals::let_the_next_one_kill();
                    self.progress.say(asked.answer());
                    if ending.is_none() {
                        self.turn_to(Phase::WarmUp, ENDING)?;
                    }
                    ending = Some(Ended::Signal);
                    let Some(load) = &mut self.state.load else { break };
                    load.terminate();
                    deadline = Some(Instant::now() + PATIENCE);
                }
                () = at(window_ends), if window_ends.is_some() => {
                    if let Some((window, programs)) = window.take().zip(self.programs.as_ref()) {
                        let later = window.close(programs);
                        let first = std::mem::take(&mut self.state.run_time);
                        self.state.run_time = run_time::merge(first, later);
                    }
                }
                () = at(deadline), if deadline.is_some() => {
                    if ending.is_some() {
                        self.progress.say(&format!(
                            "the load did not end within {} s of SIGTERM; it is killed",
                            PATIENCE.as_secs()
                        ));
                        break;
                    }
                    if self.state.phase == Phase::WarmUp {
                        window = None;
                        deadline = self.begin_measured()?;
                    } else {
                        self.turn_to(Phase::WarmUp, ENDING)?;
                        ending = Some(Ended::Duration);
                        let Some(load) = &mut self.state.load else { break };
                        load.terminate();
                        deadline = Some(Instant::now() + PATIENCE);
                    }
                }
                event = next(&mut self.state.load) => {
                    if let LoadEvent::Ended(status) = self.heard(event?, &mut window)? {
                        self.state.load_status = Some(status);
                        if ending.is_none() && self.state.phase == Phase::Measured {
                            self.turn_to(Phase::WarmUp, ENDING)?;
                        }
                        break;
                    }
                }
                () = at(window_over), if window_over.is_some() => {
                    self.leave_window()?;
                    if self.state.over_budget.is_some() {
                        self.turn_to(Phase::WarmUp, ENDING)?;
                        ending = Some(Ended::Budget);
                        let Some(load) = &mut self.state.load else { break };
                        load.terminate();
                        deadline = Some(Instant::now() + PATIENCE);
                    }
                }
                changed = changed(&mut self.state.windows) => {
                    let (links, changed) = changed?;
                    self.enter_window(links, changed)?;
                }
                _ = beats.tick() => {
                    self.beat();
                    self.heart.miss_guard(&self.progress);
                }
                _ = ticker.tick() => {
                    self.close_interval(Next::Same)?;
                    self.leave_ended_process();
                    if let (Some(watch), Some(programs)) = (&mut self.watch, &self.programs) {
                        watch.look(programs, &self.collector, self.state.phase);
                    }
                }
                _ = looks.tick(), if self.owners.is_some() => {
                    if let (Some(owners), Some(programs)) = (&mut self.owners, &self.programs) {
                        owners.look(programs);
                    }
                }
                ready = readable(&mut logger), if logger.is_some() => ready?,
            }
        }
        if let Some(load) = self.state.load.take() {
            self.state.load_status = self.state.load_status.or(load.status());
        }
        if self.is_changing() {
            self.expect_silence(Patience::Changing);
            self.end_of_change().await?;
        }
        // From here on a signal kills, and the kernel detaches what is left.
        Signals::let_the_next_one_kill();
        Ok(ending.unwrap_or(Ended::LoadEnded))
    }

    /// A bundled load's first process drives the workers, and does nothing else: what is followed is the first of theirs.
    fn follow_worker(&self) {
        let followed = self
            .programs
            .as_ref()
            .and_then(|programs| programs.process.as_ref());
        let driver = self.state.load.as_ref().and_then(Load::id);
        let Some((followed, driver)) = followed.zip(driver) else {
            return;
        };
        match process::children(driver).as_slice() {
            [] => self.progress.say(&format!(
                "which process the workers are in is not known: the {} of process {driver} is followed, which starts them",
                self.settings.request.lock
            )),
            [worker, others @ ..] => {
                followed.begin(*worker);
                let beside = match others.len() {
                    0 => String::new(),
                    number => format!(", one of {}", number + 1),
                };
                let lock = &self.settings.request.lock;
                self.progress.say(&format!(
                    "follows the {lock} of process {worker}, in which the workers are{beside}"
                ));
            }
        }
    }

    /// Follows a process no longer when it has ended: its memory, and with it its lock's address, may be another's soon.
    fn leave_ended_process(&mut self) {
        let followed = self
            .programs
            .as_ref()
            .and_then(|programs| programs.process.as_ref());
        let Some((followed, pid)) = followed.zip(self.settings.process) else {
            return;
        };
        if !process::exists(pid) {
            followed.end();
            self.settings.process = None;
            let lock = &self.settings.request.lock;
            self.progress.say(&format!(
                "process {pid} has ended: from now on no {lock} is followed"
            ));
        }
    }

    /// Begins the measured time, unless the load does; when it ends, where that is known.
    fn begin_measured(&mut self) -> Result<Option<Instant>> {
        self.turn_to(Phase::Measured, "measuring")?;
        if self.state.load.is_none() {
            self.progress.say(&self.what_is_measured());
        }
        Ok(self.settings.duration.map(|length| Instant::now() + length))
    }

    /// Gives up what was needed to attach. Not before the load runs: a program that has more capabilities than who
    /// executed it is not killed with its parent (kernel/cred.c, commit_creds), and a load of root's has all.
    fn renounce(&self) {
        if let Err(error) = renounce::for_good(self.kept) {
            self.progress.say(&format!(
                "cannot give up the capabilities that are not needed any more: {error}"
            ));
        }
    }

    /// Whether the programs' run time can be counted in the load's warm-up.
    ///
    /// The kernel switches its counting on and off by rewriting code that every CPU may be running.
    /// QEMU before 8.1 translates a page without locking it against writes (accel/tcg/translate-all.c,
    /// `page_lock_tb`), so that a virtual CPU may keep the breakpoint that stands there while the code is
    /// rewritten, and the guest dies of it: in an emulated machine only the calibration counts, when no
    /// load runs.
    pub fn can_count_under_load(&self) -> bool {
        self.clock == Clock::Hardware && self.settings.warm_up >= ENOUGH_WARM_UP
    }

    /// Said when there is no load to wait for.
    fn what_is_measured(&self) -> String {
        let lock = match &self.settings.locks {
            Some(_) => "all contended locks",
            None => &self.settings.request.lock,
        };
        match self.settings.duration {
            Some(length) => format!("measuring {lock} for {} s", length.as_secs_f64()),
            None => format!("measuring {lock} until Ctrl-C"),
        }
    }

    /// Registers the programs' log records with the runtime.
    fn listen_to_programs(&mut self) -> Result<Option<Logger>> {
        let Some(logger) = self.programs.as_mut().and_then(Programs::logger) else {
            return Ok(None);
        };
        // SAFETY: the logger owns the descriptor of its ring buffer, keeps it open and never
        // replaces it while it is registered.
        unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) }
            .map(Some)
            .context("cannot wait for log records of the programs")
    }

    /// Acts on what the load said; returns its end.
    fn heard(&mut self, event: LoadEvent, window: &mut Option<RunTimeWindow>) -> Result<LoadEvent> {
        match &event {
            LoadEvent::Said(WorkloadLine::Measurement) => {
                *window = None;
                self.turn_to(Phase::Measured, "measuring")?;
            }
            LoadEvent::Said(WorkloadLine::Average(_)) => {
                self.turn_to(Phase::WarmUp, ENDING)?;
            }
            LoadEvent::Said(WorkloadLine::GroundTruth(truth)) => {
                self.state.ground_truth = Some(truth.clone());
            }
            LoadEvent::Said(WorkloadLine::Warmup) => self.follow_worker(),
            LoadEvent::Said(WorkloadLine::Second { .. } | WorkloadLine::Other)
            | LoadEvent::Ended(_) => {}
        }
        Ok(event)
    }

    /// Ends an interval, and a phase with it.
    pub fn turn_to(&mut self, phase: Phase, doing: &'static str) -> Result<()> {
        if self.state.phase == Phase::Measured
            && phase == Phase::WarmUp
            && let (Some(watch), Some(programs)) = (&mut self.watch, &self.programs)
        {
            watch.note(programs, &mut self.collector);
        }
        self.close_interval(Next::Phase(phase))?;
        self.begin(phase, doing);
        Ok(())
    }

    /// Changes the phase.
    fn begin(&mut self, phase: Phase, doing: &'static str) {
        self.state.phase = phase;
        self.state.doing = doing;
        self.state.phase_began = Instant::now();
        if phase == Phase::Measured
            && let Some(schedule) = self.schedule.take()
        {
            let load = self.state.load.as_ref();
            let now = Reading::now(load.and_then(Load::iterations));
            self.state.windows = Some(Windows::begin(schedule, now));
        }
    }

    /// Detaches, reads the counters once more, and writes the footer; without an end, the run has
    /// failed, and no footer says that it ended in order.
    pub fn finish(&mut self, ended: Option<Ended>) -> Result<()> {
        // Of a run that has failed it still goes on.
        self.state.load = None;
        let controls = match ended {
            Some(_) => self.prove_at_the_end(),
            None => Vec::new(),
        };
        let missed = self.missed();
        let tasks_created = Usage::read()
            .tasks_created
            .saturating_sub(self.usage_at_attach.tasks_created);
        let began = Instant::now();
        let attached_s = (began - self.attached).as_secs_f64();
        if let Some(programs) = &self.programs {
            self.heart.beat_for(programs, Patience::Changing);
        }
        let detached = self.programs.as_mut().map_or(Ok(()), Programs::detach);
        let detach_s = began.elapsed().as_secs_f64();
        // Where it could not be detached, the guard stays until the links close with the programs.
        if detached.is_ok() {
            self.heart.rest();
        }
        self.progress.finish();
        let Some(ended) = ended else {
            if !self.recording.has_measurements() {
                self.recording.discard();
            }
            return detached;
        };
        self.collector.distrust_activity();
        self.close_interval_with(missed, Next::Same)?;
        self.recording.write(&Line::Footer(Box::new(Footer {
            ended,
            attached_s,
            launch_to_attach_s: self.launch_to_attach_s,
            detach_s,
            tasks_created,
            ground_truth: self.state.ground_truth.clone(),
            budget: self.keeper.as_ref().map(Keeper::to_recording),
            load_status: self.state.load_status.map(status_number),
            write_failures: self.recording.failures().to_vec(),
            controls,
            died: self.sight.died.clone(),
            in_progress: self.watch.as_ref().and_then(Watch::found).cloned(),
        })))?;
        self.recording.complete()?;
        detached
    }

    /// An error that has ended the run, with where that is which was measured before.
    pub fn tell_what_is_left(&self, error: Error) -> Error {
        if !self.recording.has_measurements() {
            return error;
        }
        let path = self.recording.path().display();
        if self.recording.is_in_place() {
            anyhow!("{error:#}; {path} has what was measured until then")
        } else {
            anyhow!(
                "{error:#}; what was measured is lost, for {path} was removed or replaced while it was written"
            )
        }
    }

    /// What the caller is told.
    pub fn outcome(&mut self, ended: Ended) -> Outcome {
        Outcome {
            recording: self.recording.path().to_owned(),
            claim: self.recording.take_claim(),
            ended,
            over_budget: (self.state.over_budget.clone()).filter(|_| ended == Ended::Budget),
            load_status: self.state.load_status.map(status_number),
            ground_truth: self.state.ground_truth.clone(),
        }
    }
}

/// An exit status as a shell would give it.
fn status_number(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1)
}
