//! A page of text of a given width: headings, fields, sentences.

use super::{super::text::printable, grid::Grid};

/// Narrower than this nothing is laid out: a terminal that says so has no width to speak of.
const NARROWEST: usize = 40;
/// Columns before the text of a field.
const LABEL: usize = 15;

/// How a text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Emphasis {
    Plain,
    Heading,
    Quiet,
    Warning,
}

/// A page in the making.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    width: usize,
    color: bool,
}

impl Page {
    pub(super) fn new(width: usize, color: bool) -> Self {
        Self {
            text: String::new(),
            width: width.max(NARROWEST),
            color,
        }
    }

    /// No wider than an old terminal: columns that follow from others are left out.
    pub(super) const fn is_narrow(&self) -> bool {
        self.width <= 80
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    /// A heading after an empty line.
    pub(super) fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.wrapped("", 0, text, Emphasis::Heading);
    }

    /// A text in the whole width.
    pub(super) fn sentence(&mut self, text: &str, emphasis: Emphasis) {
        self.wrapped("", 2, text, emphasis);
    }

    /// A label and its text beside it.
    pub(super) fn field(&mut self, label: &str, text: &str) {
        self.wrapped(label, LABEL, text, Emphasis::Plain);
    }

    /// Rows and columns.
    pub(super) fn grid(&mut self, grid: &Grid) {
        for (index, line) in grid.render(self.width).into_iter().enumerate() {
            match line {
                Some(line) if index == 0 || line.is_header => {
                    self.line(&line.text, Emphasis::Quiet);
                }
                Some(line) => self.line(&line.text, Emphasis::Plain),
                None => self.text.push('\n'),
            }
        }
    }

    fn wrapped(&mut self, label: &str, indent: usize, text: &str, emphasis: Emphasis) {
        // Line ends in a text from outside are only space.
        let text = printable(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned();
        let room = self.width - indent;
        let mut line = if label.is_empty() {
            " ".repeat(indent)
        } else {
            format!("  {label:<width$}", width = indent.saturating_sub(2))
        };
        let mut used = 0;
        for word in words(&text) {
            let mut word = word.as_str();
            loop {
                let length = word.chars().count();
                let gap = usize::from(used > 0);
                if used + gap + length <= room {
                    if gap > 0 {
                        line.push(' ');
                    }
                    line.push_str(word);
                    used += gap + length;
                    break;
                }
                if used == 0 {
                    // A word longer than a line (a path) is cut.
                    let (head, tail) = split_at_char(word, room);
                    line.push_str(head);
                    word = tail;
                }
                self.line(&line, emphasis);
                line = " ".repeat(indent);
                used = 0;
            }
        }
        self.line(&line, emphasis);
    }

    fn line(&mut self, line: &str, emphasis: Emphasis) {
        let line = line.trim_end();
        let code = match emphasis {
            Emphasis::Plain => "",
            Emphasis::Heading => "1",
            Emphasis::Quiet => "2",
            Emphasis::Warning => "1;31",
        };
        if self.color && !code.is_empty() {
            self.text
                .push_str(&format!("\u{1b}[{code}m{line}\u{1b}[0m\n"));
        } else {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }
}

/// The words of a text, a number and its unit being one.
fn words(text: &str) -> Vec<String> {
    const UNITS: [&str; 8] = ["%", "ns", "µs", "ms", "s", "insn", "MiB", "CPUs"];
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

fn split_at_char(text: &str, characters: usize) -> (&str, &str) {
    let end = text
        .char_indices()
        .nth(characters)
        .map_or(text.len(), |(index, _)| index);
    text.split_at(end)
}
