//! Which process waited for which: waiting processes down, processes that had the lock across, by waited time.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{
    super::{
        HEAD, Picture, Setting,
        axis::text_width,
        canvas::{Canvas, Frame, Look, TEXT},
        palette::{ACCENT, GRID, QUIET},
        sheet,
    },
    fitted, measured, no_waits,
};
use crate::{
    profile::{Locks, Pair, Profile},
    units::{self, TimeUnit},
};

/// Processes that have a row or a column of their own at most.
const MOST: usize = 12;

const LEFT: i32 = 210;
const RIGHT: i32 = 1056;
const ROW: i32 = 40;
const WIDEST: i32 = 150;
/// What the names of columns take in a line, and upwards at most.
const FLAT: i32 = 26;
const UPWARDS: i32 = 160;
/// The strongest tint of a cell: text on it is legible.
const STRONGEST: f64 = 0.6;

/// Who had the lock, as a column has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Behind {
    /// A task of the waiting process.
    Itself,
    /// This process.
    Process(u32),
    /// Processes that have no column.
    Others,
    /// Nobody knows.
    Unknown,
}

/// The cells.
struct Matrix {
    /// The names of waiting processes, the most waited time first.
    rows: Vec<String>,
    /// Rows that are of one process each; another is of all others.
    processes: usize,
    columns: Vec<(Behind, String)>,
    /// Nanoseconds by row and column.
    cells: Vec<Vec<u64>>,
}

impl Matrix {
    fn of(locks: &Locks) -> Self {
        let mut by_waiter: BTreeMap<u32, u64> = BTreeMap::new();
        let mut by_owner: BTreeMap<u32, u64> = BTreeMap::new();
        let (mut names, mut kinds) = (BTreeMap::new(), BTreeSet::new());
        for pair in &locks.pairs {
            let ns = pair.waits.waited_ns;
            add(&mut by_waiter, pair.waiter.id, ns);
            names.insert(pair.waiter.id, pair.waiter.name.as_str());
            let behind = behind(pair);
            if let (Behind::Process(id), Some(owner)) = (behind, &pair.owner) {
                add(&mut by_owner, id, ns);
                names.insert(id, owner.name.as_str());
            } else {
                kinds.insert(behind);
            }
        }
        let has_own = kinds.contains(&Behind::Itself);
        let waiters = most(by_waiter, MOST);
        let owners = most(by_owner, MOST - usize::from(has_own));
        let name = |id: &u32| (*names.get(id).unwrap_or(&units::UNKNOWN)).to_owned();
        let mut rows: Vec<String> = waiters.own.iter().map(name).collect();
        if waiters.others > 0 {
            rows.push(units::count_of(waiters.others, "other"));
        }
        let mut columns = Vec::new();
        if has_own {
            columns.push((Behind::Itself, "its own process".to_owned()));
        }
        let own = owners.own.iter();
        columns.extend(own.map(|id| (Behind::Process(*id), name(id))));
        if owners.others > 0 {
            let others = units::count_of(owners.others, "other");
            columns.push((Behind::Others, others));
        }
        if kinds.contains(&Behind::Unknown) {
            columns.push((Behind::Unknown, "not seen".to_owned()));
        }
        let mut cells = vec![vec![0_u64; columns.len()]; rows.len()];
        for pair in &locks.pairs {
            let own = waiters.own.iter().position(|&id| id == pair.waiter.id);
            let row = own.unwrap_or(waiters.own.len());
            let behind = behind(pair);
            let place = |wanted| columns.iter().position(|(other, _)| *other == wanted);
            let column = place(behind).or_else(|| place(Behind::Others));
            let cell = cells.get_mut(row).zip(column);
            if let Some(cell) = cell.and_then(|(cells, column)| cells.get_mut(column)) {
                *cell = cell.saturating_add(pair.waits.waited_ns);
            }
        }
        Self {
            rows,
            processes: waiters.own.len(),
            columns,
            cells,
        }
    }

    /// Whether a cell is of one waiting process, and not of several owners: beside the sum of many no pair would be
    /// seen.
    fn is_pair(&self, row: usize, column: usize) -> bool {
        let behind = self.columns.get(column).map(|(behind, _)| *behind);
        row < self.processes && behind != Some(Behind::Others)
    }

    /// The most that a pair has.
    fn most_ns(&self) -> u64 {
        let rows = self.cells.iter().enumerate();
        let cells = rows.flat_map(|(row, cells)| {
            let cells = cells.iter().enumerate();
            cells.filter_map(move |(column, &ns)| self.is_pair(row, column).then_some(ns))
        });
        cells.max().unwrap_or(0).max(1)
    }

    fn row_ns(&self, row: usize) -> u64 {
        let cells = self.cells.get(row).into_iter().flatten();
        cells.fold(0, |sum, &ns| sum.saturating_add(ns))
    }

    fn column_ns(&self, column: usize) -> u64 {
        let cells = self.cells.iter().filter_map(|cells| cells.get(column));
        cells.fold(0, |sum, &ns| sum.saturating_add(ns))
    }

    fn all_ns(&self) -> u64 {
        (0..self.rows.len()).fold(0, |sum, row| sum.saturating_add(self.row_ns(row)))
    }
}

fn behind(pair: &Pair) -> Behind {
    match &pair.owner {
        None => Behind::Unknown,
        Some(owner) if owner.id == pair.waiter.id => Behind::Itself,
        Some(owner) => Behind::Process(owner.id),
    }
}

fn add(sums: &mut BTreeMap<u32, u64>, id: u32, ns: u64) {
    let sum = sums.entry(id).or_default();
    *sum = sum.saturating_add(ns);
}

/// Those that have a place, and how many have none.
struct Most {
    own: Vec<u32>,
    others: usize,
}

/// Those with the most, at most so many.
fn most(sums: BTreeMap<u32, u64>, places: usize) -> Most {
    let mut all: Vec<(u32, u64)> = sums.into_iter().collect();
    all.sort_by_key(|&(_, ns)| std::cmp::Reverse(ns));
    let others = all.len().saturating_sub(places);
    all.truncate(places);
    Most {
        own: all.into_iter().map(|(id, _)| id).collect(),
        others,
    }
}

/// Why there is nothing to draw, if there is nothing.
pub(in super::super) fn absence(profile: &Profile) -> Option<String> {
    let Some(locks) = measured(profile).filter(|locks| locks.count() > 0) else {
        return Some(no_waits(profile));
    };
    let waited = locks.pairs.iter().any(|pair| pair.waits.waited_ns > 0);
    (!waited).then(|| "Waits were seen, and not by which processes.".to_owned())
}

/// The matrix.
pub(in super::super) fn draw(profile: &Profile, setting: Setting) -> Result<String> {
    let empty = Locks::default();
    let matrix = Matrix::of(profile.locks.as_ref().unwrap_or(&empty));
    // One more for the sums.
    let columns = i32::try_from(matrix.columns.len() + 1).unwrap_or(1);
    let width = ((RIGHT - LEFT) / columns).min(WIDEST);
    // Bold letters are wider.
    let widths = matrix
        .columns
        .iter()
        .map(|(_, name)| text_width(name, TEXT + 1));
    let widest = widths.max().unwrap_or(0);
    let upwards = (widest > width - 8).then(|| (widest + 16).min(UPWARDS));
    let top = HEAD + 30 + upwards.unwrap_or(FLAT);
    let rows = i32::try_from(matrix.rows.len() + 1).unwrap_or(1);
    let height = top + rows * ROW + 12;
    let title = Picture::Waiters.title();
    sheet(profile, setting, title, height, |canvas| {
        let places = Places {
            top,
            width,
            upwards,
        };
        paint(canvas, &matrix, &places, profile.unit())
    })
}

/// Where cells are.
struct Places {
    top: i32,
    width: i32,
    /// What the names of columns take where they stand upwards.
    upwards: Option<i32>,
}

impl Places {
    fn cell(&self, row: usize, column: usize) -> Frame {
        let row = i32::try_from(row).unwrap_or(0);
        let column = i32::try_from(column).unwrap_or(0);
        Frame {
            left: LEFT + column * self.width,
            top: self.top + row * ROW,
            right: LEFT + (column + 1) * self.width,
            bottom: self.top + (row + 1) * ROW,
        }
    }
}

fn paint(canvas: &Canvas<'_>, matrix: &Matrix, places: &Places, unit: TimeUnit) -> Result<()> {
    let quiet = Look::LEFT.color(QUIET);
    canvas.text("for a lock whose owner was", (LEFT, HEAD + 12), quiet)?;
    canvas.text("waiting process", (24, places.top - 14), quiet)?;
    for (column, (behind, name)) in matrix.columns.iter().enumerate() {
        let look = match behind {
            Behind::Itself | Behind::Process(_) => Look::LEFT.bold(),
            Behind::Others | Behind::Unknown => quiet,
        };
        heading(canvas, places, column, name, look)?;
    }
    let sums = matrix.columns.len();
    heading(canvas, places, sums, "in all", quiet)?;
    let all = matrix.all_ns();
    let most = matrix.most_ns();
    for (row, (name, cells)) in matrix.rows.iter().zip(&matrix.cells).enumerate() {
        let first = places.cell(row, 0);
        let middle = i32::midpoint(first.top, first.bottom);
        // Bold letters are wider.
        let name = fitted(name, (LEFT - 24 - 10) * 9 / 10, TEXT);
        let look = if row < matrix.processes {
            Look::LEFT.bold()
        } else {
            quiet
        };
        canvas.text(&name, (24, middle), look)?;
        for (column, &ns) in cells.iter().enumerate() {
            let frame = places.cell(row, column);
            if matrix.is_pair(row, column) {
                canvas.tint(frame, ACCENT, STRONGEST * ns as f64 / most as f64)?;
            }
            canvas.outline(frame, GRID)?;
            numbers(canvas, frame, ns, all, unit)?;
        }
        numbers(
            canvas,
            places.cell(row, sums),
            matrix.row_ns(row),
            all,
            unit,
        )?;
    }
    let last = matrix.rows.len();
    let frame = places.cell(last, 0);
    let middle = i32::midpoint(frame.top, frame.bottom);
    canvas.text("in all", (24, middle), quiet)?;
    for column in 0..sums {
        let ns = matrix.column_ns(column);
        numbers(canvas, places.cell(last, column), ns, all, unit)?;
    }
    numbers(canvas, places.cell(last, sums), all, all, unit)
}

/// The name of a column.
fn heading(
    canvas: &Canvas<'_>,
    places: &Places,
    column: usize,
    name: &str,
    look: Look,
) -> Result<()> {
    let frame = places.cell(0, column);
    let middle = i32::midpoint(frame.left, frame.right);
    if let Some(room) = places.upwards {
        let name = fitted(name, room - 12, TEXT + 1);
        return canvas.text(&name, (middle, places.top - 8), look.upwards());
    }
    canvas.text(name, (middle, places.top - 14), look.centered())
}

fn numbers(canvas: &Canvas<'_>, frame: Frame, ns: u64, all: u64, unit: TimeUnit) -> Result<()> {
    let middle = i32::midpoint(frame.left, frame.right);
    let y = i32::midpoint(frame.top, frame.bottom);
    if ns == 0 {
        return canvas.text("–", (middle, y), Look::CENTER.color(QUIET));
    }
    let size = TEXT - 1;
    canvas.text(
        &unit.format(ns as f64),
        (middle, y - 7),
        Look::CENTER.size(size),
    )?;
    let share = units::percent(ns as f64 / all.max(1) as f64);
    canvas.text(&share, (middle, y + 9), Look::CENTER.size(size))
}
