//! What is left of the throughput of two tasks that take one lock in turn, by the clock that counts instructions: threads that
//! map memory, and a pipe that bytes go through.

use anyhow::{Context, Result};
use lab::vm::protocol::Step;
use lab::vm::{Clock, VmOutcome};

use super::observers::{self, ONE_READING_S};
use super::results::Left;
use crate::bench::bpftrace;
use crate::bench::laboratory::Laboratory;
use crate::bench::loads;
use crate::bench::observer::Observer;
use crate::bench::peers::Peers;
use crate::bench::recording::Recording;
use crate::bench::script::Settle;
use crate::bench::statistics::mean;
use crate::guest::round::{self, Lab};

/// Turns of each observer.
const TURNS: usize = 4;
/// Tasks of a load, and iterations of each.
const TASKS: u32 = 2;
const ITERATIONS: u32 = 20_000;
/// A pipe with a name, and the file in which its mutex's address is.
const FIFO: &str = "/tmp/fifo";
const ADDRESS: &str = "/tmp/address";
/// What stands in the place of the address in a command line.
const UNKNOWN: &str = "ADDRESS";
/// The folder of lockprof's recordings in the guest's /out, where it starts the load.
const RECORDING: &str = "mmap";

/// One boot for each load.
pub fn run(laboratory: &Laboratory, lab: &Lab<'_>, peers: &Peers) -> Result<Vec<Left>> {
    let klockstat = peers.klockstat.as_ref();
    let klockstat = klockstat.map_err(|why| anyhow::anyhow!("{why}"))?;
    let klockstat = observers::klockstat_of_all(klockstat);
    let mut left = of_load(laboratory, lab, peers, &mmap(klockstat.clone()))?;
    left.extend(of_load(laboratory, lab, peers, &pipe(klockstat))?);
    Ok(left)
}

/// A load, and what is attached to it.
struct Load {
    name: &'static str,
    lock: &'static str,
    /// What comes before the first run.
    before: Vec<Step>,
    /// What comes after the last.
    after: Vec<Step>,
    step: Step,
    observers: Vec<Attached>,
    /// Iterations a second of a run.
    rate: fn(&VmOutcome, usize) -> Result<f64>,
}

/// How an observer and the load come together.
enum Attached {
    /// It is there when the load starts, and ends afterwards.
    Beside(Observer),
    /// It starts the load, and leaves the rate in its recording.
    Around(&'static str),
}

impl Attached {
    fn what(&self) -> String {
        match self {
            Self::Beside(observer) => observer.what.clone(),
            Self::Around(what) => (*what).to_owned(),
        }
    }
}

/// The load's own mmap_lock has no address before it runs: lockprof starts it. The script knows its tasks by their name.
fn mmap(klockstat: Observer) -> Load {
    let iterations = ITERATIONS.to_string();
    let script = bpftrace::observer_where(
        "comm == \"mmap\"",
        "down_write_killable",
        "up_write,kfunc:downgrade_write",
    );
    Load {
        name: "mmap -t 2",
        lock: "the process's mmap_lock",
        before: Vec::new(),
        after: Vec::new(),
        step: loads::step("mmap", TASKS, "0", &["--iterations", &iterations]),
        observers: vec![
            Attached::Around("lockprof run --lock mmap_lock"),
            Attached::Beside(klockstat),
            Attached::Beside(script),
        ],
        rate: |outcome, place| {
            let step = outcome.steps.get(place).context("a step has no outcome")?;
            let rate = loads::ground_truth(step)?.per_second;
            rate.context("a load was stopped before it was measured")
        },
    }
}

/// The bundled load makes a pipe of its own; this one has a name, so that its mutex is the same in each run.
fn pipe(klockstat: Observer) -> Load {
    let script = "kretfunc:fifo_open { printf(\"0x%lx\\n\", (uint64)args->inode->i_pipe + \
                  offsetof(struct pipe_inode_info, mutex)); exit(); }";
    let find = Step::new(["bpftrace", "-B", "line", "-o", ADDRESS, "-e", script]);
    let hold = Step::new(["/init", "held-fifo", FIFO, ADDRESS]);
    let found = Step {
        await_step: Some(0),
        ..Step::default()
    };
    let lockprof = Observer::lockprof("holds", "fentry", ONE_READING_S);
    let lockprof = lockprof.of_lock(&format!("{UNKNOWN}:mutex"));
    let script = bpftrace::observer_where(
        &format!("(uint64)args->lock == {UNKNOWN}"),
        "mutex_lock",
        "mutex_unlock",
    );
    let [tasks, iterations] = [TASKS, ITERATIONS].map(|number| number.to_string());
    Load {
        name: "pipe -t 2, by a pipe with a name",
        lock: "the pipe's mutex",
        before: vec![
            find.background(None),
            hold.background(Some("held-fifo")),
            found,
        ],
        after: vec![Step::ending(1, libc::SIGINT)],
        step: Step::new(["/init", "fifo", FIFO, &tasks, &iterations]),
        observers: [lockprof, klockstat, script].map(Attached::Beside).into(),
        rate: |outcome, place| {
            let step = outcome.steps.get(place).context("a step has no outcome")?;
            let seconds: f64 = step.text().trim().parse().context("no seconds")?;
            Ok(f64::from(TASKS) * f64::from(ITERATIONS) / seconds)
        },
    }
}

/// Where in a script the runs of one turn are.
struct Turn {
    observer: usize,
    before: usize,
    with: usize,
    after: usize,
    recording: Option<String>,
}

fn of_load(
    laboratory: &Laboratory,
    lab: &Lab<'_>,
    peers: &Peers,
    load: &Load,
) -> Result<Vec<Left>> {
    let (steps, turns) = script(load);
    let mut request = laboratory.request(lab, steps);
    peers.add_to(&mut request)?;
    request.cpus = 1;
    request.clock = Clock::Instructions;
    let outcome = round::succeed(&request)
        .with_context(|| format!("a boot about the throughput of {} failed", load.name))?;
    let seconds = outcome.wall.as_secs_f64();
    eprintln!(
        "bench: {}, {}: a boot took {seconds:.0} s",
        lab.kernel.name, load.name
    );
    let mut left: Vec<Left> = load
        .observers
        .iter()
        .map(|observer| Left {
            load: load.name.to_owned(),
            lock: load.lock.to_owned(),
            what: observer.what(),
            ..Left::default()
        })
        .collect();
    let mut bare = Vec::new();
    for turn in turns {
        let around = [turn.before, turn.after].map(|place| (load.rate)(&outcome, place));
        let around = around.into_iter().collect::<Result<Vec<_>>>()?;
        let with = match &turn.recording {
            Some(name) => Recording::of(&outcome, name)?.per_second()?,
            None => (load.rate)(&outcome, turn.with)?,
        };
        let without = mean(around.into_iter());
        left[turn.observer].shares.push(with / without);
        bare.push(without);
    }
    let bare_per_second = mean(bare.into_iter());
    for one in &mut left {
        one.bare_per_second = bare_per_second;
    }
    Ok(left)
}

/// Each observer in turn, between two runs without any; the first run is the warm-up.
fn script(load: &Load) -> (Vec<Step>, Vec<Turn>) {
    let settle = Settle::INSTRUCTIONS;
    let mut steps = load.before.clone();
    let push = |steps: &mut Vec<Step>, step| {
        steps.push(step);
        steps.len() - 1
    };
    let run = load.step.clone().delay(settle.load);
    push(&mut steps, Step::default().delay(settle.boot));
    push(&mut steps, run.clone());
    let mut before = push(&mut steps, run.clone());
    let mut turns = Vec::new();
    for round in 1..=TURNS {
        for (observer, attached) in load.observers.iter().enumerate() {
            let (with, recording) = match attached {
                Attached::Beside(one) => {
                    let one = one.clone().in_round(round);
                    let started = push(&mut steps, at_address(one.step()));
                    let settled = Step::default().delay(settle.observer + one.attaches_in_ms);
                    push(&mut steps, settled);
                    let with = push(&mut steps, run.clone());
                    let ended = Step::ending(started, libc::SIGINT).delay(settle.observer);
                    push(&mut steps, ended);
                    (with, None)
                }
                Attached::Around(_) => {
                    let name = format!("{RECORDING}-{round}");
                    let with = push(&mut steps, around(&name).delay(settle.observer));
                    (with, Some(name))
                }
            };
            let after = push(&mut steps, run.clone());
            turns.push(Turn {
                observer,
                before,
                with,
                after,
                recording,
            });
            before = after;
        }
    }
    steps.extend(load.after.iter().cloned());
    (steps, turns)
}

/// lockprof with the load that maps memory.
fn around(name: &str) -> Step {
    let words = format!(
        "lockprof run --quiet --no-report --windows off --interval {ONE_READING_S} --lock mmap_lock --output /out/{name} \
         --workload mmap --tasks {TASKS} --iterations {ITERATIONS} --warm-up 0"
    );
    Step::new(words.split(' '))
}

/// The step with the address in its words, where it has the word for it.
fn at_address(step: Step) -> Step {
    if !step.argv.iter().any(|word| word.contains(UNKNOWN)) {
        return step;
    }
    let before = ["/init", "with-address", ADDRESS].map(str::to_owned);
    let argv = before.into_iter().chain(step.argv.clone()).collect();
    Step { argv, ..step }
}
