//! What observers of all locks leave of the throughput of a load on the machine itself, whose tasks wait for
//! their process's mmap_lock. They take turns, so that what else the machine does meets all alike.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::vm::{fdinfo, real_cpus};
use lab::{process, signals};

use super::results::{Memory, OnHost};
use super::script::{BPFTRACE_LOCK, By};
use crate::bench::laboratory::Laboratory;
use crate::bench::loads;
use crate::bench::peers::Peers;
use crate::bench::results::Throughput;
use crate::bench::statistics::{mean, ratio_interval};
use crate::bench::wait_script::ScriptRun;

/// The load.
const LOAD: [&str; 6] = ["workload", "mmap", "--tasks", "6", "--threads-each", "3"];
/// Seconds before each measurement, and in it.
const WARM_UP: &str = "1";
const SECONDS: &str = "4";
/// What lockprof says when it is attached.
const LOCKPROF_READY: &str = "measuring";
/// Rounds at least: fewer have no interval that says anything.
pub const LEAST_ROUNDS: usize = 10;
/// After an observer has come.
const SETTLE: Duration = Duration::from_millis(300);
/// lockprof's exit status where too much was lost: its effect is the same.
const VOID: i32 = 3;

/// What is attached in one turn.
struct Turn<'a> {
    name: &'static str,
    what: String,
    tool: Tool<'a>,
}

enum Tool<'a> {
    /// `lockprof locks` with these options.
    Lockprof(&'static [&'static str]),
    /// The script.
    Script(&'a Peers),
}

/// Measures so many rounds.
pub fn run(
    laboratory: &Laboratory,
    peers: &Result<Peers, String>,
    rounds: usize,
) -> Result<OnHost> {
    let mut found = OnHost {
        release: read("/proc/sys/kernel/osrelease")?,
        cpus: real_cpus(),
        rounds,
        ..OnHost::default()
    };
    let turns = turns(peers, &mut found);
    let bench = Bench { laboratory };
    found.busy[0] = load_average()?;
    // The first run is the warm-up.
    bench.rate()?;
    let (mut bare, mut ratios) = (Vec::new(), vec![Vec::new(); turns.len()]);
    for round in 0..rounds {
        let mut before = bench.rate()?;
        bare.push(before.by_clock);
        for turn in 0..turns.len() {
            let index = (turn + round) % turns.len();
            let (rate, memory) = bench.with(&turns[index])?;
            let after = bench.rate()?;
            ratios[index].push(rate.over(before, after));
            bare.push(after.by_clock);
            before = after;
            found.memory = memory.or(found.memory);
            signals::check()?;
        }
        eprintln!(
            "bench: locks on this machine: round {} of {rounds}",
            round + 1
        );
    }
    found.busy[1] = load_average()?;
    found.bare_per_second = mean(bare.into_iter());
    let left = |of: fn(&Rate) -> f64| -> Vec<Throughput> {
        let each = turns.iter().zip(&ratios);
        each.map(|(turn, ratios)| turn.left(ratios.iter().map(of).collect()))
            .collect()
    };
    found.observers = left(|ratio| ratio.by_clock);
    found.by_cpu_time = left(|ratio| ratio.by_cpu_time);
    Ok(found)
}

/// Iterations a second, or a ratio of such.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    /// Of the clock.
    by_clock: f64,
    /// Of the load's CPU time.
    by_cpu_time: f64,
}

impl Rate {
    /// By the geometric mean of those around it.
    fn over(self, before: Self, after: Self) -> Self {
        let ratio = |of: fn(Self) -> f64| of(self) / (of(before) * of(after)).sqrt();
        Self {
            by_clock: ratio(|rate| rate.by_clock),
            by_cpu_time: ratio(|rate| rate.by_cpu_time),
        }
    }
}

impl Turn<'_> {
    fn left(&self, ratios: Vec<f64>) -> Throughput {
        let interval = ratio_interval(&ratios);
        Throughput {
            name: self.name.to_owned(),
            what: self.what.clone(),
            share: interval.middle,
            low: interval.low,
            high: interval.high,
            ratios,
        }
    }
}

fn turns<'a>(peers: &'a Result<Peers, String>, found: &mut OnHost) -> Vec<Turn<'a>> {
    let lockprof = |name, options: &'static [&'static str]| {
        let words = [&["lockprof", "locks"], options].concat();
        Turn {
            name,
            what: words.join(" "),
            tool: Tool::Lockprof(options),
        }
    };
    let mut turns = vec![
        lockprof("locks", &[]),
        lockprof(
            "locks-windows-off",
            &["--windows", "off", "--budget", "off"],
        ),
    ];
    match peers {
        Ok(peers) => turns.push(Turn {
            name: BPFTRACE_LOCK,
            what: format!("bpftrace {} script by lock", peers.bpftrace.version),
            tool: Tool::Script(peers),
        }),
        Err(why) => found.not_measured.note("the bpftrace script", why),
    }
    turns
}

struct Bench<'a> {
    laboratory: &'a Laboratory,
}

impl Bench<'_> {
    fn lockprof(&self) -> Command {
        Command::new(&self.laboratory.binaries.lockprof)
    }

    /// One run of the load. Nobody else of our children ends meanwhile.
    fn rate(&self) -> Result<Rate> {
        let mut load = self.lockprof();
        load.args(LOAD);
        load.args(["--warm-up", WARM_UP, "--duration", SECONDS]);
        let began_s = cpu_time_of_children();
        let truth = loads::ground_truth_of(&process::output(&mut load)?)?;
        let cpu_s = cpu_time_of_children() - began_s;
        let by_clock = truth.per_second;
        Ok(Rate {
            by_clock: by_clock.context("a load was stopped before it was measured")?,
            by_cpu_time: truth.iterations_attempted_total as f64 / cpu_s,
        })
    }

    /// The same with an observer; of lockprof what memory it took.
    fn with(&self, turn: &Turn<'_>) -> Result<(Rate, Option<Memory>)> {
        match &turn.tool {
            Tool::Script(peers) => {
                let script = ScriptRun::start_with(peers, &By::Lock.script())?;
                thread::sleep(SETTLE);
                let rate = self.rate();
                script.end()?;
                Ok((rate?, None))
            }
            Tool::Lockprof(options) => {
                let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
                let mut command = self.lockprof();
                command.args(["locks", "--no-report", "--output"]);
                command.arg(folder.path().join("locks")).args(*options);
                let child = attached(&mut command)?;
                thread::sleep(SETTLE);
                let rate = self.rate();
                let used = fdinfo::of(child.id());
                end(child)?;
                let memory = used.map(|used| Memory {
                    kernel: "this machine".to_owned(),
                    possible_cpus: real_cpus(),
                    resident_bytes: used.resident_bytes,
                    map_bytes: used.map_bytes,
                });
                Ok((rate?, memory))
            }
        }
    }
}

/// Starts lockprof, and returns when everything is attached; what else it says is read by a thread.
fn attached(command: &mut Command) -> Result<Child> {
    process::die_with_us(command, libc::SIGINT);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped());
    let mut child = process::spawn(command)?;
    let said = child
        .stderr
        .take()
        .context("lockprof has no standard error")?;
    let mut lines = BufReader::new(said).lines();
    let mut heard = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        if line.contains(LOCKPROF_READY) {
            thread::spawn(move || lines.for_each(drop));
            return Ok(child);
        }
        heard.push(line);
    }
    child.wait().context("cannot wait for lockprof")?;
    bail!("lockprof ended at once: {}", heard.join("; "))
}

fn end(mut child: Child) -> Result<()> {
    let pid = libc::pid_t::try_from(child.id()).context("a process number")?;
    // SAFETY: kill() has no preconditions, and the child has not been waited for.
    unsafe { libc::kill(pid, libc::SIGINT) };
    let status = child.wait().context("cannot wait for lockprof")?;
    if !matches!(status.code(), Some(0 | VOID)) {
        bail!("lockprof ended with {status}");
    }
    Ok(())
}

/// Seconds of CPU of all children that were waited for, and of theirs.
fn cpu_time_of_children() -> f64 {
    // SAFETY: a `rusage` is numbers alone, for which zeroes are valid.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes one `rusage`, for which there is room; it cannot fail with these arguments.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut used) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(used.ru_utime) + seconds(used.ru_stime)
}

/// That of the last minute.
fn load_average() -> Result<f64> {
    let text = read("/proc/loadavg")?;
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    first.context("/proc/loadavg is not understood")
}

fn read(path: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_held_against_its_neighbours() {
        let rate = |by_clock, by_cpu_time| Rate {
            by_clock,
            by_cpu_time,
        };
        let ratio = rate(9.0, 5.0).over(rate(4.0, 10.0), rate(9.0, 10.0));
        assert_eq!(ratio, rate(1.5, 0.5));
    }

    #[test]
    fn a_childs_cpu_time_is_counted_when_it_has_ended() {
        let before_s = cpu_time_of_children();
        let count = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";
        process::output(Command::new("sh").args(["-c", count])).unwrap();
        assert!(cpu_time_of_children() > before_s);
    }

    #[test]
    fn without_bpftrace_lockprof_has_its_turns() {
        let mut found = OnHost::default();
        let peers = Err("no network".to_owned());
        let turns = turns(&peers, &mut found);
        let what: Vec<&str> = turns.iter().map(|turn| turn.what.as_str()).collect();
        assert_eq!(
            what,
            [
                "lockprof locks",
                "lockprof locks --windows off --budget off"
            ]
        );
        let noted = ("the bpftrace script".to_owned(), "no network".to_owned());
        assert_eq!(found.not_measured.0, [noted]);
    }
}
