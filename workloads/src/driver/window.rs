//! Readings of the workers' counters, and what lies between two of them.

use std::sync::atomic::Ordering;

use super::clock;
use super::shared::SharedArea;

/// The counters of all workers at one time.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) at_ns: u64,
    pub(crate) iterations: Vec<u64>,
}

impl Reading {
    pub(crate) fn now(area: &SharedArea) -> Self {
        let slots = area.slots().iter();
        Self {
            iterations: slots
                .map(|slot| slot.iterations.load(Ordering::Relaxed))
                .collect(),
            at_ns: clock::now_ns(),
        }
    }

    /// What happened from then until this reading.
    pub(crate) fn since(&self, then: &Self) -> Window {
        let pairs = self.iterations.iter().zip(&then.iterations);
        Window {
            duration_ns: self.at_ns.saturating_sub(then.at_ns),
            per_task: pairs.map(|(now, then)| now.saturating_sub(*then)).collect(),
        }
    }
}

/// What the workers did in some stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) duration_ns: u64,
    pub(crate) per_task: Vec<u64>,
}

impl Window {
    /// The window in which each worker does a given number of iterations: it ends when the last
    /// worker is done, not when the main process hears of it.
    pub(crate) fn of_finished(area: &SharedArea, began_ns: u64) -> Self {
        let slots = area.slots().iter();
        let ended_ns = slots
            .clone()
            .map(|slot| slot.finished_at_ns.load(Ordering::Acquire))
            .max()
            .unwrap_or(began_ns);
        Self {
            duration_ns: ended_ns.saturating_sub(began_ns),
            per_task: slots
                .map(|slot| {
                    slot.iterations.load(Ordering::Relaxed)
                        - slot.warm_up_iterations.load(Ordering::Relaxed)
                })
                .collect(),
        }
    }

    pub(crate) fn min(&self) -> u64 {
        self.per_task.iter().copied().min().unwrap_or(0)
    }

    pub(crate) fn max(&self) -> u64 {
        self.per_task.iter().copied().max().unwrap_or(0)
    }

    pub(crate) fn total(&self) -> u64 {
        self.per_task.iter().sum()
    }

    pub(crate) fn duration_s(&self) -> f64 {
        seconds(self.duration_ns)
    }

    /// Iterations by seconds; an empty window has none.
    pub(crate) fn per_second(&self) -> Option<f64> {
        if self.duration_ns == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "2^53 iterations take longer than any run"
        )]
        let total = self.total() as f64;
        Some(total / self.duration_s())
    }

    /// The same as a whole number, as will-it-scale prints it.
    pub(crate) fn average(&self) -> Option<u64> {
        let by_duration =
            (u128::from(self.total()) * 1_000_000_000).checked_div(self.duration_ns.into())?;
        Some(u64::try_from(by_duration).unwrap_or(u64::MAX))
    }
}

pub(crate) fn seconds(duration_ns: u64) -> f64 {
    std::time::Duration::from_nanos(duration_ns).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_lies_between_readings() {
        let then = Reading {
            at_ns: 1_000_000_000,
            iterations: vec![10, 20],
        };
        let now = Reading {
            at_ns: 3_000_000_000,
            iterations: vec![15, 120],
        };
        let window = now.since(&then);
        assert_eq!((window.min(), window.max(), window.total()), (5, 100, 105));
        assert_eq!(window.average(), Some(52));
        assert!((window.per_second().unwrap() - 52.5).abs() < 1e-9);
        assert!((window.duration_s() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn empty_window_has_no_rate() {
        let reading = Reading {
            at_ns: 5,
            iterations: vec![7],
        };
        let window = reading.since(&reading);
        assert_eq!((window.average(), window.per_second()), (None, None));
    }
}
