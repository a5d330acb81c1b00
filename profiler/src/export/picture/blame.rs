//! Who waited behind whom: waiters down, holders across, by waited time.

use anyhow::Result;

use super::{
    HEAD, Picture, Setting,
    axis::{fitted, text_width},
    canvas::{Canvas, Frame, Look, TEXT},
    palette::{ACCENT, GRID, QUIET, style_of},
    sheet,
};
use crate::{
    profile::Profile,
    site::Site,
    units::{self, TimeUnit},
};

/// Where names of waiters begin, and the first column: as far to the right as they need, between these.
const NAMES: i32 = 44;
const LEFT: i32 = 150;
const FURTHEST_LEFT: i32 = 280;
/// Between a name and what stands beside it.
const BESIDE: i32 = 8;
const TOP: i32 = HEAD + 78;
const RIGHT: i32 = 1056;
const ROW: i32 = 44;
const WIDEST: i32 = 150;
/// The strongest tint of a cell: text on it is legible.
const STRONGEST: f64 = 0.6;

/// The cells: waited time by waiter and holder. No holder is readers and hand-over.
struct Matrix {
    waiters: Vec<Site>,
    holders: Vec<Option<Site>>,
    pairs: Vec<(Site, Option<Site>, u64)>,
    all_ns: u64,
}

impl Matrix {
    fn of(profile: &Profile) -> Self {
        let pairs: Vec<_> = profile
            .blame
            .iter()
            .map(|pair| (pair.waiter, pair.holder, pair.waited_ns))
            .collect();
        let mut matrix = Self {
            waiters: Vec::new(),
            holders: Vec::new(),
            all_ns: pairs.iter().fold(0, |sum, pair| sum.saturating_add(pair.2)),
            pairs,
        };
        for &(waiter, holder, _) in &matrix.pairs {
            if !matrix.waiters.contains(&waiter) {
                matrix.waiters.push(waiter);
            }
            if !matrix.holders.contains(&holder) {
                matrix.holders.push(holder);
            }
        }
        let mut waiters = std::mem::take(&mut matrix.waiters);
        waiters.sort_by_key(|&waiter| std::cmp::Reverse(matrix.row_ns(waiter)));
        let mut holders = std::mem::take(&mut matrix.holders);
        // Sites first: readers and hand-over is what is left.
        holders.sort_by_key(|&holder| {
            (
                holder.is_none(),
                std::cmp::Reverse(matrix.column_ns(holder)),
            )
        });
        Self {
            waiters,
            holders,
            ..matrix
        }
    }

    fn sum(&self, is_wanted: impl Fn(Site, Option<Site>) -> bool) -> u64 {
        let wanted = self.pairs.iter().filter(|pair| is_wanted(pair.0, pair.1));
        wanted.fold(0, |sum, pair| sum.saturating_add(pair.2))
    }

    fn row_ns(&self, waiter: Site) -> u64 {
        self.sum(|other, _| other == waiter)
    }

    fn column_ns(&self, holder: Option<Site>) -> u64 {
        self.sum(|_, other| other == holder)
    }

    fn cell_ns(&self, waiter: Site, holder: Option<Site>) -> u64 {
        self.sum(|row, column| (row, column) == (waiter, holder))
    }
}

/// Why there is nothing to draw, if there is nothing.
pub(super) fn absence(profile: &Profile) -> Option<String> {
    if !profile.blame.is_empty() && profile.waits_known() && profile.holds_known() {
        return None;
    }
    let none = if profile.holds_known() {
        profile.no_waits()
    } else {
        profile.no_holds()
    };
    Some(none.unwrap_or_else(|| "Waits were seen, and not behind whose holds.".to_owned()))
}

/// The matrix of blame.
pub(super) fn draw(profile: &Profile, setting: Setting) -> Result<String> {
    let matrix = Matrix::of(profile);
    let rows = i32::try_from(matrix.waiters.len()).unwrap_or(0);
    let height = TOP + (rows + 1) * ROW + 20;
    sheet(profile, setting, Picture::Blame.title(), height, |canvas| {
        paint(canvas, &matrix, profile)
    })
}

fn paint(canvas: &Canvas<'_>, matrix: &Matrix, profile: &Profile) -> Result<()> {
    let unit = profile.unit();
    let names = matrix.waiters.iter().map(|waiter| width_of(waiter.name()));
    let left = (NAMES + names.max().unwrap_or(0) + BESIDE).clamp(LEFT, FURTHEST_LEFT);
    // One more for the sums.
    let columns = i32::try_from(matrix.holders.len() + 1).unwrap_or(1);
    let width = ((RIGHT - left) / columns).min(WIDEST);
    let cell = |row: usize, column: usize| {
        let (row, column) = (
            i32::try_from(row).unwrap_or(0),
            i32::try_from(column).unwrap_or(0),
        );
        Frame {
            left: left + column * width,
            top: TOP + row * ROW,
            right: left + (column + 1) * width,
            bottom: TOP + (row + 1) * ROW,
        }
    };
    canvas.text(
        "behind the holds of",
        (left, TOP - 62),
        Look::LEFT.color(QUIET),
    )?;
    canvas.text("waiter", (24, TOP - 20), Look::LEFT.color(QUIET))?;
    for (column, &holder) in matrix.holders.iter().enumerate() {
        heading(canvas, cell(0, column), holder, profile.rest_in_words())?;
    }
    let sums = cell(0, matrix.holders.len());
    let at = ((sums.left + sums.right) / 2, TOP - 20);
    canvas.text("in all", at, Look::CENTER.color(QUIET))?;
    let most = matrix.pairs.iter().map(|pair| pair.2).max().unwrap_or(1);
    for (row, &waiter) in matrix.waiters.iter().enumerate() {
        let frame = cell(row, 0);
        let middle = (frame.top + frame.bottom) / 2;
        let swatch = Frame {
            left: 24,
            top: middle - 6,
            right: 36,
            bottom: middle + 6,
        };
        canvas.swatch(swatch, style_of(waiter))?;
        let name = fitted_bold(waiter.name(), left - BESIDE - NAMES);
        canvas.text(&name, (NAMES, middle), Look::LEFT.bold())?;
        for (column, &holder) in matrix.holders.iter().enumerate() {
            let ns = matrix.cell_ns(waiter, holder);
            let frame = cell(row, column);
            canvas.tint(frame, ACCENT, STRONGEST * ns as f64 / most as f64)?;
            canvas.outline(frame, GRID)?;
            numbers(canvas, frame, ns, matrix.all_ns, unit)?;
        }
        let ns = matrix.row_ns(waiter);
        numbers(
            canvas,
            cell(row, matrix.holders.len()),
            ns,
            matrix.all_ns,
            unit,
        )?;
    }
    let last = matrix.waiters.len();
    let middle = (cell(last, 0).top + cell(last, 0).bottom) / 2;
    canvas.text("in all", (NAMES, middle), Look::LEFT.color(QUIET))?;
    for (column, &holder) in matrix.holders.iter().enumerate() {
        let ns = matrix.column_ns(holder);
        numbers(canvas, cell(last, column), ns, matrix.all_ns, unit)?;
    }
    let corner = cell(last, matrix.holders.len());
    numbers(canvas, corner, matrix.all_ns, matrix.all_ns, unit)
}

/// The name of a column: that of a holder, or of the rest.
fn heading(canvas: &Canvas<'_>, frame: Frame, holder: Option<Site>, rest: &str) -> Result<()> {
    let middle = (frame.left + frame.right) / 2;
    let Some(site) = holder else {
        let look = Look::CENTER.size(TEXT - 1);
        // In two lines where it is long.
        let last = match rest.rsplit_once(' ') {
            Some((first, last)) => {
                canvas.text(first, (middle, TOP - 30), look)?;
                last
            }
            None => rest,
        };
        return canvas.text(last, (middle, TOP - 15), look);
    };
    let swatch = Frame {
        left: middle - 6,
        top: TOP - 44,
        right: middle + 6,
        bottom: TOP - 32,
    };
    canvas.swatch(swatch, style_of(site))?;
    let name = fitted_bold(site.name(), frame.right - frame.left - BESIDE);
    canvas.text(&name, (middle, TOP - 18), Look::CENTER.bold())
}

/// Bold letters are as wide as those that are one pixel higher.
fn width_of(name: &str) -> i32 {
    text_width(name, TEXT + 1)
}

fn fitted_bold(name: &str, pixels: i32) -> String {
    fitted(name, pixels, TEXT + 1)
}

fn numbers(canvas: &Canvas<'_>, frame: Frame, ns: u64, all_ns: u64, unit: TimeUnit) -> Result<()> {
    let middle = (frame.left + frame.right) / 2;
    let y = (frame.top + frame.bottom) / 2;
    if ns == 0 {
        return canvas.text("–", (middle, y), Look::CENTER.color(QUIET));
    }
    canvas.text(&unit.format(ns as f64), (middle, y - 8), Look::CENTER)?;
    let share = units::percent(ns as f64 / all_ns as f64);
    let look = Look::CENTER.size(TEXT - 1);
    canvas.text(&share, (middle, y + 9), look)
}
