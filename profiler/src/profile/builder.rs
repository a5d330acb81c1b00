//! Adds up the lines of a recording, one at a time, so that a long one needs little memory.

use std::collections::BTreeMap;

use lockprof_abi::Span;

use super::{
    Attached, Classify, Contention, Effect, GroundTruthCheck, Losses, Profile, SeriesPoint,
    holds_known,
    scaled::Scaling,
    series,
    sums::{Finished, Sums, target_events},
    windows::{SpanWindows, Windows, main_kind},
};
use crate::recording::schema::{
    Calibration, Footer, Header, Interval, Killed, Line, Phase, Window, WindowKind,
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
            stopped_s: 0.0,
            sums: BTreeMap::new(),
            windows: Windows::default(),
            scaling: Scaling::default(),
            stacks: BTreeMap::new(),
            series: Vec::new(),
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

    /// Adds an interval: to the results of its kind of window where it was measured, to the totals of
    /// the attached time and to the series in any case.
    pub fn add_interval(&mut self, mut interval: Interval) {
        self.attached.add(&interval);
        self.series.push(SeriesPoint::of(&interval, &self.header));
        // A stack may be used for the first time in the warm-up, and never again.
        self.stacks.append(&mut interval.stacks);
        self.stopped_s += interval.stopped_s.unwrap_or(0.0);
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
        let main = self.header.windows.as_ref().map(main_kind);
        let kind = interval.window.map(|window| window.kind);
        // Windows of waits beside those of holds are in no number, and neither is what they have lost.
        if kind == main || kind != Some(WindowKind::Waits) {
            self.losses
                .add(&interval.losses, std::mem::take(&mut interval.missed));
        }
        match interval.window {
            // What its probes tell is nothing, and not that nothing happened.
            Some(Window {
                kind: WindowKind::Bare,
                ..
            }) => {}
            window => self
                .sums
                .entry(window.map(|window| window.kind))
                .or_default()
                .add(interval),
        }
    }

    /// Ends with the profile. `classify` names the site of a wait for the target lock by who waited,
    /// which is all that there is where holds are not measured.
    #[must_use]
    pub fn finish(mut self, classify: Classify) -> Profile {
        let finish = |sums: Sums| sums.finish(&self.header, &self.stacks, classify);
        let sums = self.sums.into_iter();
        let mut finished: BTreeMap<Option<WindowKind>, Finished> =
            sums.map(|(kind, sums)| (kind, finish(sums))).collect();
        let main = self.header.windows.as_ref().map(main_kind);
        let events = finished.values();
        let events = events.map(|finished| target_events(&finished.sites));
        let events = events.fold(0, u64::saturating_add);
        let mut take = |kind| {
            let seen = finished.remove(&kind);
            seen.unwrap_or_else(|| finish(Sums::default()))
        };
        let of_main = take(main);
        let plan = self.header.windows.as_ref();
        let of_spans = plan
            .filter(|plan| plan.turn.contains(&WindowKind::Spans))
            .filter(|_| main != Some(WindowKind::Spans))
            .map(|_| take(Some(WindowKind::Spans)));
        series::tell_the_ending(&mut self.series);
        if let Some(footer) = &self.footer {
            self.losses.not_written.clone_from(&footer.write_failures);
        }
        self.losses.judge(
            events,
            self.header.loss_threshold,
            self.header.attach.arrangement,
        );
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
        Profile {
            ground_truth: match &self.header.windows {
                None => GroundTruthCheck::new(&self.attached, self.footer.as_ref()),
                Some(_) => GroundTruthCheck::of_windows(
                    self.windows.seen_lives(),
                    self.attached.holds.is_some(),
                ),
            },
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
            contention: of_main.contention,
            waits_by_path: of_main.waits_by_path,
            stacks: self.stacks,
            samples: of_main.samples,
            cpus: of_main.cpus,
            series: self.series,
            cgroups: of_main.cgroups,
            losses: self.losses,
            attached: self.attached,
        }
    }
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
