//! Waits on the machine itself: what lockprof's wait-only tier sees of them, in turn with others that look
//! at the same two tracepoints. An observer that keeps a waiter from the lock's queue hides waits.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use lab::process;
use lab::vm::real_cpus;
use serde_json::Value;

use super::peers::Peers;
use super::results::{Beside, SeenWaits, WaitCosts, Waits};
use super::statistics::{mean, median, ratio_interval};
use super::wait_script::{self, ScriptRun};

/// The load, with a task on each CPU.
pub const LOAD: &str = "threadspawn";
/// Seconds of each turn. It has no warm-up: all of the load's waits count for everybody.
const SECONDS: &str = "3";
/// Pairs at least, and at most.
const PAIRS: (usize, usize) = (6, 40);
/// Pairs go on until each interval is within this share of its middle.
const WITHIN: f64 = 0.10;
/// Runs for the programs' own run time, whose warm-up has a window in which the kernel counts it.
const TIMED_RUNS: usize = 3;
/// lockprof's exit status where too much was lost: a recording all the same.
const VOID: i32 = 3;
/// What the option says that leaves the stacks out.
const WITHOUT_STACKS: [&str; 2] = ["--stacks", "none"];

/// Whom lockprof is held against.
enum Peer<'a> {
    /// Its own programs, without stacks.
    WithoutStacks,
    /// The script.
    Script(&'a Peers),
}

/// Measures all of it that is seen on the machine itself.
pub fn run(lockprof: &Path, peers: Result<&Peers, &String>) -> Result<WaitCosts> {
    let mut costs = WaitCosts {
        load: LOAD.to_owned(),
        tasks: real_cpus(),
        ..WaitCosts::default()
    };
    costs.began_ns_per_run = costs
        .not_measured
        .or_note("contention_began's run time", run_time(lockprof))?;
    let mut others = Vec::new();
    if can_leave_stacks_out(lockprof)? {
        others.push(Peer::WithoutStacks);
    } else {
        let why = format!("this lockprof has no {}", WITHOUT_STACKS.join(" "));
        costs
            .not_measured
            .note("the same programs without stacks", &why);
    }
    match peers {
        Ok(peers) => others.push(Peer::Script(peers)),
        Err(why) => costs.not_measured.note("the bpftrace script", why),
    }
    for peer in &others {
        let found = beside(lockprof, peer);
        let found = costs.not_measured.or_note(&peer.what(), found)?;
        costs.beside.extend(found);
    }
    Ok(costs)
}

impl Peer<'_> {
    fn what(&self) -> String {
        match self {
            Self::WithoutStacks => "the same programs without stacks".to_owned(),
            Self::Script(peers) => format!("bpftrace {} script", peers.bpftrace.version),
        }
    }

    fn turn(&self, lockprof: &Path, target: u64) -> Result<SeenWaits> {
        match self {
            Self::WithoutStacks => Ok(own(lockprof, &WITHOUT_STACKS)?.1),
            Self::Script(peers) => script(lockprof, peers, target),
        }
    }
}

/// lockprof in turn with another: which is first changes from pair to pair.
fn beside(lockprof: &Path, peer: &Peer<'_>) -> Result<Beside> {
    let (target, _) = own(lockprof, &[])?;
    let target = target.context("nobody waited for the lock, so that its address is not known")?;
    let mut found = Beside {
        what: peer.what(),
        ..Beside::default()
    };
    while found.pairs.len() < PAIRS.1 {
        let (ours, theirs) = if found.pairs.len().is_multiple_of(2) {
            let ours = own(lockprof, &[])?.1;
            (ours, peer.turn(lockprof, target)?)
        } else {
            let theirs = peer.turn(lockprof, target)?;
            (own(lockprof, &[])?.1, theirs)
        };
        lab::signals::check()?;
        found.pairs.push((ours, theirs));
        if found.pairs.len() >= PAIRS.0 && is_sure(&found) {
            break;
        }
    }
    let pairs = found.pairs.len();
    eprintln!("bench: waits beside {}: {pairs} pairs", found.what);
    Ok(found)
}

/// Whether every ratio's interval is narrow enough.
fn is_sure(found: &Beside) -> bool {
    let intervals = found
        .ratios()
        .into_iter()
        .map(|(_, ratios)| ratio_interval(&ratios));
    intervals
        .into_iter()
        .all(|interval| interval.high <= interval.middle * (1.0 + WITHIN))
}

/// The target's address, and what one run of lockprof saw.
fn own(lockprof: &Path, more: &[&str]) -> Result<(Option<u64>, SeenWaits)> {
    of_summary(&summary(lockprof, &[&["--warm-up", "0"], more].concat())?)
}

/// The same from a report.
pub fn of_summary(summary: &Value) -> Result<(Option<u64>, SeenWaits)> {
    let seconds = number(summary, "/duration_s")?;
    let rows = summary["contention"].as_array();
    let mut seen = SeenWaits::default();
    let mut target = None;
    for row in rows.into_iter().flatten() {
        if !spins(row["kind"].as_str().unwrap_or_default()) {
            continue;
        }
        let waits = Waits {
            count: row["count"].as_f64().unwrap_or(0.0) / seconds,
            waited_ns: row["waited_ns"].as_f64().unwrap_or(0.0) / seconds,
        };
        seen.all = seen.all.plus(waits);
        if row["is_target"] == Value::Bool(true) {
            seen.target = seen.target.plus(waits);
            let address = row["address"].as_str().and_then(address);
            target = target.or(address);
        }
    }
    Ok((target, seen))
}

/// The script's kinds: locks whose waiters spin, without the optimistic spinning of those who may sleep.
pub fn spins(kind: &str) -> bool {
    kind == "spinlock" || kind.starts_with("rwlock")
}

fn address(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// What the script sees of one run of the load.
fn script(lockprof: &Path, peers: &Peers, target: u64) -> Result<SeenWaits> {
    let run = ScriptRun::start(peers)?;
    let tasks = real_cpus().to_string();
    let mut load = Command::new(lockprof);
    load.args(["workload", LOAD, "--tasks", &tasks, "--warm-up", "0"]);
    load.args(["--duration", SECONDS]);
    let said = process::output(&mut load)?;
    let truth = super::loads::ground_truth_of(&said)?;
    wait_script::seen(&run.end()?, target, truth.duration_s)
}

/// Nanoseconds of a run of contention_began under load, as the kernel counts them: the median of some runs.
fn run_time(lockprof: &Path) -> Result<f64> {
    let mut found = Vec::new();
    for _ in 0..TIMED_RUNS {
        let summary = summary(lockprof, &["--warm-up", "1"])?;
        let programs = summary["probe"]["run_time"].as_array();
        let mut programs = programs.into_iter().flatten();
        let began = programs.find(|program| program["program"] == "contention_began");
        let took = began.and_then(|began| began["ns_per_run"].as_f64());
        found.push(took.context("it did not run while the kernel counted")?);
    }
    Ok(median(&found))
}

/// One run of lockprof's own, as its report has it.
fn summary(lockprof: &Path, more: &[&str]) -> Result<Value> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let tasks = real_cpus().to_string();
    let mut command = Command::new(lockprof);
    command.args(["run", "--workload", LOAD, "--tasks", &tasks]);
    command.args(["--duration", SECONDS, "--attach", "wait"]);
    command.args(["--windows", "off", "--quiet", "--no-report", "--output"]);
    ended_well(command.arg(folder.path()).args(more))?;
    let mut report = Command::new(lockprof);
    report
        .args(["report", "--format", "json"])
        .arg(folder.path());
    let text = ended_well(&mut report)?;
    serde_json::from_str(&text).context("a report is not JSON")
}

fn ended_well(command: &mut Command) -> Result<String> {
    let output = process::output_any(command)?;
    if !matches!(output.status.code(), Some(0 | VOID)) {
        bail!(
            "`{}` failed: {}",
            process::display(command),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether this lockprof can leave the stacks out.
fn can_leave_stacks_out(lockprof: &Path) -> Result<bool> {
    // A hidden option is not in its help; what it does not know it refuses before anything else that is wrong.
    let mut command = Command::new(lockprof);
    command.arg("run").args(WITHOUT_STACKS);
    let refused = process::output_any(command.args(["--duration", "not a number"]))?;
    let said = String::from_utf8_lossy(&refused.stderr);
    Ok(!said.contains(WITHOUT_STACKS[0]))
}

fn number(summary: &Value, path: &str) -> Result<f64> {
    let value = summary.pointer(path).and_then(Value::as_f64);
    value.with_context(|| format!("the report has no {path}"))
}

/// The means of some turns.
pub fn means<'a>(turns: impl Iterator<Item = &'a SeenWaits> + Clone) -> SeenWaits {
    let of = |value: fn(&SeenWaits) -> f64| mean(turns.clone().map(value));
    SeenWaits {
        target: Waits {
            count: of(|seen| seen.target.count),
            waited_ns: of(|seen| seen.target.waited_ns),
        },
        all: Waits {
            count: of(|seen| seen.all.count),
            waited_ns: of(|seen| seen.all.waited_ns),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(factor: f64) -> SeenWaits {
        let waits = |count: f64| Waits {
            count: count * factor,
            waited_ns: count * 10.0 * factor,
        };
        SeenWaits {
            target: waits(10.0),
            all: waits(100.0),
        }
    }

    #[test]
    fn pairs_go_on_until_all_intervals_are_narrow() {
        let mut found = Beside {
            pairs: vec![(seen(0.5), seen(1.0)); 6],
            ..Beside::default()
        };
        assert!(is_sure(&found));
        assert!(found.ratios().iter().all(|(_, ratios)| ratios == &[0.5; 6]));
        found.pairs[0].0.target.waited_ns *= 4.0;
        assert!(!is_sure(&found), "one of four is not sure");
        let means = means(found.pairs.iter().map(|(_, theirs)| theirs));
        assert_eq!(means, seen(1.0));
    }

    #[test]
    fn only_who_spins_is_compared() {
        assert!(spins("spinlock") && spins("rwlock:W") && spins("rwlock:R"));
        assert!(!spins("mutex") && !spins("rwsem:W") && !spins("pcpu-sem"));
        assert_eq!(address("0xffffffff83008080"), Some(0xffff_ffff_8300_8080));
        assert_eq!(address("tasklist_lock"), None);
    }
}
