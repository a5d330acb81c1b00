//! Where the daemon reads what the programs counted.

use lockprof_abi::{Caller, CgroupEntry, ContentionEntry, OffCpuEntry, WaiterEntry};

use crate::probe::{cpus::CpuReading, programs::Programs};

/// The counters of the programs: live maps, or a fake in tests.
pub trait Source {
    /// How many CPUs there are.
    fn cpus(&self) -> usize;
    /// A number that changes when something has happened on a CPU. It may stay the same for what took
    /// no time at all.
    fn activity(&self, cpu: usize) -> u64;
    /// The callers that the programs have learned.
    fn learned(&self) -> Vec<Caller>;
    /// Copies what was counted on a CPU, as if every hold that has ended were booked.
    fn read_cpu(&self, cpu: usize, into: &mut CpuReading);
    /// How many places the table of contended locks of each CPU has.
    fn contention_places(&self) -> usize;
    /// Copies one of them, by its number over all CPUs; false where it is free.
    fn read_contention(&self, place: usize, into: &mut ContentionEntry) -> bool;
    /// How many places the table of cgroups of each CPU has.
    fn cgroup_places(&self) -> usize;
    /// Copies one of them, by its number over all CPUs; false where it is free.
    fn read_cgroup(&self, place: usize, into: &mut CgroupEntry) -> bool;
    /// How many places the table of what holders did instead of running of each CPU has.
    fn off_cpu_places(&self) -> usize;
    /// Copies one of them, by its number over all CPUs; false where it is free.
    fn read_off_cpu(&self, place: usize, into: &mut OffCpuEntry) -> bool;
    /// How many places the table of who waits for whom of each CPU has.
    fn waiter_places(&self) -> usize;
    /// Copies one of them, by its number over all CPUs; false where it is free.
    fn read_waiter(&self, place: usize, into: &mut WaiterEntry) -> bool;
    /// The addresses of a call stack, the innermost first.
    fn stack(&self, id: u32) -> Option<Vec<u64>>;
}

/// What stands in a CPU's part of a table, by the places over all CPUs, of which each CPU has so many.
pub(super) fn entries<Entry: Copy>(
    cpu: usize,
    places: usize,
    free: Entry,
    read: impl Fn(usize, &mut Entry) -> bool,
) -> impl Iterator<Item = (usize, Entry)> {
    (cpu * places..(cpu + 1) * places).filter_map(move |place| {
        let mut entry = free;
        read(place, &mut entry).then_some((place, entry))
    })
}

impl Source for Programs {
    fn cpus(&self) -> usize {
        self.cpus.len()
    }

    fn activity(&self, cpu: usize) -> u64 {
        self.cpus.activity(cpu)
    }

    fn learned(&self) -> Vec<Caller> {
        self.cpus.learned()
    }

    fn read_cpu(&self, cpu: usize, into: &mut CpuReading) {
        self.cpus.read_booked(cpu, into);
    }

    fn contention_places(&self) -> usize {
        self.contention.len() / self.cpus.len()
    }

    fn read_contention(&self, place: usize, into: &mut ContentionEntry) -> bool {
        self.contention.read_taken(place, into)
    }

    fn cgroup_places(&self) -> usize {
        self.cgroups.len() / self.cpus.len()
    }

    fn read_cgroup(&self, place: usize, into: &mut CgroupEntry) -> bool {
        self.cgroups.read_taken(place, into)
    }

    fn off_cpu_places(&self) -> usize {
        self.off_cpu.len() / self.cpus.len()
    }

    fn read_off_cpu(&self, place: usize, into: &mut OffCpuEntry) -> bool {
        self.off_cpu.read_taken(place, into)
    }

    fn waiter_places(&self) -> usize {
        self.waiters.len() / self.cpus.len()
    }

    fn read_waiter(&self, place: usize, into: &mut WaiterEntry) -> bool {
        self.waiters.read_taken(place, into)
    }

    fn stack(&self, id: u32) -> Option<Vec<u64>> {
        let stack = self.stacks.get(&id, 0).ok()?;
        Some(stack.frames().iter().map(|frame| frame.ip).collect())
    }
}
