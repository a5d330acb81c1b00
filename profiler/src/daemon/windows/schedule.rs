//! Which window comes next, and how long it lasts: pure.

use std::time::Duration;

use crate::recording::schema::{WindowKind, WindowPlan};

/// A window lasts at least so many of its edges, so that what they do to the load is a twentieth at most.
const EDGES_IN_A_WINDOW: u32 = 20;
/// Each kind comes this often at least where the run's length is known, also where edges are long.
const TURNS: u32 = 2;

/// The windows of a run, in turn.
#[derive(Clone, Debug)]
pub struct Schedule {
    turn: Vec<WindowKind>,
    shortest: Duration,
    longest_edge: Duration,
    /// The longest that a window may be; the run's length is known then.
    longest: Option<Duration>,
    place: usize,
}

impl Schedule {
    /// Windows of these kinds, beginning with what is attached first, and bare ones.
    pub fn new(kinds: &[WindowKind], shortest: Duration, run: Option<Duration>) -> Self {
        let mut turn = kinds.to_vec();
        turn.push(WindowKind::Bare);
        let windows = TURNS * u32::try_from(turn.len()).unwrap_or(u32::MAX);
        Self {
            turn,
            shortest,
            longest_edge: Duration::ZERO,
            longest: run.map(|run| run / windows),
            place: 0,
        }
    }

    /// What the recording says of it.
    pub fn plan(&self) -> WindowPlan {
        WindowPlan {
            turn: self.turn.clone(),
            seconds: self.shortest.as_secs_f64(),
        }
    }

    /// The kind of the present window.
    pub fn kind(&self) -> WindowKind {
        self.turn[self.place]
    }

    /// Goes on to the next window; its kind.
    pub fn advance(&mut self) -> WindowKind {
        self.place = (self.place + 1) % self.turn.len();
        self.kind()
    }

    /// Takes note of how long an edge took.
    pub fn saw_edge(&mut self, length: Duration) {
        self.longest_edge = self.longest_edge.max(length);
    }

    /// How long the window that begins now lasts.
    pub fn length(&self) -> Duration {
        let long_enough = self.longest_edge * EDGES_IN_A_WINDOW;
        let fitting = self
            .longest
            .map_or(long_enough, |longest| longest.min(long_enough));
        fitting.max(self.shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use WindowKind::{Bare, Holds, Spans};

    const SHORTEST: Duration = Duration::from_millis(500);

    #[test]
    fn kinds_come_in_turn() {
        let mut schedule = Schedule::new(&[Holds, Spans], SHORTEST, None);
        let kinds: Vec<WindowKind> = std::iter::once(schedule.kind())
            .chain((0..5).map(|_| schedule.advance()))
            .collect();
        assert_eq!(kinds, [Holds, Spans, Bare, Holds, Spans, Bare]);
        assert_eq!(schedule.plan().turn, [Holds, Spans, Bare]);
    }

    #[test]
    fn a_window_is_twenty_edges_long() {
        let mut schedule = Schedule::new(&[Holds], SHORTEST, None);
        assert_eq!(schedule.length(), SHORTEST);
        schedule.saw_edge(Duration::from_millis(10));
        assert_eq!(schedule.length(), SHORTEST);
        schedule.saw_edge(Duration::from_millis(100));
        schedule.saw_edge(Duration::from_millis(50));
        assert_eq!(schedule.length(), Duration::from_secs(2));
    }

    #[test]
    fn every_kind_comes_twice_in_a_run() {
        let mut schedule = Schedule::new(&[Holds, Spans], SHORTEST, Some(Duration::from_secs(9)));
        schedule.saw_edge(Duration::from_millis(200));
        assert_eq!(schedule.length(), Duration::from_millis(1500));
        let mut short = Schedule::new(&[Holds, Spans], SHORTEST, Some(Duration::from_secs(2)));
        short.saw_edge(Duration::from_millis(200));
        assert_eq!(short.length(), SHORTEST);
    }
}
