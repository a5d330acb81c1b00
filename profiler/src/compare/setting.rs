//! What two recordings must have in common before a number of one may stand beside one of the other.

use crate::{
    recording::schema::{Clock, Detail, Header, Method, Tier, Workload},
    units,
};

/// What was measured: numbers of different settings are never compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Setting {
    /// What a nanosecond is.
    pub clock: Clock,
    /// CPUs that were online.
    pub cpus: u32,
    /// CPUs of the machine that emulated them, where that is known.
    pub emulated_by: Option<u32>,
    /// The lock.
    pub lock: String,
    /// The load: a bundled one with its tasks, or a command line.
    pub load: String,
}

/// How it was measured: another instrument adds another time to each hold, and sees other waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instrument {
    /// What the kernel allowed.
    pub tier: Tier,
    /// By which kind of probe.
    pub method: Method,
    /// How much was measured inside a hold.
    pub detail: Detail,
    /// Whether readers were followed.
    pub readers: bool,
}

impl Setting {
    /// That of a recording.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self {
            clock: header.clock,
            cpus: header.kernel.cpus_online,
            emulated_by: header.emulated_by,
            lock: header.lock.name.clone(),
            load: header
                .workload
                .as_ref()
                .map_or_else(|| "no load of lockprof's".to_owned(), load),
        }
    }

    /// Whether CPUs may have waited for each other: several emulated ones, by fewer or by nobody knows how many
    /// real ones. Who waits for a lock there waits for the CPU of its holder, too, and of everybody before it
    /// in the queue, so that throughput and waits are those of the emulator's scheduling.
    #[must_use]
    pub fn shares_cpus(&self) -> bool {
        let enough = self.emulated_by.is_some_and(|real| real >= self.cpus);
        self.clock == Clock::EmulatedWall && self.cpus > 1 && !enough
    }

    /// In words: `threadspawn, 24 processes, on 24 CPUs, by the wall clock of an emulated machine`.
    #[must_use]
    pub fn describe(&self) -> String {
        let real = self
            .emulated_by
            .map_or_else(String::new, |real| format!(" that {real} emulate"));
        format!(
            "{}, on {}{real}, by the {}",
            self.load,
            units::count_of(self.cpus as usize, "CPU"),
            clock_name(self.clock)
        )
    }
}

/// The name of a clock in sentences.
#[must_use]
pub const fn clock_name(clock: Clock) -> &'static str {
    match clock {
        Clock::Hardware => "machine's clock",
        Clock::EmulatedWall => "wall clock of an emulated machine",
        Clock::Instructions => "instruction clock",
    }
}

fn load(workload: &Workload) -> String {
    match workload.tasks {
        Some(tasks) => {
            let mode = workload.mode.as_deref().unwrap_or("tasks");
            let mode = match (tasks, mode) {
                (1, "processes") => "process",
                (1, "threads") => "thread",
                _ => mode,
            };
            format!("{}, {tasks} {mode}", workload.name)
        }
        None => workload.command.join(" "),
    }
}

impl Instrument {
    /// The instrument of a run of the load alone.
    #[must_use]
    pub const fn is_off(self) -> bool {
        matches!(self.tier, Tier::Off)
    }

    /// That of a recording.
    #[must_use]
    pub const fn of(header: &Header) -> Self {
        match header.tier {
            // Without a probe there is nothing that could differ.
            Tier::Off => Self {
                tier: Tier::Off,
                method: Method::Off,
                detail: Detail::Holds,
                readers: false,
            },
            tier => Self {
                tier,
                method: header.attach.method,
                detail: header.detail,
                readers: header.readers,
            },
        }
    }

    /// In words: `exact tier by fentry, spans`.
    #[must_use]
    pub fn describe(self) -> String {
        let method = match self.method {
            Method::Fentry => "fentry",
            Method::Kprobe => "kprobe",
            Method::Wait => "contention tracepoints",
            Method::Off => return "nothing attached".to_owned(),
        };
        let detail = match self.detail {
            Detail::Holds => "holds",
            Detail::Spans => "spans",
        };
        let readers = if self.readers { ", readers" } else { "" };
        format!("{} tier by {method}, {detail}{readers}", self.tier.name())
    }
}
