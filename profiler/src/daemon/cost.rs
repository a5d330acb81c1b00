//! What the daemon itself uses, and what the machine does meanwhile.

use std::fs;

use crate::recording::schema::{Anchor, Machine, OwnCost};

/// Totals since the boot or the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time of this process, in seconds.
    pub own_cpu_s: f64,
    /// Its resident memory.
    pub resident_bytes: u64,
    /// Steal time of all CPUs, in seconds.
    pub steal_s: f64,
    /// Idle time of all CPUs, in seconds.
    pub idle_s: f64,
    /// Tasks created since the boot.
    pub tasks_created: u64,
}

/// Gives the memory that was freed after the start back to the kernel: reading its symbols and types
/// took several times what is kept of them.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call has no precondition.
    unsafe {
        libc::malloc_trim(0);
    }
}

impl Usage {
    /// Reads the present totals; what cannot be read stays zero.
    #[must_use]
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let machine = machine(&stat, ticks_per_second());
        Self {
            own_cpu_s: own_cpu_s(),
            resident_bytes: resident_bytes(),
            steal_s: machine.steal_s,
            idle_s: machine.idle_s,
            tasks_created: machine.tasks_created,
        }
    }

    /// What was used since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> (OwnCost, Machine) {
        (
            OwnCost {
                cpu_s: (self.own_cpu_s - before.own_cpu_s).max(0.0),
                resident_bytes: self.resident_bytes,
            },
            Machine {
                // A CPU's idle time may go backwards (Documentation/filesystems/proc.rst).
                steal_s: (self.steal_s - before.steal_s).max(0.0),
                idle_s: (self.idle_s - before.idle_s).max(0.0),
                tasks_created: self.tasks_created.saturating_sub(before.tasks_created),
            },
        )
    }
}

/// Totals of /proc/stat.
fn machine(stat: &str, ticks_per_second: f64) -> Machine {
    let mut machine = Machine::default();
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("cpu") => {
                let ticks: Vec<f64> = words.filter_map(|word| word.parse().ok()).collect();
                // user nice system idle iowait irq softirq steal
                machine.idle_s = ticks.get(3).copied().unwrap_or(0.0) / ticks_per_second;
                machine.steal_s = ticks.get(7).copied().unwrap_or(0.0) / ticks_per_second;
            }
            Some("processes") => {
                machine.tasks_created =
                    words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            }
            _ => {}
        }
    }
    machine
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf has no precondition.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

fn own_cpu_s() -> f64 {
    // SAFETY: all-zero is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is valid for writing.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| time.tv_sec as f64 + time.tv_usec as f64 / 1e6)
        .sum()
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    // SAFETY: sysconf has no precondition.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.unsigned_abs()
}

/// CLOCK_MONOTONIC in nanoseconds: the clock of `bpf_ktime_get_ns`.
#[must_use]
pub fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// The CPU time of this thread, in nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

impl Anchor {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            monotonic_ns: monotonic_ns(),
            boottime_ns: clock_ns(libc::CLOCK_BOOTTIME),
            realtime_ns: clock_ns(libc::CLOCK_REALTIME),
        }
    }
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is valid for writing.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_stat_is_read_by_its_columns() {
        let stat = "cpu  1 2 3 400 5 6 7 800 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nprocesses 4711\n";
        assert_eq!(
            machine(stat, 100.0),
            Machine {
                steal_s: 8.0,
                idle_s: 4.0,
                tasks_created: 4711
            }
        );
        assert_eq!(machine("", 100.0), Machine::default());
    }

    #[test]
    fn the_monotonic_clock_goes_forwards() {
        let first = monotonic_ns();
        assert!(first > 0 && monotonic_ns() >= first);
    }

    #[test]
    fn the_clocks_of_an_anchor_are_those_that_it_names() {
        let before = monotonic_ns();
        let anchor = Anchor::now();
        assert!((before..=monotonic_ns()).contains(&anchor.monotonic_ns));
        // It has gone on while the machine slept (time_namespaces(7) aside).
        assert!(anchor.boottime_ns >= anchor.monotonic_ns);
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let uptime_s: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!(anchor.boottime_ns as f64 / 1e9 <= uptime_s + 0.01);
        let since_1970 = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        assert!(u128::from(anchor.realtime_ns) <= since_1970.as_nanos());
    }
}
