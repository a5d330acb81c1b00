//! What holders did instead of running, as differences of the programs' table.

use std::collections::{BTreeMap, HashMap};

use lockprof_abi::{OTHERS_OFF_CPU, OffCpuEntry};

use super::{
    names::Names,
    sites::SiteTable,
    source::{Source, entries},
};
use crate::recording::schema::{Interval, OffCpuInterval};

/// The last reading of each place.
#[derive(Debug, Default)]
pub(super) struct OffCpuReadings(HashMap<usize, OffCpuEntry>);

impl OffCpuReadings {
    /// What has changed in a CPU's table.
    pub(super) fn changed(
        &self,
        source: &impl Source,
        cpu: usize,
    ) -> impl Iterator<Item = (usize, OffCpuEntry)> {
        let read = |place, into: &mut _| source.read_off_cpu(place, into);
        let all = entries(cpu, source.off_cpu_places(), OffCpuEntry::FREE, read);
        all.filter(|(place, after)| {
            let before = self.0.get(place).map_or(0, |before| before.stretches);
            before != after.stretches
        })
    }

    /// Adds it up over CPUs, with names.
    pub(super) fn sum(
        &mut self,
        source: &impl Source,
        changed: Vec<(usize, OffCpuEntry)>,
        sites: &SiteTable,
        names: &mut Names,
        interval: &mut Interval,
    ) {
        let mut sums: BTreeMap<u64, OffCpuEntry> = BTreeMap::new();
        for (place, after) in changed {
            let before = self.0.insert(place, after).unwrap_or(OffCpuEntry::FREE);
            let sum = sums.entry(after.key).or_insert(OffCpuEntry::FREE);
            sum.stretches += after.stretches.wrapping_sub(before.stretches);
            sum.asleep_ns += after.asleep_ns.wrapping_sub(before.asleep_ns);
            sum.runnable_ns += after.runnable_ns.wrapping_sub(before.runnable_ns);
            sum.longest_ns = sum.longest_ns.max(after.longest_ns);
        }
        for (key, sum) in sums {
            let of_others = key == OTHERS_OFF_CPU;
            let (site, stack) = OffCpuEntry::site_and_stack(key);
            let site = (!of_others).then(|| sites.numbered(site).name().to_owned());
            let id = stack.filter(|id| *id >= 0 && !of_others);
            interval.off_cpu.push(OffCpuInterval {
                site,
                preempted: stack.is_none() && !of_others,
                stack: id.map(|id| names.stack(source, id, &mut interval.stacks).0),
                stretches: sum.stretches,
                asleep_ns: sum.asleep_ns,
                runnable_ns: sum.runnable_ns,
                longest_ns: sum.longest_ns,
            });
        }
    }
}
