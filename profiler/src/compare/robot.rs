//! The table in the form that kernel mailing lists know from the kernel test robot: means with their
//! standard deviations, and the change between them. At most 72 columns wide, to be pasted into a mail.

use super::{Answers, Finding, Quantity, Verdict};
use crate::{
    recording::schema::Clock,
    text::{pad_before, printable, shorten_middle},
    work_unit::WorkUnit,
};

/// The width of a column of values with its deviation, and of the change between two.
const VALUE: usize = 8;
const DEVIATION: usize = 6;
const CHANGE: usize = 9;
/// A whole line.
const WIDTH: usize = 72;
/// A deviation below this is not shown: one per cent, as the robot does.
const SMALL: f64 = 0.005;

/// The lines of a setting's table.
#[must_use]
pub fn table(names: [&str; 2], answers: &Answers) -> String {
    let side = VALUE + DEVIATION;
    let mut text = format!(
        "{} {}\n",
        pad_before(&cut(names[0], side), side),
        pad_before(&cut(names[1], CHANGE + side - 1), CHANGE + side),
    );
    text += &format!("{} {}\n", "-".repeat(side), "-".repeat(CHANGE + side));
    text += &format!(
        "{:>side$} {:>CHANGE$}{:>side$}\n",
        "%stddev", "%change", "%stddev"
    );
    text += &format!("{:>side$} {:>CHANGE$}{:>side$}\n", "\\", "|", "\\");
    let shown = answers
        .main
        .iter()
        .chain(&answers.holds)
        .chain(&answers.parts)
        .chain(&answers.waits)
        .chain(&answers.called_locks)
        .chain(&answers.blame)
        .chain(&answers.profiled)
        // Instructions say it of an iteration: its work.
        .filter(|finding| {
            finding.quantity != Quantity::ProfiledThroughput
                || answers.setting.clock != Clock::Instructions
        });
    for finding in shown {
        text += &line(finding, answers.setting.unit);
    }
    text
}

fn line(finding: &Finding, unit: WorkUnit) -> String {
    let mark = match finding.verdict {
        Verdict::Better => '+',
        Verdict::Worse => '!',
        Verdict::Same => '=',
        Verdict::Noisy => '~',
        Verdict::TooFew => '?',
        Verdict::NotAsked => ' ',
    };
    let change = finding
        .before
        .mean
        .zip(finding.after.mean)
        .filter(|(before, _)| *before > 0.0)
        .map_or_else(String::new, |(before, after)| percent(after / before - 1.0));
    let key = finding.quantity.key(unit);
    let room = WIDTH - 2 * (VALUE + DEVIATION) - CHANGE - 3;
    let line = format!(
        "{:>VALUE$}{:<DEVIATION$} {:>width$}{mark}{:>VALUE$}{:<DEVIATION$}  {}",
        value(finding.before.mean),
        deviation(finding.before.deviation),
        change,
        value(finding.after.mean),
        deviation(finding.after.deviation),
        cut(&key, room),
        width = CHANGE - 1,
    );
    format!("{}\n", line.trim_end())
}

/// A change with one digit: `-58.3%`; of what grew beyond all measure the robot's `+1.2e+04%`.
fn percent(change: f64) -> String {
    let percent = change * 100.0;
    if percent.abs() >= 10_000.0 {
        format!(
            "{}{:.1e}%",
            if percent < 0.0 { "-" } else { "+" },
            percent.abs()
        )
    } else {
        format!("{percent:+.1}%")
    }
}

fn deviation(deviation: Option<f64>) -> String {
    match deviation {
        Some(share) if share >= 9.995 => " ±big%".to_owned(),
        Some(share) if share >= SMALL => format!(" ±{:>3.0}%", share * 100.0),
        _ => String::new(),
    }
}

/// Whole from 100 on, with a digit below, as long as it fits.
fn value(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value.abs() >= 1e8 => format!("{value:.2e}"),
        Some(value) if value.abs() >= 100.0 || value == 0.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

fn cut(text: &str, width: usize) -> String {
    shorten_middle(&printable(text), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_their_columns() {
        for (number, text) in [
            (0.0, "0"),
            (0.123, "0.12"),
            (7.25, "7.2"),
            (166_143.0, "166143"),
            (-3.0, "-3.0"),
            (1.5e12, "1.50e12"),
        ] {
            assert_eq!(value(Some(number)), text);
            assert!(text.len() <= VALUE);
        }
        assert_eq!(percent(0.234), "+23.4%");
        assert_eq!(percent(-1.0), "-100.0%");
        assert_eq!(percent(1234.5), "+1.2e5%");
        assert_eq!(deviation(Some(0.02)), " ±  2%");
        assert_eq!(deviation(Some(0.001)), "");
        assert!(deviation(Some(1e9)).chars().count() <= DEVIATION);
    }
}
