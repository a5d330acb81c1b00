//! Which window comes next, and how long it lasts: pure.
//!
//! Holds and bare windows take turns, so that each is compared with what it was a moment before and after.
//! Windows of spans have a third of the time, in few and long pieces between bare ones: to detach the programs
//! of a span waits for two grace periods of RCU (Linux 6.12: 2 s for all of them, where holds take 0.35 s).

use std::time::Duration;

use crate::recording::schema::{SPANS_EVERY_S, WindowKind, WindowPlan};

/// A window lasts at least so many of its edges, so that what they do to the load is a twentieth at most, where
/// the run is long enough for [`PAIRS`] of them.
const EDGES_IN_A_WINDOW: u32 = 20;
/// So many pairs tell the effect with an interval: a run of known length has them, also where edges are long.
const PAIRS: u32 = 4;
/// The share of the time with probes, where nobody limits it: with spans they have a third, holds and bare
/// windows the others; without, half.
const SHARES: [f64; 2] = [0.5, 2.0 / 3.0];
/// In any other, the first one lasts so many of the shortest windows.
const FIRST_SPANS: u32 = 2;

/// The windows of a run.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What is attached first, where nothing forbids it: holds, or the one kind that there is.
    first: WindowKind,
    /// Whether spans have windows besides, where nothing forbids that.
    has_spans: bool,
    /// The costliest kind that is allowed.
    allowed: WindowKind,
    shortest: Duration,
    /// The length of the run, where it is known.
    run: Option<Duration>,
    kind: WindowKind,
    /// The share of the time for which probes are attached; windows of spans have half of it.
    share: f64,
    /// The longest edges that were seen: to and from windows of spans, and all others.
    spans_edge: Duration,
    edge: Duration,
    /// How long windows of spans lasted.
    spans_time: Duration,
}

impl Schedule {
    /// Windows of these kinds, beginning with what is attached first, and bare ones.
    pub fn new(kinds: &[WindowKind], shortest: Duration, run: Option<Duration>) -> Self {
        let first = kinds.first().copied().unwrap_or(WindowKind::Bare);
        let has_spans = first != WindowKind::Spans && kinds.contains(&WindowKind::Spans);
        Self {
            first,
            has_spans,
            allowed: WindowKind::Spans,
            shortest,
            run,
            kind: first,
            share: SHARES[usize::from(has_spans)],
            spans_edge: Duration::ZERO,
            edge: Duration::ZERO,
            spans_time: Duration::ZERO,
        }
    }

    /// What the recording says of it.
    pub fn plan(&self) -> WindowPlan {
        let mut turn = vec![self.first, WindowKind::Bare];
        if self.has_spans {
            turn.push(WindowKind::Spans);
        }
        WindowPlan {
            turn,
            seconds: self.shortest.as_secs_f64(),
        }
    }

    /// The kind of the present window.
    pub const fn kind(&self) -> WindowKind {
        self.kind
    }

    /// From the next window on, measures nothing that costs more than windows of this kind, and that for this
    /// share of the time.
    pub fn limit(&mut self, kind: WindowKind, share: f64) {
        self.allowed = kind;
        self.share = share.clamp(f64::MIN_POSITIVE, SHARES[usize::from(self.spans())]);
    }

    /// What takes turns with bare windows.
    fn base(&self) -> WindowKind {
        self.first.min(self.allowed)
    }

    /// Whether spans have windows besides.
    fn spans(&self) -> bool {
        self.has_spans && self.allowed == WindowKind::Spans
    }

    /// Begins with what is allowed, and never has more.
    pub fn begin_anew(&mut self) {
        self.first = self.base();
        self.has_spans = self.spans();
        self.kind = self.first;
    }

    /// Takes note of how long an edge took, which leads from a window of this kind to the present one.
    pub fn saw_edge(&mut self, from: WindowKind, length: Duration) {
        let of_spans = [from, self.kind].contains(&WindowKind::Spans);
        let longest = if of_spans {
            &mut self.spans_edge
        } else {
            &mut self.edge
        };
        *longest = length.max(*longest);
    }

    /// Goes on to the next window after one of this length, at this time of the measured time; its kind.
    pub fn advance(&mut self, lasted: Duration, elapsed: Duration) -> WindowKind {
        if self.kind == WindowKind::Spans && self.spans() {
            self.spans_time += lasted;
        }
        self.kind = match self.kind {
            WindowKind::Bare if self.spans() && self.are_spans_due(elapsed) => WindowKind::Spans,
            WindowKind::Bare => self.base(),
            _ => WindowKind::Bare,
        };
        self.kind
    }

    /// Whether windows of spans lack the time of one, or what is left of the run is theirs.
    fn are_spans_due(&self, elapsed: Duration) -> bool {
        let part = self.spans_part();
        let owed = elapsed.mul_f64(part).saturating_sub(self.spans_time);
        let last = self.run.is_some_and(|run| {
            let left = run.saturating_sub(elapsed);
            left <= run.mul_f64(part).saturating_sub(self.spans_time)
        });
        last || owed >= self.spans_length()
    }

    /// The share of the time that windows of spans have.
    fn spans_part(&self) -> f64 {
        if self.spans() { self.share / 2.0 } else { 0.0 }
    }

    /// How long the window that begins now lasts.
    pub fn length(&self) -> Duration {
        match self.kind {
            WindowKind::Spans if self.spans() => self.spans_length(),
            WindowKind::Bare => {
                let of_base = self.share - self.spans_part();
                self.base_length().mul_f64((1.0 - self.share) / of_base)
            }
            _ => self.base_length(),
        }
    }

    fn base_length(&self) -> Duration {
        let long_enough = self.edge * EDGES_IN_A_WINDOW;
        // Bare windows are half of them; their edges take the time of one pair more.
        let longest = self
            .run
            .map(|run| run.mul_f64(1.0 - self.spans_part()) / (2 * (PAIRS + 1)));
        long_enough
            .min(longest.unwrap_or(long_enough))
            .max(self.shortest)
    }

    fn spans_length(&self) -> Duration {
        match self.run {
            Some(run) => {
                let all = run.mul_f64(self.spans_part());
                let wanted = (run.as_secs_f64() / SPANS_EVERY_S).floor();
                // Fewer and longer ones, where their edges have turned out to be long.
                let worth_their_edges =
                    all.as_secs_f64() / (self.spans_edge * EDGES_IN_A_WINDOW).as_secs_f64();
                let times = wanted.min(worth_their_edges.floor()).max(1.0);
                all.div_f64(times).max(self.shortest)
            }
            None => (self.spans_edge * EDGES_IN_A_WINDOW).max(self.shortest * FIRST_SPANS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use WindowKind::{Bare, Holds, Spans, Waits};

    const SHORTEST: Duration = Duration::from_millis(500);

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// The windows of a run whose edges take so long, with their lengths; the last one is cut by the end.
    fn windows(
        mut schedule: Schedule,
        run: Duration,
        edge: impl Fn(WindowKind, WindowKind) -> Duration,
    ) -> Vec<(WindowKind, Duration)> {
        let mut all = Vec::new();
        let mut elapsed = Duration::ZERO;
        loop {
            let kind = schedule.kind();
            let length = schedule.length().min(run - elapsed);
            all.push((kind, length));
            elapsed += length;
            let next = schedule.advance(length, elapsed);
            elapsed += edge(kind, next);
            if elapsed >= run {
                return all;
            }
            schedule.saw_edge(kind, edge(kind, next));
        }
    }

    /// As they were seen in an emulated Linux 6.12.
    fn edge(from: WindowKind, to: WindowKind) -> Duration {
        match (from, to) {
            (Spans, _) => ms(2200),
            (_, Spans) => ms(360),
            (_, Bare) => ms(360),
            _ => ms(40),
        }
    }

    fn time(windows: &[(WindowKind, Duration)], kind: WindowKind) -> Duration {
        let of_kind = windows.iter().filter(|(of, _)| *of == kind);
        of_kind.map(|(_, length)| *length).sum()
    }

    #[test]
    fn holds_and_bare_windows_take_turns() {
        let schedule = Schedule::new(&[Holds], SHORTEST, None);
        assert_eq!(schedule.plan().turn, [Holds, Bare]);
        let windows = windows(schedule, ms(20_000), |_, _| ms(10));
        assert!(windows.len() > 30, "{windows:?}");
        for pair in windows.chunks_exact(2) {
            assert_eq!((pair[0].0, pair[1].0), (Holds, Bare));
        }
    }

    #[test]
    fn a_window_is_twenty_edges_long() {
        let mut schedule = Schedule::new(&[Waits], SHORTEST, None);
        assert_eq!(schedule.length(), SHORTEST);
        schedule.saw_edge(Waits, ms(10));
        assert_eq!(schedule.length(), SHORTEST);
        schedule.saw_edge(Bare, ms(100));
        schedule.saw_edge(Waits, ms(50));
        assert_eq!(schedule.length(), ms(2000));
    }

    #[test]
    fn a_run_of_known_length_has_pairs_enough() {
        for kinds in [&[Holds][..], &[Holds, Spans]] {
            let run = ms(10_000);
            let windows = windows(Schedule::new(kinds, SHORTEST, Some(run)), run, edge);
            let holds = windows.iter().filter(|(kind, _)| *kind == Holds).count();
            assert!(holds >= 4, "{windows:?}");
        }
    }

    #[test]
    fn spans_have_a_third_of_the_time_at_the_end_of_a_short_run() {
        let run = ms(10_000);
        let windows = windows(
            Schedule::new(&[Holds, Spans], SHORTEST, Some(run)),
            run,
            edge,
        );
        let (last, length) = windows.last().unwrap();
        assert_eq!(*last, Spans);
        assert!((ms(2000)..=ms(3500)).contains(length), "{windows:?}");
        assert_eq!(windows[windows.len() - 2].0, Bare);
        assert_eq!(time(&windows, Spans), *length);
    }

    #[test]
    fn a_long_run_has_them_more_than_once() {
        let run = ms(130_000);
        let windows = windows(
            Schedule::new(&[Holds, Spans], SHORTEST, Some(run)),
            run,
            edge,
        );
        let spans = windows.iter().filter(|(kind, _)| *kind == Spans);
        let lengths: Vec<Duration> = spans.map(|(_, length)| *length).collect();
        // The first one was planned before its last edge was seen, which is longer; then one is enough.
        assert_eq!(lengths.len(), 2, "{windows:?}");
        assert!(lengths[0] >= ms(20 * 360), "{windows:?}");
        assert!(lengths[1] > lengths[0], "{windows:?}");
        let share = time(&windows, Spans).as_secs_f64() / run.as_secs_f64();
        assert!((0.25..0.36).contains(&share), "{share}: {windows:?}");
    }

    #[test]
    fn a_budget_leaves_a_share_of_the_time() {
        let mut schedule = Schedule::new(&[Holds, Spans], SHORTEST, None);
        schedule.limit(Spans, 0.1);
        let all = windows(schedule.clone(), ms(600_000), |_, _| ms(10));
        for kind in [Holds, Spans] {
            let share = time(&all, kind).as_secs_f64() / 600.0;
            // Bare windows around those of spans come on top.
            assert!((0.02..0.055).contains(&share), "{share} {kind:?}");
        }
        schedule.limit(Holds, 0.1);
        let all = windows(schedule.clone(), ms(600_000), |_, _| ms(10));
        assert_eq!(time(&all, Spans), Duration::ZERO);
        let share = time(&all, Holds).as_secs_f64() / 600.0;
        assert!((0.09..0.11).contains(&share), "{share}");
        schedule.limit(Waits, 0.9);
        let all = windows(schedule, ms(600_000), |_, _| ms(10));
        // What is attached first comes first.
        assert_eq!(time(&all, Holds), SHORTEST);
        let share = time(&all, Waits).as_secs_f64() / 600.0;
        assert!((0.45..0.51).contains(&share), "{share}");
    }

    #[test]
    fn spans_come_early_where_nobody_knows_how_long_a_run_lasts() {
        let schedule = Schedule::new(&[Holds, Spans], SHORTEST, None);
        let windows = windows(schedule, ms(300_000), edge);
        let first = windows.iter().position(|(kind, _)| *kind == Spans).unwrap();
        assert!(time(&windows[..first], Holds) < ms(9000), "{windows:?}");
        assert_eq!(windows[first].1, ms(20 * 360));
        let mut later = windows[first + 1..].iter();
        let second = later.find(|(kind, _)| *kind == Spans).unwrap();
        assert_eq!(second.1, ms(44_000), "{windows:?}");
    }
}
