//! Ctrl-Z where there is no load: nothing stays attached behind a lockprof that is stopped.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{session::Session, windows::Reading};
use crate::{guard::Patience, probe::programs::Programs, recording::schema::Phase};

impl Session {
    /// Detaches, stops this process, and attaches again when it goes on. For how long nothing was measured:
    /// the recording has an interval of that length, which is in no result.
    ///
    /// # Errors
    /// The kernel refuses, or the recording cannot be written.
    pub async fn pause(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let (phase, doing) = (self.state.phase, self.state.doing);
        // Links that are away would be attached while nobody looks.
        if self.is_changing() {
            self.expect_silence(Patience::Changing);
            self.end_of_change().await?;
        }
        self.turn_to(Phase::WarmUp, "stopped")?;
        self.expect_silence(Patience::Changing);
        self.programs.as_mut().map_or(Ok(()), Programs::detach)?;
        self.progress
            .say("stopped, with nothing attached; it goes on by `fg`, `bg` or SIGCONT");
        self.expect_silence(Patience::Unlimited);
        // SAFETY: the call has no precondition. It returns when the process goes on.
        unsafe { libc::raise(libc::SIGSTOP) };
        self.expect_silence(Patience::Changing);
        if let Some(programs) = &mut self.programs {
            let kind = programs.kind();
            programs.attach(kind)?;
        }
        self.note_refused();
        self.beat();
        let stopped = began.elapsed();
        self.state.stopped = Some(stopped);
        self.turn_to(phase, doing)?;
        self.begin_window_anew(stopped);
        self.progress.say(&format!(
            "goes on; nothing was measured for {:.1} s",
            stopped.as_secs_f64()
        ));
        Ok(stopped)
    }

    /// The window that was cut in two goes on under a number of its own.
    fn begin_window_anew(&mut self, stopped: Duration) {
        let Some(windows) = &mut self.state.windows else {
            return;
        };
        windows.resume(Reading::now(None), stopped);
        if let Some(programs) = &self.programs
            && self.state.phase == Phase::Measured
        {
            self.tell_measured(programs);
        }
    }

    /// Tells the guard what may come.
    pub fn expect_silence(&self, patience: Patience) {
        if let Some(programs) = &self.programs {
            self.heart.beat_for(programs, patience);
        }
    }
}
