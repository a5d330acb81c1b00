//! Turns readings of the programs' counters into what happened between them.

use std::collections::{BTreeMap, HashMap};

use lockprof_abi::{
    CgroupEntry, ContentionEntry, LockClass, Longest, OTHER_CGROUPS, OTHERS, Phase,
};

use super::{
    cgroups::CgroupPaths,
    delta::{self, Sums},
    locks::WaiterReadings,
    names::Names,
    off_cpu::OffCpuReadings,
    sites::SiteTable,
    source::{Source, entries},
};
use crate::{
    kernel::{BtfFacts, Kallsyms, SiteNumbers},
    probe::cpus::CpuReading,
    recording::schema::{
        self, CgroupInterval, ContentionInterval, CpuInterval, Interval, Kind, LongestEvent,
    },
    site::Site,
    span::Span,
};

/// What the waits of one interval are summed by, over CPUs: lock, flags, caller, stack, and the site
/// inside whose hold they happened.
type ContentionKey = (u64, u32, u64, i32, u32);

/// The activity of a CPU on which nothing was counted.
const NOTHING: Option<u64> = Some(0);

/// Remembers the last reading.
#[derive(Debug)]
pub struct Collector {
    /// The last reading of each CPU; none of one that has done nothing.
    cpus: Vec<Option<CpuReading>>,
    /// How active each CPU was known to be.
    activity: Vec<Option<u64>>,
    contention: HashMap<usize, ContentionEntry>,
    cgroups: HashMap<usize, CgroupEntry>,
    off_cpu: OffCpuReadings,
    waiters: WaiterReadings,
    longest: HashMap<(Phase, Kind, usize), u64>,
    /// Of addresses.
    pub(super) names: Names,
    /// Of the target lock, by slot.
    pub(super) sites: SiteTable,
    /// By number.
    spans: Vec<Span>,
    cgroup_paths: CgroupPaths,
    /// CLOCK_MONOTONIC when the probes were attached, in nanoseconds.
    attached_ns: u64,
}

impl Collector {
    /// Begins with counters at zero.
    #[must_use]
    pub fn new(
        cpus: usize,
        symbols: Kallsyms,
        btf: &BtfFacts,
        numbers: SiteNumbers,
        spans: Vec<Span>,
        attached_ns: u64,
    ) -> Self {
        Self {
            cpus: vec![None; cpus],
            activity: vec![NOTHING; cpus],
            contention: HashMap::new(),
            cgroups: HashMap::new(),
            off_cpu: OffCpuReadings::default(),
            waiters: WaiterReadings::default(),
            longest: HashMap::new(),
            names: Names::new(symbols, cpus, btf),
            sites: SiteTable::new(numbers),
            spans,
            cgroup_paths: CgroupPaths::open(),
            attached_ns,
        }
    }

    /// Fills in what the programs counted since the last call; of a control that was made, how much of it they
    /// saw. A CPU on which nothing happened costs a
    /// look at some words. What is to be done as soon as the counters of holds and waits are read, such
    /// as to tell the programs the next phase, comes before everything that takes time.
    pub fn collect(
        &mut self,
        source: &impl Source,
        interval: &mut Interval,
        phase: Phase,
        as_soon_as_read: impl FnOnce(),
    ) {
        let mut sums = Sums::default();
        let mut changes = Vec::new();
        let nothing = CpuReading::nothing(self.sites.slots());
        let mut after = nothing.clone();
        let mut longest = Vec::new();
        let mut cgroups = Vec::new();
        let mut contention = Vec::new();
        let mut off_cpu = Vec::new();
        let mut waiters = Vec::new();
        for number in 0..self.cpus.len() {
            // Before the state is read: what is counted meanwhile is seen the next time.
            let activity = Some(source.activity(number));
            if self.activity[number] == activity {
                continue;
            }
            self.activity[number] = activity;
            source.read_cpu(number, &mut after);
            // At once, so that all are of the same holds and waits.
            cgroups.extend(cgroups_of(source, number));
            contention.extend(self.changed_contention(source, number));
            off_cpu.extend(self.off_cpu.changed(source, number));
            waiters.extend(self.waiters.changed(source, number));
            let before = self.cpus[number].as_ref().unwrap_or(&nothing);
            changes.extend(delta::cpu(number, before, &after));
            if let Some(control) = &mut interval.control {
                control.seen += delta::control_holds(before, &after);
            }
            sums.add(before, &after);
            self.longest_of(number as u32, &after, phase, &mut longest);
            if activity != NOTHING || self.cpus[number].is_some() {
                let before = self.cpus[number].get_or_insert_with(|| nothing.clone());
                std::mem::swap(before, &mut after);
            }
        }
        as_soon_as_read();
        // All counters are read before anything is looked up, lest what is read later belong to more
        // time.
        self.names.look();
        self.sites
            .learn(&source.learned(), |address| self.names.frame(address));
        let changes = changes.into_iter();
        interval.cpus = changes.map(|change| change.named(&self.sites)).collect();
        interval.longest = longest.iter().map(|noted| self.event(noted)).collect();
        self.cgroups(cgroups, interval);
        self.contention(source, contention, interval);
        self.off_cpu
            .sum(source, off_cpu, &self.sites, &mut self.names, interval);
        interval.waiters = self.waiters.sum(waiters, &mut self.cgroup_paths);
        interval.spans = sums.spans(&self.sites, &self.spans);
        interval.calls_outside = sums.calls_outside(&self.spans);
        interval.blame = sums.blame(&self.sites);
        interval.losses = sums.losses();
    }

    /// The next call reads every CPU, also one that seems to have done nothing.
    pub fn distrust_activity(&mut self) {
        self.activity.fill(None);
    }

    /// Holds that ended and their time, since the last call, for the progress line.
    #[must_use]
    pub fn holds(cpus: &[CpuInterval]) -> (u64, u64) {
        cpus.iter()
            .flat_map(|cpu| &cpu.sites)
            .filter(|site| Site::named(&site.site).is_writer())
            .fold((0, 0), |(holds, held_ns), site| {
                (holds + site.holds, held_ns + site.held_ns)
            })
    }

    /// Holds and waits longer than any before in this phase.
    fn longest_of(&mut self, cpu: u32, after: &CpuReading, phase: Phase, longest: &mut Vec<Noted>) {
        let index = phase.index();
        for slot in 0..after.used() {
            let of_site = after.site(slot);
            let kinds = [
                (Kind::Hold, of_site.longest_hold[index]),
                (Kind::Wait, of_site.longest_wait[index]),
            ];
            for (kind, event) in kinds {
                let known = self.longest.entry((phase, kind, slot)).or_default();
                if event.duration_ns > *known {
                    *known = event.duration_ns;
                    longest.retain(|other| (other.kind, other.slot) != (kind, slot));
                    longest.push(Noted {
                        cpu,
                        kind,
                        slot,
                        event,
                    });
                }
            }
        }
    }

    fn event(&mut self, noted: &Noted) -> LongestEvent {
        let event = &noted.event;
        let end = event
            .comm
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(event.comm.len());
        LongestEvent {
            kind: noted.kind,
            site: self.sites.site(noted.slot).name().to_owned(),
            ns: event.duration_ns,
            at_s: event.ended_ns.saturating_sub(self.attached_ns) as f64 / 1e9,
            cpu: noted.cpu,
            pid: event.pid,
            tgid: event.tgid,
            comm: String::from_utf8_lossy(&event.comm[..end]).into_owned(),
            cgroup: self.cgroup_paths.path(event.cgroup),
        }
    }

    /// What has changed in a CPU's table of contended locks since the last reading.
    fn changed_contention(
        &self,
        source: &impl Source,
        cpu: usize,
    ) -> impl Iterator<Item = (usize, ContentionEntry)> {
        let read = |place, into: &mut _| source.read_contention(place, into);
        let all = entries(cpu, source.contention_places(), ContentionEntry::FREE, read);
        all.filter(|(place, after)| {
            let before = self.contention.get(place);
            let before = before.unwrap_or(&ContentionEntry::FREE);
            (before.sampled, before.octaves) != (after.sampled, after.octaves)
        })
    }

    fn contention(
        &mut self,
        source: &impl Source,
        changed: Vec<(usize, ContentionEntry)>,
        interval: &mut Interval,
    ) {
        let mut sums: BTreeMap<ContentionKey, (ContentionInterval, Vec<u32>)> = BTreeMap::new();
        for (place, after) in changed {
            let before = self.contention.insert(place, after);
            let before = before.unwrap_or(ContentionEntry::FREE);
            let (pairs, waits) = delta::sparse(&before.octaves, &after.octaves);
            let sampled = u64::from(after.sampled.wrapping_sub(before.sampled));
            let (lock, caller) = (after.lock, after.caller);
            let key = (lock, after.flags, caller, after.stack_id, after.hold_site);
            let (sum, octaves) = sums
                .entry(key)
                .or_insert_with(|| (self.new_contention(&after), vec![0; after.octaves.len()]));
            sum.waits += waits;
            sum.sampled += sampled;
            sum.waited_ns += after.waited_ns.wrapping_sub(before.waited_ns);
            sum.longest_ns = sum.longest_ns.max(after.longest_ns);
            for pair in pairs.chunks_exact(2) {
                octaves[pair[0] as usize] += pair[1];
            }
        }
        for ((_, _, caller, stack, _), (mut sum, octaves)) in sums {
            sum.octaves = delta::sparse(&vec![0; octaves.len()], &octaves).0;
            if stack >= 0 {
                let (number, by_stack) = self.names.stack(source, stack, &mut interval.stacks);
                sum.stack = Some(number);
                if let Some(by_stack) = by_stack.filter(|_| caller != 0) {
                    // Of who sleeps the length is kept as well.
                    let walked = sum.sampled + sum.waits;
                    interval.callers_checked += walked;
                    interval.callers_wrong += u64::from(caller != by_stack) * walked;
                }
            }
            interval.contention.push(sum);
        }
    }

    fn new_contention(&mut self, entry: &ContentionEntry) -> ContentionInterval {
        let others = entry.lock == OTHERS;
        let class = LockClass::from_key(entry.lock).map(|class| class.name().to_owned());
        let name = class.or_else(|| self.names.lock(entry.lock).filter(|_| !others));
        let is_nameless = name.is_none() && !others;
        ContentionInterval {
            lock: format!("{:#x}", entry.lock),
            object: is_nameless.then(|| self.names.object(entry.lock)).flatten(),
            name,
            flags: entry.flags,
            caller: (entry.caller != 0).then(|| self.names.frame(entry.caller)),
            stack: (entry.stack_id >= 0).then_some(entry.stack_id),
            others,
            in_hold_of: entry
                .hold_site
                .checked_sub(1)
                .map(|number| self.sites.numbered(number).name().to_owned()),
            sampled: 0,
            waits: 0,
            waited_ns: 0,
            longest_ns: 0,
            octaves: Vec::new(),
        }
    }

    /// Whether the paths of cgroups begin at the root of a namespace.
    pub(super) fn in_cgroup_namespace(&self) -> bool {
        self.cgroup_paths.in_namespace()
    }

    fn cgroups(&mut self, entries: Vec<(usize, CgroupEntry)>, interval: &mut Interval) {
        for (place, after) in entries {
            let before = self.cgroups.insert(place, after);
            let before = before.unwrap_or(CgroupEntry::FREE);
            let change = CgroupInterval {
                holds: after.holds.wrapping_sub(before.holds),
                held_ns: after.held_ns.wrapping_sub(before.held_ns),
                waits: after.waits.wrapping_sub(before.waits),
                waited_ns: after.waited_ns.wrapping_sub(before.waited_ns),
            };
            if change.holds + change.waits > 0 {
                let path = match after.key {
                    OTHER_CGROUPS => schema::OTHER_CGROUPS.to_owned(),
                    key => self.cgroup_paths.path(key - 1),
                };
                let sum = interval.cgroups.entry(path).or_default();
                sum.holds += change.holds;
                sum.held_ns += change.held_ns;
                sum.waits += change.waits;
                sum.waited_ns += change.waited_ns;
            }
        }
    }
}

/// A longest hold or wait, before anything about it is looked up.
struct Noted {
    cpu: u32,
    kind: Kind,
    slot: usize,
    event: Longest,
}

/// The totals by cgroup of a CPU, by their places in the table over all CPUs.
fn cgroups_of(source: &impl Source, cpu: usize) -> impl Iterator<Item = (usize, CgroupEntry)> {
    let read = |place, into: &mut _| source.read_cgroup(place, into);
    entries(cpu, source.cgroup_places(), CgroupEntry::FREE, read)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use lockprof_abi::{Caller, FIRST_CALLER, OffCpuEntry, WaiterEntry};

    use super::*;
    use crate::known_locks;

    /// Counters of two CPUs, of which the second one counts.
    struct Counters {
        holds: u32,
        held_ns: u64,
        read: Cell<u32>,
    }

    impl Source for Counters {
        fn cpus(&self) -> usize {
            2
        }
        fn activity(&self, cpu: usize) -> u64 {
            if cpu == 1 { self.held_ns } else { 0 }
        }
        fn learned(&self) -> Vec<Caller> {
            Vec::new()
        }
        fn read_cpu(&self, cpu: usize, into: &mut CpuReading) {
            self.read.set(self.read.get() + 1);
            *into = CpuReading::nothing(into.slots());
            if cpu == 1 {
                let reap = into.site_mut(FIRST_CALLER as usize);
                reap.held_ns = self.held_ns;
                reap.holds[9] = self.holds;
            }
        }
        fn contention_places(&self) -> usize {
            1
        }
        fn read_contention(&self, place: usize, into: &mut ContentionEntry) -> bool {
            into.lock = 8;
            into.waits = self.holds.into();
            into.octaves[4] = self.holds;
            place == 1
        }
        fn cgroup_places(&self) -> usize {
            0
        }
        fn read_cgroup(&self, _place: usize, _into: &mut CgroupEntry) -> bool {
            false
        }
        fn off_cpu_places(&self) -> usize {
            0
        }
        fn read_off_cpu(&self, _place: usize, _into: &mut OffCpuEntry) -> bool {
            false
        }
        fn waiter_places(&self) -> usize {
            0
        }
        fn read_waiter(&self, _place: usize, _into: &mut WaiterEntry) -> bool {
            false
        }
        fn stack(&self, _id: u32) -> Option<Vec<u64>> {
            None
        }
    }

    fn holds_and_waits(collector: &mut Collector, source: &Counters) -> (u64, u64) {
        let mut interval = Interval::default();
        let mut read_before = false;
        collector.collect(source, &mut interval, Phase::Measured, || {
            read_before = true
        });
        assert!(read_before);
        let waits = interval.contention.iter().map(|lock| lock.waits).sum();
        (Collector::holds(&interval.cpus).0, waits)
    }

    #[test]
    fn only_active_cpus_are_read_and_in_the_end_all() {
        let symbols = Kallsyms::parse("").unwrap();
        let numbers = SiteNumbers::of(known_locks::find("tasklist_lock"));
        let mut collector =
            Collector::new(2, symbols, &BtfFacts::default(), numbers, Vec::new(), 0);
        let mut source = Counters {
            holds: 0,
            held_ns: 0,
            read: Cell::new(0),
        };
        assert_eq!(holds_and_waits(&mut collector, &source), (0, 0));
        assert_eq!(source.read.get(), 0);
        (source.holds, source.held_ns) = (3, 30);
        assert_eq!(holds_and_waits(&mut collector, &source), (3, 3));
        assert_eq!(source.read.get(), 1);
        // Holds of no length are seen in the end.
        source.holds = 5;
        assert_eq!(holds_and_waits(&mut collector, &source), (0, 0));
        assert_eq!(source.read.get(), 1);
        collector.distrust_activity();
        assert_eq!(holds_and_waits(&mut collector, &source), (2, 2));
        assert_eq!(source.read.get(), 3);
    }
}
