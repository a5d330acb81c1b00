//! `cargo xtask test`: everything that CI checks, stage by stage, and one sum at the end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use lab::{process, signals};

use crate::bench::peers::Peers;
use crate::guest::{self, Tally};
use crate::setup::{self, Found, Purpose};
use crate::toolchain::Environment;
use crate::{bench, cargo};

/// The variable in which lockprof's tests find bpftrace with its arguments, as a list in JSON.
const BPFTRACE: &str = "LOCKPROF_BPFTRACE";

/// `cargo xtask test`.
#[derive(Clone, Debug, Args)]
pub struct TestOptions {
    /// Only what runs on this machine: format, lints, tests, documentation
    #[arg(long, conflicts_with = "guest")]
    host: bool,
    /// Only what runs in guests
    #[arg(long)]
    guest: bool,
    /// Only guest tests whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
}

/// Runs the stages, each whether or not those before it failed; whether nothing has failed.
pub fn test(options: &TestOptions) -> Result<bool> {
    let started = Instant::now();
    let mut report = Report::default();
    let prepared = report.stage("setup", || prepare(options.host));
    let Some((environment, no_guests)) = prepared else {
        return report.finish();
    };
    if !options.guest {
        host_stages(&mut report, &environment)?;
    }
    if !options.host {
        guest_stages(
            &mut report,
            &environment,
            no_guests.as_deref(),
            &options.filter,
            started,
        )?;
    }
    report.finish()
}

/// What builds need, and why guests cannot run, if they cannot.
fn prepare(host_only: bool) -> Result<(Environment, Option<String>)> {
    let everything = match setup::ensure(Purpose::Everything) {
        Ok(environment) => return Ok((environment, None)),
        Err(error) => error,
    };
    signals::check()?;
    // Without QEMU the rest can still be tested; without the compiler nothing can.
    let environment = setup::ensure(Purpose::Build)?;
    if !host_only && Found::look()?.qemu {
        return Ok((environment, None));
    }
    eprintln!("{everything:#}");
    Ok((
        environment,
        Some("there is no QEMU, and set-up cannot install it".to_owned()),
    ))
}

fn host_stages(report: &mut Report, environment: &Environment) -> Result<()> {
    let cargo = |arguments: &[&str]| -> Result<Command> {
        let mut command = cargo::cargo_with(environment)?;
        command.args(arguments);
        Ok(command)
    };
    let format = cargo(&["fmt", "--all", "--check"])?;
    let lints = cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ])?;
    let mut tests = cargo(&[
        "test",
        "--workspace",
        "--locked",
        "--no-fail-fast",
        "--",
        "--show-output",
    ])?;
    match Peers::fetch().and_then(|peers| peers.bpftrace.words_here()) {
        Ok(words) => {
            tests.env(BPFTRACE, words);
        }
        // Tests beside it are skipped, and say so.
        Err(error) => eprintln!("tests beside bpftrace are without the newest one: {error:#}"),
    }
    let mut docs = cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--locked"])?;
    docs.env("RUSTDOCFLAGS", "-D warnings");
    for (name, mut command) in [("fmt", format), ("clippy", lints)] {
        report.stage(name, || process::run(&mut command));
        signals::check()?;
    }
    report.tests("host tests", tests);
    signals::check()?;
    report.stage("doc", || process::run(&mut docs));
    signals::check()
}

fn guest_stages(
    report: &mut Report,
    environment: &Environment,
    no_guests: Option<&str>,
    filter: &str,
    started: Instant,
) -> Result<()> {
    if let Some(why) = no_guests {
        let mut tally = guest::skip_all(guest::TESTS, why);
        tally.skipped.push(format!("bench: {why}"));
        report.add(tally);
        return Ok(());
    }
    let Some(binaries) = report.stage("static build", || cargo::build_static(environment)) else {
        return Ok(());
    };
    signals::check()?;
    let tally = report.stage("guest tests", || {
        let tally = guest::run_all(guest::TESTS, &binaries, filter, started)?;
        Ok((tally.failed.is_empty(), tally))
    });
    if let Some((_, tally)) = tally {
        report.add(tally);
    }
    signals::check()?;
    if "bench".contains(filter) {
        report.stage("bench", || bench::check::run(environment));
    }
    signals::check()
}

/// The stages and the counts so far.
#[derive(Default)]
struct Report {
    stages: Vec<(String, bool, f64)>,
    tally: Tally,
}

impl Report {
    /// Runs a stage and prints its line. A failure counts as one.
    fn stage<T>(&mut self, name: &str, run: impl FnOnce() -> Result<T>) -> Option<T> {
        println!("== {name}");
        let started = Instant::now();
        let result = run();
        let done = result.map_err(|error| {
            println!("{error:#}");
            self.tally.failed.push(format!("stage {name}"));
        });
        self.end(name, done.is_ok(), started);
        done.ok()
    }

    /// Runs a stage of `cargo test` and counts its tests.
    fn tests(&mut self, name: &str, mut command: Command) {
        println!("== {name}");
        let started = Instant::now();
        let mut lines = Lines::default();
        let ended = run_tests(&mut command, &mut lines);
        let mut tally = lines.tally;
        if let Err(error) = ended {
            println!("{error:#}");
            // Tests that do not compile have no lines.
            if tally.failed.is_empty() {
                tally.failed.push(format!("stage {name}"));
            }
        }
        self.end(name, tally.failed.is_empty(), started);
        self.add(tally);
    }

    fn end(&mut self, name: &str, passed: bool, started: Instant) {
        let seconds = started.elapsed().as_secs_f64();
        println!("== {name}: {} ({seconds:.1} s)", word(passed));
        self.stages.push((name.to_owned(), passed, seconds));
    }

    fn add(&mut self, tally: Tally) {
        self.tally.passed += tally.passed;
        self.tally.failed.extend(tally.failed);
        self.tally.skipped.extend(tally.skipped);
    }

    /// Prints the sum; whether nothing has failed.
    fn finish(self) -> Result<bool> {
        signals::check()?;
        println!();
        for (name, passed, seconds) in &self.stages {
            println!("{name:<14} {:<6} {seconds:>7.1} s", word(*passed));
        }
        for name in &self.tally.skipped {
            println!("skipped {name}");
        }
        for name in &self.tally.failed {
            println!("failed {name}");
        }
        let Tally {
            passed,
            failed,
            skipped,
        } = &self.tally;
        println!(
            "{passed} passed, {} failed, {} skipped",
            failed.len(),
            skipped.len()
        );
        Ok(failed.is_empty())
    }
}

fn word(passed: bool) -> &'static str {
    if passed { "ok" } else { "FAILED" }
}

fn run_tests(command: &mut Command, lines: &mut Lines) -> Result<()> {
    eprintln!("$ {}", process::display(command));
    let mut child = process::spawn(command.stdout(Stdio::piped()))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read what cargo test says")?;
            if lines.take(&line) {
                println!("{line}");
            }
            if signals::pending().is_some() {
                break;
            }
        }
    }
    let status = process::wait(&mut child, command)?;
    if !status.success() {
        bail!("`{}` failed: {status}", process::display(command));
    }
    Ok(())
}

/// Reads the output of `cargo test -- --show-output`.
#[derive(Default)]
struct Lines {
    tally: Tally,
    successes: bool,
    /// Tests of the current program that say that they were skipped.
    skipped: usize,
}

impl Lines {
    /// Counts a line; whether it is worth showing. What passed tests print is not, except that
    /// they were skipped.
    fn take(&mut self, line: &str) -> bool {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.successes = false;
            // A test that was skipped has not passed, whatever cargo says of it.
            self.tally.passed += count(counts, " passed").saturating_sub(self.skipped);
            self.skipped = 0;
            let ignored = count(counts, " ignored");
            for _ in 0..ignored {
                self.tally
                    .skipped
                    .push("an ignored test of cargo's".to_owned());
            }
            return true;
        }
        if let Some(skipped) = line.trim_start().strip_prefix("SKIPPED ") {
            let skipped = skipped.to_owned();
            if !self.tally.skipped.contains(&skipped) {
                self.tally.skipped.push(skipped);
                self.skipped += 1;
            }
            return true;
        }
        if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.tally.failed.push(name.to_owned());
        }
        match line {
            "successes:" => self.successes = true,
            "failures:" => self.successes = false,
            _ => {}
        }
        !self.successes
    }
}

fn count(counts: &str, what: &str) -> usize {
    let before = counts
        .split(what)
        .next()
        .filter(|before| before.len() < counts.len());
    let digits = before.and_then(|before| before.rsplit([' ', ';']).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test a::works ... ok
test a::fails ... FAILED
test a::later ... ignored
test a::root ... ok

successes:

---- a::root stdout ----
SKIPPED a::root: needs root
chatter

successes:
    a::root
    a::works

failures:

---- a::fails stdout ----
assertion failed

failures:
    a::fails

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests x
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

    #[test]
    fn cargos_counts_are_summed() {
        let mut lines = Lines::default();
        let shown = OUTPUT
            .lines()
            .filter(|line| lines.take(line))
            .collect::<Vec<_>>();
        assert_eq!(lines.tally.passed, 4);
        assert_eq!(lines.tally.failed, ["a::fails"]);
        assert_eq!(
            lines.tally.skipped,
            ["a::root: needs root", "an ignored test of cargo's"]
        );
        assert!(shown.contains(&"assertion failed") && !shown.contains(&"chatter"));
    }
}
