//! Numbers as a person reads them.

use crate::recording::schema::Clock;

/// What stands in the place of a number that is not known.
pub const UNKNOWN: &str = "–";

/// What the nanoseconds of a recording are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Time.
    Nanoseconds,
    /// One "nanosecond" of the virtual clock is one guest instruction.
    Instructions,
}

impl TimeUnit {
    /// The unit of a recording with this clock.
    #[must_use]
    pub const fn of(clock: Clock) -> Self {
        match clock {
            Clock::Hardware | Clock::EmulatedWall => Self::Nanoseconds,
            Clock::Instructions => Self::Instructions,
        }
    }

    /// The unit's name in machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Instructions => "insn",
        }
    }

    /// A length with three digits and its unit: `1.08 µs`, `476 insn`.
    #[must_use]
    pub fn format(self, length: f64) -> String {
        match self {
            Self::Nanoseconds => nanoseconds(length),
            Self::Instructions => format!("{} insn", short_count(length)),
        }
    }

    /// A length, or a dash where it is not known.
    #[must_use]
    pub fn format_or_unknown(self, length: Option<f64>) -> String {
        length.map_or_else(|| UNKNOWN.to_owned(), |length| self.format(length))
    }

    /// A length that has one digit other than 0, for an axis: `100 ns`, `1 ms`, `10k insn`.
    #[must_use]
    pub fn format_round(self, length: f64) -> String {
        without_needless_digits(&self.format(length))
    }
}

/// A number without zeroes at the end of its fraction, for an axis: `5 %` for `5.00 %`.
#[must_use]
pub fn without_needless_digits(text: &str) -> String {
    let end = text
        .find(|c: char| c == ' ' || c == '/' || c.is_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.contains('.') {
        format!(
            "{}{unit}",
            number.trim_end_matches('0').trim_end_matches('.')
        )
    } else {
        text.to_owned()
    }
}

/// A time with three digits and its unit.
#[must_use]
pub fn nanoseconds(ns: f64) -> String {
    if !ns.is_finite() {
        return UNKNOWN.to_owned();
    }
    let ns = three_digits(ns);
    let (value, unit) = if ns < 1e3 {
        (ns, "ns")
    } else if ns < 1e6 {
        (ns / 1e3, "µs")
    } else if ns < 1e9 {
        (ns / 1e6, "ms")
    } else {
        (ns / 1e9, "s")
    };
    // A whole number of nanoseconds has no fraction to show.
    let digits = if unit == "ns" && value.fract() == 0.0 {
        0
    } else {
        fraction_digits(value)
    };
    format!("{value:.digits$} {unit}")
}

/// A time given in seconds.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    if seconds >= 1000.0 {
        format!("{seconds:.0} s")
    } else {
        nanoseconds(seconds * 1e9)
    }
}

/// A share of one as a percentage.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() {
        UNKNOWN.to_owned()
    } else if percent == 0.0 {
        "0 %".to_owned()
    } else if percent < 0.0001 * (1.0 - 1e-9) {
        // What is that number but for the last digit of its share is no less.
        "< 0.0001 %".to_owned()
    } else if percent < 0.01 {
        format!("{percent:.4} %")
    } else if percent < 99.95 {
        // 100 % is only what is not less.
        let digits = fraction_digits(three_digits(percent)).min(if percent < 10.0 { 2 } else { 1 });
        format!("{percent:.digits$} %")
    } else if percent < 100.0 {
        "> 99.9 %".to_owned()
    } else {
        format!("{} %", separated(percent.round() as u64))
    }
}

/// A sentence's beginning.
#[must_use]
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// A count with separators: `12,345`; above ten million with three digits, `12.3M`.
#[must_use]
pub fn count(value: u64) -> String {
    if value >= 10_000_000 {
        short_count(value as f64)
    } else {
        separated(value)
    }
}

/// A count that was estimated, with no more than three digits that tell: `12,300`.
#[must_use]
pub fn estimated_count(value: f64) -> String {
    count(three_digits(value).round() as u64)
}

/// So many of something whose plural ends with an s: `1 boot`, `1,200 boots`.
#[must_use]
pub fn count_of(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", count(number as u64))
}

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn list(items: &[impl AsRef<str>]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A rate per second, without its unit.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        UNKNOWN.to_owned()
    } else if per_second < 99.95 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

/// A size of memory; nothing has none, so that it is not known where it is 0.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    if bytes == 0 {
        return UNKNOWN.to_owned();
    }
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Whole below 10,000, then with three digits and a letter.
fn short_count(value: f64) -> String {
    if !value.is_finite() {
        return UNKNOWN.to_owned();
    }
    if value < 99.95 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    if value < 9_999.5 {
        return separated(value.round() as u64);
    }
    let value = three_digits(value);
    let (value, letter) = if value < 1e6 {
        (value / 1e3, "k")
    } else if value < 1e9 {
        (value / 1e6, "M")
    } else if value < 1e12 {
        (value / 1e9, "G")
    } else {
        (value / 1e12, "T")
    };
    format!("{value:.*}{letter}", fraction_digits(value))
}

fn separated(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rounds to three digits, so that 999.7 ns becomes 1.00 µs and not 1000 ns.
fn three_digits(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(value.abs().log10().floor() as i32 - 2);
    // Dividing by an inverse keeps whole numbers whole where the scale is a fraction.
    if scale < 1.0 {
        (value * scale.recip()).round() / scale.recip()
    } else {
        (value / scale).round() * scale
    }
}

/// How many digits after the point make three in all.
fn fraction_digits(value: f64) -> usize {
    if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        for (ns, text) in [
            (0.0, "0 ns"),
            (0.5, "0.50 ns"),
            (7.0, "7 ns"),
            (476.3, "476 ns"),
            (999.7, "1.00 µs"),
            (1084.0, "1.08 µs"),
            (16_640.0, "16.6 µs"),
            (999_999.0, "1.00 ms"),
            (2.3e6, "2.30 ms"),
            (276e9, "276 s"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(nanoseconds(ns), text);
        }
    }

    #[test]
    fn instructions_are_not_called_nanoseconds() {
        let unit = TimeUnit::Instructions;
        for (length, text) in [
            (0.0, "0 insn"),
            (37.25, "37.2 insn"),
            (476.0, "476 insn"),
            (9_999.4, "9,999 insn"),
            (65_300.4, "65.3k insn"),
            (205_000.0, "205k insn"),
            (4e6, "4.00M insn"),
            (3e13, "30.0T insn"),
        ] {
            assert_eq!(unit.format(length), text);
        }
    }

    #[test]
    fn axis_labels_have_no_needless_digits() {
        let unit = TimeUnit::Nanoseconds;
        for (length, text) in [
            (1.0, "1 ns"),
            (10.0, "10 ns"),
            (100.0, "100 ns"),
            (1e3, "1 µs"),
            (2e4, "20 µs"),
            (1e8, "100 ms"),
            (1e9, "1 s"),
        ] {
            assert_eq!(unit.format_round(length), text);
        }
        assert_eq!(TimeUnit::Instructions.format_round(1e5), "100k insn");
        assert_eq!(TimeUnit::Instructions.format_round(1e6), "1M insn");
        assert_eq!(TimeUnit::Instructions.format_round(1e3), "1,000 insn");
    }

    #[test]
    fn shares_are_not_rounded_to_nothing_or_all() {
        for (share, text) in [
            (0.0, "0 %"),
            (0.000_000_1, "< 0.0001 %"),
            (0.000_000_999, "< 0.0001 %"),
            (0.0001 / 100.0, "0.0001 %"),
            (0.000_066, "0.0066 %"),
            (0.0123, "1.23 %"),
            (0.414, "41.4 %"),
            (0.9999, "> 99.9 %"),
            (1.0, "100 %"),
            (2.4, "240 %"),
            (123.456, "12,346 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn a_size_that_nobody_read_is_not_known() {
        assert_eq!(bytes(9 << 20), "9.0 MiB");
        assert_eq!(bytes(0), UNKNOWN);
    }

    #[test]
    fn counts_are_separated() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12_345_678), "12.3M");
        assert_eq!(rate(0.25), "0.2");
        assert_eq!(rate(12_345.6), "12,346");
        assert_eq!(estimated_count(12_345.6), "12,300");
        assert_eq!(estimated_count(33.75), "34");
        assert_eq!(estimated_count(12_345_678.0), "12.3M");
    }
}
