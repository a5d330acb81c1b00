//! Text from outside (names of threads, command lines) made fit to be shown.

use std::borrow::Cow;

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

/// At most so many characters, with an ellipsis in the place of the rest.
pub(super) fn shorten(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(length.saturating_sub(1)).collect();
    short.push('…');
    short
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
    fn long_text_is_shortened_by_characters() {
        assert_eq!(shorten("µµµµ", 4), "µµµµ");
        assert_eq!(shorten("µµµµµ", 4), "µµµ…");
        assert_eq!(shorten("abc", 0), "…");
    }
}
