//! What can be asked for on the command line.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// The most workers that one run can have.
const TASKS_MAX: i64 = 4096;

/// The command line of a workload, for `#[command(flatten)]` into a program's own arguments.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct WorkloadArgs {
    /// Which workload, and how.
    #[command(subcommand)]
    pub command: WorkloadCommand,
}

/// A workload with its options.
#[derive(Subcommand, Clone, Debug, PartialEq)]
pub enum WorkloadCommand {
    /// Create a thread with an empty body, join it, count
    ///
    /// This is will-it-scale's threadspawn1. Each thread's life takes tasklist_lock for writing
    /// three times: at its fork, its exit and its reaping.
    #[command(after_help = "\
Examples:
  threadspawn -t 24                               will-it-scale's threadspawn1_processes -t 24
  threadspawn -t 4 --mode threads -d 5            four threads of one process, for five seconds
  threadspawn --iterations 1000 --warm-up 0       exactly 1000 threads, then stop")]
    Threadspawn(Options),
    /// Create a thread by clone(2) alone, which ends at once, wait for its end, count
    ///
    /// A thread's life as in threadspawn, without what the C library does for it: no stack is mapped and protected, so
    /// that more tasks end in a second and the process's mmap_lock is left alone.
    #[command(after_help = "\
Examples:
  barethread -t 4                                 four processes of one thread more each, now and then
  barethread --iterations 1000 --warm-up 0        exactly 1000 threads, then stop")]
    Barethread(Options),
    /// Fork a process that exits at once, wait for it, count
    #[command(after_help = "\
Examples:
  forkexit -t 8                                   eight processes that fork, for ten seconds
  forkexit --iterations 1000 --warm-up 0          exactly 1000 children, then stop")]
    Forkexit(Options),
    /// Call setsid() as a session leader, which is refused with EPERM
    ///
    /// The call takes tasklist_lock for writing and releases it at once: there is no shorter hold.
    /// What a profiler reports for it is the profiler's own cost.
    #[command(after_help = "\
Examples:
  nullhold -d 2                                   one caller, nobody to wait for
  nullhold --iterations 100000 --warm-up 0        exactly 100000 null holds
  nullhold -t 2 --until-signalled                 two callers, until SIGINT or SIGTERM")]
    Nullhold(Options),
    /// Send no signal to the caller's own process group: kill(0, 0)
    ///
    /// The call takes tasklist_lock for reading. Each worker process is a group of its own.
    #[command(after_help = "\
Examples:
  signalgroup -t 2                                two readers, which exclude all writers
  signalgroup --mode threads -t 2 -d 5            two threads of one group")]
    Signalgroup(Options),
    /// Map four pages of anonymous memory, touch one, unmap them
    ///
    /// Each iteration takes the mmap_lock of its process for writing twice: at the mmap and at the
    /// munmap. Threads of one process wait for one another; processes have a lock each, for which
    /// nobody waits.
    #[command(
        after_help = "\
Examples:
  mmap -t 3                                       three threads of one process
  mmap -t 1800 --threads-each 3                   600 processes with three threads each
  mmap -t 3 --mode processes                      three locks, and no contention
  mmap -t 2 --iterations 1000 --warm-up 0         exactly 4000 holds for writing, then stop",
        mut_arg("mode", |mode| mode.default_value(Workload::Mmap.default_mode().name()))
    )]
    Mmap(Options),
    /// Ask of a page whether it is in memory: mincore()
    ///
    /// Each call takes the mmap_lock of its process for reading. (Page faults do not, where mappings have locks of their
    /// own: Linux 6.4 and later.)
    #[command(
        after_help = "\
Examples:
  mincore -t 2                                    two threads of one process, which both read",
        mut_arg("mode", |mode| mode.default_value(Workload::Mincore.default_mode().name()))
    )]
    Mincore(Options),
    /// Make a file in one folder that all share, and remove it
    ///
    /// Each iteration takes the folder's i_rwsem for writing twice. The folder is in $TMPDIR, or /tmp.
    #[command(after_help = "\
Examples:
  create -t 2                                     two processes that wait for one another")]
    Create(Options),
    /// Make a file in one folder, move it into another, and remove it
    ///
    /// Each iteration takes each folder's i_rwsem for writing twice, both at once for the move, and before that the
    /// filesystem's s_vfs_rename_mutex, for which workers mostly wait. The folders are in $TMPDIR, or /tmp.
    #[command(after_help = "\
Examples:
  rename -t 2                                     two processes that wait for one another")]
    Rename(Options),
    /// Set a limit of a cgroup to what it is
    ///
    /// Each iteration takes cgroup_mutex. Needs root, and cgroup2 mounted; the cgroup is the run's own.
    #[command(after_help = "\
Examples:
  cgroup -t 2                                     two processes that wait for one another")]
    Cgroup(Options),
    /// Make a cgroup and remove it
    ///
    /// Each iteration takes cgroup_mutex twice, and workers of the kernel take it besides to free the cgroup. Needs root,
    /// and cgroup2 mounted; each worker makes its cgroups in one of its own.
    #[command(after_help = "\
Examples:
  mkcgroup -t 2                                   two processes that wait for one another")]
    Mkcgroup(Options),
    /// Write a byte into a pipe that all share, and read one
    ///
    /// Each iteration takes the pipe's mutex twice.
    #[command(after_help = "\
Examples:
  pipe -t 2                                       two processes that wait for one another")]
    Pipe(Options),
    /// Lock a range of a file in which thousands are locked, and unlock it
    ///
    /// Each iteration takes the spinlock of the file's record locks (flc_lock) twice, for as long as the kernel looks
    /// through them: some microseconds. The ranges have one owner, so that no request is refused.
    #[command(after_help = "\
Examples:
  filelock -t 2                                   two processes that spin for one another")]
    Filelock(Options),
    /// Set the name of a namespace of the run's own to what it is
    ///
    /// Each iteration takes uts_sem for writing, which is one for all namespaces. Needs a machine on which the caller may
    /// make a user namespace.
    #[command(after_help = "\
Examples:
  hostname -t 2                                   two processes that wait for one another")]
    Hostname(Options),
    /// Ask what the machine is called: uname()
    ///
    /// Each call takes uts_sem for reading.
    #[command(after_help = "\
Examples:
  uname -t 2                                      two processes, which both read")]
    Uname(Options),
}

impl WorkloadCommand {
    /// Puts a workload and its options together.
    #[must_use]
    pub fn new(workload: Workload, options: Options) -> Self {
        match workload {
            Workload::Threadspawn => Self::Threadspawn(options),
            Workload::Barethread => Self::Barethread(options),
            Workload::Forkexit => Self::Forkexit(options),
            Workload::Nullhold => Self::Nullhold(options),
            Workload::Signalgroup => Self::Signalgroup(options),
            Workload::Mmap => Self::Mmap(options),
            Workload::Mincore => Self::Mincore(options),
            Workload::Create => Self::Create(options),
            Workload::Rename => Self::Rename(options),
            Workload::Cgroup => Self::Cgroup(options),
            Workload::Mkcgroup => Self::Mkcgroup(options),
            Workload::Pipe => Self::Pipe(options),
            Workload::Filelock => Self::Filelock(options),
            Workload::Hostname => Self::Hostname(options),
            Workload::Uname => Self::Uname(options),
        }
    }

    /// Which workload it is.
    #[must_use]
    pub fn workload(&self) -> Workload {
        match self {
            Self::Threadspawn(_) => Workload::Threadspawn,
            Self::Barethread(_) => Workload::Barethread,
            Self::Forkexit(_) => Workload::Forkexit,
            Self::Nullhold(_) => Workload::Nullhold,
            Self::Signalgroup(_) => Workload::Signalgroup,
            Self::Mmap(_) => Workload::Mmap,
            Self::Mincore(_) => Workload::Mincore,
            Self::Create(_) => Workload::Create,
            Self::Rename(_) => Workload::Rename,
            Self::Cgroup(_) => Workload::Cgroup,
            Self::Mkcgroup(_) => Workload::Mkcgroup,
            Self::Pipe(_) => Workload::Pipe,
            Self::Filelock(_) => Workload::Filelock,
            Self::Hostname(_) => Workload::Hostname,
            Self::Uname(_) => Workload::Uname,
        }
    }

    /// The options that all workloads share.
    #[must_use]
    pub fn options(&self) -> &Options {
        match self {
            Self::Threadspawn(options)
            | Self::Barethread(options)
            | Self::Forkexit(options)
            | Self::Nullhold(options)
            | Self::Signalgroup(options)
            | Self::Mmap(options)
            | Self::Mincore(options)
            | Self::Create(options)
            | Self::Rename(options)
            | Self::Cgroup(options)
            | Self::Mkcgroup(options)
            | Self::Pipe(options)
            | Self::Filelock(options)
            | Self::Hostname(options)
            | Self::Uname(options) => options,
        }
    }

    /// The arguments that parse to this command, for whoever runs it in a child process.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.workload().name().to_owned()];
        arguments.extend(self.options().to_arguments());
        arguments
    }
}

/// The workloads, by name.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// Threads created and joined.
    Threadspawn,
    /// Threads created and waited for without the C library.
    Barethread,
    /// Processes forked and waited for.
    Forkexit,
    /// The shortest hold of tasklist_lock for writing.
    Nullhold,
    /// Holds of tasklist_lock for reading.
    Signalgroup,
    /// Holds of the workers' own mmap_lock for writing.
    Mmap,
    /// Holds of the workers' own mmap_lock for reading.
    Mincore,
    /// Holds of a folder's i_rwsem for writing.
    Create,
    /// Holds of two folders' i_rwsems for writing.
    Rename,
    /// Holds of cgroup_mutex, the shortest.
    Cgroup,
    /// Holds of cgroup_mutex that make and remove a cgroup.
    Mkcgroup,
    /// Holds of a pipe's mutex.
    Pipe,
    /// Holds of the spinlock of a file's record locks, for microseconds.
    Filelock,
    /// Holds of uts_sem for writing.
    Hostname,
    /// Holds of uts_sem for reading.
    Uname,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Threadspawn,
        Self::Barethread,
        Self::Forkexit,
        Self::Nullhold,
        Self::Signalgroup,
        Self::Mmap,
        Self::Mincore,
        Self::Create,
        Self::Rename,
        Self::Cgroup,
        Self::Mkcgroup,
        Self::Pipe,
        Self::Filelock,
        Self::Hostname,
        Self::Uname,
    ];

    /// Its name on the command line and in the ground truth.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Threadspawn => "threadspawn",
            Self::Barethread => "barethread",
            Self::Forkexit => "forkexit",
            Self::Nullhold => "nullhold",
            Self::Signalgroup => "signalgroup",
            Self::Mmap => "mmap",
            Self::Mincore => "mincore",
            Self::Create => "create",
            Self::Rename => "rename",
            Self::Cgroup => "cgroup",
            Self::Mkcgroup => "mkcgroup",
            Self::Pipe => "pipe",
            Self::Filelock => "filelock",
            Self::Hostname => "hostname",
            Self::Uname => "uname",
        }
    }

    /// What its workers are unless the command line says otherwise.
    #[must_use]
    pub fn default_mode(self) -> Mode {
        match self {
            // Each process has an mmap_lock of its own.
            Self::Mmap | Self::Mincore => Mode::Threads,
            Self::Threadspawn
            | Self::Barethread
            | Self::Forkexit
            | Self::Nullhold
            | Self::Signalgroup
            | Self::Create
            | Self::Rename
            | Self::Cgroup
            | Self::Mkcgroup
            | Self::Pipe
            | Self::Filelock
            | Self::Hostname
            | Self::Uname => Mode::Processes,
        }
    }
}

/// What a worker is.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Each worker is a process
    #[default]
    Processes,
    /// All workers are threads of one process
    Threads,
}

impl Mode {
    /// Its name on the command line and in the ground truth.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Threads => "threads",
        }
    }
}

/// When a run ends, unless a signal ends it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// After this much time in the measured window.
    Duration(Duration),
    /// When each worker has done this many iterations in the measured window.
    Iterations(NonZeroU64),
    /// At SIGINT or SIGTERM.
    UntilSignalled,
}

/// The options that all workloads share.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Options {
    /// Number of workers
    #[arg(short, long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=TASKS_MAX))]
    pub tasks: u32,

    /// What a worker is
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    pub mode: Mode,

    /// With --mode threads: how many workers share a process [default: all]
    ///
    /// The last process gets those that are left.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=TASKS_MAX))]
    pub threads_each: Option<u32>,

    /// Seconds of load before the measured ones
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_seconds)]
    pub warm_up: Duration,

    /// Measured seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "10",
          value_parser = parse_positive_seconds)]
    pub duration: Duration,

    /// Stop when each worker has done exactly N measured iterations, however long it takes
    ///
    /// Iterations of the warm-up come on top; with --warm-up 0 there are none.
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub iterations: Option<NonZeroU64>,

    /// Run until SIGINT or SIGTERM
    #[arg(long, conflicts_with_all = ["duration", "iterations"])]
    pub until_signalled: bool,

    /// Leave the workers unpinned
    ///
    /// Otherwise each is pinned to a CPU of its own when there are CPUs enough.
    #[arg(long)]
    pub no_affinity: bool,

    /// The descriptor of memory in which the workers count, for whoever starts this
    #[arg(long, hide = true, value_name = "FD", value_parser = clap::value_parser!(i32).range(3..))]
    pub counters: Option<i32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tasks: 1,
            mode: Mode::default(),
            threads_each: None,
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            iterations: None,
            until_signalled: false,
            no_affinity: false,
            counters: None,
        }
    }
}

impl Options {
    /// When the run ends.
    #[must_use]
    pub fn length(&self) -> Length {
        match self.iterations {
            _ if self.until_signalled => Length::UntilSignalled,
            Some(iterations) => Length::Iterations(iterations),
            None => Length::Duration(self.duration),
        }
    }

    fn to_arguments(&self) -> Vec<String> {
        let Self {
            tasks,
            mode,
            threads_each,
            warm_up,
            duration: _,
            iterations: _,
            until_signalled: _,
            no_affinity,
            counters: _,
        } = self;
        let mut arguments = vec![
            format!("--tasks={tasks}"),
            format!("--mode={}", mode.name()),
            format!("--warm-up={}", warm_up.as_secs_f64()),
        ];
        arguments.extend(threads_each.map(|threads| format!("--threads-each={threads}")));
        arguments.push(match self.length() {
            Length::Duration(duration) => format!("--duration={}", duration.as_secs_f64()),
            Length::Iterations(iterations) => format!("--iterations={iterations}"),
            Length::UntilSignalled => "--until-signalled".to_owned(),
        });
        if *no_affinity {
            arguments.push("--no-affinity".to_owned());
        }
        arguments
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds, such as 2 or 0.5".to_owned())
}

fn parse_positive_seconds(text: &str) -> Result<Duration, String> {
    match parse_seconds(text)? {
        Duration::ZERO => Err("expected more than 0 (--until-signalled runs without end)".into()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        workload: WorkloadArgs,
    }

    fn parse(line: &str) -> Result<WorkloadCommand, clap::Error> {
        let words = std::iter::once("test").chain(line.split_whitespace());
        TestCli::try_parse_from(words).map(|cli| cli.workload.command)
    }

    #[test]
    fn definition_is_consistent() {
        TestCli::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        for workload in Workload::ALL {
            let options = Options {
                mode: workload.default_mode(),
                ..Options::default()
            };
            assert_eq!(
                parse(workload.name()).unwrap(),
                WorkloadCommand::new(workload, options)
            );
        }
    }

    #[test]
    fn threads_are_what_contends_for_mmap_lock() {
        let mode_of = |line: &str| parse(line).unwrap().options().mode;
        assert_eq!(mode_of("mmap -t 3"), Mode::Threads);
        assert_eq!(mode_of("mmap --mode processes"), Mode::Processes);
        assert_eq!(mode_of("mincore -t 3"), Mode::Threads);
        assert_eq!(mode_of("threadspawn"), Mode::default());
    }

    #[test]
    fn arguments_parse_back_to_the_same_command() {
        for line in [
            "threadspawn -t 24 -d 5",
            "forkexit --mode threads --warm-up 0.25 --iterations 7",
            "nullhold --until-signalled --no-affinity",
            "signalgroup -d 1.5 --warm-up 0",
            "mmap -t 3",
            "mmap --mode processes",
            "mmap -t 9 --threads-each 3",
        ] {
            let command = parse(line).unwrap();
            let arguments = command.to_arguments().join(" ");
            assert_eq!(parse(&arguments).unwrap(), command, "{line}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (line, kind) in [
            ("threadspawn -t 0", ErrorKind::ValueValidation),
            ("threadspawn -t 5000", ErrorKind::ValueValidation),
            ("mmap --threads-each 0", ErrorKind::ValueValidation),
            ("threadspawn -d 0", ErrorKind::ValueValidation),
            ("threadspawn -d -1", ErrorKind::UnknownArgument),
            ("threadspawn -d NaN", ErrorKind::ValueValidation),
            ("threadspawn --warm-up inf", ErrorKind::ValueValidation),
            ("threadspawn --iterations 0", ErrorKind::ValueValidation),
            (
                "threadspawn -d 1 --iterations 1",
                ErrorKind::ArgumentConflict,
            ),
            (
                "threadspawn -d 1 --until-signalled",
                ErrorKind::ArgumentConflict,
            ),
            ("threadspawn --mode fibres", ErrorKind::InvalidValue),
            ("threadspwan", ErrorKind::InvalidSubcommand),
        ] {
            assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
        }
    }
}
