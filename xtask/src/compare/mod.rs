//! `cargo xtask compare`: boots kernels in turn, runs the same lockprof and load in each, and compares
//! what was recorded.

mod boots;
mod experiment;
mod load;
mod lock;
mod named_kernel;
mod plan;
mod schedule;
mod seen;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use lab::kernel::Kernel;
use lab::vm::{self, Accelerator};
use lab::{paths, process};

use crate::cargo::{self, StaticBinaries};
use crate::run;
use crate::setup::{self, Purpose};

use boots::{Boot, Outcomes};
use experiment::Experiment;
use load::{LoadArguments, Profiled};
use lock::Lock;
use named_kernel::NamedKernel;
pub use plan::CompareOptions;
use plan::Plan;

/// Makes the experiment, and says what came out. The exit status is that of `lockprof compare`.
pub fn compare(options: &CompareOptions) -> Result<ExitCode> {
    let plan = match Plan::of(options) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(ExitCode::from(run::BAD_USAGE));
        }
    };
    let started = Instant::now();
    if let Some(output) = &plan.output {
        check_empty(output)?;
    }
    let kernels = plan
        .kernels
        .iter()
        .map(NamedKernel::find)
        .collect::<Result<Vec<Kernel>>>()?;
    let binaries = cargo::build_static(&setup::ensure(Purpose::Lab)?)?;
    let output = plan
        .output
        .clone()
        .map_or_else(|| run::default_output("lockprof-compare"), Ok)?;
    paths::make(output.clone())?;
    let boots = plan.boots(&kernels, &binaries, &output);
    // Counting instructions never takes KVM: what the wall clock takes is what is to be said.
    let by_wall = boots
        .iter()
        .find(|boot| boot.request.clock == vm::Clock::Wall);
    let telling = by_wall.or(boots.first());
    let accelerator = vm::accelerator(&telling.context("there is nothing to boot")?.request)?;
    let experiment = Experiment::new(&plan, &kernels, accelerator, &boots)?;
    experiment.write(&output)?;
    eprintln!(
        "compare: {} boots in the order of seed {}; recordings go to {}",
        boots.len(),
        plan.seed,
        output.display()
    );
    let outcomes = boots::run_all(&boots)?;
    experiment.finish(&output, &outcomes)?;
    let status = report(&plan, &binaries, &output, accelerator, &outcomes)?;
    eprintln!(
        "compare: {:.0} s in all: {}",
        started.elapsed().as_secs_f64(),
        outcomes.where_time_went()
    );
    Ok(status)
}

/// Fails where there is something already: recordings of earlier boots would be taken for those of this
/// comparison.
fn check_empty(output: &Path) -> Result<()> {
    let first = match fs::read_dir(output) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.and_then(|mut entries| entries.next().transpose()),
    };
    match first.with_context(|| format!("cannot list {}", output.display()))? {
        None => Ok(()),
        Some(_) => bail!(
            "{} has something in it already, and recordings of earlier boots would be compared too: give \
             another folder to --output",
            output.display()
        ),
    }
}

/// So many boots of each kernel by the instruction clock with the bundled load for a lock, compared: what
/// `lockprof compare --format json` prints. For tests.
pub fn by_instructions(
    lock: &str,
    kernels: &[(&str, &Kernel)],
    boots: u32,
    binaries: &StaticBinaries,
) -> Result<serde_json::Value> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let lock = Lock::parse(lock).map_err(anyhow::Error::msg)?;
    let bundled = lock.load().map_err(anyhow::Error::msg)?;
    let load = LoadArguments::bundled(lock, bundled, 1);
    let place = |name: &str| folder.path().join(name);
    let order = schedule::rounds(kernels.len(), boots, 1);
    let boots: Vec<Boot> = order
        .iter()
        .map(|turn| {
            let (name, kernel) = kernels[turn.kernel];
            let at = place(name).join(turn.round.to_string());
            let how = (vm::Clock::Instructions, 1);
            Boot::profiled(name, kernel, binaries, &load, how, at)
        })
        .collect();
    let outcomes = boots::run_all(&boots)?;
    if let Some(failure) = outcomes
        .boots
        .iter()
        .find_map(|boot| boot.result.as_ref().err())
    {
        bail!("{failure}");
    }
    let mut command = Command::new(&binaries.lockprof);
    command.arg("compare");
    for (index, (name, _)) in kernels.iter().enumerate() {
        if index > 0 {
            command.arg("--vs");
        }
        command.arg(format!("{name}={}", place(name).display()));
    }
    command.args(["--format", "json"]);
    let json = process::output(&mut command)?;
    serde_json::from_str(&json).context("lockprof compare printed no JSON")
}

/// The report in every form.
fn report(
    plan: &Plan,
    binaries: &StaticBinaries,
    output: &Path,
    accelerator: Accelerator,
    outcomes: &Outcomes,
) -> Result<ExitCode> {
    let names = || plan.kernels.iter().map(|kernel| kernel.name.as_str());
    if let Some(name) = names().find(|name| !outcomes.any_of(name)) {
        bail!(
            "no boot of {name} has come to its end, so there is nothing to compare; what was \
             recorded is in {}",
            output.display()
        );
    }
    let compare = || {
        let mut command = Command::new(&binaries.lockprof);
        command.arg("compare");
        for (index, name) in names().enumerate() {
            if index > 0 {
                command.arg("--vs");
            }
            command.arg(format!("{name}={}", output.join(name).display()));
        }
        for note in notes(plan, accelerator, outcomes) {
            command.arg("--note").arg(note);
        }
        command
    };
    for (format, file) in [
        ("markdown", "compare.md"),
        ("json", "compare.json"),
        ("html", "compare.html"),
    ] {
        let mut command = compare();
        command
            .args(["--format", format, "--output"])
            .arg(output.join(file));
        process::output(&mut command)?;
    }
    let mut command = compare();
    command.args(plan.fail_on_regression.map(|percent| {
        let percent = percent.map_or(String::new(), |percent| format!("={percent}"));
        format!("--fail-on-regression{percent}")
    }));
    let mut child = process::spawn(&mut command)?;
    let status = process::wait(&mut child, &command)?;
    eprintln!(
        "compare: the report is {}; it can be made again from the recordings by `lockprof compare`",
        output.join("compare.html").display()
    );
    let code = status.code().unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// How the recordings were made, for the report's reader.
fn notes(plan: &Plan, accelerator: Accelerator, outcomes: &Outcomes) -> Vec<String> {
    let mut notes = vec![format!(
        "boots of the kernels in turn, in the random order of seed {}; in each boot the load alone, \
         {}, and alone again",
        plan.seed,
        if plan
            .load
            .steps()
            .iter()
            .any(|(_, step)| *step == Profiled::Spans)
        {
            "with --detail holds, with --detail spans"
        } else {
            "with holds followed"
        }
    )];
    notes.push(match accelerator {
        Accelerator::Tcg => "an emulated machine (QEMU TCG): neither clock is that of hardware; the \
                             wall clock is for contention and throughput, the instruction clock for \
                             lengths of holds"
            .to_owned(),
        Accelerator::Kvm => "a virtual machine (KVM); the instruction clock is that of an emulated \
                             one"
            .to_owned(),
    });
    let again = outcomes.again();
    if !again.is_empty() {
        notes.push(format!(
            "booted again, since the emulated machine died before the load began, or by the emulator's \
             own fault: {}",
            again.join(", ")
        ));
    }
    let failed = outcomes.failures();
    if !failed.is_empty() {
        notes.push(format!(
            "boots that failed and are left out: {}",
            failed.join(", ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_of_earlier_boots_are_not_mixed_in() {
        let folder = tempfile::tempdir().unwrap();
        check_empty(folder.path()).unwrap();
        check_empty(&folder.path().join("not-there")).unwrap();
        fs::write(folder.path().join("experiment.json"), "").unwrap();
        let error = check_empty(folder.path()).unwrap_err().to_string();
        assert!(error.contains("--output"), "{error}");
        assert!(check_empty(&folder.path().join("experiment.json")).is_err());
    }
}
