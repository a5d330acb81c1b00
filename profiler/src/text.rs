//! Text from outside (names of threads, command lines) made fit to be shown.

use std::borrow::Cow;

use unicode_truncate::{Alignment, UnicodeTruncateStr as _};
use unicode_width::UnicodeWidthStr as _;

/// Text without what a terminal would obey, an SVG file may not contain, or would turn the
/// direction of the text around it: such characters become U+FFFD.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unfit) {
        Cow::Owned(
            text.chars()
                .map(|c| if is_unfit(c) { '\u{fffd}' } else { c })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fffe}' | '\u{ffff}'
        )
}

/// Words after a number that belong to it.
const UNITS: [&str; 8] = ["%", "ns", "µs", "ms", "s", "insn", "MiB", "CPUs"];

/// The words of a text, a number and its unit being one.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let bare = word.trim_end_matches(|c: char| c.is_ascii_punctuation() && c != '%');
        match words.last_mut() {
            Some(last) if UNITS.contains(&bare) && last.ends_with(|c: char| c.is_ascii_digit()) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Text fit to be shown, in which no line ends between a number and its unit.
pub(crate) fn unbroken(text: &str) -> String {
    // Line ends are only space; what else is unfit is seen to be.
    let words: Vec<String> = words(text)
        .iter()
        .map(|word| printable(word).replace(' ', "\u{a0}"))
        .collect();
    words.join(" ")
}

/// The columns that a text takes in a terminal: a Chinese letter takes two, an accent that combines with the
/// letter before it none (Unicode Standard Annex #11).
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// With spaces behind it, up to a width in columns.
pub(crate) fn pad(text: &str, width: usize) -> Cow<'_, str> {
    text.unicode_pad(width, Alignment::Left, false)
}

/// With spaces before it, up to a width in columns.
pub(crate) fn pad_before(text: &str, width: usize) -> Cow<'_, str> {
    text.unicode_pad(width, Alignment::Right, false)
}

/// The longest beginning that takes no more than so many columns, and the rest.
pub(crate) fn split_at_width(text: &str, width: usize) -> (&str, &str) {
    let (head, _) = text.unicode_truncate(width);
    text.split_at(head.len())
}

/// At most so many columns, with an ellipsis in the place of the rest.
pub(crate) fn shorten(text: &str, length: usize) -> String {
    if width(text) <= length {
        return text.to_owned();
    }
    let (head, _) = split_at_width(text, length.saturating_sub(1));
    format!("{head}…")
}

/// The beginning and the end of a text: of names of one kind, either may tell them apart.
pub(crate) fn shorten_middle(text: &str, length: usize) -> String {
    if width(text) <= length {
        return text.to_owned();
    }
    let end = length.saturating_sub(1) / 2;
    let beginning = length.saturating_sub(end + 1);
    let (head, _) = text.unicode_truncate(beginning);
    let (tail, _) = text.unicode_truncate_start(end);
    format!("{head}…{tail}")
}

/// A text as the name of a file: small letters, digits, and hyphens between words.
pub(crate) fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_gone() {
        assert_eq!(printable("bash"), "bash");
        assert_eq!(
            printable("\u{1b}[31mred\u{7}\n"),
            "\u{fffd}[31mred\u{fffd}\u{fffd}"
        );
        assert_eq!(printable("a\u{202e}b"), "a\u{fffd}b");
    }

    #[test]
    fn a_number_keeps_its_unit() {
        assert_eq!(
            words("held 3 % of 5.00 s."),
            ["held", "3 %", "of", "5.00 s."]
        );
        assert_eq!(unbroken("held 3 % of\n5 s."), "held 3\u{a0}% of 5\u{a0}s.");
    }

    #[test]
    fn a_file_name_is_plain() {
        assert_eq!(
            slug("../Base 24 CPUs, by the clock"),
            "base-24-cpus-by-the-clock"
        );
    }

    #[test]
    fn long_text_is_shortened_by_columns() {
        assert_eq!(shorten("µµµµ", 4), "µµµµ");
        assert_eq!(shorten("µµµµµ", 4), "µµµ…");
        assert_eq!(shorten("abc", 0), "…");
        assert_eq!(shorten("锁锁锁", 5), "锁锁…");
        // An accent goes with its letter.
        assert_eq!(shorten("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(shorten_middle("abcdefgh", 5), "ab…gh");
        assert_eq!(shorten_middle("锁abcde\u{301}", 4), "锁…e\u{301}");
    }

    #[test]
    fn a_width_is_in_columns() {
        for (text, columns) in [
            ("kworker", 7),
            ("锁", 2),
            ("e\u{301}", 1),
            ("가", 2),
            ("µs", 2),
        ] {
            assert_eq!(width(text), columns, "{text}");
            assert_eq!(width(&pad(text, 9)), 9, "{text}");
            assert_eq!(width(&pad_before(text, 9)), 9, "{text}");
        }
        assert_eq!(pad("锁", 4), "锁  ");
        assert_eq!(pad_before("锁", 4), "  锁");
        assert_eq!(split_at_width("锁锁锁", 5), ("锁锁", "锁"));
    }
}
