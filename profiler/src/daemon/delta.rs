//! What one CPU did between two readings of its state: pure.

use std::collections::BTreeMap;

use lockprof_abi::{BLAME_COLUMNS, CpuState, Loss, READERS_COLUMN, Site, Span};

use crate::recording::schema::{
    BlameInterval, CpuInterval, READERS_AND_HANDOVER, SiteInterval, SpanInterval,
};

/// What a CPU did, by site; `None` where it did nothing.
#[must_use]
pub fn cpu(number: usize, before: &CpuState, after: &CpuState) -> Option<CpuInterval> {
    let sites: Vec<SiteInterval> = Site::ALL
        .iter()
        .filter_map(|site| site_interval(*site, before, after))
        .collect();
    (!sites.is_empty()).then_some(CpuInterval {
        cpu: number as u32,
        sites,
    })
}

fn site_interval(site: Site, before: &CpuState, after: &CpuState) -> Option<SiteInterval> {
    let index = site.index();
    let (old, new) = (&before.sites[index], &after.sites[index]);
    // While the programs run, the last event may be in the buckets and not yet in the totals, or the
    // other way round.
    let (hold_buckets, holds) = sparse(&old.holds, &new.holds);
    let (wait_buckets, waits) = sparse(&old.waits, &new.waits);
    let held_ns = new.held_ns.wrapping_sub(old.held_ns);
    let waited_ns = new.waited_ns.wrapping_sub(old.waited_ns);
    (holds + waits + held_ns + waited_ns > 0).then(|| SiteInterval {
        site: site.name().to_owned(),
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
pub fn control_holds(before: &CpuState, after: &CpuState) -> u64 {
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

/// What is summed over CPUs in an interval.
#[derive(Debug, Default)]
pub struct Sums {
    spans: BTreeMap<(Span, Site), [u64; 3]>,
    outside: BTreeMap<Span, u64>,
    blame: BTreeMap<(Site, usize), u64>,
    losses: BTreeMap<Loss, u64>,
}

impl Sums {
    /// Adds what a CPU did.
    pub fn add(&mut self, before: &CpuState, after: &CpuState) {
        for span in Span::ALL {
            for site in Site::ALL.iter().filter(|site| site.is_writer()) {
                let old = &before.sites[site.index()].spans[span.index()];
                let new = &after.sites[site.index()].spans[span.index()];
                let change = [
                    new.calls.wrapping_sub(old.calls),
                    new.in_hold_ns.wrapping_sub(old.in_hold_ns),
                    new.self_ns.wrapping_sub(old.self_ns),
                ];
                if change != [0; 3] {
                    let sum = self.spans.entry((*span, *site)).or_default();
                    for (sum, change) in sum.iter_mut().zip(change) {
                        *sum += change;
                    }
                }
            }
            let index = span.index();
            add(
                &mut self.outside,
                *span,
                after.calls_outside[index].wrapping_sub(before.calls_outside[index]),
            );
        }
        for waiter in Site::ALL {
            for column in 0..BLAME_COLUMNS {
                let (old, new) = (
                    before.sites[waiter.index()].blame_ns[column],
                    after.sites[waiter.index()].blame_ns[column],
                );
                add(&mut self.blame, (*waiter, column), new.wrapping_sub(old));
            }
        }
        for loss in Loss::ALL {
            let index = loss.index();
            add(
                &mut self.losses,
                *loss,
                after.losses[index].wrapping_sub(before.losses[index]),
            );
        }
    }

    /// Spans inside holds.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanInterval> {
        self.spans
            .iter()
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

    /// Calls outside every hold.
    #[must_use]
    pub fn calls_outside(&self) -> BTreeMap<String, u64> {
        self.outside
            .iter()
            .map(|(span, calls)| (span.name().to_owned(), *calls))
            .collect()
    }

    /// Who waited behind whom.
    #[must_use]
    pub fn blame(&self) -> Vec<BlameInterval> {
        self.blame
            .iter()
            .map(|((waiter, column), waited_ns)| BlameInterval {
                waiter: waiter.name().to_owned(),
                holder: column_name(*column).to_owned(),
                waited_ns: *waited_ns,
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

fn column_name(column: usize) -> &'static str {
    match Site::from_index(column) {
        Some(site) if column != READERS_COLUMN => site.name(),
        _ => READERS_AND_HANDOVER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::memory::zeroed_state;

    #[test]
    fn an_idle_cpu_is_left_out() {
        let state = zeroed_state();
        assert_eq!(cpu(3, &state, &state), None);
    }

    #[test]
    fn a_counter_that_wrapped_is_still_a_difference() {
        let (pairs, sum) = sparse(&[u32::MAX, 4], &[1, 4]);
        assert_eq!((pairs, sum), (vec![0, 2], 2));
    }

    #[test]
    fn counts_come_from_the_buckets() {
        let before = zeroed_state();
        let mut after = zeroed_state();
        after.sites[Site::Reap.index()].holds[40] = 2;
        after.sites[Site::Reap.index()].held_ns = 700;
        let cpu = cpu(0, &before, &after).expect("something happened");
        assert_eq!(cpu.sites.len(), 1);
        assert_eq!(cpu.sites[0].site, "reap");
        assert_eq!(cpu.sites[0].holds, 2);
        assert_eq!(cpu.sites[0].hold_buckets, [40, 2]);
    }

    #[test]
    fn sums_over_cpus_name_their_parts() {
        let before = zeroed_state();
        let mut after = zeroed_state();
        after.sites[Site::Fork.index()].blame_ns[Site::Reap.index()] = 5;
        after.sites[Site::Fork.index()].blame_ns[READERS_COLUMN] = 6;
        after.sites[Site::Reap.index()].spans[Span::FreePid.index()].calls = 1;
        after.calls_outside[Span::ReleaseTask.index()] = 9;
        after.losses[Loss::WaitMigrated.index()] = 1;
        let mut sums = Sums::default();
        sums.add(&before, &after);
        sums.add(&before, &after);
        let blame: Vec<_> = sums
            .blame()
            .into_iter()
            .map(|blame| (blame.holder, blame.waited_ns))
            .collect();
        assert_eq!(
            blame,
            [
                ("reap".to_owned(), 10),
                (READERS_AND_HANDOVER.to_owned(), 12)
            ]
        );
        assert_eq!(sums.spans()[0].calls, 2);
        assert_eq!(sums.calls_outside()["release_task"], 18);
        assert_eq!(sums.losses()["wait_migrated"], 2);
    }
}
