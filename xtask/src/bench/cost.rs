//! What an observer adds, from measurements of a load with it and without it.

use anyhow::Result;

use super::hold_counter::Counted;
use super::results::Cost;
use super::script::Places;
use super::statistics::{mean, relative_spread};

/// One measurement of a load, in instructions of an iteration.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// By the guest's clock: the mean, with the timer's interrupts and what the kernel does meanwhile.
    pub clock: f64,
    /// By the counter outside of the guest: the median.
    pub counted: Option<Counted>,
}

impl Cost {
    /// What an observer adds to a load, by the measurements at its places in a script.
    pub fn between(places: &Places, one: impl Fn(usize) -> Result<Measurement>) -> Result<Self> {
        let off = [one(places.before)?, one(places.after)?];
        let on = places.with.iter().map(|place| one(*place));
        Ok(Self::difference(&off, &on.collect::<Result<Vec<_>>>()?))
    }

    /// What is added to the mean of one group in that of another. What is counted from outside comes
    /// first: its medians have no interrupts and no background work of the kernel in them.
    fn difference(off: &[Measurement], on: &[Measurement]) -> Self {
        let clock = |group: &[Measurement]| mean(group.iter().map(|one| one.clock));
        let counted = |group: &[Measurement], value: fn(Counted) -> f64| {
            let values = group.iter().map(|one| one.counted.map(value));
            let values = values.collect::<Option<Vec<_>>>()?;
            Some(mean(values.into_iter()))
        };
        let period =
            |group| counted(group, |counted| counted.period).unwrap_or_else(|| clock(group));
        let held = |group| counted(group, |counted| counted.held);
        Self {
            bare: period(off),
            added: period(on) - period(off),
            added_by_clock: clock(on) - clock(off),
            bare_in_hold: held(off),
            added_in_hold: held(on).zip(held(off)).map(|(on, off)| on - off),
            spread: 0.0,
        }
    }

    /// The means over boots, and by how much they differ.
    pub fn mean_of(costs: &[&Self]) -> Self {
        let in_hold = |value: fn(&Self) -> Option<f64>| {
            let values = costs.iter().map(|cost| value(cost));
            let values = values.collect::<Option<Vec<_>>>()?;
            Some(mean(values.into_iter()))
        };
        let whole = costs
            .iter()
            .map(|cost| cost.bare + cost.added)
            .collect::<Vec<_>>();
        Self {
            bare: mean(costs.iter().map(|cost| cost.bare)),
            added: mean(costs.iter().map(|cost| cost.added)),
            added_by_clock: mean(costs.iter().map(|cost| cost.added_by_clock)),
            bare_in_hold: in_hold(|cost| cost.bare_in_hold),
            added_in_hold: in_hold(|cost| cost.added_in_hold),
            spread: relative_spread(&whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_from_outside_comes_before_the_clock() {
        let measurement = |clock, counted: Option<(f64, f64)>| Measurement {
            clock,
            counted: counted.map(|(held, period)| Counted { held, period }),
        };
        let off = [measurement(110.0, Some((10.0, 100.0)))];
        let on = [
            measurement(300.0, Some((60.0, 250.0))),
            measurement(320.0, Some((62.0, 252.0))),
        ];
        let cost = Cost::difference(&off, &on);
        assert_eq!(
            (cost.bare, cost.added, cost.added_by_clock),
            (100.0, 151.0, 200.0)
        );
        assert_eq!(cost.added_in_hold, Some(51.0));
        let cost = Cost::difference(&off, &[measurement(300.0, None)]);
        assert_eq!(cost.added_in_hold, None);
    }
}
