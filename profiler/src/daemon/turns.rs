//! From window to window, and what the budget makes of it.

use std::time::Instant;

use anyhow::Result;

use super::{events::changed, intervals::Next, session::Session, windows::Windows};
use crate::{
    probe::{links::Links, programs::Programs},
    recording::schema::{Interval, Phase, WindowKind},
};

impl Session {
    /// When the window ends, in the measured time.
    pub fn window_over(&self) -> Option<Instant> {
        let windows = self.state.windows.as_ref()?;
        windows
            .ends()
            .filter(|_| self.state.phase == Phase::Measured)
    }

    /// Ends a window: its links are changed for the next one.
    pub fn leave_window(&mut self) -> Result<()> {
        let Some(windows) = &mut self.state.windows else {
            return Ok(());
        };
        let next = windows.next();
        self.end_programs_window(Next::Edge(next))?;
        let links = self.programs.as_mut().and_then(Programs::take_links);
        if let (Some(windows), Some(links)) = (&mut self.state.windows, links) {
            windows.change(links);
        }
        Ok(())
    }

    /// Ends an interval, and with it what the programs call a window, or an edge: what waits goes on.
    fn end_programs_window(&mut self, next: Next) -> Result<()> {
        let ended = self.programs.as_ref().map(Programs::window);
        self.close_interval(next)?;
        if let (Some(ended), Some(watch), Some(programs)) = (ended, &mut self.watch, &self.programs)
        {
            watch.window_ended(ended, programs, &mut self.collector);
        }
        Ok(())
    }

    /// Whether the links are being changed.
    pub fn is_changing(&self) -> bool {
        let windows = self.state.windows.as_ref();
        windows.is_some_and(Windows::is_changing)
    }

    /// Waits until they are changed.
    pub async fn end_of_change(&mut self) -> Result<()> {
        let (links, changed) = changed(&mut self.state.windows).await?;
        self.enter_window(links, changed)
    }

    /// The links are changed: the next window begins, unless the measured time is over.
    pub fn enter_window(&mut self, links: Links, changed: Result<()>) -> Result<()> {
        if let Some(programs) = &mut self.programs {
            programs.give_back(links);
        }
        changed?;
        self.note_refused();
        self.prove_spans();
        if self.state.phase == Phase::Measured {
            self.end_programs_window(Next::Window)?;
        }
        if let Some(windows) = &mut self.state.windows {
            windows.enter();
            if self.state.phase == Phase::Measured {
                self.state.doing = doing(windows.window().kind);
            }
        }
        Ok(())
    }

    /// What the budget allows from now on.
    pub fn keep_budget(&mut self, interval: &Interval) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let before = keeper.kind();
        let Some(decision) = keeper.saw(interval) else {
            return;
        };
        let changes_kind = before != decision.kind;
        match (decision.kind, &mut self.state.windows) {
            (None, _) => self.state.over_budget = Some(decision.reason.clone()),
            (Some(kind), Some(windows)) => windows.limit(kind, decision.share),
            (Some(_), None) => {}
        }
        // The share alone changes with each gust of what the machine does.
        if changes_kind {
            self.progress.say(&decision.reason);
        }
    }
}

/// What the progress line calls a window.
const fn doing(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Bare => "without probes",
        WindowKind::Waits => "measuring waits",
        WindowKind::Holds => "measuring holds",
        WindowKind::Spans => "measuring spans",
    }
}
