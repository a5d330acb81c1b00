//! A page of text of a given width: headings, fields, sentences.

use super::{
    super::content::{Block, Document, Emphasis, Grid},
    grid::render,
};
use crate::text::{printable, split_at_width, width, words};

/// Narrower than this nothing is laid out: a terminal that says so has no width to speak of.
const NARROWEST: usize = 40;
/// Columns before the text of a field.
const LABEL: usize = 15;

/// How a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
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

    /// Lays out all that there is to say.
    pub(super) fn document(&mut self, document: &Document) {
        for warning in &document.warnings {
            self.wrapped("", 2, warning, Style::Warning);
        }
        self.heading(&document.title);
        for sentence in document.verdict.sentences() {
            self.wrapped("", 2, sentence, Style::Plain);
        }
        for section in &document.sections {
            if section.title.is_empty() {
                self.text.push('\n');
            } else {
                self.heading(&section.title);
            }
            for block in &section.blocks {
                self.block(block);
            }
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    /// A heading after an empty line.
    fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.wrapped("", 0, text, Style::Heading);
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Sentence { text, emphasis } => {
                let style = match emphasis {
                    Emphasis::Plain => Style::Plain,
                    Emphasis::Quiet | Emphasis::Sparklines => Style::Quiet,
                };
                self.wrapped("", 2, text, style);
            }
            Block::Field { label, text } => self.wrapped(label, LABEL, text, Style::Plain),
            Block::Grid(grid) => self.grid(grid),
            Block::Preformatted(text) => {
                for line in text.lines() {
                    self.line(&printable(line), Style::Plain);
                }
            }
        }
    }

    /// Rows and columns.
    fn grid(&mut self, grid: &Grid) {
        for (index, line) in render(grid, self.width).into_iter().enumerate() {
            match line {
                Some(line) if index == 0 || line.is_header => {
                    self.line(&line.text, Style::Quiet);
                }
                Some(line) => self.line(&line.text, Style::Plain),
                None => self.text.push('\n'),
            }
        }
    }

    fn wrapped(&mut self, label: &str, indent: usize, text: &str, style: Style) {
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
                let length = width(word);
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
                    let (head, tail) = match split_at_width(word, room) {
                        // A single letter may be put together of any number of Hangul jamo.
                        ("", _) => (word, ""),
                        parts => parts,
                    };
                    line.push_str(head);
                    word = tail;
                }
                self.line(&line, style);
                line = " ".repeat(indent);
                used = 0;
            }
        }
        self.line(&line, style);
    }

    fn line(&mut self, line: &str, style: Style) {
        let line = line.trim_end();
        let code = match style {
            Style::Plain => "",
            Style::Heading => "1",
            Style::Quiet => "2",
            Style::Warning => "1;31",
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
