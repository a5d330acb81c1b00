//! Adds up the lines of a recording, one at a time, so that a long one needs little memory.

use std::collections::BTreeMap;

use lockprof_abi::{Site, Span};

use super::{
    Attached, Blame, Classify, Contention, CpuTotals, Durations, GroundTruthCheck, Losses,
    PathWaits, Profile, Samples, Scale, SeriesPoint, SiteProfile, SpanProfile,
    contention::{ContentionSum, by_caller, target_by_callers, target_by_site},
    holds_known, series,
    spans::is_timed,
    waits_from_contention, waits_known,
};
use crate::recording::{
    parse_address,
    schema::{
        AddressSource, Calibration, CgroupInterval, CpuInterval, Footer, Header, Interval, Killed,
        Kind, Line, LongestEvent, Phase, READERS_AND_HANDOVER, SpanInterval,
    },
};

/// What a site did so far.
#[derive(Debug)]
struct SiteSum {
    hold: Durations,
    wait: Durations,
}

/// Adds up the lines of a recording.
#[derive(Debug)]
pub struct ProfileBuilder {
    header: Header,
    calibration: Option<Calibration>,
    footer: Option<Footer>,
    killed: Option<Killed>,
    measured_s: f64,
    stopped_s: f64,
    intervals: u64,
    sites: BTreeMap<Site, SiteSum>,
    longest: BTreeMap<(Site, Kind), LongestEvent>,
    spans: BTreeMap<(Span, Option<Site>), (u64, u64, u64)>,
    blame: BTreeMap<(Site, Option<Site>), u64>,
    contention: ContentionSum,
    stacks: BTreeMap<i32, Vec<String>>,
    samples: Samples,
    cpus: BTreeMap<u32, CpuTotals>,
    series: Vec<SeriesPoint>,
    cgroups: BTreeMap<String, CgroupInterval>,
    losses: Losses,
    attached: Attached,
}

impl ProfileBuilder {
    /// Begins with the header.
    #[must_use]
    pub fn new(header: Header) -> Self {
        let holds = holds_known(&header).then(BTreeMap::new);
        Self {
            header,
            calibration: None,
            footer: None,
            killed: None,
            measured_s: 0.0,
            stopped_s: 0.0,
            intervals: 0,
            sites: BTreeMap::new(),
            longest: BTreeMap::new(),
            spans: BTreeMap::new(),
            blame: BTreeMap::new(),
            contention: ContentionSum::default(),
            stacks: BTreeMap::new(),
            samples: Samples::default(),
            cpus: BTreeMap::new(),
            series: Vec::new(),
            cgroups: BTreeMap::new(),
            losses: Losses::default(),
            attached: Attached {
                holds,
                ..Attached::default()
            },
        }
    }

    /// Adds a line after the header; a second header changes nothing.
    pub fn add(&mut self, line: Line) {
        match line {
            Line::Header(_) => {}
            Line::Calibration(calibration) => self.add_calibration(calibration),
            Line::Interval(interval) => self.add_interval(*interval),
            Line::Footer(footer) => self.add_footer(*footer),
            Line::Killed(killed) => self.add_killed(killed),
        }
    }

    /// Adds the calibration.
    pub fn add_calibration(&mut self, calibration: Calibration) {
        self.calibration = Some(calibration);
    }

    /// Adds the footer.
    pub fn add_footer(&mut self, footer: Footer) {
        self.footer = Some(footer);
    }

    /// Adds the ending that the guard wrote.
    pub fn add_killed(&mut self, killed: Killed) {
        self.killed = Some(killed);
    }

    /// Adds an interval: to the results where it was measured, to the totals of the attached time
    /// and to the series in any case.
    pub fn add_interval(&mut self, interval: Interval) {
        self.attached.add(&interval);
        self.series
            .push(SeriesPoint::of(&interval, holds_known(&self.header)));
        let Interval {
            at_s: _,
            seconds,
            phase,
            window: _,
            cpus,
            spans,
            calls_outside,
            blame,
            contention,
            callers_checked,
            callers_wrong,
            stacks,
            cgroups,
            longest,
            losses,
            missed,
            own: _,
            machine: _,
            stopped_s,
            iterations: _,
        } = interval;
        self.stopped_s += stopped_s.unwrap_or(0.0);
        // A stack may be used for the first time in the warm-up, and never again.
        self.stacks.extend(stacks);
        if phase == Phase::WarmUp {
            return;
        }
        self.measured_s += seconds;
        self.intervals += 1;
        cpus.iter().for_each(|cpu| self.add_cpu(cpu));
        spans.iter().for_each(|span| self.add_span(span));
        for (name, calls) in calls_outside {
            if let Some(span) = Span::from_name(&name) {
                let sum = self.spans.entry((span, None)).or_default();
                sum.0 = sum.0.saturating_add(calls);
            }
        }
        for pair in blame {
            let holder = Site::from_name(&pair.holder);
            if let Some(waiter) = Site::from_name(&pair.waiter)
                && (holder.is_some() || pair.holder == READERS_AND_HANDOVER)
            {
                let sum = self.blame.entry((waiter, holder)).or_default();
                *sum = sum.saturating_add(pair.waited_ns);
            }
        }
        self.samples.add(callers_checked, callers_wrong);
        contention
            .into_iter()
            .for_each(|entry| self.contention.add(entry));
        longest
            .into_iter()
            .for_each(|event| self.add_longest(event));
        for (cgroup, totals) in cgroups {
            add_cgroup(self.cgroups.entry(cgroup).or_default(), totals);
        }
        self.losses.add(&losses, missed);
    }

    /// Ends with the profile. `classify` names the site of a wait for the target lock by who waited,
    /// which is all that there is where holds are not measured.
    #[must_use]
    pub fn finish(mut self, classify: Classify) -> Profile {
        if !waits_known(&self.header) {
            // Times of waits that are none are not shown.
            self.contention = ContentionSum::default();
            self.blame.clear();
        }
        let waits_by_path = self.contention.finish();
        self.samples.count(&waits_by_path);
        let target = target_address(&self.header, &waits_by_path, &self.stacks);
        let mut waits_of_target = BTreeMap::new();
        if let Some(target) = target.filter(|_| waits_from_contention(&self.header)) {
            waits_of_target = target_by_site(&waits_by_path, &self.stacks, target, classify);
        }
        let sites = sites(&self.header, self.sites, waits_of_target, self.longest);
        let contention = by_caller(&waits_by_path, &self.stacks, target);
        series::tell_the_ending(&mut self.series);
        let inside = |wait: &&Contention| wait.in_hold_of.is_some() && !wait.is_target;
        if let Some(footer) = &self.footer {
            self.losses.not_written.clone_from(&footer.write_failures);
        }
        self.losses.judge(
            target_events(&sites),
            self.header.loss_threshold,
            self.header.attach.arrangement,
        );
        Profile {
            ground_truth: GroundTruthCheck::new(&self.attached, self.footer.as_ref()),
            absent_spans: absent_spans(&self.header),
            cut_short: self.footer.is_none(),
            killed: self.killed,
            header: self.header,
            calibration: self.calibration,
            footer: self.footer,
            measured_s: self.measured_s,
            stopped_s: self.stopped_s,
            intervals: self.intervals,
            sites,
            spans: spans(self.spans),
            blame: blame(self.blame),
            inner_waits: contention.iter().filter(inside).cloned().collect(),
            contention,
            waits_by_path,
            stacks: self.stacks,
            samples: self.samples,
            cpus: self.cpus.into_values().collect(),
            series: self.series,
            cgroups: self.cgroups,
            losses: self.losses,
            attached: self.attached,
        }
    }

    fn add_cpu(&mut self, cpu: &CpuInterval) {
        let totals = self.cpus.entry(cpu.cpu).or_insert_with(|| CpuTotals {
            cpu: cpu.cpu,
            ..CpuTotals::default()
        });
        for interval in &cpu.sites {
            let Some(site) = Site::from_name(&interval.site) else {
                continue;
            };
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
        let (Some(span), Some(site)) = (
            Span::from_name(&interval.span),
            Site::from_name(&interval.site),
        ) else {
            return;
        };
        let (calls, in_hold_ns, self_ns) = self.spans.entry((span, Some(site))).or_default();
        *calls = calls.saturating_add(interval.calls);
        *in_hold_ns = in_hold_ns.saturating_add(interval.in_hold_ns);
        *self_ns = self_ns.saturating_add(interval.self_ns);
    }

    fn add_longest(&mut self, event: LongestEvent) {
        let Some(site) = Site::from_name(&event.site) else {
            return;
        };
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

fn target_address(
    header: &Header,
    waits: &[PathWaits],
    stacks: &BTreeMap<i32, Vec<String>>,
) -> Option<u64> {
    match &header.lock.address {
        Some(address) => parse_address(address),
        None if header.lock.address_source == AddressSource::Stacks => {
            target_by_callers(waits, stacks)
        }
        None => None,
    }
}

fn sites(
    header: &Header,
    mut sums: BTreeMap<Site, SiteSum>,
    mut waits_of_target: BTreeMap<Site, Durations>,
    mut longest: BTreeMap<(Site, Kind), LongestEvent>,
) -> Vec<SiteProfile> {
    let (holds_known, waits_known) = (holds_known(header), waits_known(header));
    let mut all: Vec<SiteProfile> = Site::ALL
        .iter()
        .filter_map(|&site| {
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
            let timed = site.is_some() && is_timed(span);
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

fn absent_spans(header: &Header) -> Vec<(String, String)> {
    let mut absent: Vec<(String, String)> = header
        .attach
        .probes
        .iter()
        .filter(|probe| Span::from_name(&probe.target).is_some())
        .filter_map(|probe| Some((probe.target.clone(), probe.absent.clone()?)))
        .collect();
    // Two probes to a span: its entry and its return.
    absent.dedup_by(|a, b| a.0 == b.0);
    absent
}

fn target_events(sites: &[SiteProfile]) -> u64 {
    let count = |durations: &Option<Durations>| durations.as_ref().map_or(0, Durations::count);
    sites.iter().fold(0, |sum: u64, site| {
        let holds = if site.site.is_writer() {
            count(&site.hold)
        } else {
            0
        };
        sum.saturating_add(holds).saturating_add(count(&site.wait))
    })
}
