//! The rows of classes and callers, and the numbers in them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    compare::{
        Finding, Instrument, LockName, LockRun, Measure, Quantity, Sample, Sampled, Setting,
        WaitSum, lock_run::number,
    },
    recording::schema::LockFamily,
    statistics::{Resampler, median},
    units,
};

/// Rows at most: of classes, and of callers.
pub const MOST: usize = 10;
/// What is less of all waiting than this has no row.
pub const LEAST_SHOWN: f64 = 0.001;
/// What is less than this is not asked about: each question takes from what the others can find.
pub const LEAST_ASKED: f64 = 0.01;

/// Waited time for a class, or by a caller.
#[derive(Clone, Debug)]
pub struct LockRow {
    /// What it is.
    pub quantity: Quantity,
    /// What of all waiting it is: the mean over the samples of both sides, but for the largest.
    pub share: f64,
    /// The median over the samples of each side in which waits were seen, in nanoseconds of a second; none where there
    /// is no such sample.
    pub seen: [Option<f64>; 2],
    /// Both sides beside each other; else why they cannot be: a part of a sentence.
    pub outcome: Result<Finding, String>,
}

impl LockRow {
    /// Both sides beside each other, where that can be.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        self.outcome.as_ref().ok()
    }

    pub(super) fn finding_mut(&mut self) -> Option<&mut Finding> {
        self.outcome.as_mut().ok()
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> Option<&LockName> {
        match &self.quantity {
            Quantity::LockClass(class, _) | Quantity::LockCaller(class, _, _) => Some(class),
            _ => None,
        }
    }
}

/// What can be asked in one setting.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub(super) setting: &'a Setting,
    pub(super) instrument: Instrument,
    pub(super) boots: [usize; 2],
    /// The recordings of each sample of both sides.
    pub(super) samples: [Vec<Vec<&'a LockRun>>; 2],
    pub(super) sampled: Sampled,
}

/// Why a number cannot be had, where no recording says.
const NO_LENGTH: &str = "its waits are too few, or have no lengths";

impl Asking<'_> {
    /// Samples of each side.
    pub(super) fn sizes(&self) -> [usize; 2] {
        self.samples.each_ref().map(Vec::len)
    }

    fn runs(&self) -> impl Iterator<Item = &LockRun> {
        let samples = self.samples.iter().flatten().flatten();
        samples.copied()
    }

    /// A number of every sample; none where one of them does not know it.
    fn between(
        &self,
        quantity: Quantity,
        of: impl Fn(&LockRun) -> Option<WaitSum>,
    ) -> Option<Finding> {
        let measure = quantity.measure()?;
        let sides = self.samples.each_ref().map(|side| {
            let values = side.iter().map(|runs| number(runs, measure, &of));
            values.collect::<Option<Vec<f64>>>()
        });
        let [before, after] = sides;
        let samples = [Sample::new(before?), Sample::new(after?)];
        let finding = Finding::between(quantity, self.instrument, samples)?;
        Some(Finding {
            sampled: self.sampled,
            ..finding
        })
    }

    /// Why the waits of all locks are not the same kinds of waits in all recordings, where they are not: a part of a
    /// sentence. Of what is next to nothing it does not matter.
    fn unlike(&self) -> Option<String> {
        // No control can be made of the others.
        const CONTROLLED: [LockFamily; 4] = [
            LockFamily::Mutex,
            LockFamily::Rwsem,
            LockFamily::Rwlock,
            LockFamily::Spinlock,
        ];
        let of = |run: &LockRun, family: LockFamily| {
            let classes = run.classes.iter();
            let of_family = classes.filter(|(class, _)| class.family == Some(family));
            of_family.fold(0, |sum: u64, (_, waits)| {
                sum.saturating_add(waits.waited_ns)
            })
        };
        CONTROLLED.into_iter().find_map(|family| {
            let mut runs = self.runs();
            let is_blind = runs.any(|run| run.unseen.contains(&Some(family)) && of(run, family) == 0);
            let shares = self.runs().map(|run| of(run, family) as f64 / run.all.waited_ns.max(1) as f64);
            let largest = shares.fold(0.0, f64::max);
            (is_blind && largest >= LEAST_ASKED).then(|| {
                format!(
                    "up to {} of the waiting in a recording is for a {}, and not every recording would have seen that",
                    units::percent(largest),
                    family.name()
                )
            })
        })
    }

    /// All locks.
    pub(super) fn all(&self, measure: Measure) -> Result<Finding, String> {
        if let Some(why) = self.unlike() {
            return Err(why);
        }
        let finding = self.between(Quantity::AllLocks(measure), |run| Some(run.all));
        finding.ok_or_else(|| NO_LENGTH.to_owned())
    }

    /// Who asks for a class, on either side.
    fn callers_of<'s>(&'s self, class: &LockName) -> BTreeSet<&'s str> {
        let callers = self.runs().flat_map(|run| run.callers.keys());
        callers
            .filter(|(of, _)| of == class)
            .filter_map(|(_, caller)| caller.as_deref())
            .collect()
    }

    /// A class.
    pub(super) fn class(&self, class: &LockName, measure: Measure) -> Result<Finding, String> {
        let callers = self.callers_of(class);
        let quantity = Quantity::LockClass(class.clone(), measure);
        let finding = self.between(quantity, |run| run.class(class, &callers));
        finding.ok_or_else(|| {
            let mut whys = self
                .runs()
                .filter_map(|run| run.why_unknown(class, &callers));
            whys.next().unwrap_or(NO_LENGTH).to_owned()
        })
    }

    fn caller(&self, class: &LockName, caller: &str) -> Result<Finding, String> {
        let callers = self.callers_of(class);
        let quantity = Quantity::LockCaller(class.clone(), caller.to_owned(), Measure::Waited);
        let finding = self.between(quantity, |run| run.caller(class, caller, &callers));
        finding.ok_or_else(|| {
            let mut whys = self
                .runs()
                .filter_map(|run| run.why_unknown(class, &callers));
            let untold = "who asked is not known of all waits, or they have no lengths";
            whys.next().unwrap_or(untold).to_owned()
        })
    }

    /// All classes but these, and how many there are.
    pub(super) fn others(&self, shown: &[&LockName]) -> Option<(Finding, usize)> {
        let classes: BTreeSet<&LockName> = self.runs().flat_map(|run| run.classes.keys()).collect();
        let finding = self.between(Quantity::OtherClasses(Measure::Waited), |run| {
            let of_shown = shown.iter().filter_map(|class| run.classes.get(*class));
            let mut rest = run.all;
            for sum in of_shown {
                rest.count = rest.count.saturating_sub(sum.count);
                rest.measured = rest.measured.saturating_sub(sum.measured);
                rest.waited_ns = rest.waited_ns.saturating_sub(sum.waited_ns);
            }
            Some(rest)
        })?;
        let count = classes.len().saturating_sub(shown.len());
        (!finding.is_empty()).then_some((finding, count))
    }

    /// Whether a recording does not prove that it would have seen waits for any of the locks that sleepers and readers
    /// wait for.
    pub(super) fn is_unproved(&self) -> bool {
        let families = [LockFamily::Mutex, LockFamily::Rwsem, LockFamily::Rwlock];
        self.runs().any(|run| {
            families
                .iter()
                .any(|&family| run.unseen.contains(&Some(family)))
        })
    }

    /// The median time waited for something in the samples of each side in which it was seen.
    fn seen(&self, of: impl Fn(&LockRun) -> Option<WaitSum>) -> [Option<f64>; 2] {
        self.samples.each_ref().map(|side| {
            let seen = side
                .iter()
                .filter(|runs| runs.iter().any(|run| of(run).is_some()));
            let values = seen.filter_map(|runs| {
                number(runs, Measure::Waited, |run| {
                    Some(of(run).unwrap_or_default())
                })
            });
            median(&values.collect::<Vec<f64>>())
        })
    }
}

/// Keys by what of all waiting in a sample they are, the largest first, with the mean of that over all samples of both
/// sides.
///
/// Each sample counts alike, whichever side it is of, and the largest share of each key does not: what one sample alone
/// has is an accident.
fn by_size<'a, K: Ord + 'a>(
    asking: &'a Asking<'_>,
    of: impl Fn(&'a LockRun) -> Vec<(K, &'a WaitSum)>,
) -> Vec<(K, f64)> {
    let mut sizes: BTreeMap<K, [f64; 2]> = BTreeMap::new();
    for runs in asking.samples.iter().flatten() {
        let all: u64 = runs.iter().map(|run| run.all.waited_ns).sum();
        let mut of_sample: BTreeMap<K, u64> = BTreeMap::new();
        for (key, sum) in runs.iter().flat_map(|run| of(run)) {
            *of_sample.entry(key).or_default() += sum.waited_ns;
        }
        for (key, waited) in of_sample {
            let share = waited as f64 / all.max(1) as f64;
            let [sum, largest] = sizes.entry(key).or_default();
            *sum += share;
            *largest = largest.max(share);
        }
    }
    // At least one is left beside the largest.
    let others = asking
        .sizes()
        .iter()
        .sum::<usize>()
        .saturating_sub(1)
        .max(1);
    let sizes = sizes.into_iter();
    let mut sizes: Vec<(K, f64)> = sizes
        .map(|(key, [sum, largest])| (key, (sum - largest) / others as f64))
        .collect();
    sizes.sort_by(|a, b| b.1.total_cmp(&a.1));
    sizes.retain(|(_, share)| *share >= LEAST_SHOWN);
    sizes.truncate(MOST);
    sizes
}

/// The largest classes.
pub(super) fn classes(asking: &Asking<'_>, resampler: &mut Resampler) -> Vec<LockRow> {
    let classes = by_size(asking, |run| run.classes.iter().collect());
    classes
        .into_iter()
        .map(|(class, share)| LockRow {
            quantity: Quantity::LockClass(class.clone(), Measure::Waited),
            share,
            seen: asking.seen(|run| run.classes.get(class).copied()),
            outcome: asking
                .class(class, Measure::Waited)
                .map(|finding| with_interval(finding, resampler)),
        })
        .collect()
}

/// The largest callers of these classes: of a class that is called after its only caller that would say nothing.
pub(super) fn callers(
    asking: &Asking<'_>,
    shown: &[&LockName],
    resampler: &mut Resampler,
) -> Vec<LockRow> {
    let worth: BTreeSet<&LockName> = shown
        .iter()
        .copied()
        .filter(|class| !class.is_guessed || asking.callers_of(class).len() > 1)
        .collect();
    let callers = by_size(asking, |run| {
        let callers = run.callers.iter();
        let of_shown = callers.filter(|((class, _), _)| worth.contains(class));
        of_shown
            .filter_map(|((class, caller), sum)| Some(((class, caller.as_deref()?), sum)))
            .collect()
    });
    callers
        .into_iter()
        .map(|((class, caller), share)| LockRow {
            quantity: Quantity::LockCaller(class.clone(), caller.to_owned(), Measure::Waited),
            share,
            seen: asking.seen(|run| {
                let key = (class.clone(), Some(caller.to_owned()));
                run.callers.get(&key).copied()
            }),
            outcome: asking
                .caller(class, caller)
                .map(|finding| with_interval(finding, resampler)),
        })
        .collect()
}

pub(super) fn with_interval(mut finding: Finding, resampler: &mut Resampler) -> Finding {
    finding.draw_interval(resampler);
    finding
}
