//! Questions that are decided about together, so that the more are asked the surer each answer has to be.

use super::{Finding, Verdict};
use crate::statistics::{Resampler, holm};

/// A family of questions with its answers.
pub(super) fn family(
    findings: Vec<Finding>,
    asked: bool,
    resampler: &mut Resampler,
) -> Vec<Finding> {
    let mut findings = drawn(findings, resampler);
    decide(findings.iter_mut().collect(), asked);
    findings
}

/// With the intervals of their changes.
pub(super) fn drawn(mut findings: Vec<Finding>, resampler: &mut Resampler) -> Vec<Finding> {
    for finding in &mut findings {
        finding.draw_interval(resampler);
    }
    findings
}

/// Decides about all of them together where they are asked; else says only what is plain.
pub(super) fn decide(family: Vec<&mut Finding>, asked: bool) {
    let p_values: Vec<f64> = family
        .iter()
        .map(|finding| finding.test.map_or(1.0, |test| test.p))
        .collect();
    let size = family.len();
    for (finding, p) in family.into_iter().zip(holm(&p_values)) {
        if asked {
            finding.decide(p, size);
        } else if finding.is_same() {
            finding.verdict = Verdict::Same;
        }
    }
}
