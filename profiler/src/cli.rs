//! The command line: what was typed, and what it means.

mod common;
mod compare;
mod load;
mod locks;
mod measure;
mod report;
mod values;

pub use compare::{CompareArguments, CompareFormat};
pub use locks::LocksArguments;
pub use report::{FormatWord, ReportArguments};

use std::{
    ffi::OsString,
    io,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::{ArgGroup, Args, CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use workloads::{
    Mode, Options as WorkloadOptions, Workload as BundledLoad, WorkloadArgs, WorkloadCommand,
};

use self::{
    load::{bundled_spec, command_spec, usable_cpus},
    measure::{AttachWord, DetailChoice, MeasureArguments},
    values::{positive_seconds, seconds},
};
use crate::{
    daemon::{Budget, Settings},
    guard::GuardArguments,
    kernel::privileges,
    renounce,
};

/// How long is a kernel lock held, by whom, doing what, and who waits for it?
///
/// Exit status: 0 done, 1 failed, 2 bad usage, 3 the run is void because of losses,
/// 4 a comparison found a regression.
#[derive(Debug, Parser)]
#[command(
    name = "lockprof",
    version,
    after_help = "\
Examples:
  lockprof run --workload threadspawn -t 24       profile a load that comes with lockprof
  lockprof run -- make -j8                        profile a load of your own
  lockprof attach -d 10                           what this machine does now
  lockprof locks -d 10                            which locks this machine waits for, and who has them
  lockprof report lockprof-20261122-201500        the table again, from the recording
  lockprof report DIR --format png --only anatomy -o anatomy.png
  lockprof compare base/ --vs patched/            whether a patch makes it better
  lockprof doctor                                 what this kernel allows"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Profile a load: a bundled one, or a command of your own
    Run(RunArguments),
    /// Profile what this machine does now, until Ctrl-C or for -d seconds
    Attach(AttachArguments),
    /// Every contended lock of this machine: by name, by who waits, and by who has it
    Locks(LocksArguments),
    /// Show a recording
    Report(ReportArguments),
    /// Compare the recordings of two or more kernels
    Compare(CompareArguments),
    /// Run a bundled load alone, in the manner of will-it-scale
    Workload(WorkloadArgs),
    /// Say what this kernel allows, and how that was found out
    Doctor(DoctorArguments),
    /// Watch over the lockprof that has started this one
    #[command(hide = true)]
    Guard(GuardArguments),
}

impl Command {
    /// Gives up what it can do without from the beginning.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn renounce(&self) -> io::Result<()> {
        match self {
            // When they have what they need.
            Self::Run(_) | Self::Attach(_) | Self::Locks(_) | Self::Guard(_) => Ok(()),
            Self::Report(_) | Self::Compare(_) => renounce::for_good(privileges::TO_WRITE),
            Self::Doctor(_) => renounce::for_good(privileges::TO_LOOK),
            Self::Workload(load) => renounce::all_but(privileges::to_work(load.command.workload())),
        }
    }
}

/// `lockprof run`.
#[derive(Args, Debug)]
#[command(
    override_usage = "lockprof run [OPTIONS] <--workload NAME | -- COMMAND...>",
    group(ArgGroup::new("load").required(true).args(["workload", "command"]))
)]
pub struct RunArguments {
    /// The bundled load to run
    #[arg(long, value_name = "NAME")]
    workload: Option<BundledLoad>,
    /// Workers of the bundled load [default: one for each online CPU]
    #[arg(short = 't', long, value_name = "N", conflicts_with = "command",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    tasks: Option<u32>,
    /// Whether the workers are processes or threads of one process [default: processes; of mmap and mincore, threads]
    #[arg(long, value_enum, conflicts_with = "command")]
    mode: Option<Mode>,
    /// Of threads: how many workers of the bundled load share a process [default: all]
    #[arg(long, value_name = "N", conflicts_with = "command",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    threads_each: Option<u32>,
    /// Do not pin the workers of the bundled load to CPUs
    #[arg(long, conflicts_with = "command")]
    no_affinity: bool,
    /// Let each worker of the bundled load do exactly this many iterations
    #[arg(long, value_name = "N", conflicts_with_all = ["command", "duration"])]
    iterations: Option<NonZeroU64>,
    /// Measured seconds [default: 10 of a bundled load; of a command, until it ends]
    #[arg(short, long, value_name = "SECONDS", value_parser = positive_seconds)]
    duration: Option<Duration>,
    /// Seconds of the load before the measured ones [default: 2 of a bundled load, 0 of a command]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    warm_up: Option<Duration>,
    #[command(flatten)]
    measure: MeasureArguments,
    /// How much to measure inside a hold: holds alone, or the calls in them too [default: spans; of a mutex or an rwsem without --span, holds]
    #[arg(long, value_enum)]
    detail: Option<DetailChoice>,
    /// The command to profile, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// `lockprof attach`.
#[derive(Args, Debug)]
pub struct AttachArguments {
    /// Measured seconds [default: until Ctrl-C, SIGTERM or SIGHUP]
    #[arg(short, long, value_name = "SECONDS", value_parser = positive_seconds)]
    duration: Option<Duration>,
    #[command(flatten)]
    measure: MeasureArguments,
    /// The process whose lock is meant, where each process has one: --lock mmap_lock. exec is followed
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// What measuring may cost this machine on average, in per cent of what it does; off: whatever it costs
    #[arg(long, value_name = "PERCENT|off", default_value = "1%")]
    budget: Budget,
    /// How much to measure inside a hold: holds alone, or the calls in them too [default: holds; with --span, spans]
    #[arg(long, value_enum)]
    detail: Option<DetailChoice>,
}

/// `lockprof doctor`.
#[derive(Args, Debug)]
pub struct DoctorArguments {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl RunArguments {
    /// Whether the words fit together.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn check(&self) -> Result<(), clap::Error> {
        let mode = self.workload.map(|workload| self.mode_of(workload));
        if self.threads_each.is_some() && mode == Some(Mode::Processes) {
            return Err(Arguments::command().error(
                ErrorKind::ArgumentConflict,
                "--threads-each needs --mode threads",
            ));
        }
        self.measure.check(self.detail())
    }

    fn detail(&self) -> DetailChoice {
        self.detail.unwrap_or_else(|| {
            if self.measure.follows_by_task() && self.measure.spans.is_empty() {
                DetailChoice::Holds
            } else {
                DetailChoice::Spans
            }
        })
    }

    fn mode_of(&self, workload: BundledLoad) -> Mode {
        self.mode.unwrap_or_else(|| workload.default_mode())
    }

    /// What is to be measured, and whether a report follows.
    ///
    /// # Errors
    /// The words contradict each other.
    pub fn settings(&self, launched: Instant) -> Result<(Settings, bool)> {
        let bundled = self.workload.map(|workload| self.bundled(workload));
        let (default_warm_up, default_duration) = match bundled {
            Some(_) => (2, Some(Duration::from_secs(10))),
            None => (0, None),
        };
        let warm_up = self.warm_up.unwrap_or(Duration::from_secs(default_warm_up));
        let duration = match self.iterations {
            Some(_) => None,
            None => self.duration.or(default_duration),
        };
        let load = match bundled {
            Some(command) => bundled_spec(&command),
            None => command_spec(&self.command)?,
        };
        let mut settings = self.measure.settings(self.detail(), launched)?;
        settings.request.of_process = true;
        let settings = Settings {
            warm_up,
            duration,
            load: Some(load),
            ..settings
        };
        Ok((settings, !self.measure.common.no_report))
    }

    fn bundled(&self, workload: BundledLoad) -> WorkloadCommand {
        let defaults = WorkloadOptions::default();
        WorkloadCommand::new(
            workload,
            WorkloadOptions {
                tasks: self.tasks.unwrap_or_else(usable_cpus),
                mode: self.mode_of(workload),
                threads_each: self.threads_each,
                warm_up: self.warm_up.unwrap_or(defaults.warm_up),
                duration: self.duration.unwrap_or(defaults.duration),
                iterations: self.iterations,
                no_affinity: self.no_affinity,
                ..defaults
            },
        )
    }
}

impl AttachArguments {
    fn detail(&self) -> DetailChoice {
        self.detail.unwrap_or(if self.measure.spans.is_empty() {
            DetailChoice::Holds
        } else {
            DetailChoice::Spans
        })
    }

    /// Whether the words fit together.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn check(&self) -> Result<(), clap::Error> {
        if self.pid.is_some() && !self.measure.follows_of_process() {
            let conflict = "--pid is for --lock mmap_lock, of which each process has one: of any other lock, all holds are \
                            followed (`lockprof locks --pid` measures the waits of one process)";
            return Err(Arguments::command().error(ErrorKind::ArgumentConflict, conflict));
        }
        self.measure.check(self.detail())
    }

    /// What is to be measured, and whether a report follows.
    ///
    /// # Errors
    /// Nothing is to be attached, or there is no such process, or the output's folder cannot be named.
    pub fn settings(&self, launched: Instant) -> Result<(Settings, bool)> {
        if self.measure.attach == AttachWord::Off {
            bail!(
                "--attach off is for `lockprof run`: without a load and without probes there is nothing to record"
            );
        }
        if let Some(pid) = self.pid {
            locks::exists("process", pid)?;
            locks::is_process(pid, "")?;
        }
        let mut settings = self.measure.settings(self.detail(), launched)?;
        settings.request.of_process = self.pid.is_some();
        let settings = Settings {
            process: self.pid,
            duration: self.duration,
            budget: Some(self.budget),
            ..settings
        };
        Ok((settings, !self.measure.common.no_report))
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::{
        daemon::LoadSpec,
        recording::schema::{Detail, LockFamily},
        span::Span,
    };

    #[test]
    fn calls_on_request_are_inside_of_holds() {
        let attach = |words: &[&str]| {
            let words = ["lockprof", "attach"].iter().chain(words);
            match Arguments::try_parse_from(words)?.command {
                Command::Attach(arguments) => arguments.check().map(|()| arguments),
                other => panic!("{other:?}"),
            }
        };
        let error = attach(&["--span", "__wake_up", "--detail", "holds"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
        let asked = attach(&["--span", "__wake_up", "--span", "css_create"]).unwrap();
        assert_eq!(
            asked.measure.spans,
            [Span::WAKE_UP, Span::named("css_create")]
        );
        assert_eq!(asked.detail(), DetailChoice::Spans);
        for (function, words) in [
            (
                "free_pid.isra.0",
                "a part that the compiler has made of free_pid",
            ),
            ("_raw_spin_lock", "have frozen machines"),
            (
                "queued_write_lock_slowpath",
                "are entered from BPF's own locks",
            ),
            ("free pid", "no name of a function"),
            ("", "no name of a function"),
        ] {
            let error = attach(&["--span", function]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn of_a_mutex_holds_alone_are_measured_unless_calls_are_named() {
        let settings = run(&["--lock", "cgroup_mutex", "--", "true"]).unwrap();
        assert_eq!(settings.request.detail, Detail::Holds);
        assert_eq!(settings.request.kind, Some(LockFamily::Mutex));
        let words = [
            "--lock",
            "cgroup_mutex",
            "--span",
            "css_create",
            "--",
            "true",
        ];
        let settings = run(&words).unwrap();
        assert_eq!(settings.request.detail, Detail::Spans);
        for (words, part) in [
            (&["--detail", "spans"][..], "takes --span FUNCTION"),
            (&["--readers"], "a mutex has none"),
        ] {
            let words = [&["--lock", "a_lock:mutex"], words, &["--", "true"]].concat();
            let error = run(&words).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    fn run(words: &[&str]) -> Result<Settings, String> {
        let words = ["lockprof", "run"].iter().chain(words);
        match Arguments::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .command
        {
            Command::Run(arguments) => {
                arguments.check().map_err(|error| error.to_string())?;
                let settings = arguments.settings(Instant::now());
                settings
                    .map(|(settings, _)| settings)
                    .map_err(|error| error.to_string())
            }
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_bundled_load_has_the_contract_s_defaults() {
        let settings = run(&["--workload", "threadspawn", "-t", "24"]).expect("valid");
        assert_eq!(settings.warm_up, Duration::from_secs(2));
        assert_eq!(settings.duration, Some(Duration::from_secs(10)));
        assert_eq!(settings.request.detail, Detail::Spans);
        let Some(LoadSpec::Bundled {
            workload,
            arguments,
        }) = settings.load
        else {
            panic!("{:?}", settings.load);
        };
        assert_eq!(workload.tasks, Some(24));
        assert_eq!(arguments[0], "threadspawn");
        assert!(
            !arguments
                .iter()
                .any(|word| word.starts_with("--threads-each"))
        );
    }

    #[test]
    fn threads_of_a_bundled_load_may_be_in_several_processes() {
        let words = ["--workload", "mmap", "-t", "9", "--threads-each", "3"];
        let settings = run(&words).expect("valid");
        let Some(LoadSpec::Bundled { arguments, .. }) = settings.load else {
            panic!("{:?}", settings.load);
        };
        let has = |word: &str| arguments.iter().any(|argument| argument == word);
        assert!(
            has("--threads-each=3") && has("--mode=threads"),
            "{arguments:?}"
        );
    }

    #[test]
    fn attach_has_a_budget_and_a_run_has_none() {
        let attach = |words: &[&str]| {
            let words = ["lockprof", "attach"].iter().chain(words);
            match Arguments::try_parse_from(words).map(|arguments| arguments.command) {
                Ok(Command::Attach(arguments)) => Some(arguments.budget),
                _ => None,
            }
        };
        assert_eq!(attach(&[]), Some(Budget::Share(0.01)));
        assert_eq!(attach(&["--budget", "5%"]), Some(Budget::Share(0.05)));
        assert_eq!(attach(&["--budget", "off"]), Some(Budget::Off));
        assert_eq!(attach(&["--budget", "much"]), None);
        assert!(run(&["--budget", "1%", "--", "make"]).is_err());
        assert_eq!(run(&["--", "make"]).expect("valid").budget, None);
    }

    #[test]
    fn a_command_is_measured_from_its_start_to_its_end() {
        let settings = run(&["--", "make", "-j8"]).expect("valid");
        assert_eq!(settings.warm_up, Duration::ZERO);
        assert_eq!(settings.duration, None);
    }

    #[test]
    fn contradictions_are_refused() {
        let neither = run(&[]).unwrap_err();
        assert!(
            neither.contains("<--workload NAME | -- COMMAND...>"),
            "{neither}"
        );
        assert!(run(&["--workload", "threadspawn", "--", "make"]).is_err());
        assert!(run(&["-t", "2", "--", "make"]).is_err());
        assert!(run(&["--workload", "threadspawn", "-t", "0"]).is_err());
        assert!(run(&["--threads-each", "2", "--", "make"]).is_err());
        let of_processes = ["--workload", "threadspawn", "--threads-each", "2"];
        let error = run(&of_processes).unwrap_err();
        assert!(error.contains("needs --mode threads"), "{error}");
        assert!(run(&["--workload", "threadspawn", "-d", "0"]).is_err());
        assert!(run(&["--workload", "threadspawn", "-d", "nan"]).is_err());
        assert!(run(&["--workload", "threadspawn", "--interval", "-1"]).is_err());
        assert!(run(&["--workload", "threadspawn", "--iterations", "5", "-d", "2"]).is_err());
    }
}
