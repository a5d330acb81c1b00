//! Files of /proc and /sys that tell one thing in one line.

use std::fs;

/// The first line of a file, without white space around it.
pub(super) fn line_of(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}
