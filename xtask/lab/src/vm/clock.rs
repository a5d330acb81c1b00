//! What time is for a guest, and how many of them may run at once.

use std::thread;

use clap::ValueEnum;

/// What a guest's nanosecond is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// The host's time: contention exists, times are noisy.
    #[default]
    Wall,
    /// One executed instruction: times repeat exactly, on one CPU only.
    Instructions,
}

impl Clock {
    /// How many guests with this clock may run at once: instructions are counted, however busy the
    /// machine is; by the wall clock a guest has it for itself.
    #[must_use]
    pub fn side_by_side(self) -> usize {
        match self {
            Self::Wall => 1,
            Self::Instructions => real_cpus(),
        }
    }
}

/// Says what is wrong with a clock for so many CPUs.
pub fn check_clock(clock: Clock, cpus: u32) -> Result<(), String> {
    if clock == Clock::Instructions && cpus != 1 {
        return Err(
            "--clock instructions needs --cpus 1: several CPUs share that clock and are \
                    switched in the middle of a hold, so that holds and waits would be longer \
                    than they are"
                .to_owned(),
        );
    }
    Ok(())
}

/// CPUs that emulate a guest.
pub fn real_cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
