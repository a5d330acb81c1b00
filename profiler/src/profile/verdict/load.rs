//! A load that did not do what it was started for, and a run that was not let to its end.

use crate::{profile::Profile, recording::schema::Ended, units};

/// From this on a status is that of a signal, as shells have it.
const BY_SIGNAL: i32 = 128;
/// The highest number of a signal.
const LAST_SIGNAL: i32 = 64;

/// That the load failed, or that a signal ended the run.
pub(super) fn load(profile: &Profile) -> Option<String> {
    let footer = profile.footer.as_ref()?;
    if let Some(status) = footer.failed_load() {
        let signal = status - BY_SIGNAL;
        let signal = (1..=LAST_SIGNAL)
            .contains(&signal)
            .then(|| format!(" (signal {signal})"));
        return Some(format!(
            "The load failed: it ended with status {status}{}, {}. What follows may be of a part of it.",
            signal.unwrap_or_default(),
            when(profile),
        ));
    }
    match footer.ended {
        Ended::Signal if profile.header.workload.is_some() => Some(format!(
            "A signal ended this run and its load, {}.",
            when(profile)
        )),
        // Of a run that was to go on until somebody ends it there is nothing to say.
        Ended::Signal if has_end(&profile.header.command_line) => Some(format!(
            "A signal ended this run before its time, {}.",
            when(profile)
        )),
        _ => None,
    }
}

fn when(profile: &Profile) -> String {
    let run = profile.series.iter().filter(|point| point.is_of_run());
    let measured_s: f64 = run.map(|point| point.seconds).sum();
    if measured_s > 0.0 {
        format!("after {} of the measured time", units::seconds(measured_s))
    } else {
        "before the measured time".to_owned()
    }
}

/// Whether a command line says for how long to measure.
fn has_end(command_line: &[String]) -> bool {
    let mut words = command_line.iter();
    words.any(|word| word.starts_with("-d") || word.starts_with("--duration"))
}
