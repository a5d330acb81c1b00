//! What the instruction clock says of a round of the network, for the forecast: a task life, or an iteration of the load.

use std::collections::{BTreeMap, BTreeSet};

use super::{Boot, Instrument, Samples, Setting, Side, Totals, setting::method_name};
use crate::{
    forecast::{
        GuardedCalls, KernelDemands, RoundDemands, RoundMeasures, SiteHolds, Subject, call_time,
        demands,
    },
    known_locks,
    recording::schema::{Clock, Detail, Method, Tier},
    span::Span,
    statistics::mean,
    work_unit::WorkUnit,
};

/// Nanoseconds of the virtual clock, which are instructions, in its second.
const INSTRUCTIONS_A_SECOND: f64 = 1e9;

/// Locks of unknown demand that are named at most.
const MOST_UNKNOWN: usize = 4;

/// What a forecast is made from.
#[derive(Clone, Debug)]
pub struct Demands {
    /// What it is about.
    pub subject: Subject,
    /// The demands of every kernel.
    pub kernels: Vec<KernelDemands>,
}

/// The demands of every kernel, or why there are none to make a forecast from.
///
/// # Errors
/// A sentence that says what is missing.
pub fn demands_of(sides: &[&Side]) -> Result<Demands, String> {
    let setting = sides
        .first()
        .and_then(|side| {
            side.boots
                .keys()
                .find(|setting| setting.clock == Clock::Instructions)
        })
        .ok_or("it takes recordings by the instruction clock")?;
    if setting.unit == WorkUnit::Second {
        return Err(format!(
            "of {} it takes a bundled load, which tells its iterations",
            setting.lock
        ));
    }
    if let Some(side) = sides.iter().find(|side| has_waits_alone(side, setting)) {
        return Err(format!(
            "holds of {lock} were not followed in {}, so that what {} asks of it is unknown: a lock is a station of the \
             model where its holds are exact",
            side.name,
            setting.unit.one(),
            lock = setting.lock,
        ));
    }
    let method = common_method(sides, setting)?;
    let kernels: Vec<(&Side, Vec<Round<'_>>)> = sides
        .iter()
        .map(|side| (*side, rounds(side, setting, method)))
        .collect();
    if let Some(unprobed) = kernels.iter().find_map(|kernel| unprobed(setting, kernel)) {
        return Err(unprobed);
    }
    let demanded = kernels
        .iter()
        .map(|(side, rounds)| {
            let boots = rounds.iter().map(|round| {
                let measures = round.measures(setting, &guarded(setting, (side, round), &kernels));
                demands(&measures).map_err(|error| format!("{}: {error}", side.name))
            });
            Ok(KernelDemands {
                name: side.name.clone(),
                boots: boots.collect::<Result<Vec<RoundDemands>, String>>()?,
            })
        })
        .collect::<Result<Vec<KernelDemands>, String>>()?;
    let mut holds = kernels.iter().flat_map(|(_, rounds)| rounds);
    let subject = Subject {
        lock: setting.lock.clone(),
        unit: setting.unit,
        null_hold_known: holds.all(|round| round.holds.null_hold_ns().is_some()),
        unknown: unknown(sides, setting, &demanded),
    };
    Ok(Demands {
        subject,
        kernels: demanded,
    })
}

/// Whether a side was probed in this setting, and nowhere for holds.
fn has_waits_alone(side: &Side, setting: &Setting) -> bool {
    let samples = Samples::of(side, setting);
    let instruments = samples.instruments();
    let mut probed = instruments.iter().filter(|one| !one.is_off()).peekable();
    probed.peek().is_some() && probed.all(|one| !one.sees_holds())
}

/// The locks that somebody was seen to wait for with this load, by whatever clock, and that no demand is known of: the
/// longest waited for first.
fn unknown(sides: &[&Side], setting: &Setting, demanded: &[KernelDemands]) -> Vec<String> {
    let mut waited: BTreeMap<&str, f64> = BTreeMap::new();
    let settings = sides.iter().flat_map(|side| &side.boots);
    let boots = settings.filter(|(other, _)| other.lock == setting.lock);
    let runs = boots
        .flat_map(|(_, boots)| boots)
        .flat_map(|boot| boot.runs.values());
    for (lock, waits) in runs.flat_map(|totals| &totals.other_locks) {
        *waited.entry(lock).or_default() += waits.waited_ns;
    }
    let stations = demanded.iter().flat_map(|kernel| &kernel.boots);
    let stations: BTreeSet<&str> = stations
        .flat_map(|boot| &boot.locks)
        .map(|lock| lock.name.as_str())
        .collect();
    let mut waited: Vec<(&str, f64)> = waited
        .into_iter()
        .filter(|(lock, waited_ns)| *waited_ns > 0.0 && !stations.contains(lock))
        .collect();
    waited.sort_by(|a, b| b.1.total_cmp(&a.1));
    let longest = waited.into_iter().take(MOST_UNKNOWN);
    longest.map(|(lock, _)| lock.to_owned()).collect()
}

/// The runs of one boot that say what a round is.
struct Round<'a> {
    bare: &'a Totals,
    holds: &'a Totals,
    /// None of a lock in whose holds no calls are followed.
    spans: Option<&'a Totals>,
}

/// What a lock is asked for by calls that were not probed is not nothing.
fn unprobed(setting: &Setting, (side, rounds): &(&Side, Vec<Round<'_>>)) -> Option<String> {
    let unprobed = |span: Span| {
        rounds
            .iter()
            .filter_map(|round| round.spans)
            .any(|spans| !spans.spans_of.contains_key(&span))
    };
    let (span, _) = guarded_spans(setting).find(|&(span, _)| unprobed(span))?;
    Some(format!(
        "calls of {} were not probed in {}, and how often they ask for a lock is not known",
        span.name(),
        side.name
    ))
}

/// The known spans of the setting's lock that take a lock of their own, with that.
fn guarded_spans(setting: &Setting) -> impl Iterator<Item = (Span, &'static str)> {
    let known = known_locks::spans_of(&setting.lock).iter();
    known.filter_map(|known| Some((known.span, known.own_lock?)))
}

/// How the exact tier probes, the cheapest first.
const METHODS: [Method; 2] = [Method::Fentry, Method::Kprobe];

/// The method by which all sides have what is needed: what probing costs must not count as a kernel's own.
fn common_method(sides: &[&Side], setting: &Setting) -> Result<Method, String> {
    let mut common = METHODS.to_vec();
    let mut known = Vec::new();
    for side in sides {
        let mut methods = METHODS.to_vec();
        methods.retain(|&method| !rounds(side, setting, method).is_empty());
        if methods.is_empty() {
            return Err(format!(
                "{} has no boot with the load alone (--attach off){} by the instruction clock and by one kind of probe",
                side.name,
                if has_calls(setting) {
                    ", with --detail holds and with --detail spans"
                } else {
                    " and with its holds followed"
                }
            ));
        }
        common.retain(|method| methods.contains(method));
        let names: Vec<&str> = methods.into_iter().map(method_name).collect();
        known.push(format!("{} by {}", side.name, names.join(" and ")));
    }
    common.first().copied().ok_or_else(|| {
        format!(
            "the kernels were probed in different ways ({}), which cost different times",
            known.join(", ")
        )
    })
}

/// The boots of a side that have all that is needed.
fn rounds<'a>(side: &'a Side, setting: &Setting, method: Method) -> Vec<Round<'a>> {
    let boots = Samples::of(side, setting).boots.into_iter();
    boots
        .filter_map(|boot| Round::of(boot, method, has_calls(setting)))
        .collect()
}

/// Whether calls are followed in the holds of the setting's lock.
fn has_calls(setting: &Setting) -> bool {
    setting.unit == WorkUnit::TaskLife
}

impl<'a> Round<'a> {
    fn of(boot: &'a Boot, method: Method, has_calls: bool) -> Option<Self> {
        let run = |wanted: &dyn Fn(&Instrument) -> bool| {
            let mut runs = boot.runs.iter().filter(|(instrument, totals)| {
                wanted(instrument) && totals.seconds > 0.0 && !totals.rates.is_empty()
            });
            runs.next().map(|(_, totals)| totals)
        };
        let exact = |instrument: &Instrument, detail: Detail| {
            instrument.tier == Tier::Exact
                && instrument.method == method
                && instrument.detail == detail
                && !instrument.readers
                && !instrument.cgroups
        };
        let spans = run(&|instrument| exact(instrument, Detail::Spans));
        if has_calls && spans.is_none() {
            return None;
        }
        Some(Self {
            bare: run(&|instrument| instrument.is_off())?,
            holds: run(&|instrument| exact(instrument, Detail::Holds))?,
            spans,
        })
    }

    fn measures(&self, setting: &Setting, guarded: &[GuardedCalls]) -> RoundMeasures {
        let profiled = length(self.holds);
        let sites = self.holds.holds.values();
        RoundMeasures {
            lock: setting.lock.clone(),
            bare: self.bare_round(),
            profiled,
            without_spans: Some(profiled),
            null_hold: self.holds.null_hold_ns(),
            holds: sites
                .filter_map(|holds| {
                    Some(SiteHolds {
                        per_round: holds.count() as f64 / self.holds.work,
                        mean: holds.mean_ns()?,
                    })
                })
                .collect(),
            guarded: guarded.to_vec(),
        }
    }

    /// A round without the profiler: the load tells its iterations, and the profiled run how many rounds
    /// one has.
    fn bare_round(&self) -> f64 {
        let rate = |totals: &Totals| mean(&totals.rates).unwrap_or(0.0);
        let rounds_a_second = self.holds.work / self.holds.seconds;
        let rounds_an_iteration = rounds_a_second / rate(self.holds);
        INSTRUCTIONS_A_SECOND / (rate(self.bare) * rounds_an_iteration)
    }

    /// The mean own time of a span inside of holds.
    fn time_of(&self, span: Span) -> Option<f64> {
        let (calls, own_ns) = inside(self.spans?, span);
        (calls > 0.0).then(|| own_ns / calls)
    }
}

/// Instructions of a round.
fn length(totals: &Totals) -> f64 {
    totals.seconds * INSTRUCTIONS_A_SECOND / totals.work
}

/// The calls of a span inside of holds, and their own time.
fn inside(totals: &Totals, span: Span) -> (f64, f64) {
    let spans = totals.spans.iter();
    spans
        .filter(|((of, site), _)| *of == span && site.is_some())
        .fold((0.0, 0.0), |(calls, own_ns), (_, totals)| {
            (calls + totals.calls, own_ns + totals.self_ns)
        })
}

/// The calls that take a lock of their own, with the time of a call of this kernel, else of another.
fn guarded(
    setting: &Setting,
    (side, round): (&Side, &Round<'_>),
    kernels: &[(&Side, Vec<Round<'_>>)],
) -> Vec<GuardedCalls> {
    let Some(probed) = round.spans else {
        return Vec::new();
    };
    let time = |rounds: &[Round<'_>], span: Span| {
        let times: Vec<f64> = rounds
            .iter()
            .filter_map(|round| round.time_of(span))
            .collect();
        mean(&times)
    };
    guarded_spans(setting)
        .filter_map(|(span, lock)| {
            let others: Vec<(&str, Option<f64>)> = kernels
                .iter()
                .filter(|(other, _)| other.name != side.name)
                .map(|(other, rounds)| (other.name.as_str(), time(rounds, span)))
                .collect();
            // By the whole side, so that each of its boots has the same locks.
            let own = kernels
                .iter()
                .find(|(other, _)| other.name == side.name)
                .and_then(|(_, rounds)| time(rounds, span));
            let own = own.map(|own| round.time_of(span).unwrap_or(own));
            let outside = probed.spans.get(&(span, None));
            Some(GuardedCalls {
                lock: lock.to_owned(),
                inside_per_round: inside(probed, span).0 / probed.work,
                outside_per_round: outside.map_or(0.0, |calls| calls.calls) / probed.work,
                time: call_time(own, &others)?,
            })
        })
        .collect()
}
