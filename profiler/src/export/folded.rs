//! Folded stacks, for other flame-graph tools: one line for each call stack and lock, with the waited
//! time in nanoseconds.

use anyhow::Result;

use super::{Exporter, picture::folded_lines};
use crate::profile::Profile;

/// Waits for all locks by call stack, the outermost function first, the lock last.
#[derive(Clone, Copy, Debug)]
pub struct Folded;

impl Exporter for Folded {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        let mut text = folded_lines(profile).join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        Ok(text.into_bytes())
    }
}
