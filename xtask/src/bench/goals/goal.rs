//! One goal, and what was measured of it.

/// The kernel whose numbers the goals are about.
pub const KERNEL: &str = "debian:6.12";
/// What stands where nothing was measured.
pub const NOT_MEASURED: &str = "not measured";

/// A goal, and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// What is measured.
    pub what: String,
    /// What it is to be.
    pub wanted: String,
    /// What it is.
    pub measured: String,
    /// Whether the goal is met; `None` where it was not measured, or too noisy to tell.
    pub met: Option<bool>,
    /// What was measured of that which stands in the way of a goal that is not met.
    pub in_the_way: String,
}

impl Goal {
    /// Says what stands in the way, where the goal is not met and something was measured.
    pub fn because(mut self, what: Option<String>) -> Self {
        if self.met == Some(false) {
            self.in_the_way = what.unwrap_or_default();
        }
        self
    }
}

/// A goal with what was measured, if anything was.
pub fn goal(
    what: impl Into<String>,
    wanted: impl Into<String>,
    value: Option<f64>,
    show: impl Fn(f64) -> String,
    met: impl Fn(f64) -> bool,
) -> Goal {
    Goal {
        what: what.into(),
        wanted: wanted.into(),
        measured: value.map_or(NOT_MEASURED.to_owned(), show),
        met: value.map(met),
        in_the_way: String::new(),
    }
}

/// A goal of which nothing was measured.
pub fn not_measured(what: impl Into<String>, wanted: impl Into<String>) -> Goal {
    goal(what, wanted, None, |_| String::new(), |_| false)
}
