//! `lockprof locks`.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use lockprof_abi::{
    ContentionEntry, LockClass, MAX_CALLER_RANGES, WaitFilter, WaiterEntry, kind_bit,
};

use super::{
    common::CommonArguments, load::command_spec, report::GroupingArguments,
    values::positive_seconds,
};
use crate::{
    daemon::{Budget, LocksRequest, Settings},
    kernel::{AttachChoice, CallerTexts, Kallsyms, Request},
    probe::programs::WaiterTable,
    profile::LockKind,
    recording::{parse_address, schema::Detail},
    units,
};

/// `lockprof locks`.
#[derive(Args, Debug)]
#[command(override_usage = "lockprof locks [OPTIONS] [-- COMMAND...]")]
pub struct LocksArguments {
    /// Measured seconds [default: until Ctrl-C, or until the command ends]
    #[arg(short, long, value_name = "SECONDS", value_parser = positive_seconds)]
    duration: Option<Duration>,
    /// By what the table groups the waits for all locks.
    #[command(flatten)]
    pub grouping: GroupingArguments,
    /// Only locks of these kinds
    #[arg(long = "kind", value_name = "KIND", value_enum, value_delimiter = ',')]
    kinds: Vec<KindWord>,
    /// Only this lock: mmap_lock or siglock, a symbol of the kernel, or an address (0x…)
    #[arg(long, value_name = "LOCK")]
    lock: Option<String>,
    /// Only waits that this function of the kernel asked for, as the report names who asked, with what the compiler
    /// made of it (FUNCTION.cold and the like); may be given several times. Waits of which it is not to be told who
    /// asked are left out, and the report says how many there were
    #[arg(long = "caller", value_name = "FUNCTION")]
    callers: Vec<String>,
    /// Only waits of this process
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
    /// Only waits of this task
    #[arg(long, value_name = "TID", value_parser = clap::value_parser!(u32).range(1..))]
    tid: Option<u32>,
    /// Only waits in this cgroup: a folder below /sys/fs/cgroup, or its path there
    #[arg(long, value_name = "CGROUP")]
    cgroup: Option<PathBuf>,
    /// Only waits that begin on this CPU
    #[arg(long, value_name = "N")]
    cpu: Option<u32>,
    /// Only waits of at least so many microseconds
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    min_wait: Option<u64>,
    /// What measuring may cost this machine on average, in per cent of what it does; off: whatever it costs
    #[arg(
        long,
        value_name = "PERCENT|off",
        default_value = "1%",
        conflicts_with = "command"
    )]
    budget: Budget,
    /// Places for contended locks on each CPU [default: 2048, and from 128 CPUs on fewer, down to 256]
    #[arg(long, value_name = "N", value_parser = places)]
    lock_places: Option<u32>,
    /// Places for waiting tasks and their owners on each CPU [default: 16384 to 256, the fewer the more CPUs]
    #[arg(long, value_name = "N", value_parser = places)]
    task_places: Option<u32>,
    #[command(flatten)]
    common: CommonArguments,
    /// The command to look at the machine with: the waits are those of everybody, not of it alone
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// `--kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KindWord {
    /// Locks that one has and others spin for
    Spinlock,
    /// Reader-writer locks that are spun for
    Rwlock,
    /// Mutexes
    Mutex,
    /// Reader-writer semaphores
    Rwsem,
    /// Reader-writer semaphores with a part on each CPU
    PercpuRwsem,
    /// Locks of a real-time kernel
    RtMutex,
    /// Semaphores, and what else the flags do not tell
    Other,
}

impl KindWord {
    fn has(self, kind: LockKind) -> bool {
        self == match kind {
            LockKind::Spin => Self::Spinlock,
            LockKind::SpinRead | LockKind::SpinWrite => Self::Rwlock,
            LockKind::Mutex => Self::Mutex,
            LockKind::SleepRead | LockKind::SleepWrite => Self::Rwsem,
            LockKind::PerCpu => Self::PercpuRwsem,
            LockKind::RealTime => Self::RtMutex,
            LockKind::Sleep => Self::Other,
        }
    }
}

/// What all CPUs' places for contended locks are to take together, and for waiting tasks, where nobody asks for more
/// and each CPU has the least with that.
const LOCKS_BYTES: usize = 32 << 20;
const WAITERS_BYTES: usize = 16 << 20;
/// So many each CPU has at least.
const LEAST_PLACES: u32 = 256;

impl LocksArguments {
    /// What is to be measured, and whether a report follows.
    ///
    /// # Errors
    /// There is no such cgroup, or the command is empty.
    pub fn settings(&self, launched: Instant) -> Result<(Settings, bool)> {
        let Only {
            filter,
            words,
            callers,
        } = self.only()?;
        let load = if self.command.is_empty() {
            None
        } else {
            Some(command_spec(&self.command)?)
        };
        let request = Request {
            attach: AttachChoice::Wait,
            detail: Detail::Holds,
            windows: self.common.has_windows(),
            owner_stacks: self.common.takes_stacks(),
            off_cpu: false,
            ..Request::default()
        };
        let settings = Settings {
            locks: Some(LocksRequest {
                table: WaiterTable {
                    locks: self
                        .lock_places
                        .unwrap_or_else(|| fit::<ContentionEntry>(LOCKS_BYTES, 2048)),
                    waiters: self
                        .task_places
                        .unwrap_or_else(|| fit::<WaiterEntry>(WAITERS_BYTES, 16384)),
                    only: filter,
                },
                only: words,
                callers,
            }),
            budget: load.is_none().then_some(self.budget),
            duration: self.duration,
            load,
            ..self.common.settings(request, launched)
        };
        Ok((settings, !self.common.no_report))
    }

    /// Which waits are looked at.
    fn only(&self) -> Result<Only> {
        let mut filter = WaitFilter::EVERYTHING;
        let mut words = Vec::new();
        if !self.kinds.is_empty() {
            filter.kinds = (0..64)
                .filter(|&flags| self.kinds.iter().any(|word| word.has(LockKind::of(flags))))
                .fold(0, |all, flags| all | kind_bit(flags));
            let names = self
                .kinds
                .iter()
                .filter_map(|word| word.to_possible_value());
            let names: Vec<String> = names.map(|value| value.get_name().to_owned()).collect();
            words.push(format!("kind {}", names.join(" or ")));
        }
        if let Some(lock) = &self.lock {
            match LockClass::from_name(lock) {
                Some(class) => filter.class = class as u64,
                None => filter.lock = address_of(lock)?,
            }
            words.push(format!("lock {lock}"));
        }
        let mut callers = Vec::new();
        if !self.callers.is_empty() {
            if !self.common.takes_stacks() {
                bail!(
                    "who asks for a lock that is slept for is known by its call stack: leave out --stacks none"
                );
            }
            callers = callers_into(&mut filter, &self.callers, &Kallsyms::read()?)?;
            words.push(format!("asked for by {}", callers.join(" or ")));
        }
        if let Some(pid) = self.pid {
            exists("process", pid)?;
            is_process(pid, &format!("--tid {pid}, or "))?;
            filter.tgid = pid.into();
            words.push(format!("process {pid}"));
        }
        if let Some(tid) = self.tid {
            exists("task", tid)?;
            filter.pid = tid.into();
            words.push(format!("task {tid}"));
        }
        if let Some(cgroup) = &self.cgroup {
            let (path, id) = cgroup_id(cgroup)?;
            filter.cgroup = id;
            words.push(format!("cgroup {path}"));
        }
        if let Some(cpu) = self.cpu {
            filter.cpu = u64::from(cpu) + 1;
            words.push(format!("waits that began on CPU {cpu}"));
        }
        if let Some(microseconds) = self.min_wait {
            filter.shortest_ns = microseconds.saturating_mul(1000);
            words.push(format!("waits of at least {microseconds} µs"));
        }
        Ok(Only {
            filter,
            words,
            callers,
        })
    }
}

/// Which waits are looked at.
struct Only {
    /// For the programs.
    filter: WaitFilter,
    words: Vec<String>,
    /// The functions that ask, as reports name them.
    callers: Vec<String>,
}

/// Has the filter let pass only waits that these functions asked for; their names, as reports have them.
fn callers_into(
    filter: &mut WaitFilter,
    wanted: &[String],
    symbols: &Kallsyms,
) -> Result<Vec<String>> {
    if symbols.hidden() {
        bail!(
            "/proc/kallsyms hides where functions are, so that nobody can tell who asks: run it with sudo"
        );
    }
    let texts = CallerTexts::of(symbols);
    if !texts.tell_sleepers() {
        bail!(
            "this kernel's symbols do not tell which functions are those of locks, so that nobody can tell who asks \
             for one: leave out --caller, and look at the table by caller (--by caller)"
        );
    }
    let mut names = Vec::new();
    let mut ranges = Vec::new();
    for function in wanted {
        let called = symbols.functions_called(function);
        if called.is_empty() {
            bail!(
                "this kernel has no function {function}: perhaps the compiler has put it into those that call it. \
                 `lockprof locks --by caller` has who asks"
            );
        }
        for (name, range) in called {
            if texts.between.contains(range.start) {
                bail!(
                    "{name} is one of the functions of locks and of the scheduler, which are never said to have asked \
                     for a lock: name the function that calls it. `lockprof locks --by caller` has who asks"
                );
            }
            if !ranges.contains(&range) {
                ranges.push(range);
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let Some(places) = filter.callers.get_mut(..ranges.len()) else {
        bail!(
            "{} functions of this kernel have these names, and {MAX_CALLER_RANGES} can be told apart: name fewer",
            ranges.len()
        );
    };
    places.copy_from_slice(&ranges);
    Ok(names)
}

/// The address of a lock that is named by it, or by its symbol.
fn address_of(lock: &str) -> Result<u64> {
    if lock.starts_with("0x") {
        let address = parse_address(lock).filter(|&address| address != 0);
        return address.with_context(|| format!("{lock} is no address"));
    }
    let symbols = Kallsyms::read()?;
    match symbols.addresses_of_object(lock)[..] {
        [address] => Ok(address),
        [] if symbols.hidden() => bail!(
            "the address of {lock} is hidden: run it with sudo, or name the lock by its address (0x…)"
        ),
        [] if !symbols.has_objects() => bail!(
            "this kernel has no symbols of its data, so that {lock} cannot be found by its name: name it by its address \
             (0x…), or look at mmap_lock or siglock, or at every lock"
        ),
        [] => bail!("this kernel has no variable {lock}"),
        ref several => {
            let several = several.iter().map(|address| format!("{address:#x}"));
            bail!(
                "several variables are called {lock}: name one of them by its address ({})",
                units::list(&several.collect::<Vec<_>>())
            )
        }
    }
}

/// A task that is not there waits for nothing: most likely it is another that is meant.
pub(super) fn exists(what: &str, pid: u32) -> Result<()> {
    if Path::new(&format!("/proc/{pid}")).exists() {
        Ok(())
    } else {
        bail!("there is no {what} {pid}")
    }
}

/// A thread has a folder in /proc too, and is no process.
pub(super) fn is_process(pid: u32, otherwise: &str) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut lines = status.lines();
    let process = lines.find_map(|line| line.strip_prefix("Tgid:").map(str::trim));
    match process {
        Some(process) if process != pid.to_string() => {
            bail!("{pid} is a thread of process {process}: use {otherwise}--pid {process}")
        }
        _ => Ok(()),
    }
}

/// The path of a cgroup and its number: that of its folder.
fn cgroup_id(cgroup: &Path) -> Result<(String, u64)> {
    let below = Path::new("/sys/fs/cgroup");
    let folder = if cgroup.starts_with(below) {
        cgroup.to_owned()
    } else {
        below.join(cgroup.strip_prefix("/").unwrap_or(cgroup))
    };
    let metadata = fs::metadata(&folder)
        .with_context(|| format!("there is no cgroup {}", folder.display()))?;
    Ok((folder.display().to_string(), metadata.ino()))
}

/// Places on each CPU: as many as fit into what all CPUs' together may take.
fn fit<Entry>(bytes: usize, most: u32) -> u32 {
    let cpus = aya::util::nr_cpus().unwrap_or(1).max(1);
    let fit = bytes / (cpus * size_of::<Entry>());
    let fit = u32::try_from(fit).unwrap_or(most);
    1 << fit.clamp(LEAST_PLACES, most).ilog2()
}

fn places(text: &str) -> Result<u32, String> {
    let places: u32 = text
        .parse()
        .map_err(|_error| "not a number of places".to_owned())?;
    if !(16..=1 << 18).contains(&places) {
        return Err("between 16 and 262144".to_owned());
    }
    Ok(places.next_power_of_two())
}
