//! The deterministic part: instructions of a guest with one CPU, whose clock counts them.

use anyhow::{Context, Result, bail};
use lab::kernel;
use lab::vm::protocol::Step;
use lab::vm::{Clock, VmOutcome, VmRequest};

use super::bpftrace::{self, Form};
use super::contended::{self, Contention};
use super::cost::Measurement;
use super::hold_counter::{self, Section, TOGETHER};
use super::laboratory::Laboratory;
use super::loads;
use super::observer::{self, Observer};
use super::peers::{self, Peers};
use super::perf::Perf;
use super::reference;
use super::results::{ContendedCosts, Cost, KernelCosts, ObserverCosts};
use super::script::{Places, Script, Settle};
use super::statistics::{mean, relative_spread};
use super::symbols::{NO_RANDOM_ADDRESSES, Symbols};
use crate::guest::round::{self, Lab};
use crate::guest::summary::Summary;
use crate::workers;

/// The kernels of this part.
pub const KERNELS: [&str; 2] = ["debian:6.12", "debian:7.2"];
/// Lock-unlock pairs in one measurement. A timer's interrupt comes every one to four million
/// instructions, with or without an observer.
const PAIRS: u32 = 10_000;
/// Lives in one measurement.
const LIVES: u32 = 600;
/// What may differ between boots, as a share of what a pair costs in all. A life differs by more: where
/// its memory comes from depends on what ran before it.
const REPEATS_WITHIN: f64 = 0.01;
/// Seconds between two readings of the counters: none while a load runs.
const ONE_READING_S: u32 = 100_000;
/// The site of a null hold.
const NULL_HOLD_SITE: &str = "setsid";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub enum Extent<'a> {
    /// Everything, with the peers, or why there are none.
    Whole(&'a Result<Peers, String>),
    /// lockprof in all its forms, and nothing else.
    Own,
    /// What CI compares: lockprof alone.
    Check,
}

/// The loads, in the order of a script's places.
const PAIR: usize = 0;
const LIFE: usize = 1;

fn loads() -> [Step; 2] {
    let load = |workload, warm_up, iterations: u32| {
        loads::step(
            workload,
            1,
            warm_up,
            &["--iterations", &iterations.to_string()],
        )
    };
    [
        load("nullhold", "0", PAIRS),
        load("threadspawn", "0.01", LIVES),
    ]
}

/// Measures one kernel with so many boots.
pub fn run(
    laboratory: &Laboratory,
    kernel: &str,
    extent: Extent<'_>,
    boots: usize,
) -> Result<KernelCosts> {
    let image = kernel::resolve(kernel)?;
    let lab = Lab::new(&image, &laboratory.binaries);
    let symbols = Symbols::of(
        &laboratory.request(&lab, Vec::new()),
        reference::functions(),
    )?;
    let mut costs = KernelCosts {
        kernel: kernel.to_owned(),
        boots,
        ..KernelCosts::default()
    };
    if let Err(why) = &laboratory.hold_counter {
        costs.not_measured.note("instructions inside the hold", why);
    }
    let own = Bench {
        laboratory,
        lab: &lab,
        symbols: &symbols,
        peers: None,
    };
    let (release, found) = own.boots(&observers(extent, &symbols), boots)?;
    costs.release = release;
    costs.observers = found;
    if laboratory.hold_counter.is_ok() {
        costs.contended = own.contended(&contended_observers(extent), boots)?;
        let lockprof = lockprof("holds", "fentry");
        costs.lengths = reference::run(laboratory, &lab, &symbols, &lockprof)?;
    }
    if let Extent::Whole(peers) = extent {
        measure_peers(&own, peers, boots, &mut costs)?;
    }
    Ok(costs)
}

/// What can be measured of the peers; what cannot is noted with its reason.
fn measure_peers(
    own: &Bench<'_>,
    peers: &Result<Peers, String>,
    boots: usize,
    costs: &mut KernelCosts,
) -> Result<()> {
    for (what, why) in peers::UNABLE {
        costs.not_measured.note(what, why);
    }
    let peers = match peers {
        Ok(peers) => peers,
        Err(why) => {
            costs.not_measured.note("bpftrace", why);
            return Ok(());
        }
    };
    let bench = Bench {
        peers: Some(peers),
        ..*own
    };
    let mut observers = Vec::new();
    for form in [Form::Kfunc, Form::Kprobe] {
        match peers.can_trace(own.laboratory, own.lab, form)? {
            Ok(()) => observers.push(bpftrace::observer(form)),
            Err(why) => {
                let what = format!("the bpftrace script by {}", form.name());
                costs.not_measured.note(&what, &why);
            }
        }
    }
    if !observers.is_empty() {
        let found = bench.boots(&observers, boots);
        let found = costs.not_measured.or_note("bpftrace", found)?;
        costs
            .observers
            .extend(found.into_iter().flat_map(|(_, found)| found));
    }
    match &peers.perf {
        Ok(_) => observers.push(Perf::observer()),
        Err(why) => costs.not_measured.note("perf lock contention -b", why),
    }
    // Each by itself: one that fails takes the others' numbers with it.
    for observer in observers {
        if own.laboratory.hold_counter.is_ok() {
            let what = format!("{} where the lock is contended", observer.what);
            let found = bench.contended(&[observer], boots);
            let found = costs.not_measured.or_note(&what, found)?;
            costs.contended.extend(found.into_iter().flatten());
        }
    }
    Ok(())
}

fn lockprof(detail: &str, attach: &str) -> Observer {
    Observer::lockprof(detail, attach, ONE_READING_S)
}

/// lockprof in each of its forms.
fn all_of_lockprof() -> Vec<Observer> {
    let mut observers = vec![lockprof("holds", "wait")];
    for detail in ["holds", "spans"] {
        observers.extend(["fentry", "kprobe"].map(|attach| lockprof(detail, attach)));
    }
    observers.push(lockprof("spans", "fentry").with_span("__wake_up"));
    observers
}

/// Those that are measured where the lock is contended.
fn contended_observers(extent: Extent<'_>) -> Vec<Observer> {
    match extent {
        Extent::Whole(_) => {
            let mut observers = observer::floors_of_contention();
            observers.extend(all_of_lockprof());
            observers
        }
        Extent::Own => all_of_lockprof(),
        Extent::Check => vec![
            lockprof("holds", "wait"),
            lockprof("holds", "fentry"),
            lockprof("holds", "kprobe"),
        ],
    }
}

fn observers(extent: Extent<'_>, symbols: &Symbols) -> Vec<Observer> {
    match extent {
        Extent::Whole(_) => {
            let mut observers = observer::floors();
            observers.extend(observer::floors_of_spans(|span| symbols.has(span)));
            observers.extend(all_of_lockprof());
            observers
        }
        Extent::Own => all_of_lockprof(),
        Extent::Check => vec![
            lockprof("holds", "fentry"),
            lockprof("holds", "kprobe"),
            lockprof("spans", "fentry"),
        ],
    }
}

/// What all boots of one kernel share.
#[derive(Clone, Copy)]
struct Bench<'a> {
    laboratory: &'a Laboratory,
    lab: &'a Lab<'a>,
    symbols: &'a Symbols,
    peers: Option<&'a Peers>,
}

impl Bench<'_> {
    /// So many boots with these observers; the kernel's release and the means.
    fn boots(&self, observers: &[Observer], boots: usize) -> Result<(String, Vec<ObserverCosts>)> {
        let mut release = String::new();
        let mut costs = Vec::new();
        let name = &self.lab.kernel.name;
        let numbers: Vec<usize> = (1..=boots).collect();
        let outcomes = workers::each(&numbers, Clock::Instructions.side_by_side(), |boot| {
            let (outcome, found) = self.boot(observers)?;
            let seconds = outcome.wall.as_secs_f64();
            eprintln!("bench: {name}, instructions: boot {boot} of {boots} took {seconds:.0} s");
            Ok::<_, anyhow::Error>((outcome.release, found))
        })?;
        for outcome in outcomes {
            let (its_release, found) = outcome?;
            release = its_release;
            costs.push(found);
        }
        Ok((release, merge(&costs)?))
    }

    /// The same where the lock is contended.
    fn contended(&self, observers: &[Observer], boots: usize) -> Result<Vec<ContendedCosts>> {
        contended::run(
            self.laboratory,
            self.lab,
            &Contention::of_tasklist_lock(self.symbols)?,
            self.peers,
            observers,
            boots,
        )
    }

    fn request(&self, steps: Vec<Step>) -> Result<VmRequest> {
        let mut request = self.laboratory.request(self.lab, steps);
        if let Some(peers) = self.peers {
            peers.add_to(&mut request)?;
        }
        Ok(request)
    }

    fn boot(&self, observers: &[Observer]) -> Result<(VmOutcome, Vec<ObserverCosts>)> {
        let script = Script::new(observers, &loads(), Settle::INSTRUCTIONS);
        let mut request = self.request(script.steps.clone())?;
        request.cpus = 1;
        request.clock = Clock::Instructions;
        request.append.push(NO_RANDOM_ADDRESSES.to_owned());
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let counted = folder.path().join("holds");
        let plugin = self.laboratory.hold_counter.as_deref().ok();
        let counter = plugin.zip(self.symbols.hold_counter_arguments());
        if let Some((plugin, functions)) = &counter {
            request.plugin = Some(hold_counter::argument(plugin, functions, &counted));
        }
        let outcome =
            round::succeed(&request).context("a boot of the deterministic part failed")?;
        let sections = counter
            .map(|_| hold_counter::read(&counted, script.sections.iter().flatten().count()))
            .transpose()?;
        let mut costs = Vec::new();
        for (observer, places) in observers.iter().zip(&script.places) {
            let cost =
                |load: usize| cost(&outcome, &script, sections.as_deref(), load, &places[load]);
            let named = |error: anyhow::Error| error.context(observer.name.clone());
            let reported = observer
                .recording
                .as_ref()
                .filter(|_| observer.measures_holds)
                .map(|name| Summary::of(self.lab, &outcome, name)?.mean_hold(NULL_HOLD_SITE));
            costs.push(ObserverCosts {
                name: observer.name.clone(),
                what: observer.what.clone(),
                pair: cost(PAIR).map_err(named)?,
                life: Some(cost(LIFE).map_err(named)?),
                reported_null_hold: reported.transpose()?,
            });
        }
        Ok((outcome, costs))
    }
}

/// What the observer adds to a load, from its four measurements.
fn cost(
    outcome: &VmOutcome,
    script: &Script,
    sections: Option<&[Section]>,
    load: usize,
    places: &Places,
) -> Result<Cost> {
    Cost::between(places, |place| {
        let step = outcome.steps.get(place).context("a step has no outcome")?;
        let truth = loads::ground_truth(step)?;
        let section = sections.zip(script.sections[place]);
        let section = section.map(|(sections, index)| sections[index]);
        if let Some(section) = &section {
            loads::check_holds(&truth, section.holds)?;
        }
        Ok(Measurement {
            clock: truth.duration_s * 1e9 / truth.iterations as f64,
            counted: section.map(|section| match load {
                LIFE => section.many.divided(TOGETHER / loads::HOLDS_OF_A_LIFE),
                _ => section.one,
            }),
        })
    })
}

/// The means over boots; an error where they do not repeat.
fn merge(boots: &[Vec<ObserverCosts>]) -> Result<Vec<ObserverCosts>> {
    let first = boots.first().context("no boot")?;
    let merged = first.iter().enumerate().map(|(index, observer)| {
        let all = boots.iter().map(|boot| &boot[index]).collect::<Vec<_>>();
        let pairs = all.iter().map(|one| &one.pair).collect::<Vec<_>>();
        let lives = all
            .iter()
            .map(|one| one.life.as_ref())
            .collect::<Option<Vec<_>>>();
        let reported = all
            .iter()
            .map(|one| one.reported_null_hold)
            .collect::<Option<Vec<_>>>();
        ObserverCosts {
            pair: Cost::mean_of(&pairs),
            life: lives.map(|lives| Cost::mean_of(&lives)),
            reported_null_hold: reported.map(|all| mean(all.into_iter())),
            ..observer.clone()
        }
    });
    let merged = merged.collect::<Vec<_>>();
    for (index, observer) in merged.iter().enumerate() {
        let of = |value: fn(&ObserverCosts) -> Option<f64>| {
            let values = boots.iter().filter_map(|boot| value(&boot[index]));
            relative_spread(&values.collect::<Vec<_>>())
        };
        for (what, spread) in [
            ("a pair", observer.pair.spread),
            ("what is in its hold", of(|one| one.pair.added_in_hold)),
            ("the null hold it reports", of(|one| one.reported_null_hold)),
        ] {
            if spread > REPEATS_WITHIN {
                bail!(
                    "{}: {what} does not repeat: boots differ by {:.2} %",
                    observer.name,
                    spread * 100.0
                );
            }
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observer(added: f64, held: Option<f64>) -> Vec<ObserverCosts> {
        vec![ObserverCosts {
            name: "x".to_owned(),
            pair: Cost {
                bare: 100.0,
                added,
                added_in_hold: held,
                ..Cost::default()
            },
            ..ObserverCosts::default()
        }]
    }

    #[test]
    fn boots_are_averaged() {
        let merged = merge(&[observer(99.9, Some(200.0)), observer(100.1, Some(201.0))]).unwrap();
        assert!((merged[0].pair.added - 100.0).abs() < 1e-9);
        assert_eq!(merged[0].pair.added_in_hold, Some(200.5));
        assert!((merged[0].pair.spread - 0.001).abs() < 1e-9);
    }

    #[test]
    fn boots_that_do_not_repeat_are_an_error() {
        let error = merge(&[observer(100.0, None), observer(103.0, None)]).unwrap_err();
        assert!(error.to_string().contains("1.49 %"), "{error}");
        let error = merge(&[observer(100.0, Some(10.0)), observer(100.0, Some(11.0))]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("what is in its hold does not"), "{error}");
        assert!(merge(&[]).is_err());
    }
}
