//! The windows of a run while it goes on: at an edge the links are changed in a thread of its own, so that the
//! daemon is not held up.

mod choice;
mod schedule;

pub use choice::{Circumstances, WindowChoice, choose};
pub use schedule::Schedule;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::task::{JoinHandle, spawn_blocking};

use super::cost::Usage;
use crate::{
    probe::links::Links,
    recording::schema::{Done, Window, WindowKind},
};

/// What the load had done at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    at: Instant,
    iterations: Option<u64>,
    tasks_created: u64,
}

impl Reading {
    /// Reads the counters of a bundled load, where there is one, and the machine's.
    pub fn now(iterations: Option<u64>) -> Self {
        Self {
            at: Instant::now(),
            iterations,
            tasks_created: Usage::read().tasks_created,
        }
    }

    fn since(&self, before: &Self) -> Done {
        Done {
            seconds: (self.at - before.at).as_secs_f64(),
            iterations: self
                .iterations
                .zip(before.iterations)
                .map(|(now, before)| now.saturating_sub(before)),
            tasks_created: self.tasks_created.saturating_sub(before.tasks_created),
        }
    }
}

/// The windows of a run.
#[derive(Debug)]
pub struct Windows {
    schedule: Schedule,
    window: Window,
    began: Reading,
    /// When the first window began.
    first: Instant,
    /// The kind before the present edge.
    left: WindowKind,
    /// The thread that changes the links.
    changing: Option<JoinHandle<(Links, Result<()>)>>,
}

impl Windows {
    /// Begins with the kind that is attached: its window needs no edge.
    pub fn begin(schedule: Schedule, now: Reading) -> Self {
        Self {
            window: Window {
                number: 1,
                kind: schedule.kind(),
                edge: false,
                done: None,
            },
            left: schedule.kind(),
            schedule,
            began: now,
            first: now.at,
            changing: None,
        }
    }

    /// From the next window on, measures nothing that costs more than windows of this kind, and that for this
    /// share of the time.
    pub fn limit(&mut self, kind: WindowKind, share: f64) {
        self.schedule.limit(kind, share);
    }

    /// The window, or the edge, that goes on.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// When the window ends; none at an edge.
    pub fn ends(&self) -> Option<Instant> {
        (!self.window.edge).then(|| self.began.at + self.schedule.length())
    }

    /// Ends the window or the edge: what was done in it.
    pub fn finish(&mut self, now: Reading) -> Done {
        let done = now.since(&self.began);
        if self.window.edge {
            self.schedule.saw_edge(self.left, now.at - self.began.at);
        }
        self.began = now;
        done
    }

    /// The kind of the window after this one.
    pub fn next(&mut self) -> WindowKind {
        self.left = self.schedule.kind();
        let lasted = self.began.at.elapsed();
        self.schedule.advance(lasted, self.first.elapsed())
    }

    /// Begins the edge that leads to the next window: changes the links.
    pub fn change(&mut self, mut links: Links) {
        let kind = self.schedule.kind();
        self.window.number += 1;
        self.window.kind = kind;
        self.window.edge = true;
        self.changing = Some(spawn_blocking(move || {
            let changed = links.change_to(kind);
            (links, changed)
        }));
    }

    /// Waits until the links are changed; for ever where they are not. May be cancelled and called again.
    pub async fn changed(&mut self) -> Result<(Links, Result<()>)> {
        let Some(changing) = &mut self.changing else {
            return std::future::pending().await;
        };
        let changed = changing.await;
        self.changing = None;
        changed.context("the thread that changes the probes has failed")
    }

    /// After a time in which nothing was attached: what follows is a window of its own, of the same kind.
    pub fn resume(&mut self, now: Reading, stopped: Duration) {
        self.window.number += 1;
        self.began = now;
        self.first += stopped;
    }

    /// Whether the links are away.
    pub const fn is_changing(&self) -> bool {
        self.changing.is_some()
    }

    /// The window begins: its links are there.
    pub const fn enter(&mut self) {
        self.window.edge = false;
    }
}
