//! Markdown, for issue trackers.

use anyhow::Result;

use super::{
    Exporter,
    content::{Block, Column, Document, Emphasis, Grid},
};
use crate::{profile::Profile, text::printable};

/// Tables and sentences in GitHub's Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Markdown;

impl Exporter for Markdown {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        Ok(document(&Document::of(profile)).into_bytes())
    }
}

/// A document's text.
pub(super) fn document(document: &Document) -> String {
    let mut text = format!("## {}\n\n", escaped(&document.title));
    for warning in &document.warnings {
        text += &format!("> **{}**\n\n", escaped(warning));
    }
    let verdict: Vec<String> = document.verdict.sentences().map(escaped).collect();
    if !verdict.is_empty() {
        text += &format!("{}\n\n", verdict.join("\n"));
    }
    for section in &document.sections {
        if !section.title.is_empty() {
            text += &format!("### {}\n\n", escaped(&section.title));
        }
        for (index, block) in section.blocks.iter().enumerate() {
            text += &self::block(block);
            // The items of a list stand together.
            let next = section.blocks.get(index + 1);
            let in_list = |block: &Block| matches!(block, Block::Field { .. });
            if !(in_list(block) && next.is_some_and(in_list)) {
                text.push('\n');
            }
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn block(block: &Block) -> String {
    match block {
        Block::Field { label, text } => format!("- **{label}**: {}\n", escaped(text)),
        Block::Sentence {
            emphasis: Emphasis::Sparklines,
            ..
        } => String::new(),
        Block::Sentence { text, .. } => format!("{}\n", escaped(text)),
        Block::Preformatted(text) => {
            let lines = text
                .lines()
                .map(|line| format!("    {}\n", printable(line)));
            lines.collect()
        }
        Block::Grid(grid) => {
            let parts = grid.without(Column::Sparkline).split();
            parts.iter().map(table).collect::<Vec<_>>().join("\n")
        }
    }
}

fn table(grid: &Grid) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let headers = grid.columns.iter().map(|(header, _)| escaped(header));
    let rules = grid.columns.iter().map(|(_, column)| {
        let rule = match column {
            Column::Text | Column::Key | Column::Sparkline => "---",
            Column::Number | Column::Derived => "---:",
        };
        rule.to_owned()
    });
    let mut text = row(headers.collect()) + &row(rules.collect());
    for cells in &grid.rows {
        text += &row(cells.iter().map(|cell| escaped(cell)).collect());
    }
    text
}

/// Text that Markdown takes for nothing but text: no emphasis, link, HTML or column, and nobody is
/// mentioned.
fn escaped(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut escaped = String::with_capacity(text.len());
    for c in printable(&text).chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            '#' => escaped.push_str("&#35;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("__change_pid"), "\\_\\_change\\_pid");
        assert_eq!(
            escaped("a|b <b>\n@all #1"),
            "a\\|b &lt;b&gt; &#64;all &#35;1"
        );
        assert_eq!(escaped("[x](y) `z`"), "\\[x\\](y) \\`z\\`");
    }
}
