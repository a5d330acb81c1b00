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
/// The part of the time that windows of spans have.
const SPANS_PART: u32 = 3;
/// In any other, the first one lasts so many of the shortest windows.
const FIRST_SPANS: u32 = 2;

/// The windows of a run.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Holds, or the one kind that there is.
    base: WindowKind,
    /// Whether spans have windows besides.
    spans: bool,
    shortest: Duration,
    /// The length of the run, where it is known.
    run: Option<Duration>,
    kind: WindowKind,
    /// The longest edges that were seen: to and from windows of spans, and all others.
    spans_edge: Duration,
    edge: Duration,
    /// How long windows of spans lasted.
    spans_time: Duration,
}

impl Schedule {
    /// Windows of these kinds, beginning with what is attached first, and bare ones.
    pub fn new(kinds: &[WindowKind], shortest: Duration, run: Option<Duration>) -> Self {
        let base = kinds.first().copied().unwrap_or(WindowKind::Bare);
        Self {
            base,
            spans: base != WindowKind::Spans && kinds.contains(&WindowKind::Spans),
            shortest,
            run,
            kind: base,
            spans_edge: Duration::ZERO,
            edge: Duration::ZERO,
            spans_time: Duration::ZERO,
        }
    }

    /// What the recording says of it.
    pub fn plan(&self) -> WindowPlan {
        let mut turn = vec![self.base, WindowKind::Bare];
        if self.spans {
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
        if self.kind == WindowKind::Spans && self.spans {
            self.spans_time += lasted;
        }
        self.kind = match self.kind {
            WindowKind::Bare if self.spans && self.are_spans_due(elapsed) => WindowKind::Spans,
            WindowKind::Bare => self.base,
            _ => WindowKind::Bare,
        };
        self.kind
    }

    /// Whether windows of spans lack the time of one, or what is left of the run is theirs.
    fn are_spans_due(&self, elapsed: Duration) -> bool {
        let owed = (elapsed / SPANS_PART).saturating_sub(self.spans_time);
        let last = self.run.is_some_and(|run| {
            let left = run.saturating_sub(elapsed);
            left <= (run / SPANS_PART).saturating_sub(self.spans_time)
        });
        last || owed >= self.spans_length()
    }

    /// How long the window that begins now lasts.
    pub fn length(&self) -> Duration {
        if self.kind == WindowKind::Spans && self.spans {
            return self.spans_length();
        }
        let long_enough = self.edge * EDGES_IN_A_WINDOW;
        // Bare windows are half of them; their edges take the time of one pair more.
        let part = if self.spans { SPANS_PART } else { 1 };
        let longest = self
            .run
            .map(|run| (run - run / SPANS_PART * u32::from(part > 1)) / (2 * (PAIRS + 1)));
        long_enough
            .min(longest.unwrap_or(long_enough))
            .max(self.shortest)
    }

    fn spans_length(&self) -> Duration {
        match self.run {
            Some(run) => {
                let times = (run.as_secs_f64() / SPANS_EVERY_S).floor().max(1.0);
                (run / SPANS_PART).div_f64(times).max(self.shortest)
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
        let spans = windows.iter().filter(|(kind, _)| *kind == Spans).count();
        assert_eq!(spans, 3, "{windows:?}");
        let share = time(&windows, Spans).as_secs_f64() / run.as_secs_f64();
        assert!((0.25..0.36).contains(&share), "{share}: {windows:?}");
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
