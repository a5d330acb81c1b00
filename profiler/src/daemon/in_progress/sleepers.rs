//! The tasks that sleep for a lock, by looks through /proc. A wait that began before the probes were attached, or
//! while they were not, has no event.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read as _},
    thread,
    time::{Duration, Instant},
};

use super::{
    super::cost::{monotonic_ns, thread_cpu_ns},
    super::process::has_first_namespace,
    task::{SleptFor, Stat, frames, slept_for, switches},
    without_event,
};
use crate::{
    kernel::{Kallsyms, KernelText},
    proc::numbers,
    recording::schema::OpenEvent,
};

/// Between two looks, at least.
const EVERY: Duration = Duration::from_secs(1);
/// So many times as long as the CPU was used for a look there is none: all of them are one per cent of one CPU at most.
const REST: u32 = 100;
/// Who was not seen before the last look has to sleep for so long to be listed.
const LAST_LOOK: Duration = Duration::from_millis(20);
/// A look ends after so much of the CPU's time, whatever is left.
const LONGEST_LOOK: Duration = Duration::from_millis(250);

/// A task that sleeps for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sleeper {
    pub tgid: u32,
    pub comm: String,
    /// For what it sleeps.
    pub slept_for: SleptFor,
    /// When it was first seen asleep (CLOCK_MONOTONIC, ns): it has not run since.
    pub since_ns: u64,
    /// That was when the probes were attached.
    pub since_attach: bool,
    /// The window of the programs in which it was first seen, and that of the last look; see [`Moment`].
    first_window: u32,
    last: Moment,
    sleep: Sleep,
}

impl Sleeper {
    /// When it was last seen asleep.
    pub const fn last_seen_ns(&self) -> u64 {
        self.last.now_ns
    }

    /// Its wait, at a moment until which it is known to have gone on.
    pub fn event(&self, pid: u32, until_ns: u64) -> OpenEvent {
        OpenEvent {
            since_attach: self.since_attach,
            caller: self.slept_for.caller.clone(),
            pid: Some(pid),
            tgid: Some(self.tgid),
            comm: Some(self.comm.clone()),
            ..without_event(self.slept_for.flags, until_ns.saturating_sub(self.since_ns))
        }
    }
}

/// Whether no row can have the wait of a thread: it went on already when the probes were attached, or went on when a
/// window ended.
const fn has_no_event((_, sleeper): &(u32, Sleeper)) -> bool {
    sleeper.since_attach || sleeper.first_window != sleeper.last.window
}

/// When a look is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// CLOCK_MONOTONIC, ns.
    pub now_ns: u64,
    /// The window's number, as the programs have it.
    pub window: u32,
}

/// What tells one sleep of a thread from another: it has not run in between, and is the same thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    started: u64,
    switches: u64,
}

impl Sleep {
    /// That of a thread which sleeps now, and the thread's name; none of one that does not, or is no more.
    pub fn of(pid: u32) -> Option<(Self, String)> {
        // Which is there for every thread, though /proc lists each process's first one alone.
        let folder = format!("/proc/{pid}/task/{pid}");
        let stat = read_stat(&folder, &mut Vec::new())?;
        let sleep = Self::read(&folder, &stat)?;
        matches!(stat.state, 'D' | 'S').then_some((sleep, stat.comm))
    }

    #[cfg(test)]
    pub const fn example(switches: u64) -> Self {
        Self {
            started: 1,
            switches,
        }
    }

    fn read(folder: &str, stat: &Stat) -> Option<Self> {
        let status = fs::read_to_string(format!("{folder}/status")).ok()?;
        Some(Self {
            started: stat.started,
            switches: switches(&status)?,
        })
    }
}

/// What the looks have found.
#[derive(Debug)]
pub struct Sleepers {
    /// By thread.
    known: HashMap<u32, Sleeper>,
    /// Reads which function a sleeper has called; or why that cannot be known.
    text: Result<KernelText, String>,
    /// Why stacks could not be read at the attach, where they could not.
    blind: Option<String>,
    /// Those that have ended since they were last asked for, and that no row can have.
    ended: Vec<(u32, Sleeper)>,
    first_pid_namespace: bool,
    cut_off: bool,
    next: Instant,
}

impl Sleepers {
    /// Looks for the first time.
    pub fn begin(symbols: &Kallsyms, moment: Moment) -> Self {
        let text = if symbols.hidden() {
            Err("/proc/kallsyms hides addresses".to_owned())
        } else {
            KernelText::open()
        };
        let mut sleepers = Self {
            known: HashMap::new(),
            text,
            blind: stacks_are_hidden(),
            ended: Vec::new(),
            first_pid_namespace: has_first_namespace(),
            cut_off: false,
            next: Instant::now(),
        };
        sleepers.look(symbols, moment);
        for sleeper in sleepers.known.values_mut() {
            sleeper.since_attach = true;
        }
        sleepers
    }

    /// Whether the last look was long enough ago.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Looks at every task; at those that are known alone where stacks cannot be read any more. Who has not run since
    /// the last look still sleeps for the same.
    pub fn look(&mut self, symbols: &Kallsyms, moment: Moment) {
        let began_ns = thread_cpu_ns();
        let used = || Duration::from_nanos(thread_cpu_ns().saturating_sub(began_ns));
        self.cut_off = false;
        let mut seen = HashSet::new();
        let mut line = Vec::new();
        if stacks_are_hidden().is_some() {
            let known: Vec<(u32, u32)> = self.threads();
            for (tgid, pid) in known {
                if self.look_at(tgid, pid, symbols, moment, &mut line) {
                    seen.insert(pid);
                }
            }
        } else {
            'processes: for tgid in numbers("/proc") {
                for pid in numbers(&format!("/proc/{tgid}/task")) {
                    if used() > LONGEST_LOOK {
                        self.cut_off = true;
                        break 'processes;
                    }
                    if self.look_at(tgid, pid, symbols, moment, &mut line) {
                        seen.insert(pid);
                    }
                }
            }
        }
        let gone = self.known.extract_if(|pid, _| !seen.contains(pid));
        self.ended.extend(gone.filter(has_no_event));
        self.next = Instant::now() + EVERY.max(used() * REST);
    }

    /// Looks for the last time, twice at those that were not seen before: a short wait is over by then.
    pub fn look_for_the_last_time(&mut self, symbols: &Kallsyms, window: u32) {
        let now_ns = monotonic_ns();
        self.look(symbols, Moment { now_ns, window });
        if self.known.values().all(|sleeper| sleeper.since_ns < now_ns) {
            return;
        }
        thread::sleep(LAST_LOOK);
        let now_ns = monotonic_ns();
        let moment = Moment { now_ns, window };
        for (tgid, pid) in self.threads() {
            if !self.look_at(tgid, pid, symbols, moment, &mut Vec::new()) {
                let gone = self.known.remove_entry(&pid);
                self.ended.extend(gone.filter(has_no_event));
            }
        }
    }

    /// Who is known to sleep: process and thread.
    fn threads(&self) -> Vec<(u32, u32)> {
        let known = self.known.iter();
        known.map(|(&pid, sleeper)| (sleeper.tgid, pid)).collect()
    }

    /// Those that have ended since the last call, and that no row can have.
    pub fn take_ended(&mut self) -> Vec<(u32, Sleeper)> {
        std::mem::take(&mut self.ended)
    }

    /// Whether a task sleeps for a lock, and no signal wakes it.
    fn look_at(
        &mut self,
        tgid: u32,
        pid: u32,
        symbols: &Kallsyms,
        moment: Moment,
        line: &mut Vec<u8>,
    ) -> bool {
        let folder = format!("/proc/{tgid}/task/{pid}");
        let Some(stat) = read_stat(&folder, line).filter(|stat| stat.state == 'D') else {
            return false;
        };
        // Before the stack: where the task has run meanwhile, the next look sees another number.
        let Some(sleep) = Sleep::read(&folder, &stat) else {
            return false;
        };
        if let Some(known) = self
            .known
            .get_mut(&pid)
            .filter(|known| known.sleep == sleep)
        {
            known.last = moment;
            return true;
        }
        let Some(slept_for) = self.stack(&folder, symbols) else {
            return false;
        };
        let sleeper = Sleeper {
            tgid,
            comm: stat.comm,
            slept_for,
            since_ns: moment.now_ns,
            since_attach: false,
            first_window: moment.window,
            last: moment,
            sleep,
        };
        let before = self.known.remove_entry(&pid);
        self.ended.extend(before.filter(has_no_event));
        self.known.insert(pid, sleeper);
        true
    }

    /// For what a task sleeps, by its stack.
    fn stack(&self, folder: &str, symbols: &Kallsyms) -> Option<SleptFor> {
        let stack = fs::read_to_string(format!("{folder}/stack")).ok()?;
        slept_for(&frames(&stack), |frame| self.called(frame, symbols))
    }

    /// The function that was called where a frame returns to.
    fn called(&self, frame: &str, symbols: &Kallsyms) -> Option<String> {
        let text = self.text.as_ref().ok()?;
        let (function, offset) = frame.split_once("+0x")?;
        let offset = u64::from_str_radix(offset, 16).ok()?;
        let in_module = function
            .strip_suffix(']')
            .and_then(|rest| rest.split_once(" ["));
        let (symbol, module) =
            in_module.map_or((function, None), |(symbol, module)| (symbol, Some(module)));
        // Functions of several files may have one name.
        symbols.functions(symbol, module).find_map(|address| {
            let called = text.called_before(address.checked_add(offset)?)?;
            let (name, offset) = symbols.resolve(called)?;
            (offset == 0).then(|| name.to_owned())
        })
    }

    /// Those that are asleep by the last look, with their threads' numbers.
    pub fn asleep(&self) -> impl Iterator<Item = (u32, &Sleeper)> {
        self.known.iter().map(|(&pid, sleeper)| (pid, sleeper))
    }

    /// Who a thread is, where it may still wait as an event has told: it sleeps, and for a lock as far as its
    /// stack can tell. One whom signals wake is in no look.
    pub fn confirm(&self, pid: u32, symbols: &Kallsyms) -> Confirmed {
        if !self.first_pid_namespace {
            return Confirmed::Unknown;
        }
        // Which is there for every thread, though /proc lists each process's first one alone.
        let folder = format!("/proc/{pid}/task/{pid}");
        let Some(stat) = read_stat(&folder, &mut Vec::new()) else {
            return Confirmed::Gone;
        };
        let asleep = matches!(stat.state, 'D' | 'S');
        let can_tell = stacks_are_hidden().is_none() && self.text.is_ok();
        if !asleep || (can_tell && self.stack(&folder, symbols).is_none()) {
            return Confirmed::Gone;
        }
        let status = fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let tgid = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
        Confirmed::Asleep {
            tgid: tgid.and_then(|tgid| tgid.trim().parse().ok()),
            comm: stat.comm,
        }
    }

    /// Who runs, or ran last, on a CPU.
    pub fn on_cpu(&self, pid: u32, cpu: u32) -> Option<String> {
        let stat = read_stat(&format!("/proc/{pid}"), &mut Vec::new())?;
        (self.first_pid_namespace && stat.cpu == cpu).then_some(stat.comm)
    }

    /// Why not every sleeper can be known, where that is so.
    pub fn unseen(&self) -> Option<String> {
        if self.blind.is_some() {
            return self.blind.clone();
        }
        if !self.first_pid_namespace {
            return Some("/proc has the tasks of one PID namespace alone".to_owned());
        }
        if self.cut_off {
            let most = LONGEST_LOOK.as_secs_f64();
            return Some(format!(
                "there are more tasks than can be looked at in {most} s of CPU time"
            ));
        }
        let why = self.text.as_ref().err()?;
        Some(format!(
            "of mutexes and semaphores /proc/PID/stack does not tell, and the kernel's text cannot be read ({why})"
        ))
    }
}

/// Whether a wait that an event has told still goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The task sleeps for a lock, or for what cannot be known.
    Asleep { tgid: Option<u32>, comm: String },
    /// It does not, or is no more.
    Gone,
    /// /proc does not show this task.
    Unknown,
}

/// Why call stacks cannot be read, where they cannot: this thread's own is as forbidden as any other.
fn stacks_are_hidden() -> Option<String> {
    let error = fs::read("/proc/thread-self/stack").err()?;
    Some(format!(
        "/proc/PID/stack cannot be read ({error}): that takes CAP_SYS_ADMIN"
    ))
}

fn read_stat(folder: &str, line: &mut Vec<u8>) -> Option<Stat> {
    line.clear();
    let mut read =
        || -> io::Result<usize> { File::open(format!("{folder}/stat"))?.read_to_end(line) };
    read().ok()?;
    Stat::parse(line)
}
