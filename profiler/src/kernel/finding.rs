//! What follows from something, and how it was come by.

use serde::Serialize;

/// What was found, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding<T> {
    /// What was found.
    pub value: T,
    /// How: a clause a person understands.
    pub how: String,
}

impl<T> Finding<T> {
    /// A finding and how it was come by.
    pub fn new(value: T, how: impl Into<String>) -> Self {
        Self {
            value,
            how: how.into(),
        }
    }
}
