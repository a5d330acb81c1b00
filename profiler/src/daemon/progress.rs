//! What is seen on standard error while a run goes on.

use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    tell::{as_told, is_dumb, tell},
    units::TimeUnit,
};

/// A bar on a terminal, lines elsewhere, or nothing.
#[derive(Debug)]
pub enum Progress {
    /// `--quiet`.
    Silent,
    /// Standard error is no terminal.
    Lines,
    /// Standard error is a terminal.
    Bar(ProgressBar),
}

/// What happened in the last interval.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since the phase began.
    pub elapsed: Duration,
    /// How long the phase will take, where that is known.
    pub whole: Option<Duration>,
    /// The name of the phase.
    pub phase: &'static str,
    /// Write holds in the interval, and their time.
    pub holds: u64,
    /// Their time.
    pub held_ns: u64,
    /// Contended waits for any lock in the interval.
    pub waits: u64,
    /// The interval's length in seconds.
    pub seconds: f64,
    /// What its nanoseconds are.
    pub unit: TimeUnit,
    /// What is measured.
    pub seen: Seen,
}

/// What a run measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Holds, and what goes with them.
    Holds,
    /// Contended waits alone.
    Waits,
    /// Nothing but the load's own count.
    Nothing,
    /// What lockprof does itself, to prove what it sees: after the measured time.
    Controls,
}

impl Progress {
    /// Chooses by the flag and the kind of standard error.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Silent;
        }
        if !stderr().is_terminal() || is_dumb() {
            return Self::Lines;
        }
        let bar = ProgressBar::new(1000);
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {msg}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// Shows a moment.
    pub fn show(&self, moment: &Moment) {
        match self {
            Self::Silent => {}
            Self::Lines => tell(&describe(moment)),
            Self::Bar(bar) => {
                if let Some(whole) = moment.whole {
                    let share = moment.elapsed.as_secs_f64() / whole.as_secs_f64().max(1e-9);
                    bar.set_position((share.min(1.0) * 1000.0) as u64);
                }
                bar.set_message(describe(moment));
                bar.tick();
            }
        }
    }

    /// Says something that is to stay.
    pub fn say(&self, message: &str) {
        match self {
            Self::Silent => {}
            Self::Lines => tell(message),
            Self::Bar(bar) => bar.println(as_told(message)),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// An interval that a phase or a signal has cut off sooner than this has no rate to show.
const TOO_SHORT_S: f64 = 0.05;

fn describe(moment: &Moment) -> String {
    // Of a warm-up of no length, or of less than is shown, nothing is shown.
    let shown = moment.whole.filter(|whole| whole.as_secs_f64() >= 0.5);
    let whole = shown.map_or_else(String::new, |whole| format!("/{:.0}", whole.as_secs_f64()));
    let time = format!(
        "{} {:.0}{whole} s",
        moment.phase,
        moment.elapsed.as_secs_f64()
    );
    if moment.seen != Seen::Nothing && moment.seconds < TOO_SHORT_S {
        return time;
    }
    let per_second = |count: u64| count as f64 / moment.seconds.max(1e-9);
    match moment.seen {
        Seen::Holds => {}
        Seen::Waits => {
            let rate = per_second(moment.waits);
            return format!("{time}  {rate:.0} contended waits/s, all locks");
        }
        Seen::Nothing => return format!("{time}  nothing attached"),
        Seen::Controls => return time,
    }
    let rate = per_second(moment.holds);
    if moment.holds == 0 {
        return format!("{time}  no hold seen");
    }
    let mean = moment.held_ns as f64 / moment.holds as f64;
    format!(
        "{time}  {rate:.0} holds/s, mean hold {}",
        moment.unit.format(mean)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_one_short_line() {
        let moment = Moment {
            elapsed: Duration::from_secs(3),
            whole: Some(Duration::from_secs(10)),
            phase: "measuring",
            holds: 3000,
            held_ns: 3_000_000,
            waits: 20,
            seconds: 1.0,
            unit: TimeUnit::of(crate::recording::schema::Clock::Hardware),
            seen: Seen::Holds,
        };
        assert!(describe(&moment).starts_with("measuring 3/10 s  3000 holds/s, mean hold 1"));
        let idle = Moment {
            holds: 0,
            whole: None,
            ..moment
        };
        assert_eq!(describe(&idle), "measuring 3 s  no hold seen");
        let no_warm_up = Moment {
            whole: Some(Duration::ZERO),
            ..idle
        };
        assert_eq!(describe(&no_warm_up), "measuring 3 s  no hold seen");
        let wait_only = Moment {
            seen: Seen::Waits,
            ..moment
        };
        assert_eq!(
            describe(&wait_only),
            "measuring 3/10 s  20 contended waits/s, all locks"
        );
        // 20 waits of a millisecond are not 20,000 a second.
        for seen in [Seen::Waits, Seen::Holds] {
            let cut_off = Moment {
                seconds: 0.001,
                seen,
                ..moment
            };
            assert_eq!(describe(&cut_off), "measuring 3/10 s");
        }
    }
}
