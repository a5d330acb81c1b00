//! What one CPU did between two readings of its state: pure.

use std::collections::{BTreeMap, btree_map::Entry};

use lockprof_abi::{Loss, MAX_SPANS, OTHER_READER, SiteState, site_slot};

use super::sites::SiteTable;
use crate::{
    probe::cpus::CpuReading,
    recording::schema::{
        BlameInterval, CpuInterval, READERS_AND_HANDOVER, SiteInterval, SpanInterval,
    },
    site::Site,
    span::Span,
};

/// What a CPU did.
#[derive(Debug)]
pub struct CpuChange {
    cpu: u32,
    /// By slot.
    sites: Vec<(usize, SiteInterval)>,
}

impl CpuChange {
    /// The same by the sites' names, in their order.
    #[must_use]
    pub fn named(self, table: &SiteTable) -> CpuInterval {
        let mut sites: BTreeMap<Site, SiteInterval> = BTreeMap::new();
        for (slot, change) in self.sites {
            let site = table.site(slot);
            match sites.entry(site) {
                Entry::Occupied(mut sum) => add_interval(sum.get_mut(), &change),
                Entry::Vacant(place) => {
                    place.insert(SiteInterval {
                        site: site.name().to_owned(),
                        ..change
                    });
                }
            }
        }
        CpuInterval {
            cpu: self.cpu,
            sites: sites.into_values().collect(),
        }
    }
}

/// Adds what another caller in the same function did.
fn add_interval(sum: &mut SiteInterval, other: &SiteInterval) {
    sum.holds += other.holds;
    sum.held_ns = sum.held_ns.wrapping_add(other.held_ns);
    sum.waits += other.waits;
    sum.waited_ns = sum.waited_ns.wrapping_add(other.waited_ns);
    sum.hold_buckets = add_pairs(&sum.hold_buckets, &other.hold_buckets);
    sum.wait_buckets = add_pairs(&sum.wait_buckets, &other.wait_buckets);
}

/// Adds counts that stand as index, count, index, count, ….
fn add_pairs(some: &[u32], others: &[u32]) -> Vec<u32> {
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    for pair in some.chunks_exact(2).chain(others.chunks_exact(2)) {
        *counts.entry(pair[0]).or_default() += pair[1];
    }
    counts
        .into_iter()
        .flat_map(|(index, count)| [index, count])
        .collect()
}

/// What a CPU did, by slot; `None` where it did nothing.
#[must_use]
pub fn cpu(number: usize, before: &CpuReading, after: &CpuReading) -> Option<CpuChange> {
    let sites: Vec<_> = (0..after.used())
        .filter_map(|slot| Some((slot, site_interval(before.site(slot), after.site(slot))?)))
        .collect();
    (!sites.is_empty()).then_some(CpuChange {
        cpu: number as u32,
        sites,
    })
}

fn site_interval(old: &SiteState, new: &SiteState) -> Option<SiteInterval> {
    // While the programs run, the last event may be in the buckets and not yet in the totals, or the
    // other way round.
    let (hold_buckets, holds) = sparse(&old.holds, &new.holds);
    let (wait_buckets, waits) = sparse(&old.waits, &new.waits);
    let held_ns = new.held_ns.wrapping_sub(old.held_ns);
    let waited_ns = new.waited_ns.wrapping_sub(old.waited_ns);
    (holds + waits + held_ns + waited_ns > 0).then(|| SiteInterval {
        site: String::new(),
        holds,
        held_ns,
        waits,
        waited_ns,
        hold_buckets,
        wait_buckets,
    })
}

/// Holds of the daemon's own that were counted as controls.
#[must_use]
pub fn control_holds(before: &CpuReading, after: &CpuReading) -> u64 {
    let (before, after) = (&before.state, &after.state);
    after.control_holds.wrapping_sub(before.control_holds)
}

/// Counts that are compared at once: a line of the cache.
const CHUNK: usize = 16;

/// The counts that changed, as index, count, index, count, …, and their sum. The programs' counters
/// are 32 bits wide and may wrap between two readings, once.
pub(super) fn sparse(before: &[u32], after: &[u32]) -> (Vec<u32>, u64) {
    let mut pairs = Vec::new();
    let mut sum = 0;
    // Most counts of most sites are as they were, and a comparison of many at once is cheap.
    let chunks = before.chunks(CHUNK).zip(after.chunks(CHUNK));
    for (first, (old, new)) in (0..).step_by(CHUNK).zip(chunks) {
        if old == new {
            continue;
        }
        for (index, (old, new)) in (first..).zip(old.iter().zip(new)) {
            let count = new.wrapping_sub(*old);
            if count != 0 {
                pairs.extend([index, count]);
                sum += u64::from(count);
            }
        }
    }
    (pairs, sum)
}

/// What is summed over CPUs in an interval, by slot where it is by site.
#[derive(Debug, Default)]
pub struct Sums {
    /// By the span's number, and by slot.
    spans: BTreeMap<(usize, usize), [u64; 3]>,
    /// By the span's number.
    outside: BTreeMap<usize, u64>,
    blame: BTreeMap<(usize, usize), u64>,
    losses: BTreeMap<Loss, u64>,
}

impl Sums {
    /// Adds what a CPU did.
    pub fn add(&mut self, before: &CpuReading, after: &CpuReading) {
        for span in 0..MAX_SPANS {
            for slot in 0..after.used() {
                let [old, new] = [before, after].map(|cpu| &cpu.site(slot).spans[span]);
                let change = [
                    new.calls.wrapping_sub(old.calls),
                    new.in_hold_ns.wrapping_sub(old.in_hold_ns),
                    new.self_ns.wrapping_sub(old.self_ns),
                ];
                if change != [0; 3] {
                    let sum = self.spans.entry((span, slot)).or_default();
                    for (sum, change) in sum.iter_mut().zip(change) {
                        *sum += change;
                    }
                }
            }
            let calls = after.state.calls_outside[span];
            add(
                &mut self.outside,
                span,
                calls.wrapping_sub(before.state.calls_outside[span]),
            );
        }
        for waiter in 0..after.used() {
            for holder in 0..after.slots() {
                let (old, new) = (
                    before.blame_ns(waiter, holder),
                    after.blame_ns(waiter, holder),
                );
                add(&mut self.blame, (waiter, holder), new.wrapping_sub(old));
            }
        }
        for loss in Loss::ALL {
            let index = loss.index();
            add(
                &mut self.losses,
                *loss,
                after.state.losses[index].wrapping_sub(before.state.losses[index]),
            );
        }
    }

    /// Calls inside holds of the run's spans, which are in the order of their numbers.
    #[must_use]
    pub fn spans(&self, table: &SiteTable, spans: &[Span]) -> Vec<SpanInterval> {
        let mut sums: BTreeMap<(Span, Site), [u64; 3]> = BTreeMap::new();
        for (&(number, slot), change) in &self.spans {
            let Some(&span) = spans.get(number) else {
                continue;
            };
            let sum = sums.entry((span, table.site(slot))).or_default();
            for (sum, change) in sum.iter_mut().zip(change) {
                *sum += change;
            }
        }
        sums.iter()
            .map(
                |((span, site), [calls, in_hold_ns, self_ns])| SpanInterval {
                    span: span.name().to_owned(),
                    site: site.name().to_owned(),
                    calls: *calls,
                    in_hold_ns: *in_hold_ns,
                    self_ns: *self_ns,
                },
            )
            .collect()
    }

    /// Calls of them outside every hold.
    #[must_use]
    pub fn calls_outside(&self, spans: &[Span]) -> BTreeMap<String, u64> {
        let calls = self.outside.iter();
        calls
            .filter_map(|(&number, calls)| Some((spans.get(number)?.name().to_owned(), *calls)))
            .collect()
    }

    /// Who waited behind whom.
    #[must_use]
    pub fn blame(&self, table: &SiteTable) -> Vec<BlameInterval> {
        let mut sums: BTreeMap<(Site, Option<Site>), u64> = BTreeMap::new();
        for (&(waiter, holder), &waited_ns) in &self.blame {
            let readers = holder == site_slot(OTHER_READER, table.slots());
            let holder = (!readers).then(|| table.site(holder));
            add(&mut sums, (table.site(waiter), holder), waited_ns);
        }
        sums.into_iter()
            .map(|((waiter, holder), waited_ns)| BlameInterval {
                waiter: waiter.name().to_owned(),
                holder: holder.map_or(READERS_AND_HANDOVER, Site::name).to_owned(),
                waited_ns,
            })
            .collect()
    }

    /// Losses.
    #[must_use]
    pub fn losses(&self) -> BTreeMap<String, u64> {
        self.losses
            .iter()
            .map(|(loss, count)| (loss.name().to_owned(), *count))
            .collect()
    }
}

fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, change: u64) {
    if change != 0 {
        *sums.entry(key).or_default() += change;
    }
}

#[cfg(test)]
mod tests {
    use lockprof_abi::{Caller, FIRST_CALLER, UNKNOWN_SITE};

    use super::*;
    use crate::kernel::SiteNumbers;

    /// A lock of which nothing is known, and two callers in one function and a third in another.
    fn table() -> SiteTable {
        let mut table = SiteTable::new(SiteNumbers::of(None));
        let callers = [(1, 0), (2, 1), (3, 2)].map(|(address, place)| Caller {
            address,
            site: u64::from(FIRST_CALLER + place),
        });
        let frame = |address| if address == 3 { "b+0x1" } else { "a+0x1" };
        table.learn(&callers, |address| frame(address).to_owned());
        table
    }

    fn nothing() -> CpuReading {
        CpuReading::nothing(table().slots())
    }

    const FIRST: usize = FIRST_CALLER as usize;

    #[test]
    fn an_idle_cpu_is_left_out() {
        let reading = nothing();
        assert!(cpu(3, &reading, &reading).is_none());
    }

    #[test]
    fn a_counter_that_wrapped_is_still_a_difference() {
        let (pairs, sum) = sparse(&[u32::MAX, 4], &[1, 4]);
        assert_eq!((pairs, sum), (vec![0, 2], 2));
    }

    #[test]
    fn counts_come_from_the_buckets_and_callers_in_one_function_are_one_row() {
        let before = nothing();
        let mut after = nothing();
        after.site_mut(FIRST).holds[40] = 2;
        after.site_mut(FIRST).held_ns = 700;
        after.site_mut(FIRST + 1).holds[40] = 1;
        after.site_mut(FIRST + 1).holds[50] = 4;
        after.site_mut(FIRST + 2).waits[3] = 1;
        let cpu = cpu(7, &before, &after).unwrap().named(&table());
        let rows: Vec<_> = cpu
            .sites
            .iter()
            .map(|row| (row.site.as_str(), row.holds, row.held_ns, row.waits))
            .collect();
        assert_eq!(cpu.cpu, 7);
        assert_eq!(rows, [("a", 7, 700, 0), ("b", 0, 0, 1)]);
        assert_eq!(cpu.sites[0].hold_buckets, [40, 3, 50, 4]);
    }

    #[test]
    fn sums_over_cpus_name_their_parts() {
        let before = nothing();
        let mut after = nothing();
        let readers = site_slot(OTHER_READER, table().slots());
        *after.blame_ns_mut(FIRST, FIRST + 2) = 5;
        *after.blame_ns_mut(FIRST + 1, FIRST + 2) = 1;
        *after.blame_ns_mut(FIRST, UNKNOWN_SITE as usize) = 2;
        *after.blame_ns_mut(FIRST, readers) = 6;
        after.site_mut(FIRST).spans[0].calls = 1;
        after.site_mut(FIRST + 1).spans[0].calls = 2;
        after.state.calls_outside[1] = 9;
        after.state.losses[Loss::WaitMigrated.index()] = 1;
        let mut sums = Sums::default();
        sums.add(&before, &after);
        sums.add(&before, &after);
        let mut blame: Vec<_> = sums
            .blame(&table())
            .into_iter()
            .map(|blame| (blame.waiter, blame.holder, blame.waited_ns))
            .collect();
        blame.sort();
        let expected = [("b", 12), (READERS_AND_HANDOVER, 12), ("unknown", 4)];
        let expected = expected.map(|(holder, ns)| ("a".to_owned(), holder.to_owned(), ns));
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(blame, expected);
        let of_run = [Span::FREE_PID, Span::RELEASE_TASK];
        let spans = sums.spans(&table(), &of_run);
        assert_eq!((spans.len(), spans[0].calls), (1, 6));
        assert_eq!(sums.calls_outside(&of_run)["release_task"], 18);
        assert_eq!(sums.losses()["wait_migrated"], 2);
    }
}
