//! `cargo xtask run` and `cargo xtask vm`: lockprof here or in a guest.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::ZonedDateTime;
use lab::vm::protocol::{GuestScript, OUT_DIR, Step};
use lab::vm::{self, Clock, Show, VmOutcome, VmRequest};
use lab::{kernel, process};

use crate::cargo::{self, StaticBinaries};
use crate::setup::{self, Purpose};

/// The recording's file name in the folder that `lockprof run -o` names.
const RECORDING: &str = "recording.jsonl";
/// Its name where it did not come to the end.
const PARTIAL: &str = "recording.jsonl.partial";
/// The page's file name beside it.
const PAGE: &str = "report.html";
/// `lockprof` called with an argument that it does not know.
pub const BAD_USAGE: u8 = 2;

/// The machine that a guest sees.
#[derive(Clone, Debug, Args)]
pub struct MachineOptions {
    /// Virtual CPUs
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    pub cpus: u32,
    /// Memory, such as 2G or 512M [default: 1G, and more from 9 CPUs on]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u32>,
    /// What a nanosecond of the guest is
    #[arg(long, value_enum, default_value_t = Clock::Wall)]
    pub clock: Clock,
    /// More arguments for the guest's kernel
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// Show the guest's console
    #[arg(long)]
    pub console: bool,
    /// Give the guest up after this time [default: generous, from the command's own duration]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// `cargo xtask vm`.
#[derive(Clone, Debug, Args)]
pub struct VmCommand {
    /// debian:SERIES, the name of a built kernel, or a path to a bzImage
    #[arg(value_name = "KERNEL")]
    pub kernel: String,
    #[command(flatten)]
    machine: MachineOptions,
    /// Where the files go that the command leaves in the guest's /out
    #[arg(long, value_name = "DIR")]
    files_out: Option<PathBuf>,
    /// lockprof's arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// `cargo xtask run`.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// Run in a VM, on this kernel
    #[arg(long, value_name = "KERNEL", num_args = 0..=1, default_missing_value = kernel::DEFAULT)]
    vm: Option<String>,
    #[command(flatten)]
    machine: MachineOptions,
    /// The arguments of `lockprof run`
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// A size in MiB from 512M, 2G or a plain number of MiB.
fn memory(text: &str) -> Result<u32, String> {
    let (number, factor) = match text.strip_suffix(['G', 'g']) {
        Some(number) => (number, 1024),
        None => (text.strip_suffix(['M', 'm']).unwrap_or(text), 1),
    };
    let size = number
        .parse::<u32>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    size.filter(|size| *size >= 128)
        .ok_or_else(|| "a size of at least 128M, such as 512M or 2G".to_owned())
}

impl MachineOptions {
    fn request(&self, kernel: &str, binaries: &StaticBinaries, step: Step) -> Result<VmRequest> {
        let script = GuestScript {
            seed: fastrand::u64(..),
            ..GuestScript::of(vec![step])
        };
        let kernel = kernel::resolve(kernel)?;
        Ok(VmRequest {
            cpus: self.cpus,
            memory_mib: self.memory,
            clock: self.clock,
            append: self.append.clone(),
            timeout: self.timeout.map(Duration::from_secs),
            show: Show {
                steps: true,
                console: self.console,
            },
            ..binaries.request(kernel.image, script)
        })
    }

    /// What is wrong with the options alone, before anything is built.
    fn check(&self) -> Result<(), String> {
        vm::check_clock(self.clock, self.cpus)
    }
}

/// `cargo xtask vm`: the exit status is that of the command.
pub fn vm(options: &VmCommand) -> Result<ExitCode> {
    if let Err(message) = options.machine.check() {
        eprintln!("error: {message}");
        return Ok(ExitCode::from(BAD_USAGE));
    }
    let binaries = cargo::build_static(&setup::ensure(Purpose::Lab)?)?;
    let argv = std::iter::once("lockprof").chain(options.command.iter().map(String::as_str));
    let request = options
        .machine
        .request(&options.kernel, &binaries, Step::new(argv))?;
    let outcome = vm::run(&request)?;
    tell(&outcome);
    match &options.files_out {
        Some(folder) => outcome.write_files(folder)?,
        None if !outcome.files.is_empty() => {
            let names = outcome.files.keys().map(String::as_str).collect::<Vec<_>>();
            eprintln!(
                "lab: dropped {} (--files-out DIR keeps them)",
                names.join(", ")
            );
        }
        None => {}
    }
    Ok(code(outcome.steps.first().map_or(1, |step| step.status)))
}

/// `cargo xtask run`: the exit status is lockprof's.
pub fn run(options: &RunOptions) -> Result<ExitCode> {
    match &options.vm {
        None => here(options),
        Some(kernel) => in_guest(options, kernel),
    }
}

fn here(options: &RunOptions) -> Result<ExitCode> {
    let binaries = cargo::build_static(&setup::ensure(Purpose::Build)?)?;
    let mut command = if setup::is_root() {
        Command::new(&binaries.lockprof)
    } else {
        // sudo tells lockprof whose the output files shall be.
        let mut command = Command::new("sudo");
        command.arg(&binaries.lockprof);
        command
    };
    command.arg("run").args(&options.arguments);
    eprintln!("$ {}", process::display(&command));
    let mut child = process::spawn(&mut command)?;
    // lockprof answers Ctrl-C itself: it detaches, drains, and writes what it has.
    process::wait_politely(&mut child).map(status)
}

fn in_guest(options: &RunOptions, kernel: &str) -> Result<ExitCode> {
    if let Err(message) = options.machine.check() {
        eprintln!("error: {message}");
        return Ok(ExitCode::from(BAD_USAGE));
    }
    let (output, mut arguments) = take_output(&options.arguments).map_err(anyhow::Error::msg)?;
    let output = output.map_or_else(|| default_output("lockprof"), Ok)?;
    let report_wanted = !take_flag(&mut arguments, "--no-report");
    let binaries = cargo::build_static(&setup::ensure(Purpose::Lab)?)?;
    let mut request = options
        .machine
        .request(kernel, &binaries, Step::default())?;
    let accelerator = vm::accelerator(&request)?;
    let clock = accelerator.clock_words(options.machine.clock, vm::real_cpus());
    let argv = ["lockprof", "run", "--no-report", "--output", OUT_DIR]
        .into_iter()
        .chain(clock.iter().map(String::as_str))
        .chain(arguments.iter().map(String::as_str));
    request.script.steps = vec![Step::new(argv)];
    let outcome = vm::run(&request)?;
    tell(&outcome);
    let guest = outcome.steps.first().map_or(1, |step| step.status);
    let left = [PARTIAL, RECORDING]
        .into_iter()
        .find(|name| outcome.files.contains_key(*name));
    let Some(recording) = left else {
        if guest != 0 {
            return Ok(code(guest));
        }
        bail!("lockprof ended well in the guest, but left no {RECORDING}");
    };
    outcome.write_files(&output)?;
    // The report is made here, from the recording, as the caller.
    let mut reported = 0;
    if report_wanted {
        let page = output.join(PAGE);
        let html = ["--format", "html", "--output"].map(OsStr::new);
        let html = [&html[..], &[page.as_os_str()]].concat();
        let svg = ["--format", "svg"].map(OsStr::new);
        for format in [&[][..], &html, &svg] {
            let mut report = Command::new(&binaries.lockprof);
            report.arg("report").arg(&output).args(format);
            let status = process::status(&mut report)?;
            reported = reported.max(status.code().unwrap_or(1));
        }
    }
    if report_wanted {
        eprintln!("lab: the report is {}", output.join(PAGE).display());
    }
    eprintln!("lab: the recording is {}", output.join(recording).display());
    let tier = outcome.files.get(recording).and_then(|bytes| tier(bytes));
    if let Some(advice) = tier.and_then(|tier| advice(kernel, &tier, &arguments)) {
        eprintln!("lab: {advice}");
    }
    Ok(code(if guest == 0 { reported } else { guest }))
}

/// The tier of a recording, by its header.
fn tier(recording: &[u8]) -> Option<String> {
    let header = recording.split(|&byte| byte == b'\n').next()?;
    let header: serde_json::Value = serde_json::from_slice(header).ok()?;
    Some(header["tier"].as_str()?.to_owned())
}

/// Another kernel, where this one allows less than was asked for, and it is not the one that would be named.
fn advice(kernel: &str, tier: &str, arguments: &[String]) -> Option<String> {
    let mut own = arguments.iter().take_while(|word| *word != "--");
    let asked_for = own.any(|word| word.starts_with("--attach"));
    let less = !matches!(tier, "exact" | "off");
    (less && !asked_for && kernel != kernel::DEFAULT).then(|| {
        format!(
            "{kernel} allows only the {tier} tier; --vm {} allows the exact one",
            kernel::DEFAULT
        )
    })
}

/// Takes a flag out of the arguments of `lockprof run`; whether it was there.
fn take_flag(arguments: &mut Vec<String>, flag: &str) -> bool {
    let own = arguments
        .iter()
        .position(|word| word == "--")
        .unwrap_or(arguments.len());
    let found = arguments[..own].iter().position(|word| word == flag);
    found.map(|at| arguments.remove(at)).is_some()
}

/// Splits `-o DIR` off the arguments of `lockprof run`; what stands behind `--` is the user's own
/// command and is left alone.
fn take_output(arguments: &[String]) -> Result<(Option<PathBuf>, Vec<String>), String> {
    let mut output = None;
    let mut rest = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = match word.as_str() {
            "--" => {
                rest.push(word.clone());
                rest.extend(words.cloned());
                break;
            }
            "-o" | "--output" => {
                let value = words.next().ok_or(format!("{word} needs a folder"))?;
                Some(value.as_str())
            }
            _ if word.starts_with("--") => word.strip_prefix("--output="),
            _ => word.strip_prefix("-o"),
        };
        match value {
            Some(value) => output = Some(PathBuf::from(value)),
            None => rest.push(word.clone()),
        }
    }
    Ok((output, rest))
}

/// The folder for a run without `-o`, in the form that lockprof uses: PREFIX-TIME.
pub fn default_output(prefix: &str) -> Result<PathBuf> {
    let now = ZonedDateTime::now();
    let name = format!("{prefix}-{}", now.strftime("%Y%m%d-%H%M%S"));
    let folders = (2..).map(|attempt| format!("{name}-{attempt}"));
    let mut folders = std::iter::once(name.clone())
        .chain(folders)
        .map(PathBuf::from);
    folders
        .find(|folder| !folder.exists())
        .context("cannot name the output's folder; name one with -o")
}

fn tell(outcome: &VmOutcome) {
    eprintln!(
        "lab: Linux {}, init after {:.1} s, {:.1} s in all",
        outcome.release,
        outcome.boot.as_secs_f64(),
        outcome.wall.as_secs_f64()
    );
}

fn status(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    code(
        status
            .code()
            .or(status.signal().map(|signal| 128 + signal))
            .unwrap_or(1),
    )
}

fn code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_memory() {
        assert_eq!(memory("2G"), Ok(2048));
        assert_eq!(memory("512M"), Ok(512));
        assert_eq!(memory("768"), Ok(768));
        for bad in ["", "G", "1", "-1G", "9999999G", "1.5G"] {
            assert!(memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_callers_output_folder_is_taken_out() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (text, output, rest) in [
            ("-d 5", None, "-d 5"),
            ("-d 5 -o out -q", Some("out"), "-d 5 -q"),
            ("-oout -d 5", Some("out"), "-d 5"),
            ("--output=a/b -d 5", Some("a/b"), "-d 5"),
            ("--output x -d 5", Some("x"), "-d 5"),
            ("-d 5 -- cc -o prog", None, "-d 5 -- cc -o prog"),
        ] {
            let taken = take_output(&words(text)).unwrap();
            assert_eq!(taken, (output.map(PathBuf::from), words(rest)), "{text}");
        }
        assert!(take_output(&words("-o")).is_err());
    }

    #[test]
    fn no_advice_leads_back_to_where_one_is() {
        let recording = b"{\"line\":\"header\",\"tier\":\"wait-only\"}\n{\"line\":\"interval\"}\n";
        assert_eq!(tier(recording).as_deref(), Some("wait-only"));
        assert_eq!(tier(b"not a recording"), None);
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let load = words("-d 5 -- tool --attach");
        assert_eq!(
            advice("debian:7.3-rt", "wait-only", &load).as_deref(),
            Some(
                "debian:7.3-rt allows only the wait-only tier; --vm debian:6.12 allows the exact one"
            )
        );
        for (kernel, tier, arguments) in [
            (kernel::DEFAULT, "wait-only", load.clone()),
            ("debian:6.1", "exact", load),
            ("debian:6.1", "wait-only", words("--attach wait -d 5")),
        ] {
            assert_eq!(advice(kernel, tier, &arguments), None, "{kernel} {tier}");
        }
    }

    #[test]
    fn a_flag_is_taken_once_and_not_from_the_users_command() {
        let mut words = ["-d", "5", "--no-report", "--", "x", "--no-report"]
            .map(str::to_owned)
            .to_vec();
        assert!(take_flag(&mut words, "--no-report"));
        assert_eq!(words, ["-d", "5", "--", "x", "--no-report"]);
        assert!(!take_flag(&mut words, "--no-report"));
    }
}
