//! What is added up of the windows of one kind, or of a run that has none.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Blame, Classify, Contention, CpuTotals, Durations, Locks, OffCpu, PathWaits, Samples, Scale,
    SiteProfile, SpanProfile,
    contention::{
        ContentionSum, LockRange, by_caller, target_by_callers, target_by_site, target_told_by_site,
    },
    holds_known,
    locks::{LongWaits, OverTime, SampleSum, WaiterSum},
    off_cpu::{self, OffCpuSum},
    waits_from_contention, waits_known,
};
use crate::{
    known_locks::has_sites,
    recording::schema::{
        AddressSource, CgroupInterval, CpuInterval, Header, Interval, Kind, LongestEvent,
        READERS_AND_HANDOVER, SpanInterval,
    },
    site::Site,
    span::Span,
};

/// What a site did so far.
#[derive(Debug)]
struct SiteSum {
    hold: Durations,
    wait: Durations,
}

/// What is added up.
#[derive(Debug, Default)]
pub(super) struct Sums {
    seconds: f64,
    intervals: u64,
    cpus: BTreeMap<u32, CpuTotals>,
    cgroups: BTreeMap<String, CgroupInterval>,
    off_cpu: OffCpuSum,
    sites: BTreeMap<Site, SiteSum>,
    longest: BTreeMap<(Site, Kind), LongestEvent>,
    spans: BTreeMap<(Span, Option<Site>), (u64, u64, u64)>,
    blame: BTreeMap<(Site, Option<Site>), u64>,
    contention: ContentionSum,
    samples: Samples,
    waiters: WaiterSum,
    owner_samples: SampleSum,
    /// Where waits are told by class.
    over_time: Option<OverTime>,
    long_waits: LongWaits,
}

/// What sums amount to, with everything in its order.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) seconds: f64,
    pub(super) intervals: u64,
    pub(super) cpus: Vec<CpuTotals>,
    pub(super) cgroups: BTreeMap<String, CgroupInterval>,
    /// Where anybody looked.
    pub(super) off_cpu: Option<Vec<OffCpu>>,
    pub(super) sites: Vec<SiteProfile>,
    pub(super) spans: Vec<SpanProfile>,
    pub(super) blame: Vec<Blame>,
    pub(super) contention: Vec<Contention>,
    pub(super) waits_by_path: Vec<PathWaits>,
    pub(super) samples: Samples,
    /// By class, task and owner, where that was kept.
    pub(super) locks: Option<Locks>,
    /// Where the target lock lies, where that is known.
    pub(super) target: Option<LockRange>,
}

impl Sums {
    /// Nothing yet of a recording with this header.
    pub(super) fn of(header: &Header) -> Self {
        Self {
            over_time: header.locks.as_ref().map(|_| OverTime::default()),
            ..Self::default()
        }
    }

    /// Adds an interval; `longest_is_new` says of each of its contended locks that the longest wait is of this
    /// interval.
    pub(super) fn add(&mut self, interval: Interval, longest_is_new: &[bool]) {
        self.seconds += interval.seconds;
        self.intervals += 1;
        if let Some(over_time) = &mut self.over_time {
            over_time.add(&interval);
            self.long_waits.add(&interval, longest_is_new);
        }
        interval.cpus.iter().for_each(|cpu| self.add_cpu(cpu));
        interval.spans.iter().for_each(|span| self.add_span(span));
        for (name, calls) in interval.calls_outside {
            if let Some(span) = Span::find(&name) {
                let sum = self.spans.entry((span, None)).or_default();
                sum.0 = sum.0.saturating_add(calls);
            }
        }
        for pair in interval.blame {
            let is_site = pair.holder != READERS_AND_HANDOVER;
            let holder = is_site.then(|| Site::named(&pair.holder));
            let pair_of = (Site::named(&pair.waiter), holder);
            let sum = self.blame.entry(pair_of).or_default();
            *sum = sum.saturating_add(pair.waited_ns);
        }
        let (checked, wrong) = (interval.callers_checked, interval.callers_wrong);
        self.samples.add(checked, wrong);
        for (entry, &is_new) in interval.contention.into_iter().zip(longest_is_new) {
            self.contention.add(entry, is_new);
        }
        for waiter in interval.waiters {
            self.waiters.add(waiter);
        }
        for sample in interval.owner_samples {
            self.owner_samples.add(sample);
        }
        for event in interval.longest {
            self.add_longest(event);
        }
        for entry in interval.off_cpu {
            self.off_cpu.add(entry);
        }
        for (cgroup, totals) in interval.cgroups {
            add_cgroup(self.cgroups.entry(cgroup).or_default(), totals);
        }
    }

    /// Puts everything into its order, and finds the target lock among all others where it was not
    /// followed for itself.
    pub(super) fn finish(
        mut self,
        header: &Header,
        stacks: &BTreeMap<i32, Vec<String>>,
        classify: Classify,
    ) -> Finished {
        if !waits_known(header) {
            // Times of waits that are none are not shown.
            self.contention = ContentionSum::default();
            self.over_time = None;
            self.long_waits = LongWaits::default();
            self.blame.clear();
        }
        let waits_by_path = self.contention.finish();
        self.samples.count(&waits_by_path);
        let target = target_range(header, &waits_by_path, stacks);
        let mut waits_of_target = BTreeMap::new();
        let has_sites = waits_from_contention(header) && has_sites(&header.lock.name);
        if let Some(target) = target.filter(|_| has_sites) {
            waits_of_target = target_by_site(&waits_by_path, stacks, target, classify);
        }
        let waiters = self.waiters.finish();
        let over_time = self.over_time.unwrap_or_default();
        let locks = (header.locks.as_ref()).map(|_| {
            Locks::of(
                header,
                &waits_by_path,
                stacks,
                target,
                waiters,
                self.owner_samples.finish(),
            )
            .with_over_time(over_time)
            .with_long_waits(self.long_waits, stacks)
        });
        Finished {
            locks,
            seconds: self.seconds,
            intervals: self.intervals,
            cpus: self.cpus.into_values().collect(),
            cgroups: self.cgroups,
            off_cpu: off_cpu::is_looked_at(header).then(|| self.off_cpu.finish(stacks)),
            sites: sites(header, self.sites, waits_of_target, self.longest),
            spans: spans(self.spans),
            blame: blame(self.blame),
            contention: by_caller(&waits_by_path, stacks, target),
            waits_by_path,
            samples: self.samples,
            target,
        }
    }

    fn add_cpu(&mut self, cpu: &CpuInterval) {
        let totals = self.cpus.entry(cpu.cpu).or_insert_with(|| CpuTotals {
            cpu: cpu.cpu,
            ..CpuTotals::default()
        });
        for interval in &cpu.sites {
            let site = Site::named(&interval.site);
            if site.is_writer() {
                totals.holds = totals.holds.saturating_add(interval.holds);
                totals.held_ns = totals.held_ns.saturating_add(interval.held_ns);
            }
            totals.waits = totals.waits.saturating_add(interval.waits);
            totals.waited_ns = totals.waited_ns.saturating_add(interval.waited_ns);
            let sum = self.sites.entry(site).or_insert_with(|| SiteSum {
                hold: Durations::new(Scale::Steps),
                wait: Durations::new(Scale::Steps),
            });
            sum.hold.add(&interval.hold_buckets, interval.held_ns);
            sum.wait.add(&interval.wait_buckets, interval.waited_ns);
        }
    }

    fn add_span(&mut self, interval: &SpanInterval) {
        let Some(span) = Span::find(&interval.span) else {
            return;
        };
        let site = Site::named(&interval.site);
        let (calls, in_hold_ns, self_ns) = self.spans.entry((span, Some(site))).or_default();
        *calls = calls.saturating_add(interval.calls);
        *in_hold_ns = in_hold_ns.saturating_add(interval.in_hold_ns);
        *self_ns = self_ns.saturating_add(interval.self_ns);
    }

    fn add_longest(&mut self, event: LongestEvent) {
        let site = Site::named(&event.site);
        let longest = self
            .longest
            .entry((site, event.kind))
            .or_insert_with(|| event.clone());
        if event.ns > longest.ns {
            *longest = event;
        }
    }
}

fn add_cgroup(sum: &mut CgroupInterval, totals: CgroupInterval) {
    let CgroupInterval {
        holds,
        held_ns,
        waits,
        waited_ns,
    } = totals;
    sum.holds = sum.holds.saturating_add(holds);
    sum.held_ns = sum.held_ns.saturating_add(held_ns);
    sum.waits = sum.waits.saturating_add(waits);
    sum.waited_ns = sum.waited_ns.saturating_add(waited_ns);
}

fn target_range(
    header: &Header,
    waits: &[PathWaits],
    stacks: &BTreeMap<i32, Vec<String>>,
) -> Option<LockRange> {
    if header.lock.address.is_none() && header.lock.address_source == AddressSource::Stacks {
        return target_by_callers(waits, stacks).map(LockRange::at);
    }
    LockRange::of_target(header)
}

fn sites(
    header: &Header,
    mut sums: BTreeMap<Site, SiteSum>,
    mut waits_of_target: BTreeMap<Site, Durations>,
    mut longest: BTreeMap<(Site, Kind), LongestEvent>,
) -> Vec<SiteProfile> {
    let (holds_known, waits_known) = (holds_known(header), waits_known(header));
    let names: BTreeSet<Site> = sums.keys().chain(waits_of_target.keys()).copied().collect();
    let mut all: Vec<SiteProfile> = names
        .into_iter()
        .filter_map(|site| {
            let (mut hold, mut wait) = match sums.remove(&site) {
                Some(sum) => (sum.hold, sum.wait),
                None => (Durations::new(Scale::Steps), Durations::new(Scale::Steps)),
            };
            if let Some(waits) = waits_of_target.remove(&site) {
                wait = waits;
            }
            let longest_hold = longest.remove(&(site, Kind::Hold));
            let longest_wait = longest.remove(&(site, Kind::Wait));
            let ns = |event: &Option<LongestEvent>| event.as_ref().map(|event| event.ns);
            hold.longest_ns = hold.longest_ns.max(ns(&longest_hold));
            wait.longest_ns = wait.longest_ns.max(ns(&longest_wait));
            (hold.count() > 0 || wait.count() > 0).then(|| SiteProfile {
                site,
                hold: holds_known.then_some(hold),
                wait: waits_known.then_some(wait),
                longest_hold,
                longest_wait,
            })
        })
        .collect();
    all.sort_by_key(|site| std::cmp::Reverse(site.weight()));
    all
}

fn spans(sums: BTreeMap<(Span, Option<Site>), (u64, u64, u64)>) -> Vec<SpanProfile> {
    sums.into_iter()
        .filter(|&(_, (calls, ..))| calls > 0)
        .map(|((span, site), (calls, in_hold_ns, self_ns))| {
            let timed = site.is_some() && !span.encloses_holds();
            SpanProfile {
                span,
                site,
                calls,
                in_hold_ns: timed.then_some(in_hold_ns),
                self_ns: timed.then_some(self_ns),
            }
        })
        .collect()
}

fn blame(sums: BTreeMap<(Site, Option<Site>), u64>) -> Vec<Blame> {
    let pairs = sums.into_iter().filter(|&(_, waited_ns)| waited_ns > 0);
    let mut all: Vec<Blame> = pairs
        .map(|((waiter, holder), waited_ns)| Blame {
            waiter,
            holder,
            waited_ns,
        })
        .collect();
    all.sort_by_key(|blame| std::cmp::Reverse(blame.waited_ns));
    all
}

/// Write holds and waits of the target lock.
pub(super) fn target_events(header: &Header, finished: &Finished) -> u64 {
    let count = |durations: &Option<Durations>| durations.as_ref().map_or(0, Durations::count);
    let waits = finished.contention.iter();
    let beside = waits.filter(|wait| wait.is_target && !target_told_by_site(header, wait.kind));
    let beside = beside.map(|wait| wait.waits.count());
    let beside = beside.fold(0, u64::saturating_add);
    finished.sites.iter().fold(beside, |sum, site| {
        let holds = if site.site.is_writer() {
            count(&site.hold)
        } else {
            0
        };
        sum.saturating_add(holds).saturating_add(count(&site.wait))
    })
}
