//! A made-up recording with windows: [bare, holds, bare, spans] in turn, an edge before each.

use lockprof::{
    export::Format,
    profile::Profile,
    recording::schema::{
        Clock, Done, Interval, Line, Phase, Tier, Window, WindowKind,
        WindowKind::{Bare, Holds, Spans, Waits},
        WindowPlan,
    },
};

use serde_json::Value;

use crate::fixture::{Synthetic, profile_of};

/// The length of a window, of which each is two intervals, and of an edge.
pub const WINDOW_S: f64 = 1.0;
pub const EDGE_S: f64 = 0.125;

/// What a recording with windows is to be like.
#[derive(Clone, Debug)]
pub struct Windowed {
    pub turn: Vec<WindowKind>,
    /// Iterations of the load in each window: so many windows there are.
    pub iterations: Vec<u64>,
    pub like: Synthetic,
    /// The load tells its iterations.
    pub told: bool,
}

impl Default for Windowed {
    /// Rates over those without probes of 90.1 % for holds and 69.9 % for spans.
    fn default() -> Self {
        Self {
            turn: vec![Bare, Holds, Bare, Spans],
            iterations: vec![
                10_000, 9_000, 10_100, 7_000, 10_200, 9_100, 10_000, 7_200, 9_900, 9_050, 10_100,
                6_900, 10_050,
            ],
            like: Synthetic::default(),
            told: true,
        }
    }
}

impl Windowed {
    /// Holds alone, with as many windows as there are numbers.
    pub fn holds(iterations: &[u64]) -> Self {
        Self {
            turn: vec![Bare, Holds],
            iterations: iterations.to_vec(),
            ..Self::default()
        }
    }

    pub fn kind(&self, index: usize) -> WindowKind {
        self.turn[index % self.turn.len()]
    }

    /// One interval of warm-up; then for each window an edge and two intervals.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Synthetic {
            intervals: 3 * self.iterations.len() as u32,
            ..self.like.clone()
        }
        .lines();
        let mut at_s = 1.0;
        let mut index = 0;
        for line in &mut lines {
            match line {
                Line::Header(header) => {
                    header.windows = Some(WindowPlan {
                        turn: self.turn.clone(),
                        seconds: WINDOW_S,
                    });
                }
                Line::Interval(interval) if interval.phase == Phase::Measured => {
                    self.put(interval, index, &mut at_s);
                    index += 1;
                }
                _ => {}
            }
        }
        lines
    }

    pub fn profile(&self) -> Profile {
        profile_of(self.lines())
    }

    fn put(&self, interval: &mut Interval, index: usize, at_s: &mut f64) {
        let (number, part) = (index / 3, index % 3);
        let kind = self.kind(number);
        let done = |seconds: f64, iterations: u64| Done {
            seconds,
            iterations: self.told.then_some(iterations),
            tasks_created: iterations + 3,
        };
        let done = match part {
            // At an edge the load has half of the rate that its window has.
            0 => Some(done(
                EDGE_S,
                (self.iterations[number] as f64 * EDGE_S / 2.0) as u64,
            )),
            1 => None,
            _ => Some(done(WINDOW_S, self.iterations[number])),
        };
        interval.window = Some(Window {
            number: number as u32 + 1,
            kind,
            edge: part == 0,
            done,
        });
        interval.seconds = if part == 0 { EDGE_S } else { WINDOW_S / 2.0 };
        *at_s += interval.seconds;
        interval.at_s = *at_s;
        interval.iterations = done.and_then(|done| done.iterations);
        if part == 0 || kind == Bare {
            // What a daemon that knows no better would write: zeroes, and no entries.
            interval.cpus.clear();
            interval.longest.clear();
        }
        if part == 0 || kind != Spans {
            interval.spans.clear();
            interval.calls_outside.clear();
            interval.contention.retain(|wait| wait.in_hold_of.is_none());
        }
        if part == 0 || matches!(kind, Bare | Spans) {
            interval.blame.clear();
        }
        if part == 0 || kind == Bare {
            interval.contention.clear();
        }
    }
}

/// One where waits alone can be seen.
pub fn wait_only(iterations: &[u64]) -> Windowed {
    Windowed {
        turn: vec![Bare, Waits],
        iterations: iterations.to_vec(),
        like: Synthetic {
            tier: Tier::WaitOnly,
            ..Synthetic::default()
        },
        told: true,
    }
}

/// One of an emulated machine.
pub fn emulated() -> Windowed {
    Windowed {
        like: Synthetic {
            clock: Clock::EmulatedWall,
            ..Synthetic::default()
        },
        ..Windowed::default()
    }
}

pub fn text(profile: &Profile, format: Format) -> String {
    String::from_utf8(format.exporter().export(profile).unwrap()).unwrap()
}

pub fn table(profile: &Profile) -> String {
    let format = Format::Table {
        width: 80,
        color: false,
        by: None,
    };
    text(profile, format)
}

/// Without the breaks that the width makes.
pub fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn json(profile: &Profile) -> Value {
    serde_json::from_str(&text(profile, Format::Json)).unwrap()
}
