//! The run as the main process drives it; the workers' side is in `worker`.

mod clock;
pub(crate) mod counters;
mod crew;
mod shared;
mod signals;
mod window;
mod worker;

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{FromRawFd as _, RawFd};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::affinity;
use crate::catalogue::load_of;
use crate::load::{Load, Session};
use crate::{GROUND_TRUTH_PREFIX, GroundTruth, Length, LockTaken, Mode, Options, Workload};
use crew::Crew;
use shared::{Phase, SharedArea};
use signals::{Event, SignalSets};
use window::{Reading, Window, seconds};
use worker::Job;

const SECOND_NS: u64 = 1_000_000_000;

/// How long to wait for workers to get ready before looking whether they are alive.
const READY_LOOK: Duration = Duration::from_millis(100);

/// Runs a workload to its end. See the documentation of the crate for what it prints.
pub(crate) fn run(
    workload: Workload,
    options: &Options,
    output: &mut dyn Write,
) -> anyhow::Result<GroundTruth> {
    refuse_threads()?;
    // What is still in the buffer would be the children's too.
    flush(output)?;
    let load = load_of(workload);
    let tasks = usize::try_from(options.tasks)?;
    let workers_per_process = match (options.mode, options.threads_each) {
        (Mode::Processes, None) => 1,
        (Mode::Processes, Some(_)) => bail!("--threads-each needs --mode threads"),
        (Mode::Threads, None) => tasks,
        (Mode::Threads, Some(threads)) => usize::try_from(threads)?,
    };
    let cpus = if options.no_affinity {
        None
    } else {
        let allowed = affinity::allowed_cpus().context("cannot tell which CPUs are allowed")?;
        affinity::plan(tasks, &allowed, affinity::core_of)
    };
    let area = match options.counters {
        Some(fd) => counters_of(fd, tasks),
        None => SharedArea::new(tasks),
    }
    .context("cannot map memory to share with the workers")?;
    let signals = SignalSets::block().context("cannot block signals")?;
    let name = CString::new(workload.name())?;
    let job = Job {
        area: &area,
        load: &load,
        workers_per_process,
        iterations: match options.length() {
            Length::Iterations(iterations) => Some(iterations),
            Length::Duration(_) | Length::UntilSignalled => None,
        },
        cpus: cpus.as_deref(),
        signals: &signals,
        name: &name,
        main_process: libc::pid_t::try_from(std::process::id())?,
    };
    // Gone when the workers are.
    let _prepared = (load.prepare)()?;
    let mut driver = Driver {
        crew: Crew::spawn(&job, options.mode)?,
        area: &area,
        signals: &signals,
        output,
    };
    let measured = driver.drive(&load, options)?;
    driver.crew.finish()?;

    let truth = account(
        workload,
        options,
        &load,
        &driver.crew,
        &area,
        &measured,
        cpus.is_some(),
    )?;
    let json = serde_json::to_string(&truth)?;
    writeln!(driver.output, "{GROUND_TRUTH_PREFIX}{json}").context(OUTPUT_FAILED)?;
    flush(driver.output)?;
    Ok(truth)
}

const OUTPUT_FAILED: &str = "cannot write the workload's output";

fn flush(output: &mut dyn Write) -> anyhow::Result<()> {
    output.flush().context(OUTPUT_FAILED)
}

/// The memory that whoever started this has made for the workers; the descriptor is closed, so that no task
/// inherits it.
fn counters_of(fd: RawFd, tasks: usize) -> io::Result<SharedArea> {
    // SAFETY: the descriptor was left open for this alone; where it is none, nothing is closed.
    let memory = unsafe { File::from_raw_fd(fd) };
    SharedArea::of(tasks, &memory)
}

/// A fork copies the calling thread alone: locks that others hold would stay locked for ever, and
/// the others would take signals that this one waits for.
fn refuse_threads() -> anyhow::Result<()> {
    // Without /proc there is no telling.
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        bail!("a workload must be started by a process with one thread; this one has {threads}");
    }
    Ok(())
}

/// What was measured.
struct Measured {
    warm_up_s: f64,
    window: Window,
    stopped_early: bool,
}

/// Why a phase ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PhaseEnd {
    Elapsed,
    StopRequested,
    /// Every worker is done, or one is in trouble.
    WorkersDone,
}

struct Driver<'run> {
    crew: Crew<'run>,
    area: &'run SharedArea,
    signals: &'run SignalSets,
    output: &'run mut dyn Write,
}

impl Driver<'_> {
    /// Takes the workers through the phases, until the measured window has ended.
    fn drive(&mut self, load: &Load, options: &Options) -> anyhow::Result<Measured> {
        let mut end = self.wait_for_ready()?;
        self.report_trouble()?;
        self.print(&format!("testcase:{}\nwarmup", load.description))?;

        // Without a warm-up, whoever reads these lines learns of the window before it begins, and
        // every iteration belongs to it.
        let has_warm_up = !options.warm_up.is_zero();
        if !has_warm_up && end == PhaseEnd::Elapsed {
            self.print("measurement")?;
        }
        let released = Reading::now(self.area);
        let mut began = released.clone();
        if end == PhaseEnd::Elapsed && has_warm_up {
            self.area.advance(Phase::Waiting, Phase::WarmUp);
            (end, began) = self.watch(&released, Some(options.warm_up))?;
            if end == PhaseEnd::Elapsed {
                self.area.advance(Phase::WarmUp, Phase::Measurement);
                self.print("measurement")?;
            }
        } else if end == PhaseEnd::Elapsed {
            self.area.advance(Phase::Waiting, Phase::Measurement);
        }

        let mut ended = began.clone();
        if end == PhaseEnd::Elapsed {
            let length = match options.length() {
                Length::Duration(duration) => Some(duration),
                Length::Iterations(_) | Length::UntilSignalled => None,
            };
            (end, ended) = self.watch(&began, length)?;
        }
        self.report_trouble()?;
        let window = match end {
            PhaseEnd::WorkersDone => Window::of_finished(self.area, began.at_ns),
            PhaseEnd::Elapsed | PhaseEnd::StopRequested => ended.since(&began),
        };
        // One that was stopped before it began has no average, not one of 0.
        if let Some(average) = window.average() {
            self.print(&format!("average:{average}"))?;
        }
        Ok(Measured {
            warm_up_s: seconds(began.at_ns.saturating_sub(released.at_ns)),
            window,
            stopped_early: end == PhaseEnd::StopRequested
                && options.length() != Length::UntilSignalled,
        })
    }

    /// Ends the run with an error if a worker is in trouble.
    fn report_trouble(&mut self) -> anyhow::Result<()> {
        if self.crew.is_in_trouble() {
            self.crew.finish()?;
        }
        Ok(())
    }

    /// Waits until every worker waits for its release.
    fn wait_for_ready(&mut self) -> anyhow::Result<PhaseEnd> {
        loop {
            let ready = self.area.wait_for_ready(READY_LOOK);
            match self.signals.wait(0)? {
                Event::StopRequest => return Ok(PhaseEnd::StopRequested),
                Event::Child => self.crew.reap()?,
                Event::Deadline => {}
            }
            if self.crew.is_in_trouble() || self.crew.is_gone() {
                return Ok(PhaseEnd::WorkersDone);
            }
            if ready {
                return Ok(PhaseEnd::Elapsed);
            }
        }
    }

    /// Prints a line after each second of a phase, and returns the last reading of the phase.
    fn watch(
        &mut self,
        began: &Reading,
        length: Option<Duration>,
    ) -> anyhow::Result<(PhaseEnd, Reading)> {
        let end_ns = length.map_or(u64::MAX, |length| {
            began.at_ns.saturating_add(clock::to_ns(length))
        });
        let mut previous = began.clone();
        let mut tick_ns = began.at_ns + SECOND_NS;
        loop {
            match self.signals.wait(end_ns.min(tick_ns))? {
                Event::StopRequest => {
                    return Ok((PhaseEnd::StopRequested, Reading::now(self.area)));
                }
                Event::Child => {
                    self.crew.reap().context("cannot wait for the workers")?;
                    if self.crew.is_gone() || self.crew.is_in_trouble() {
                        return Ok((PhaseEnd::WorkersDone, Reading::now(self.area)));
                    }
                }
                Event::Deadline => {
                    let reading = Reading::now(self.area);
                    if reading.at_ns >= tick_ns {
                        self.print_second(&reading.since(&previous))?;
                        previous = reading.clone();
                        // Seconds that this process slept through are not made up for.
                        let passed = (reading.at_ns - began.at_ns) / SECOND_NS;
                        tick_ns = began.at_ns + (passed + 1) * SECOND_NS;
                    }
                    if reading.at_ns >= end_ns {
                        return Ok((PhaseEnd::Elapsed, reading));
                    }
                }
            }
        }
    }

    fn print_second(&mut self, second: &Window) -> anyhow::Result<()> {
        self.print(&format!(
            "min:{} max:{} total:{}",
            second.min(),
            second.max(),
            second.total()
        ))
    }

    fn print(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.output, "{line}").context(OUTPUT_FAILED)?;
        flush(self.output)
    }
}

/// Adds up what the workers did, when all of them are gone.
fn account(
    workload: Workload,
    options: &Options,
    load: &Load,
    crew: &Crew<'_>,
    area: &SharedArea,
    measured: &Measured,
    affinity: bool,
) -> anyhow::Result<GroundTruth> {
    let processes = u64::try_from(crew.processes())?;
    let worker_threads = match options.mode {
        Mode::Processes => 0,
        Mode::Threads => u64::from(options.tasks),
    };
    let iterations_attempted_total = Reading::now(area).iterations.iter().sum();
    // Nobody failed, so every worker finished every iteration that it began, and is reaped itself.
    let tasks = processes + worker_threads + iterations_attempted_total * load.tasks_per_iteration;
    let calls_by = |session| {
        if load.session == session {
            processes
        } else {
            0
        }
    };
    Ok(GroundTruth {
        workload,
        mode: options.mode,
        tasks: options.tasks,
        affinity,
        stopped_early: measured.stopped_early,
        warm_up_s: measured.warm_up_s,
        duration_s: measured.window.duration_s(),
        iterations: measured.window.total(),
        iterations_attempted_total,
        per_second: measured.window.per_second(),
        per_task_min: measured.window.min(),
        per_task_max: measured.window.max(),
        tasks_created: tasks,
        tasks_reaped: tasks,
        null_holds: iterations_attempted_total * load.null_holds_per_iteration,
        setsid_calls: calls_by(Session::Own),
        setpgid_calls: calls_by(Session::OwnGroup),
        lock: load.takes.map(|takes| LockTaken {
            name: takes.lock.to_owned(),
            exclusive: iterations_attempted_total * takes.exclusive,
            shared: iterations_attempted_total * takes.shared,
        }),
    })
}
