//! Lengths of holds, section by section.

use std::fmt::Write as _;

/// Holds of sixty tasks' lives, each with a fork, an exit and a reaping. Lives overlap, and what one
/// leaves behind is freed later, so that a single one has no length of its own.
const LIVES: usize = 180;

/// The holds of all sections so far, in instructions.
pub struct Sections {
    sections: Vec<Section>,
    acquired: Option<u64>,
    released: Option<u64>,
}

/// What lies between two marks.
#[derive(Default)]
struct Section {
    holds: Vec<u64>,
    periods: Vec<u64>,
}

impl Sections {
    /// Before the first mark nothing is kept.
    pub const fn new() -> Self {
        Self {
            sections: Vec::new(),
            acquired: None,
            released: None,
        }
    }

    /// A new section begins.
    pub fn mark(&mut self) {
        self.sections.push(Section::default());
        self.acquired = None;
        self.released = None;
    }

    /// The lock was taken after this many instructions.
    pub fn acquired(&mut self, count: u64) {
        self.acquired = Some(count);
    }

    /// The lock was given back after this many instructions.
    pub fn released(&mut self, count: u64) {
        let (Some(acquired), Some(section)) = (self.acquired.take(), self.sections.last_mut())
        else {
            return;
        };
        section.holds.push(count - acquired);
        if let Some(before) = self.released.replace(count) {
            section.periods.push(count - before);
        }
    }

    /// One line a section.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for (index, section) in self.sections.iter().enumerate() {
            let _ = write!(text, "{index} {}", section.holds.len());
            for together in [1, LIVES] {
                let held = median_of_sums(&section.holds, together);
                let period = median_of_sums(&section.periods, together);
                let _ = write!(text, " {held} {period}");
            }
            text.push('\n');
        }
        text
    }
}

/// The lower median of the sums of so many neighbours; 0 of nothing.
fn median_of_sums(values: &[u64], together: usize) -> u64 {
    let sums = values.windows(together).map(|window| window.iter().sum());
    let mut sums: Vec<u64> = sums.collect();
    sums.sort_unstable();
    let middle = sums.len().saturating_sub(1) / 2;
    sums.get(middle).copied().unwrap_or(0)
}
