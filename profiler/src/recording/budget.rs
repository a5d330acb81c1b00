//! What measuring was allowed to cost, and what was expected of it.

use serde::{Deserialize, Serialize};

use super::windows::WindowKind;

/// The budget of a run, and what was decided by it before anything was attached.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct BudgetPlan {
    /// The average effect that was allowed, as a share; absent where there was no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<f64>,
    /// The average effect that was expected: an estimate.
    pub expected: f64,
    /// The kind of window that was to be measured.
    pub kind: WindowKind,
    /// The share of the time for which its probes were to be attached.
    pub share: f64,
    /// Why: a sentence with the numbers.
    pub reason: String,
    /// Where the costs of an event are from: a sentence.
    pub costs: String,
}
