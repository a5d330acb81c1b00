//! The windows of a run: stretches in which one set of probes is attached, in turn with others.

use serde::{Deserialize, Serialize};

/// Which probes are attached in a window.
#[derive(
    Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// None: what the load does by itself.
    #[default]
    Bare,
    /// The contention tracepoints alone.
    Waits,
    /// Those of holds and waits.
    Holds,
    /// Those, and the calls inside holds.
    Spans,
}

impl WindowKind {
    /// Every kind, the one that disturbs least first.
    pub const ALL: [Self; 4] = [Self::Bare, Self::Waits, Self::Holds, Self::Spans];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Waits => "waits",
            Self::Holds => "holds",
            Self::Spans => "spans",
        }
    }
}

/// How a run was cut into windows.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct WindowPlan {
    /// The kinds that take turns, the one that comes first in front.
    pub turn: Vec<WindowKind>,
    /// The least length of a window, in seconds; one lasts longer where its edges do.
    pub seconds: f64,
}

/// The part of a window that an interval is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
pub struct Window {
    /// Its number in the run, from 1. An edge has that of the window that it leads to.
    pub number: u32,
    /// Its kind; of an edge, that of the window that it leads to.
    pub kind: WindowKind,
    /// The probes were being changed: the interval belongs to no window, and is in no result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edge: bool,
    /// What was done in the whole window, or edge: in its last interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Done>,
}

/// What was done in a window, between a moment after its first edge and one before its last.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Done {
    /// The time between the two.
    pub seconds: f64,
    /// Iterations of a bundled load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u64>,
    /// Tasks that were created on the whole machine (/proc/stat).
    pub tasks_created: u64,
}

/// Where windows of spans take turns with those of holds, a run of known length has one of them in so long,
/// in seconds.
pub const SPANS_EVERY_S: f64 = 40.0;
