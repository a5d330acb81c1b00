//! Instructions of a wait that is slept for: the kernel's own account of how long programs run, in a guest whose
//! clock counts instructions. It is the same for everybody's programs.

use anyhow::{Context, Result};
use lab::vm::fdinfo::{self, Process};
use lab::vm::protocol::Step;
use lab::vm::{Clock, StepOutcome};

use super::results::{PerRun, WaitObserver};
use crate::bench::laboratory::Laboratory;
use crate::bench::observer::Observer;
use crate::bench::peers::Peers;
use crate::bench::statistics::mean;
use crate::guest::round::{self, Lab};
use crate::workers;

/// Two processes of three threads each.
pub const LOAD: &str =
    "lockprof workload mmap --tasks 6 --threads-each 3 --warm-up 0 --until-signalled";
/// What it prints when it begins.
const LOAD_READY: &str = "measurement";
/// Milliseconds after the boot, after an observer has come or gone, and in which a load gets to have been everywhere:
/// what a tool does once for each task, lock or stack is not a wait's cost. No multiples of 100, as in
/// `bench::script`.
const BOOT_MS: u64 = 3050;
const SETTLE_MS: u64 = 1050;
const WARM_UP_MS: u64 = 850;
/// Milliseconds that are measured.
const MEASURED_MS: u64 = 2000;
/// The tracepoints.
const BEGIN: &str = "contention_begin";
const END: &str = "contention_end";
/// A mean over fewer waits is none.
const LEAST_WAITS: u64 = 200;

/// Measures these observers with so many boots; the kernel's release, and each observer.
pub fn run(
    laboratory: &Laboratory,
    lab: &Lab<'_>,
    peers: Option<&Peers>,
    observers: &[Observer],
    boots: usize,
) -> Result<(String, Vec<WaitObserver>)> {
    let numbers: Vec<usize> = (1..=boots).collect();
    let outcomes = workers::each(&numbers, Clock::Instructions.side_by_side(), |boot| {
        let script = Script::new(observers);
        let mut request = laboratory.request(lab, script.steps.clone());
        if let Some(peers) = peers {
            peers.add_to(&mut request)?;
        }
        request.cpus = 1;
        request.clock = Clock::Instructions;
        // Boots are samples: they are to differ in what this clock would repeat.
        request.script.seed = *boot as u64;
        let outcome = round::succeed(&request).context("a boot with waits failed")?;
        let seconds = outcome.wall.as_secs_f64();
        let name = &lab.kernel.name;
        eprintln!("bench: {name}, waits: boot {boot} of {boots} took {seconds:.0} s");
        Ok::<_, anyhow::Error>((outcome.release.clone(), script.read(&outcome.steps)?))
    })?;
    let mut release = String::new();
    let mut found = Vec::new();
    for outcome in outcomes {
        let (of_boot, seen) = outcome?;
        release = of_boot;
        found.push(seen);
    }
    let all = observers.iter().enumerate().map(|(index, observer)| {
        let of_all: Vec<Seen> = found.iter().map(|boot| boot[index]).collect();
        costs(observer, &of_all).with_context(|| observer.name.clone())
    });
    Ok((release, all.collect::<Result<Vec<_>>>()?))
}

/// One boot's work.
#[derive(Debug, Default)]
struct Script {
    steps: Vec<Step>,
    /// For each observer the steps that ask the kernel before and after.
    places: Vec<[usize; 2]>,
}

impl Script {
    fn new(observers: &[Observer]) -> Self {
        let mut script = Self::default();
        let count = Step::default().sysctl("kernel.bpf_stats_enabled", "1");
        script.push(count.delay(BOOT_MS));
        let ask = || Step::new(["/init", fdinfo::STEP]);
        for observer in observers {
            let started = script.push(observer.step().delay(SETTLE_MS));
            let attached = SETTLE_MS + observer.attaches_in_ms;
            let load = Step::new(LOAD.split(' ')).background(Some(LOAD_READY));
            let load = script.push(load.delay(attached));
            let before = script.push(ask().delay(WARM_UP_MS));
            let after = script.push(ask().delay(MEASURED_MS));
            script.push(Step::ending(load, libc::SIGINT));
            script.push(Step::ending(started, libc::SIGINT).delay(SETTLE_MS));
            script.places.push([before, after]);
        }
        script
    }

    fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// What each observer's programs did in the measured time.
    fn read(&self, steps: &[StepOutcome]) -> Result<Vec<Seen>> {
        let read = |place: usize| -> Result<Seen> {
            let step = steps.get(place).context("a step has no outcome")?;
            let processes: Vec<Process> = serde_json::from_str(&step.text())
                .context("init does not say what the programs did")?;
            Ok(Seen::of(&processes))
        };
        let places = self.places.iter();
        places
            .map(|&[before, after]| Ok(read(after)?.since(read(before)?)))
            .collect()
    }
}

/// Runs of the programs on the two tracepoints.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    began: Runs,
    ended: Runs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Runs {
    count: u64,
    instructions: u64,
}

impl Seen {
    fn of(processes: &[Process]) -> Self {
        let on = |tracepoint: &str| {
            let programs = processes.iter().flat_map(|process| &process.programs);
            let on_it = programs.filter(|program| program.tracepoint == tracepoint);
            on_it.fold(Runs::default(), |all, program| Runs {
                count: all.count.max(program.runs),
                instructions: all.instructions + program.run_time_ns,
            })
        };
        Self {
            began: on(BEGIN),
            ended: on(END),
        }
    }

    fn since(self, before: Self) -> Self {
        let less = |now: Runs, then: Runs| Runs {
            count: now.count.saturating_sub(then.count),
            instructions: now.instructions.saturating_sub(then.instructions),
        };
        Self {
            began: less(self.began, before.began),
            ended: less(self.ended, before.ended),
        }
    }
}

impl Runs {
    fn mean(self) -> f64 {
        self.instructions as f64 / self.count as f64
    }
}

/// The means over boots.
fn costs(observer: &Observer, boots: &[Seen]) -> Result<WaitObserver> {
    let least = |of: fn(&Seen) -> u64| boots.iter().map(of).min().unwrap_or(0);
    let waits = least(|seen| seen.ended.count);
    let fewest = waits.min(least(|seen| seen.began.count));
    anyhow::ensure!(
        fewest >= LEAST_WAITS,
        "only {fewest} waits, too few for a mean"
    );
    let per_run = |of: fn(&Seen) -> f64| {
        let all = || boots.iter().map(of);
        PerRun {
            mean: mean(all()),
            differs_by: all().fold(f64::NEG_INFINITY, f64::max)
                - all().fold(f64::INFINITY, f64::min),
        }
    };
    Ok(WaitObserver {
        name: observer.name.clone(),
        what: observer.what.clone(),
        waits,
        began: per_run(|seen| seen.began.mean()),
        ended: per_run(|seen| seen.ended.mean()),
    })
}

#[cfg(test)]
mod tests {
    use lab::vm::fdinfo::Program;

    use super::*;

    fn process(began: (u64, u64), ended: (u64, u64)) -> Process {
        let program = |tracepoint: &str, (runs, run_time_ns)| Program {
            tracepoint: tracepoint.to_owned(),
            runs,
            run_time_ns,
        };
        Process {
            programs: vec![program(BEGIN, began), program(END, ended)],
            ..Process::default()
        }
    }

    #[test]
    fn what_ran_before_does_not_count() {
        let before = Seen::of(&[process((10, 9000), (10, 9000))]);
        let after = Seen::of(&[process((310, 39_000), (210, 49_000))]);
        let seen = after.since(before);
        let costs = costs(&Observer::lockprof("holds", "wait", 1), &[seen, seen]).unwrap();
        assert_eq!(costs.waits, 200);
        assert_eq!((costs.began.mean, costs.ended.mean), (100.0, 200.0));
        assert_eq!((costs.began.differs_by, costs.whole()), (0.0, 300.0));
    }

    #[test]
    fn programs_of_one_tracepoint_are_together_a_waits_cost() {
        let both = [
            process((300, 300), (300, 600)),
            process((300, 900), (300, 0)),
        ];
        let seen = Seen::of(&both);
        assert_eq!((seen.began.mean(), seen.ended.mean()), (4.0, 2.0));
    }

    #[test]
    fn a_few_waits_have_no_mean() {
        let seen = Seen::of(&[process((500, 500), (199, 500))]);
        let error = costs(&Observer::lockprof("holds", "wait", 1), &[seen]).unwrap_err();
        assert!(error.to_string().starts_with("only 199 waits"), "{error}");
    }

    #[test]
    fn each_observer_has_a_load_of_its_own() {
        let script = Script::new(&[
            Observer::lockprof("holds", "wait", 1),
            Observer::lockprof("holds", "fentry", 1),
        ]);
        for &[before, after] in &script.places {
            assert_eq!(after, before + 1);
            let load = &script.steps[before - 1];
            assert!(load.background && load.argv.contains(&"mmap".to_owned()));
            assert_eq!(script.steps[after + 1].await_step, Some(before - 1));
            assert_eq!(script.steps[after + 2].await_step, Some(before - 2));
        }
    }
}
