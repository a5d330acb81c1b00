//! Recordings of all locks (`lockprof locks`) beside each other: by class, and by class and who asked.
//!
//! Waiting for all locks and for the largest classes is asked about together, so that a class that gained what
//! another one lost is found, though all waiting is the same. These are no more than so many samples can answer at
//! once, and none that is next to nothing. Which classes are large is told by all samples of both sides together: that says nothing of how the sides
//! differ. How often and how long, and whose, is asked of what has changed alone.

mod rows;

use std::collections::BTreeSet;

pub use rows::{LEAST_ASKED, LockRow};

use super::{
    CompareError, Difference, Finding, Instrument, LEVEL, LockName, LockRun, Measure, Quantity,
    Sampled, Samples, Setting, Side, Verdict,
    family::{decide, drawn},
    instruments::spin_in_one_way,
};
use crate::statistics::{Resampler, smallest_p};
use rows::{Asking, callers, classes, with_interval};

/// All locks of two sides in one setting.
#[derive(Clone, Debug)]
pub struct EveryLock {
    /// What a sample is.
    pub sampled: Sampled,
    /// How many each side has.
    pub samples: [usize; 2],
    /// Why there is no answer about all locks together, where there is none: a part of a sentence.
    pub all_unknown: Option<String>,
    /// Whether a recording may have seen none of the waits that there were.
    pub is_unproved: bool,
    /// Waited time by class, the largest first: at most 10, each 0.1 % of all waiting or more.
    pub classes: Vec<LockRow>,
    /// That of all other classes together, without a verdict, and how many they are.
    pub others: Option<(Finding, usize)>,
    /// How often and how long: of all locks, then of each class.
    pub parts: Vec<Finding>,
    /// Waited time by class and who asked, in the same way.
    pub callers: Vec<LockRow>,
}

impl EveryLock {
    /// Every answer but that about all locks together.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let classes = self.classes.iter().filter_map(LockRow::finding);
        let others = self.others.iter().map(|(finding, _)| finding);
        let callers = self.callers.iter().filter_map(LockRow::finding);
        classes.chain(others).chain(&self.parts).chain(callers)
    }
}

/// What came out in one setting.
pub(super) struct Answered {
    pub(super) setting: Setting,
    /// Boots of both sides.
    pub(super) boots: [usize; 2],
    pub(super) instrument: Instrument,
    /// About all locks together, where there is an answer.
    pub(super) all: Option<Finding>,
    /// About them one by one.
    pub(super) locks: EveryLock,
}

/// Whether the sides are of all locks.
///
/// # Errors
/// Some recordings are, and others are of one lock.
pub(super) fn is_asked(sides: [&Side; 2]) -> Result<bool, CompareError> {
    let kinds = sides.map(|side| {
        let totals = side.boots.values().flatten();
        let totals = totals.flat_map(|boot| boot.runs.values());
        let kinds: BTreeSet<bool> = totals.map(|totals| !totals.every_lock.is_empty()).collect();
        kinds
    });
    let mut both = kinds.iter().flatten();
    let first = both.next().copied().unwrap_or(false);
    if both.all(|&kind| kind == first) {
        return Ok(first);
    }
    let [before, after] = sides.map(|side| side.name.clone());
    let [old, new] = kinds.map(|kinds| {
        let words = match (kinds.contains(&true), kinds.contains(&false)) {
            (true, false) => "of all locks (lockprof locks)",
            (false, _) => "of one lock",
            (true, true) => "of both kinds",
        };
        words.to_owned()
    });
    Err(CompareError::Mixed {
        sides: [(before, old), (after, new)],
    })
}

/// What a sample is: where all recordings are of one boot, which would be no comparison of kernels, one of them.
pub(super) fn sampled(sides: [&Side; 2]) -> Sampled {
    let boots: BTreeSet<&str> = sides.into_iter().flat_map(Side::boot_ids).collect();
    if boots.len() == 1 {
        Sampled::Recording
    } else {
        Sampled::Boot
    }
}

/// How many questions so many samples of both sides can answer at once.
fn capacity([before, after]: [usize; 2]) -> usize {
    let smallest = smallest_p(before, after);
    // No more is ever asked.
    let most = 1 + rows::MOST;
    (1..=most)
        .take_while(|&questions| smallest * questions as f64 <= LEVEL)
        .last()
        .unwrap_or(1)
}

/// Compares in every setting that both sides have.
pub(super) fn compare(sides: [&Side; 2], resampler: &mut Resampler) -> Vec<Answered> {
    let sampled = sampled(sides);
    let settings = sides[0].boots.keys();
    let askings: Vec<Asking<'_>> = settings
        .filter_map(|setting| asking(setting, sides, sampled))
        .collect();
    let mut drafts: Vec<(Result<Finding, String>, Vec<LockRow>)> = askings
        .iter()
        .map(|asking| {
            let all = asking.all(Measure::Waited);
            let all = all.map(|finding| with_interval(finding, resampler));
            (all, classes(asking, resampler))
        })
        .collect();
    let mut asked = Vec::new();
    let mut others = Vec::new();
    let settings = askings.len().max(1);
    for (asking, (all, rows)) in askings.iter().zip(&mut drafts) {
        let judged = !asking.setting.shares_cpus();
        let places = capacity(asking.sizes()) / settings;
        let of_rows = rows.iter_mut().filter_map(|row| {
            let is_asked = row.share >= LEAST_ASKED;
            Some((row.finding_mut()?, is_asked))
        });
        let findings = all.iter_mut().map(|all| (all, true)).chain(of_rows);
        for (index, (finding, is_asked)) in findings.enumerate() {
            if judged && is_asked && index < places.max(1) {
                asked.push(finding);
            } else {
                others.push(finding);
            }
        }
    }
    decide(asked, true);
    decide(others, false);
    for all in drafts.iter_mut().filter_map(|(all, _)| all.as_mut().ok()) {
        // Nothing is what nothing was, without an interval, too.
        if all.verdict == Verdict::Noisy && all.is_empty() {
            all.verdict = Verdict::Same;
        }
    }
    let further = askings.into_iter().zip(drafts);
    further
        .map(|(asking, (all, rows))| answers(&asking, all, rows, resampler))
        .collect()
}

fn asking<'a>(setting: &'a Setting, sides: [&'a Side; 2], sampled: Sampled) -> Option<Asking<'a>> {
    if !sides[1].boots.contains_key(setting) {
        return None;
    }
    let samples = sides.map(|side| Samples::of(side, setting));
    let [old, new] = samples.each_ref().map(Samples::instruments);
    let instrument = (&old & &new).into_iter().next()?;
    if !spin_in_one_way(samples.each_ref()) {
        return None;
    }
    let boots = samples.each_ref().map(|side| side.boots.len());
    let samples = samples.map(|side| {
        let boots = side.totals(instrument);
        let runs = boots.map(|totals| totals.every_lock.iter().collect::<Vec<&LockRun>>());
        match sampled {
            Sampled::Boot => runs.collect(),
            Sampled::Recording => {
                let mut runs: Vec<&LockRun> = runs.flatten().collect();
                runs.sort_by(|a, b| a.started_at_s.total_cmp(&b.started_at_s));
                runs.into_iter().map(|run| vec![run]).collect()
            }
        }
    });
    Some(Asking {
        setting,
        instrument,
        boots,
        samples,
        sampled,
    })
}

/// Asks on, from what became of all locks and of the classes.
fn answers(
    asking: &Asking<'_>,
    all: Result<Finding, String>,
    rows: Vec<LockRow>,
    resampler: &mut Resampler,
) -> Answered {
    let shown: Vec<&LockName> = rows.iter().filter_map(LockRow::class).collect();
    let others = all.as_ref().ok().and_then(|_| asking.others(&shown));
    let others = others.map(|(finding, count)| {
        let mut finding = with_interval(finding, resampler);
        decide(vec![&mut finding], false);
        (finding, count)
    });
    let mut parts = Vec::new();
    for whole in all.iter().chain(rows.iter().filter_map(LockRow::finding)) {
        let measures = [Measure::Waits, Measure::Mean].into_iter();
        let findings = measures.filter_map(|measure| match &whole.quantity {
            Quantity::LockClass(class, _) => asking.class(class, measure).ok(),
            _ => asking.all(measure).ok(),
        });
        let mut findings = drawn(findings.collect(), resampler);
        decide(findings.iter_mut().collect(), whole.is_rejected());
        parts.extend(findings);
    }
    let mut callers = callers(asking, &shown, resampler);
    for class in rows.iter().filter_map(LockRow::finding) {
        let Quantity::LockClass(name, _) = &class.quantity else {
            continue;
        };
        let of_class = callers.iter_mut().filter(|row| row.class() == Some(name));
        let (large, small): (Vec<&mut LockRow>, Vec<&mut LockRow>) =
            of_class.partition(|row| row.share >= LEAST_ASKED);
        let findings = large.into_iter().filter_map(LockRow::finding_mut);
        let mut findings: Vec<&mut Finding> = findings.collect();
        let mut rest = findings.split_off(findings.len().min(capacity(asking.sizes())));
        rest.extend(small.into_iter().filter_map(LockRow::finding_mut));
        decide(findings, class.is_rejected());
        decide(rest, false);
    }
    let (all, all_unknown) = match all {
        Ok(all) => (Some(all), None),
        Err(why) => (None, Some(why)),
    };
    Answered {
        setting: asking.setting.clone(),
        boots: asking.boots,
        instrument: asking.instrument,
        all,
        locks: EveryLock {
            sampled: asking.sampled,
            samples: asking.sizes(),
            all_unknown,
            is_unproved: asking.is_unproved(),
            classes: rows,
            others,
            parts,
            callers,
        },
    }
}

/// What differs between recordings of all locks, and is no reason not to compare them.
pub(super) fn differences(sides: [&Side; 2]) -> Vec<Difference> {
    let runs = sides.map(|side| -> Vec<&LockRun> {
        let totals = side.boots.values().flatten();
        let totals = totals.flat_map(|boot| boot.runs.values());
        totals.flat_map(|totals| &totals.every_lock).collect()
    });
    let values = |of: fn(&LockRun) -> String| {
        runs.each_ref().map(|runs| {
            let all: BTreeSet<String> = runs.iter().map(|run| of(run)).collect();
            all
        })
    };
    let join = |values: &BTreeSet<String>| {
        let words = values.iter().map(|value| match value.as_str() {
            "" => "none of lockprof's",
            value => value,
        });
        words.collect::<Vec<_>>().join(", ")
    };
    let mut all = Vec::new();
    let mut say = |text: String| {
        all.push(Difference {
            text,
            excludes: false,
        });
    };
    let [old, new] = values(|run| run.load.clone());
    if old != new {
        say(format!(
            "The loads differ ({} / {}): what changed may be their doing.",
            join(&old),
            join(&new)
        ));
    }
    let [old, new] = values(|run| run.only.join(", "));
    if old != new {
        say(format!(
            "What was looked at has other names ({} / {}).",
            join(&old),
            join(&new)
        ));
    }
    if sampled(sides) == Sampled::Recording {
        say(
            "All recordings are of one boot, and each is a sample: what changes from boot to boot is in no interval."
                .to_owned(),
        );
        let began = runs.each_ref().map(|runs| {
            let began = runs.iter().map(|run| run.started_at_s);
            began.fold((f64::INFINITY, f64::NEG_INFINITY), |(first, last), at| {
                (first.min(at), last.max(at))
            })
        });
        let [old, new] = began;
        let names = sides.map(|side| side.name.as_str());
        let in_turn = |first: &str, then: &str| {
            format!(
                "All recordings of {first} were made before those of {then}: what changed on the machine meanwhile is \
                 in the change, too. In turn they would tell that apart."
            )
        };
        if old.1 < new.0 {
            say(in_turn(names[0], names[1]));
        } else if new.1 < old.0 {
            say(in_turn(names[1], names[0]));
        }
    }
    all
}
