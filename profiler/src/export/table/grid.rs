//! Rows and columns that are never wider than the page: what does not fit beside goes beneath.

use super::super::text::{printable, shorten};

/// Spaces before the first column and between columns.
const GAP: usize = 2;
/// A text column is not shortened below this, unless the page has no room for two such columns.
const SHORTEST_TEXT: usize = 22;

/// On which side a column's cells are flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Text; may be shortened.
    Left,
    /// Numbers.
    Right,
}

/// A table. Its first column names the row, and is repeated where the columns are split.
#[derive(Debug)]
pub(super) struct Grid {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    /// Where the columns are split, if they have to be.
    seam: Option<usize>,
}

/// A line of a grid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GridLine {
    pub(super) text: String,
    pub(super) is_header: bool,
}

impl Grid {
    /// With texts on the left under the first headers, numbers under the rest.
    pub(super) fn new(texts: &[&str], numbers: &[&str]) -> Self {
        let text = texts.iter().map(|&header| (header.to_owned(), Align::Left));
        let number = numbers
            .iter()
            .map(|&header| (header.to_owned(), Align::Right));
        Self {
            columns: text.chain(number).collect(),
            rows: Vec::new(),
            seam: None,
        }
    }

    /// Adds a column after the others.
    pub(super) fn and(mut self, header: &str, align: Align) -> Self {
        self.columns.push((header.to_owned(), align));
        self
    }

    /// The next column is where the columns are split, if they have to be.
    pub(super) fn seam(mut self) -> Self {
        self.seam = Some(self.columns.len());
        self
    }

    /// Adds a row; cells that are missing are empty.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells
            .into_iter()
            .map(|cell| printable(&cell).into_owned())
            .collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// The lines, none longer than `width`; `None` is an empty one between two parts.
    pub(super) fn render(&self, width: usize) -> Vec<Option<GridLine>> {
        let widths = self.widths(width);
        let mut lines = Vec::new();
        for part in parts(&widths, width, self.seam) {
            if !lines.is_empty() {
                lines.push(None);
            }
            let headers: Vec<&str> = self
                .columns
                .iter()
                .map(|(header, _)| header.as_str())
                .collect();
            lines.push(Some(GridLine {
                text: self.line(&headers, &part, &widths),
                is_header: true,
            }));
            for row in &self.rows {
                let cells: Vec<&str> = row.iter().map(String::as_str).collect();
                let text = self.line(&cells, &part, &widths);
                lines.push(Some(GridLine {
                    text,
                    is_header: false,
                }));
            }
        }
        lines
    }

    /// The width of each column: what its cells need; where that is too much in sum, text columns
    /// are shortened, the widest first.
    fn widths(&self, width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let header = self.columns[column].0.chars().count();
                cells
                    .map(|cell| cell.chars().count())
                    .fold(header, usize::max)
            })
            .collect();
        let shortest = SHORTEST_TEXT.min(width.saturating_sub(2 * GAP) / 2);
        while total(&widths) > width {
            let longest_text = (0..widths.len())
                .filter(|&column| self.columns[column].1 == Align::Left)
                .filter(|&column| widths[column] > shortest)
                .max_by_key(|&column| widths[column]);
            let Some(column) = longest_text else {
                break;
            };
            // At once by as much as is needed, for names may be very long.
            let excess = total(&widths) - width;
            let second = (0..widths.len())
                .filter(|&other| other != column && self.columns[other].1 == Align::Left)
                .map(|other| widths[other])
                .fold(shortest, usize::max);
            let least = widths[column].saturating_sub(excess).max(shortest);
            widths[column] = least.max(second.min(widths[column] - 1));
        }
        widths
    }

    fn line(&self, cells: &[&str], part: &[usize], widths: &[usize]) -> String {
        let mut line = String::new();
        for &column in part {
            let cell = shorten(cells[column], widths[column]);
            let width = widths[column];
            match self.columns[column].1 {
                Align::Left => line.push_str(&format!("  {cell:<width$}")),
                Align::Right => line.push_str(&format!("  {cell:>width$}")),
            }
        }
        line
    }
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
        grid.render(width)
            .into_iter()
            .map(|line| line.map_or_else(String::new, |line| line.text))
            .collect()
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
            .and("c", Align::Right);
        grid.row(["reap".into(), "1".into(), "2".into(), "3".into()]);
        assert_eq!(text(&grid, 15), ["  site  a  b  c", "  reap  1  2  3"]);
        assert_eq!(
            text(&grid, 14),
            ["  site  a  b", "  reap  1  2", "", "  site  c", "  reap  3"]
        );
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
