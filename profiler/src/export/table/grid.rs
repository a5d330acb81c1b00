//! Rows and columns that are never wider than the page: what does not fit beside goes beneath.

use super::super::content::{Column, Grid};
use crate::text::{pad, pad_before, printable, shorten, shorten_middle, width as width_of};

/// Spaces before the first column and between columns.
const GAP: usize = 2;
/// A text column is not shortened below this, unless the page has no room for two such columns.
const SHORTEST_TEXT: usize = 20;

/// A line of a grid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GridLine {
    pub(super) text: String,
    pub(super) is_header: bool,
}

/// The lines, none longer than `width`; `None` is an empty one between two parts.
pub(super) fn render(grid: &Grid, width: usize) -> Vec<Option<GridLine>> {
    let grid = &cleaned(grid);
    // What follows from other columns makes room for names.
    let short = (total(&natural_widths(grid)) > width).then(|| grid.without(Column::Derived));
    let grid = short.as_ref().unwrap_or(grid);
    let widths = widths(grid, width);
    let headers: Vec<String> = grid.columns.iter().map(|(name, _)| name.clone()).collect();
    let mut lines = Vec::new();
    for part in parts(&widths, width, grid.seam) {
        if !lines.is_empty() {
            lines.push(None);
        }
        let rows = std::iter::once(&headers).chain(&grid.rows);
        lines.extend(rows.enumerate().map(|(index, cells)| {
            Some(GridLine {
                text: line(grid, cells, &part, &widths),
                is_header: index == 0,
            })
        }));
    }
    lines
}

/// With headers that are fit to be shown, as cells are: some have names from outside.
fn cleaned(grid: &Grid) -> Grid {
    let mut grid = grid.clone();
    for (header, _) in &mut grid.columns {
        *header = printable(header).into_owned();
    }
    grid
}

/// What the cells of each column need.
fn natural_widths(grid: &Grid) -> Vec<usize> {
    (0..grid.columns.len())
        .map(|column| {
            let cells = grid.rows.iter().filter_map(|row| row.get(column));
            let header = width_of(&grid.columns[column].0);
            cells.map(|cell| width_of(cell)).fold(header, usize::max)
        })
        .collect()
}

/// The width of each column: what its cells need; where that is too much in sum, text columns are
/// shortened, the widest first.
fn widths(grid: &Grid, width: usize) -> Vec<usize> {
    let mut widths = natural_widths(grid);
    let is_text = |column: usize| matches!(grid.columns[column].1, Column::Text | Column::Key);
    let shortest = SHORTEST_TEXT.min(width.saturating_sub(2 * GAP) / 2);
    while total(&widths) > width {
        let longest_text = (0..widths.len())
            .filter(|&column| is_text(column) && widths[column] > shortest)
            .max_by_key(|&column| widths[column]);
        let Some(column) = longest_text else {
            break;
        };
        // At once by as much as is needed, for names may be very long.
        let excess = total(&widths) - width;
        let second = (0..widths.len())
            .filter(|&other| other != column && is_text(other))
            .map(|other| widths[other])
            .fold(shortest, usize::max);
        let least = widths[column].saturating_sub(excess).max(shortest);
        widths[column] = least.max(second.min(widths[column] - 1));
    }
    widths
}

fn line(grid: &Grid, cells: &[String], part: &[usize], widths: &[usize]) -> String {
    let mut line = String::new();
    for &column in part {
        let width = widths[column];
        let cell = match grid.columns[column].1 {
            Column::Key => shorten_middle(&cells[column], width),
            _ => shorten(&cells[column], width),
        };
        line.push_str("  ");
        line.push_str(&match grid.columns[column].1 {
            Column::Text | Column::Key | Column::Sparkline => pad(&cell, width),
            Column::Number | Column::Derived => pad_before(&cell, width),
        });
    }
    line
}

fn total(widths: &[usize]) -> usize {
    widths.iter().map(|width| width + GAP).sum()
}

/// Which columns stand beside one another: each part begins with the first column.
fn parts(widths: &[usize], width: usize, seam: Option<usize>) -> Vec<Vec<usize>> {
    let seam = seam.filter(|_| total(widths) > width);
    let mut parts = Vec::new();
    let first = widths.first().map_or(0, |first| first + GAP);
    let mut part = vec![0];
    let mut used = first;
    for (column, column_width) in widths.iter().enumerate().skip(1) {
        let full = used + column_width + GAP > width || seam == Some(column);
        if full && part.len() > 1 {
            parts.push(std::mem::replace(&mut part, vec![0]));
            used = first;
        }
        part.push(column);
        used += column_width + GAP;
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(grid: &Grid, width: usize) -> Vec<String> {
        render(grid, width)
            .into_iter()
            .map(|line| line.map_or_else(String::new, |line| line.text))
            .collect()
    }

    #[test]
    fn no_header_is_obeyed_by_a_terminal() {
        let mut grid = Grid::new(&["CPUs"], &["a\u{1b}[31mb", "c\u{202e}d"]);
        grid.row(["1".into(), "2".into(), "3".into()]);
        let lines = text(&grid, 80);
        assert_eq!(lines[0], "  CPUs  a\u{fffd}[31mb  c\u{fffd}d");
        assert_eq!(width_of(&lines[0]), width_of(&lines[1]));
    }

    #[test]
    fn columns_that_do_not_fit_go_beneath_with_the_first_repeated() {
        let mut grid = Grid::new(&["site"], &["holds", "mean", "max"]);
        grid.row(["reap".into(), "12".into(), "1.08 µs".into(), "2 ms".into()]);
        assert_eq!(
            text(&grid, 80),
            [
                "  site  holds     mean   max",
                "  reap     12  1.08 µs  2 ms"
            ]
        );
        assert_eq!(
            text(&grid, 24),
            [
                "  site  holds     mean",
                "  reap     12  1.08 µs",
                "",
                "  site   max",
                "  reap  2 ms"
            ]
        );
    }

    #[test]
    fn columns_are_split_at_the_seam_if_at_all() {
        let mut grid = Grid::new(&["site"], &["a", "b"])
            .seam()
            .and("c", Column::Number);
        grid.row(["reap".into(), "1".into(), "2".into(), "3".into()]);
        assert_eq!(text(&grid, 15), ["  site  a  b  c", "  reap  1  2  3"]);
        assert_eq!(
            text(&grid, 14),
            ["  site  a  b", "  reap  1  2", "", "  site  c", "  reap  3"]
        );
    }

    /// What a terminal shows of a column begins where its header does.
    #[test]
    fn wide_and_combining_letters_shift_no_column() {
        let mut grid = Grid::new(&["comm", "cgroup"], &["waits"]);
        grid.row(["数据库锁".into(), "/e\u{301}te\u{301}".into(), "7".into()]);
        grid.row(["bash".into(), "/".into(), "1,234".into()]);
        assert_eq!(
            text(&grid, 80),
            [
                "  comm      cgroup  waits",
                "  数据库锁  /e\u{301}te\u{301}        7",
                "  bash      /       1,234",
            ]
        );
        grid.row(["锁".repeat(40), "숨".repeat(40), "1".into()]);
        for width in 40..200 {
            let lines = text(&grid, width);
            assert!(
                lines.iter().all(|line| width_of(line) <= width),
                "{width}: {lines:?}"
            );
        }
    }

    #[test]
    fn long_texts_are_shortened_first() {
        let mut grid = Grid::new(&["lock", "caller"], &["waits"]);
        grid.row(["l".repeat(60), "c".repeat(30), "7".into()]);
        for width in 40..110 {
            let lines = text(&grid, width);
            assert!(
                lines.iter().all(|line| line.chars().count() <= width),
                "{width}: {lines:?}"
            );
            assert!(width < 60 || lines.len() == 2, "{width}: {lines:?}");
        }
    }
}
