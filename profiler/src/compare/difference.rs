//! What a comparison says of two sides before any number.

use serde::Serialize;

/// Something that differs, or is on one side only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is, with both values, and what follows from it: a sentence.
    pub text: String,
    /// Whether something is not compared because of it.
    pub excludes: bool,
}
