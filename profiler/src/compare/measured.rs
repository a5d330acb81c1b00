//! What was measured on one side alone, or in some of the boots: it is not compared, and that is said.

use std::collections::BTreeSet;

use super::{
    Basis, Comparison, Difference, Finding, Measure, Quantity, Samples, Setting, Side, Totals,
    setting::Instrument,
};
use crate::{recording::schema::Clock, span::Span};

/// What a recording is about as a whole, by this clock.
pub fn wholes(clock: Clock) -> Vec<Quantity> {
    match clock {
        // It knows no waits.
        Clock::Instructions => vec![Quantity::Work, Quantity::MeanHold],
        _ => vec![
            Quantity::Throughput,
            Quantity::MeanHold,
            Quantity::Waited,
            Quantity::AllLocks(Measure::Waited),
        ],
    }
}

/// Whether a boot of the side has a number for it, by such an instrument.
fn knows(side: &Samples<'_>, quantity: &Quantity, by: impl Fn(Instrument) -> bool) -> bool {
    let bare = matches!(quantity, Quantity::Throughput | Quantity::Work);
    let mut runs = side.boots.iter().flat_map(|boot| &boot.runs);
    runs.any(|(&instrument, totals)| {
        instrument.is_off() == bare && by(instrument) && quantity.value(totals).is_some()
    })
}

/// Why nobody can say what became of something as a whole that a side has measured: the other has not, or in
/// another way.
pub fn unanswered(comparison: &Comparison) -> Option<String> {
    let sides = [&comparison.before, &comparison.after];
    let settings: BTreeSet<&Setting> = sides.iter().flat_map(|side| side.boots.keys()).collect();
    for setting in settings {
        let samples = sides.map(|side| Samples::of(side, setting));
        let judged = wholes(setting.clock).into_iter();
        for quantity in judged.filter(|quantity| quantity.is_judged_in(setting)) {
            let known = samples
                .each_ref()
                .map(|side| knows(side, &quantity, |_| true));
            let (what, place) = (quantity.describe(), setting.describe());
            match known {
                [true, true] if is_answered(comparison, setting, &quantity, &samples) => {}
                [true, true] => {
                    return Some(format!(
                        "{what} of {} and {} was measured in ways that cannot be compared, with {place}",
                        sides[1].name, sides[0].name
                    ));
                }
                [false, false] => {}
                [before, _] => {
                    let alone = if before { sides[0] } else { sides[1] };
                    return Some(format!(
                        "{what} is known of {} alone, with {place}",
                        alone.name
                    ));
                }
            }
        }
    }
    None
}

/// Whether it stands beside each other: nothing on both sides does, too.
fn is_answered(
    comparison: &Comparison,
    setting: &Setting,
    quantity: &Quantity,
    [before, after]: &[Samples<'_>; 2],
) -> bool {
    let mut settings = comparison.settings.iter();
    let Some(found) = settings.find(|found| found.answers.setting == *setting) else {
        return false;
    };
    let instruments = found.answers.instruments;
    let instrument = match quantity {
        Quantity::Throughput | Quantity::Work => instruments.bare,
        Quantity::Waited | Quantity::AllLocks(_) => instruments.waits,
        _ => instruments.holds,
    };
    let finding = instrument.and_then(|by| Finding::of(quantity.clone(), by, [before, after]));
    finding.is_some()
}

/// What is to be said of a setting that both sides have.
pub fn differences(setting: &Setting, sides: [&Side; 2]) -> Vec<Difference> {
    let samples = sides.map(|side| Samples::of(side, setting));
    let [old, new] = samples.each_ref().map(Samples::instruments);
    let common: Vec<Instrument> = (&old & &new).into_iter().collect();
    let mut all = Vec::new();
    for &instrument in &common {
        all.extend(known_alone(setting, sides, &samples, instrument));
    }
    for &instrument in &common {
        for (side, samples) in sides.into_iter().zip(&samples) {
            all.extend(waits_in_some(side, samples, instrument));
        }
        all.extend(unprobed(sides, &samples, instrument));
        all.extend(load_options(setting, &samples, instrument));
    }
    // The same options are those of several instruments.
    let mut said = BTreeSet::new();
    all.retain(|difference| said.insert(difference.text.clone()));
    all
}

/// Wholes that one side has no number for, though it was measured by the same instrument.
fn known_alone<'a>(
    setting: &'a Setting,
    sides: [&'a Side; 2],
    samples: &'a [Samples<'_>; 2],
    instrument: Instrument,
) -> impl Iterator<Item = Difference> {
    let wholes = wholes(setting.clock).into_iter();
    wholes.filter_map(move |quantity| {
        let known = samples
            .each_ref()
            .map(|side| knows(side, &quantity, |by| by == instrument));
        let alone = match known {
            [true, false] => sides[0],
            [false, true] => sides[1],
            _ => return None,
        };
        Some(Difference {
            text: format!(
                "Only {} has a number for {} ({}): not compared.",
                alone.name,
                quantity.describe(),
                instrument.describe()
            ),
            excludes: true,
        })
    })
}

/// Waits that some recordings of a side do not know: those of the others are by the lives of the others.
fn waits_in_some(side: &Side, samples: &Samples<'_>, instrument: Instrument) -> Option<Difference> {
    let count = |number: fn(&Totals) -> usize| samples.totals(instrument).map(number).sum();
    let (all, known): (usize, usize) = (
        count(|totals| totals.recordings),
        count(|totals| totals.waits_of.recordings),
    );
    (known > 0 && known < all).then(|| Difference {
        text: format!(
            "Waits are not known in {} of {all} recordings of {} ({}): what is said of them is of the others.",
            all - known,
            side.name,
            instrument.describe()
        ),
        excludes: false,
    })
}

/// Bundled loads with the same tasks that were run otherwise.
fn load_options(
    setting: &Setting,
    samples: &[Samples<'_>; 2],
    instrument: Instrument,
) -> Option<Difference> {
    let [old, new] = samples.each_ref().map(|side| {
        let options = side
            .totals(instrument)
            .flat_map(|totals| &totals.load_options);
        options.map(String::as_str).collect::<BTreeSet<_>>()
    });
    let join = |options: &BTreeSet<&str>| options.iter().copied().collect::<Vec<_>>().join(", ");
    (old != new).then(|| Difference {
        text: format!(
            "The options of the load differ ({} / {}) with {}: what it does first, or after long, may be in the \
             numbers of one side alone.",
            join(&old),
            join(&new),
            setting.describe()
        ),
        excludes: false,
    })
}

/// Spans that were probed in some boots and not in others: what holds spend on whatever is around them differs by
/// that alone.
pub fn unlike_spans(instrument: Instrument, sides: [&Samples<'_>; 2]) -> BTreeSet<Span> {
    let unlike = |span: Span| {
        let boots = sides.into_iter().flat_map(|side| side.totals(instrument));
        let boots: Vec<(usize, usize)> = boots
            .map(|totals| (recordings_with(totals, span), totals.recordings))
            .collect();
        boots.iter().any(|(with, _)| *with > 0) && boots.iter().any(|(with, all)| with < all)
    };
    let all = sides.into_iter().flat_map(|side| side.totals(instrument));
    let spans: BTreeSet<Span> = all.flat_map(Totals::all_spans).collect();
    spans.into_iter().filter(|&span| unlike(span)).collect()
}

fn recordings_with(totals: &Totals, span: Span) -> usize {
    let basis: Option<&Basis> = totals.spans_of.get(&span);
    basis.map_or(0, |basis| basis.recordings)
}

/// What that means for each of them that was ever called.
fn unprobed(
    sides: [&Side; 2],
    samples: &[Samples<'_>; 2],
    instrument: Instrument,
) -> Vec<Difference> {
    let mut all = Vec::new();
    for span in unlike_spans(instrument, samples.each_ref()) {
        let mut boots = samples.iter().flat_map(|side| side.totals(instrument));
        let called = boots.any(|totals| {
            let mut spans = totals.spans.iter();
            spans.any(|((of, _), calls)| *of == span && calls.calls > 0.0)
        });
        if !called {
            continue;
        }
        let lacking = sides
            .into_iter()
            .zip(samples)
            .filter_map(|(side, samples)| {
                let boots: Vec<&Totals> = samples.totals(instrument).collect();
                let without: Vec<&&Totals> = boots
                    .iter()
                    .filter(|totals| recordings_with(totals, span) < totals.recordings)
                    .collect();
                let mut whys = without
                    .iter()
                    .filter_map(|totals| totals.spans_absent.get(&span));
                let why = whys
                    .next()
                    .map_or_else(String::new, |why| format!(" ({why})"));
                let name = &side.name;
                match without.len() {
                    0 => None,
                    some if some == boots.len() => Some(format!("{name}{why}")),
                    some => Some(format!("{some} of {} boots of {name}{why}", boots.len())),
                }
            });
        let lacking: Vec<String> = lacking.collect();
        let alike = samples.iter().all(|side| {
            let mut boots = side.totals(instrument);
            boots.any(|totals| recordings_with(totals, span) > 0)
        });
        let what = if alike {
            "what holds spend on calls around it, and on the rest, is not compared; where it is called, and what \
             they spend on it, by other recordings alone"
        } else {
            "where it is called, and what holds spend on it, on calls around it and on the rest, is not compared"
        };
        all.push(Difference {
            text: format!(
                "{} was not probed in {}: {what}.",
                span.name(),
                lacking.join(" and ")
            ),
            excludes: true,
        });
    }
    all
}
