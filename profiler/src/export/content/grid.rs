//! Rows and columns.

use crate::text::printable;

/// What a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Column {
    /// Text; may be shortened.
    Text,
    /// A text whose end tells as much as its beginning.
    Key,
    /// Numbers.
    Number,
    /// Numbers that follow from the others: left out where there is no room for them.
    Derived,
    /// A distribution in a few characters: for where no picture can be.
    Sparkline,
}

/// A table. Its first column names the row.
#[derive(Clone, Debug)]
pub(in super::super) struct Grid {
    pub(in super::super) columns: Vec<(String, Column)>,
    pub(in super::super) rows: Vec<Vec<String>>,
    /// Where the columns are split, if they have to be.
    pub(in super::super) seam: Option<usize>,
}

impl Grid {
    /// With texts under the first headers, numbers under the rest.
    pub(in super::super) fn new(texts: &[&str], numbers: &[&str]) -> Self {
        let text = texts.iter().map(|header| (header, Column::Text));
        let number = numbers.iter().map(|header| (header, Column::Number));
        Self {
            columns: text
                .chain(number)
                .map(|(&header, column)| (header.to_owned(), column))
                .collect(),
            rows: Vec::new(),
            seam: None,
        }
    }

    /// Adds a column after the others.
    pub(in super::super) fn and(mut self, header: &str, column: Column) -> Self {
        self.columns.push((header.to_owned(), column));
        self
    }

    /// The next column is where the columns are split, if they have to be.
    pub(in super::super) fn seam(mut self) -> Self {
        self.seam = Some(self.columns.len());
        self
    }

    /// Adds a row; cells that are missing are empty.
    pub(in super::super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells
            .into_iter()
            .map(|cell| printable(&cell).into_owned())
            .collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Without the columns of one kind.
    pub(in super::super) fn without(&self, column: Column) -> Self {
        let kept: Vec<usize> = (0..self.columns.len())
            .filter(|&index| self.columns[index].1 != column)
            .collect();
        Self {
            seam: self
                .seam
                .map(|seam| kept.iter().filter(|&&index| index < seam).count()),
            ..self.only(&kept)
        }
    }

    /// The grid, or its two parts where there is a seam: in each the first column names the row.
    pub(in super::super) fn split(&self) -> Vec<Self> {
        let Some(seam) = self
            .seam
            .filter(|seam| (2..self.columns.len()).contains(seam))
        else {
            return vec![self.clone()];
        };
        let part = |range: std::ops::Range<usize>| {
            let kept: Vec<usize> = std::iter::once(0).chain(range).collect();
            self.only(&kept)
        };
        vec![part(1..seam), part(seam..self.columns.len())]
    }

    fn only(&self, kept: &[usize]) -> Self {
        let row = |row: &Vec<String>| kept.iter().map(|&index| row[index].clone()).collect();
        Self {
            columns: kept
                .iter()
                .map(|&index| self.columns[index].clone())
                .collect(),
            rows: self.rows.iter().map(row).collect(),
            seam: None,
        }
    }
}
