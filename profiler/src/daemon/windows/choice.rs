//! Whether a run is cut into windows: pure.

use std::time::Duration;

use crate::recording::schema::Clock;

/// What `--windows` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowChoice {
    /// Windows, where this machine allows it.
    #[default]
    Auto,
    /// Windows that last at least so long.
    AtLeast(Duration),
    /// One window with everything.
    Off,
}

/// The least length of a window where nobody says: a multiple of the tick, and short beside a run.
pub const SHORTEST: Duration = Duration::from_millis(500);
/// A run that is shorter than so many windows has none: they could not each come twice.
const FEWEST: u32 = 4;

/// What is known before a run.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// What is asked for.
    pub choice: WindowChoice,
    /// What a nanosecond is.
    pub clock: Clock,
    /// CPUs that are online.
    pub cpus: u32,
    /// The measured time, where it is known.
    pub duration: Option<Duration>,
}

/// Whether there are windows, and how long they are at least; else why not, where nobody asked for that.
pub fn choose(known: Circumstances) -> Result<Duration, Option<String>> {
    let shortest = match known.choice {
        WindowChoice::Off => return Err(None),
        WindowChoice::Auto => SHORTEST,
        WindowChoice::AtLeast(length) => length,
    };
    // QEMU before 8.1 may leave a virtual CPU with the breakpoint that stands in a page of the kernel's text
    // while it is rewritten (see `Session::can_count_under_load`).
    if known.clock == Clock::EmulatedWall && known.cpus > 1 {
        return Err(Some(
            "probes are not changed under load where several CPUs are emulated: the emulator may run code that is being rewritten"
                .to_owned(),
        ));
    }
    if let Some(duration) = known.duration.filter(|&length| length < shortest * FEWEST) {
        return Err(Some(format!(
            "the run is too short for windows ({} s; at least {} s are needed)",
            duration.as_secs_f64(),
            (shortest * FEWEST).as_secs_f64()
        )));
    }
    Ok(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Circumstances = Circumstances {
        choice: WindowChoice::Auto,
        clock: Clock::Hardware,
        cpus: 24,
        duration: Some(Duration::from_secs(10)),
    };

    #[test]
    fn windows_are_the_rule() {
        assert_eq!(choose(KNOWN), Ok(SHORTEST));
        let length = Duration::from_secs(2);
        let asked = Circumstances {
            choice: WindowChoice::AtLeast(length),
            duration: None,
            ..KNOWN
        };
        assert_eq!(choose(asked), Ok(length));
    }

    #[test]
    fn who_asks_for_none_is_given_no_reason() {
        let off = Circumstances {
            choice: WindowChoice::Off,
            ..KNOWN
        };
        assert_eq!(choose(off), Err(None));
    }

    #[test]
    fn several_emulated_cpus_have_none() {
        let emulated = Circumstances {
            clock: Clock::EmulatedWall,
            ..KNOWN
        };
        let reason = choose(emulated).unwrap_err().unwrap();
        assert!(reason.contains("several CPUs are emulated"), "{reason}");
        for known in [
            Circumstances {
                cpus: 1,
                ..emulated
            },
            Circumstances {
                clock: Clock::Instructions,
                cpus: 1,
                ..KNOWN
            },
        ] {
            assert_eq!(choose(known), Ok(SHORTEST), "{known:?}");
        }
    }

    #[test]
    fn a_short_run_has_none() {
        let short = Circumstances {
            duration: Some(Duration::from_millis(1999)),
            ..KNOWN
        };
        let reason = choose(short).unwrap_err().unwrap();
        assert!(reason.contains("1.999 s; at least 2 s"), "{reason}");
    }
}
