//! What two recordings must have in common before a number of one may stand beside one of the other.

use super::lock_run;
use crate::{
    profile::Profile,
    recording::schema::{Clock, Detail, Header, Method, Tier, Workload},
    units,
    work_unit::WorkUnit,
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
    /// The load: a bundled one with its tasks and whether they are free to move, or a command line. Empty where any
    /// will do, since all locks are looked at.
    pub load: String,
    /// What waiting is divided by.
    pub unit: WorkUnit,
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
    /// Whether totals by cgroup were kept, which is done at each hold.
    pub cgroups: bool,
}

impl Setting {
    /// That of a recording.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let header = &profile.header;
        if profile.locks.is_some() {
            return Self {
                clock: header.clock,
                cpus: header.kernel.cpus_online,
                emulated_by: header.emulated_by,
                lock: lock_run::subject(header),
                // The locks of a machine are those of everybody on it: another load is said, and no reason not to.
                load: String::new(),
                unit: WorkUnit::Second,
            };
        }
        let workload = header.workload.as_ref();
        Self {
            clock: header.clock,
            cpus: header.kernel.cpus_online,
            emulated_by: header.emulated_by,
            lock: header.lock.name.clone(),
            load: workload.map_or_else(
                || "no load of lockprof's".to_owned(),
                |workload| load(workload, is_pinned(profile, workload)),
            ),
            unit: WorkUnit::of(
                &header.lock.name,
                workload.is_some_and(Workload::is_bundled),
            ),
        }
    }

    /// Whether CPUs may have waited for each other: several of a guest, by fewer or by nobody knows how many
    /// real ones. Who waits for a lock there waits for the CPU of its holder, too, and of everybody before it
    /// in the queue, so that throughput and waits are those of the emulator's scheduling.
    #[must_use]
    pub fn shares_cpus(&self) -> bool {
        let fewer = match self.emulated_by {
            Some(real) => real < self.cpus,
            None => self.clock == Clock::EmulatedWall,
        };
        // By the clock of instructions nobody waits.
        self.clock != Clock::Instructions && self.cpus > 1 && fewer
    }

    /// In words: `threadspawn, 24 processes, on 24 CPUs, by the wall clock of an emulated machine`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "{}, on {}, by the {}",
            if self.load.is_empty() {
                &self.lock
            } else {
                &self.load
            },
            self.machine(),
            clock_name(self.clock)
        )
    }

    /// Its CPUs: `8 CPUs that 4 emulate`, or `8 CPUs on 4 real ones` where they are not emulated.
    #[must_use]
    pub fn machine(&self) -> String {
        let real = self.emulated_by.map_or_else(String::new, |real| {
            if self.clock == Clock::Hardware {
                format!(" on {real} real {}", if real == 1 { "one" } else { "ones" })
            } else {
                format!(" that {real} emulate")
            }
        });
        format!("{}{real}", units::count_of(self.cpus as usize, "CPU"))
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

/// The name of a kind of probe in sentences.
#[must_use]
pub const fn method_name(method: Method) -> &'static str {
    match method {
        Method::Fentry => "fentry",
        Method::Kprobe => "kprobe",
        Method::Wait => "contention tracepoints",
        Method::Off => "nothing attached",
    }
}

/// Whether each task of a bundled load has a CPU of its own: by what was asked of it and by its own account, for it
/// pins nobody where CPUs are scarce.
fn is_pinned(profile: &Profile, workload: &Workload) -> bool {
    let free = workload.command.iter().any(|word| word == "--no-affinity");
    let footer = profile.footer.as_ref();
    let truth = footer.and_then(|footer| footer.ground_truth.as_ref());
    let enough = || workload.tasks <= Some(profile.header.kernel.cpus_online);
    !free && truth.map_or_else(enough, |truth| truth.affinity)
}

fn load(workload: &Workload, is_pinned: bool) -> String {
    match workload.tasks_in_words() {
        Some(tasks) => {
            let free = if is_pinned { "" } else { ", not pinned" };
            format!("{}, {tasks}{free}", workload.name)
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

    /// Whether it sees holds.
    #[must_use]
    pub const fn sees_holds(self) -> bool {
        matches!(self.tier, Tier::Exact | Tier::Bounded)
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
                cgroups: false,
            },
            tier => Self {
                tier,
                method: header.attach.method,
                detail: header.detail,
                readers: header.readers,
                cgroups: header.cgroups,
            },
        }
    }

    /// In words: `exact tier by fentry, spans`.
    #[must_use]
    pub fn describe(self) -> String {
        if self.method == Method::Off {
            return method_name(self.method).to_owned();
        }
        let method = method_name(self.method);
        let detail = match self.detail {
            // Of holds that nobody sees there is nothing to say.
            Detail::Holds if !self.sees_holds() => "",
            Detail::Holds => ", holds",
            Detail::Spans => ", spans",
        };
        let readers = if self.readers { ", readers" } else { "" };
        let cgroups = if self.cgroups { ", cgroups" } else { "" };
        format!(
            "{} tier by {method}{detail}{readers}{cgroups}",
            self.tier.name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(clock: Clock, cpus: u32, emulated_by: Option<u32>) -> Setting {
        Setting {
            clock,
            cpus,
            emulated_by,
            lock: "tasklist_lock".to_owned(),
            load: "a load".to_owned(),
            unit: WorkUnit::TaskLife,
        }
    }

    #[test]
    fn cpus_are_shared_where_there_are_fewer_real_ones() {
        // KVM with too few CPUs is no better than an emulator with too few.
        assert!(setting(Clock::Hardware, 24, Some(8)).shares_cpus());
        assert!(!setting(Clock::Hardware, 8, Some(8)).shares_cpus());
        assert!(
            !setting(Clock::Hardware, 24, None).shares_cpus(),
            "a real machine"
        );
        assert!(
            setting(Clock::EmulatedWall, 24, None).shares_cpus(),
            "nobody knows"
        );
        assert!(!setting(Clock::Instructions, 1, Some(1)).shares_cpus());
        let words = setting(Clock::Hardware, 24, Some(8)).machine();
        assert_eq!(words, "24 CPUs on 8 real ones");
    }
}
