//! What the instruction clock says of a task life, for the forecast.

use lockprof_abi::Span;

use super::{Boot, Instrument, Samples, Setting, Side, Totals, setting::method_name};
use crate::{
    forecast::{
        GuardedCalls, KernelDemands, LifeDemands, LifeMeasures, SiteHolds, call_time, demands,
    },
    profile::own_lock,
    recording::schema::{Clock, Detail, Method, Tier},
    statistics::mean,
};

/// Nanoseconds of the virtual clock, which are instructions, in its second.
const INSTRUCTIONS_A_SECOND: f64 = 1e9;

/// The demands of every kernel, or why there are none to make a forecast from.
///
/// # Errors
/// A sentence that says what is missing.
pub fn demands_of(sides: &[&Side]) -> Result<Vec<KernelDemands>, String> {
    let setting = sides
        .first()
        .and_then(|side| {
            side.boots
                .keys()
                .find(|setting| setting.clock == Clock::Instructions)
        })
        .ok_or("it takes recordings by the instruction clock")?;
    let method = common_method(sides, setting)?;
    let kernels: Vec<(&Side, Vec<Life<'_>>)> = sides
        .iter()
        .map(|side| (*side, lives(side, setting, method)))
        .collect();
    if let Some(unprobed) = kernels.iter().find_map(unprobed) {
        return Err(unprobed);
    }
    kernels
        .iter()
        .map(|(side, lives)| {
            let boots = lives.iter().map(|life| {
                let measures = life.measures(&guarded(side, life, &kernels));
                demands(&measures).map_err(|error| format!("{}: {error}", side.name))
            });
            Ok(KernelDemands {
                name: side.name.clone(),
                boots: boots.collect::<Result<Vec<LifeDemands>, String>>()?,
            })
        })
        .collect()
}

/// The runs of one boot that say what a life is.
struct Life<'a> {
    bare: &'a Totals,
    holds: &'a Totals,
    spans: &'a Totals,
}

/// What a lock is asked for by calls that were not probed is not nothing.
fn unprobed((side, lives): &(&Side, Vec<Life<'_>>)) -> Option<String> {
    let guarded = Span::ALL.iter().filter(|&&span| own_lock(span).is_some());
    let unprobed = |span: Span| {
        lives
            .iter()
            .any(|life| !life.spans.spans_of.contains_key(&span))
    };
    let span = guarded.copied().find(|&span| unprobed(span))?;
    Some(format!(
        "calls of {} were not probed in {}, and how often they ask for a lock is not known",
        span.name(),
        side.name
    ))
}

/// How the exact tier probes, the cheapest first.
const METHODS: [Method; 2] = [Method::Fentry, Method::Kprobe];

/// The method by which all sides have what is needed: what probing costs must not count as a kernel's own.
fn common_method(sides: &[&Side], setting: &Setting) -> Result<Method, String> {
    let mut common = METHODS.to_vec();
    let mut known = Vec::new();
    for side in sides {
        let mut methods = METHODS.to_vec();
        methods.retain(|&method| !lives(side, setting, method).is_empty());
        if methods.is_empty() {
            return Err(format!(
                "{} has no boot with the load alone (--attach off), with --detail holds and with \
                 --detail spans by the instruction clock and by one kind of probe",
                side.name
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
fn lives<'a>(side: &'a Side, setting: &Setting, method: Method) -> Vec<Life<'a>> {
    let boots = Samples::of(side, setting).boots.into_iter();
    boots.filter_map(|boot| Life::of(boot, method)).collect()
}

impl<'a> Life<'a> {
    fn of(boot: &'a Boot, method: Method) -> Option<Self> {
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
        Some(Self {
            bare: run(&|instrument| instrument.is_off())?,
            holds: run(&|instrument| exact(instrument, Detail::Holds))?,
            spans: run(&|instrument| exact(instrument, Detail::Spans))?,
        })
    }

    fn measures(&self, guarded: &[GuardedCalls]) -> LifeMeasures {
        let profiled = length(self.holds);
        let sites = self.holds.holds.values();
        LifeMeasures {
            bare: self.bare_life(),
            profiled,
            without_spans: Some(profiled),
            null_hold: self.holds.null_hold_ns().unwrap_or(0.0),
            holds: sites
                .filter_map(|holds| {
                    Some(SiteHolds {
                        per_life: holds.count() as f64 / self.holds.lives,
                        mean: holds.mean_ns()?,
                    })
                })
                .collect(),
            guarded: guarded.to_vec(),
        }
    }

    /// A life without the profiler: the load tells its iterations, and the profiled run how many lives
    /// one has.
    fn bare_life(&self) -> f64 {
        let rate = |totals: &Totals| mean(&totals.rates).unwrap_or(0.0);
        let lives_a_second = self.holds.lives / self.holds.seconds;
        let lives_an_iteration = lives_a_second / rate(self.holds);
        INSTRUCTIONS_A_SECOND / (rate(self.bare) * lives_an_iteration)
    }

    /// The mean own time of a span inside of holds.
    fn time_of(&self, span: Span) -> Option<f64> {
        let (calls, own_ns) = inside(self.spans, span);
        (calls > 0.0).then(|| own_ns / calls)
    }
}

/// Instructions of a life.
fn length(totals: &Totals) -> f64 {
    totals.seconds * INSTRUCTIONS_A_SECOND / totals.lives
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
fn guarded(side: &Side, life: &Life<'_>, kernels: &[(&Side, Vec<Life<'_>>)]) -> Vec<GuardedCalls> {
    let time = |lives: &[Life<'_>], span: Span| {
        let times: Vec<f64> = lives.iter().filter_map(|life| life.time_of(span)).collect();
        mean(&times)
    };
    let spans = Span::ALL
        .iter()
        .filter_map(|&span| Some((span, own_lock(span)?)));
    spans
        .filter_map(|(span, lock)| {
            let others: Vec<(&str, Option<f64>)> = kernels
                .iter()
                .filter(|(other, _)| other.name != side.name)
                .map(|(other, lives)| (other.name.as_str(), time(lives, span)))
                .collect();
            // By the whole side, so that each of its boots has the same locks.
            let own = kernels
                .iter()
                .find(|(other, _)| other.name == side.name)
                .and_then(|(_, lives)| time(lives, span));
            let own = own.map(|own| life.time_of(span).unwrap_or(own));
            let outside = life.spans.spans.get(&(span, None));
            Some(GuardedCalls {
                lock: lock.to_owned(),
                inside_per_life: inside(life.spans, span).0 / life.spans.lives,
                outside_per_life: outside.map_or(0.0, |calls| calls.calls) / life.spans.lives,
                time: call_time(own, &others)?,
            })
        })
        .collect()
}
