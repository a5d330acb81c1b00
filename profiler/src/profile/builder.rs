//! Adds up the lines of a recording, one at a time, so that a long one needs little memory.

use std::collections::BTreeMap;

use super::{
    Attached, Classify, Contention, Controls, Effect, GroundTruthCheck, Losses, Profile,
    SeriesPoint,
    contention::LongestWaits,
    ground_truth::uncounted,
    holds_known,
    scaled::Scaling,
    series,
    sums::{Finished, Sums, target_events},
    windows::{SpanWindows, Windows, main_kind, main_kind_of},
};
use crate::{
    recording::schema::{
        Arrangement, Calibration, Footer, Header, Interval, Killed, Line, Method, Phase, Tier,
        Window, WindowKind,
    },
    span::is_program_of_span,
};

/// Adds up the lines of a recording.
#[derive(Debug)]
pub struct ProfileBuilder {
    header: Header,
    calibration: Option<Calibration>,
    footer: Option<Footer>,
    killed: Option<Killed>,
    stopped_s: f64,
    /// By kind of window; without a kind what is in no window, which is all of a run without windows.
    sums: BTreeMap<Option<WindowKind>, Sums>,
    windows: Windows,
    scaling: Scaling,
    stacks: BTreeMap<i32, Vec<String>>,
    series: Vec<SeriesPoint>,
    /// By kind of window as well: what was seen in one makes up for nothing that was lost in another.
    losses: BTreeMap<Option<WindowKind>, Losses>,
    attached: Attached,
    /// Losses from attach to detach, and the tasks that were created in the last interval.
    attached_losses: Losses,
    last_created: u64,
    controls: Controls,
    longest_waits: LongestWaits,
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
            stopped_s: 0.0,
            sums: BTreeMap::new(),
            windows: Windows::default(),
            scaling: Scaling::default(),
            stacks: BTreeMap::new(),
            series: Vec::new(),
            losses: BTreeMap::new(),
            attached_losses: Losses::default(),
            last_created: 0,
            attached: Attached {
                holds,
                ..Attached::default()
            },
            controls: Controls::default(),
            longest_waits: LongestWaits::default(),
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
        self.controls.add_calibration(&calibration);
        self.calibration = Some(calibration);
    }

    /// Adds the footer.
    pub fn add_footer(&mut self, footer: Footer) {
        self.controls.add_footer(&footer);
        self.footer = Some(footer);
    }

    /// Adds the ending that the guard wrote.
    pub fn add_killed(&mut self, killed: Killed) {
        self.killed = Some(killed);
    }

    /// Adds an interval: to the results of its kind of window where it was measured, to the totals of
    /// the attached time and to the series in any case.
    pub fn add_interval(&mut self, mut interval: Interval) {
        self.attached.add(&interval);
        self.attached_losses
            .add(&interval.losses, interval.missed.clone());
        self.last_created = interval.machine.tasks_created;
        self.controls.add_interval(&interval);
        self.header.attach.note_refused(&interval.refused);
        self.series.push(SeriesPoint::of(&interval, &self.header));
        // A stack may be used for the first time in the warm-up, and never again.
        self.stacks.append(&mut interval.stacks);
        self.stopped_s += interval.stopped_s.unwrap_or(0.0);
        let longest_is_new = self.longest_waits.new_ones(&interval.contention);
        if interval.phase == Phase::WarmUp {
            return;
        }
        if let Some(window) = &interval.window {
            self.windows.add(&interval, window);
            self.scaling.add(&self.header, &interval, window);
            if window.edge {
                return;
            }
        }
        let kind = interval.window.map(|window| window.kind);
        let losses = self.losses.entry(kind).or_default();
        losses.add(&interval.losses, std::mem::take(&mut interval.missed));
        match interval.window {
            // What its probes tell is nothing, and not that nothing happened.
            Some(Window {
                kind: WindowKind::Bare,
                ..
            }) => {}
            window => self
                .sums
                .entry(window.map(|window| window.kind))
                .or_insert_with(|| Sums::of(&self.header))
                .add(interval, &longest_is_new),
        }
    }

    /// Ends with the profile. `classify` names the site of a wait for the target lock by who waited,
    /// which is all that there is where holds are not measured.
    #[must_use]
    pub fn finish(mut self, classify: Classify) -> Profile {
        let planned = self.header.windows.as_ref().map(main_kind);
        // A run may end before its first window of the kind that the numbers are to be of.
        let came = |kind| self.sums.contains_key(&Some(kind));
        let main = planned.map(|planned| main_kind_of(came).unwrap_or(planned));
        let of_waits = self.header_of_waits();
        let (stacks, header) = (&self.stacks, &self.header);
        let header_of = |kind| match kind {
            Some(WindowKind::Waits) => &of_waits,
            _ => header,
        };
        let finish = |kind, sums: Sums| sums.finish(header_of(kind), stacks, classify);
        let sums = std::mem::take(&mut self.sums).into_iter();
        let mut finished: BTreeMap<Option<WindowKind>, Finished> = sums
            .map(|(kind, sums)| (kind, finish(kind, sums)))
            .collect();
        let plan = self.header.windows.as_ref();
        let has_spans = main != Some(WindowKind::Spans)
            && plan.is_some_and(|plan| plan.turn.contains(&WindowKind::Spans));
        let events = finished.iter();
        let events = events.map(|(&kind, seen)| (kind, target_events(header_of(kind), seen)));
        let events: BTreeMap<Option<WindowKind>, u64> = events.collect();
        let mut take = |kind| {
            let seen = finished.remove(&kind);
            seen.unwrap_or_else(|| finish(kind, Sums::default()))
        };
        let of_main = take(main);
        let of_spans = has_spans.then(|| take(Some(WindowKind::Spans)));
        self.judge(&events);
        let judged = |kind| {
            let losses = self.losses.get(&kind).cloned();
            losses.unwrap_or_else(|| Losses {
                threshold: self.header.loss_threshold,
                ..Losses::default()
            })
        };
        let losses_of_main = judged(main);
        let losses_of_spans = has_spans.then(|| judged(Some(WindowKind::Spans)));
        // Windows of waits beside those of holds are in no number, and neither is what they have lost.
        let shown = self.losses.iter();
        let shown = shown.filter(|(kind, _)| **kind == main || **kind != Some(WindowKind::Waits));
        let mut losses = Losses::together(
            shown.map(|(_, losses)| losses),
            &losses_of_main,
            losses_of_spans.as_ref(),
        );
        series::tell_the_ending(&mut self.series);
        series::spread_holds(&mut self.series);
        if let Some(footer) = &self.footer {
            losses.not_written.clone_from(&footer.write_failures);
        }
        let inside = |wait: &&Contention| wait.in_hold_of.is_some() && !wait.is_target;
        let inner_waits = of_spans.as_ref().unwrap_or(&of_main).contention.iter();
        let inner_waits = inner_waits.filter(inside).cloned().collect();
        let (spans, span_windows) = match of_spans {
            Some(Finished {
                seconds,
                sites,
                spans,
                ..
            }) => (spans, Some(SpanWindows { seconds, sites })),
            None => (of_main.spans, None),
        };
        let mut profile = Profile {
            ground_truth: (match &self.header.windows {
                None => GroundTruthCheck::new(&self.attached, self.footer.as_ref()),
                Some(_) => GroundTruthCheck::of_windows(
                    self.windows.seen_lives(),
                    self.attached.holds.is_some(),
                ),
            })
            .for_lock(&self.header.lock.name),
            effect: (self.header.windows.as_ref())
                .map(|plan| Effect::of(plan, self.windows.finished())),
            windows: self.windows,
            scaled: self.scaling.finish(&self.header, of_main.target),
            absent_spans: absent_spans(&self.header),
            cut_short: self.footer.is_none(),
            killed: self.killed,
            stopped_s: self.stopped_s,
            header: self.header,
            calibration: self.calibration,
            footer: self.footer,
            measured_s: of_main.seconds,
            intervals: of_main.intervals,
            sites: of_main.sites,
            span_windows,
            spans,
            blame: of_main.blame,
            inner_waits,
            locks: of_main.locks,
            contention: of_main.contention,
            waits_by_path: of_main.waits_by_path,
            stacks: self.stacks,
            samples: of_main.samples,
            cpus: of_main.cpus,
            series: self.series,
            cgroups: of_main.cgroups,
            off_cpu: of_main.off_cpu,
            losses,
            losses_of_main,
            losses_of_spans,
            instead: main.filter(|_| main != planned),
            attached: self.attached,
            controls: self.controls,
            holds_unknown: false,
            target_waits_unknown: false,
        };
        if let Some((Some(cpu), ns)) = profile.open_hold() {
            series::add_open_hold(&mut profile.series, cpu, ns as f64 / 1e9);
        }
        profile.without_unknown_zeroes()
    }

    /// Judges the losses of each kind of windows by the events of the lock that it has seen.
    fn judge(&mut self, events: &BTreeMap<Option<WindowKind>, u64>) {
        let header = &self.header;
        for (&kind, losses) in &mut self.losses {
            // Windows of spans have both clocks inside the hold, whatever the others have.
            let arrangement = match kind {
                Some(WindowKind::Spans) => Some(Arrangement::Inside),
                _ => header.attach.arrangement,
            };
            let seen = match kind {
                // What was created while nothing was attached is in the kernel's count.
                _ if self.stopped_s > 0.0 => None,
                Some(kind) => Some((self.windows.seen_lives_of(kind), &*losses)),
                None if header.windows.is_some() => None,
                None => {
                    let footer = self.footer.as_ref();
                    let seen = self.attached.seen_lives(footer, self.last_created);
                    Some((seen, &self.attached_losses))
                }
            };
            if let Some((seen, known)) = seen {
                losses.uncounted = uncounted(header, &seen, known.holds_known_to_be_lost());
            }
            let events = events.get(&kind).copied().unwrap_or(0);
            losses.judge(events, header.loss_threshold, arrangement);
        }
    }

    /// What windows of waits alone have to be read by: as in the tier that has no other.
    fn header_of_waits(&self) -> Header {
        let mut header = self.header.clone();
        if holds_known(&header) {
            header.tier = Tier::WaitOnly;
            header.attach.method = Method::Wait;
        }
        header
    }
}

fn absent_spans(header: &Header) -> Vec<(String, String)> {
    let mut absent: Vec<(String, String)> = header
        .attach
        .probes
        .iter()
        .filter(|probe| is_program_of_span(&probe.program))
        .filter_map(|probe| Some((probe.target.clone(), probe.absent.clone()?)))
        .collect();
    // Two probes to a span: its entry and its return.
    absent.dedup_by(|a, b| a.0 == b.0);
    absent
}
