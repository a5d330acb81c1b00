//! What it costs to follow a lock of a kind by its functions, beside others that do.

mod kind;
pub mod observers;
pub mod results;
pub mod switches;
pub mod tables;
pub mod two_tasks;

use anyhow::{Context, Result};
use lab::kernel;
use lab::vm::{Clock, VmOutcome};

use super::contended::{self, Contention};
use super::cost::Measurement;
use super::hold_counter::{self, Section};
use super::laboratory::Laboratory;
use super::loads;
use super::observer::Observer;
use super::peers::Peers;
use super::results::{Cost, NotMeasured};
use super::script::{Places, Script, Settle};
use super::symbols::{NO_RANDOM_ADDRESSES, Symbols};
use crate::guest::round::{self, Lab};
use crate::workers;
use kind::{KINDS, Kind};
use results::{KernelKinds, KindObserver, OfKind};

/// Iterations of a load in one measurement.
const ITERATIONS: &str = "20000";
/// Of one observer where two CPUs contend, a boot by itself: one that fails takes the others' numbers with it.
const CONTENDED_BOOTS: usize = 1;
/// The loads, in the order of a script's places.
const FOLLOWED: usize = 0;
const OTHERS: usize = 1;

/// Measures one kernel.
pub fn run(
    laboratory: &Laboratory,
    peers: &Result<Peers, String>,
    kernel: &str,
    boots: usize,
) -> Result<KernelKinds> {
    let image = kernel::resolve(kernel)?;
    let lab = Lab::new(&image, &laboratory.binaries);
    let mut found = KernelKinds {
        kernel: kernel.to_owned(),
        boots,
        ..KernelKinds::default()
    };
    for kind in &KINDS {
        let names = [kind.takes, kind.gives_back, kind.lock].into_iter();
        let names = names.chain(kind.slow.iter().copied());
        let symbols = Symbols::named(&laboratory.request(&lab, Vec::new()), names)?;
        let bench = Bench {
            laboratory,
            lab: &lab,
            peers: peers.as_ref().ok(),
            kind,
            counter: symbols.counter_of(kind.takes, kind.slow, kind.gives_back, kind.lock),
        };
        let groups = observers::groups(kind, peers, &mut found.not_measured);
        let (release, of_kind) = bench.measure(&groups, boots, &mut found.not_measured)?;
        found.release = release;
        found.kinds.push(of_kind);
    }
    let what = "throughput of two tasks";
    match peers.as_ref() {
        Ok(peers) => {
            let left = two_tasks::run(laboratory, &lab, peers);
            found.two_tasks = found.not_measured.or_note(what, left)?.unwrap_or_default();
        }
        Err(why) => found.not_measured.note(what, why),
    }
    let what = "what it costs a switch that holders are watched";
    match peers.as_ref().map(|peers| (peers, &peers.perf)) {
        Ok((peers, Ok(_))) => {
            let seen = switches::run(laboratory, &lab, peers, &KINDS[0]);
            let seen = found.not_measured.or_note(what, seen)?;
            found.switches = seen.unwrap_or_default();
        }
        Ok((_, Err(why))) | Err(why) => found.not_measured.note(what, why),
    }
    Ok(found)
}

/// What all boots about one kind share.
struct Bench<'a> {
    laboratory: &'a Laboratory,
    lab: &'a Lab<'a>,
    peers: Option<&'a Peers>,
    kind: &'a Kind,
    /// The hold counter's arguments that name the functions and the lock.
    counter: Option<String>,
}

impl Bench<'_> {
    fn measure(
        &self,
        groups: &[Vec<Observer>],
        boots: usize,
        not_measured: &mut NotMeasured,
    ) -> Result<(String, OfKind)> {
        let kind = self.kind;
        let mut release = String::new();
        let mut of_kind = OfKind {
            kind: kind.name.to_owned(),
            lock: kind.lock.to_owned(),
            load: kind.load.0.to_owned(),
            others: kind.load.1,
            load_of_others: kind.load_of_others.0.to_owned(),
            others_of_others: kind.load_of_others.1,
            ..OfKind::default()
        };
        for group in groups {
            let what: Vec<&str> = group.iter().map(|one| one.what.as_str()).collect();
            let seen = not_measured.or_note(&what.join("; "), self.boots(group, boots))?;
            if let Some((of_boots, seen)) = seen {
                release = of_boots;
                of_kind.observers.extend(seen);
            }
        }
        let contending = groups.iter().flatten().filter(|_| !kind.reads);
        for observer in contending {
            let what = format!("{}, where two CPUs contend", observer.what);
            let seen = self.contended(observer);
            let seen = not_measured.or_note(&what, seen)?;
            of_kind.contended.extend(seen.into_iter().flatten());
        }
        Ok((release, of_kind))
    }

    fn contended(&self, observer: &Observer) -> Result<Vec<super::results::ContendedCosts>> {
        contended::run(
            self.laboratory,
            self.lab,
            &Contention::of(self.kind.load.0, self.counter.clone())?,
            self.peers_of(std::slice::from_ref(observer)),
            std::slice::from_ref(observer),
            CONTENDED_BOOTS,
        )
    }

    /// The other tools, where one of these is.
    fn peers_of(&self, observers: &[Observer]) -> Option<&Peers> {
        let is_own = |one: &Observer| observers::own(self.kind).contains(one);
        self.peers.filter(|_| !observers.iter().all(is_own))
    }

    /// So many boots with these observers; the kernel's release and the means.
    fn boots(&self, observers: &[Observer], boots: usize) -> Result<(String, Vec<KindObserver>)> {
        let name = &self.lab.kernel.name;
        let numbers: Vec<usize> = (1..=boots).collect();
        let outcomes = workers::each(&numbers, Clock::Instructions.side_by_side(), |boot| {
            let (outcome, found) = self.boot(observers)?;
            let seconds = outcome.wall.as_secs_f64();
            let kind = self.kind.name;
            eprintln!("bench: {name}, {kind}: boot {boot} of {boots} took {seconds:.0} s");
            Ok::<_, anyhow::Error>((outcome.release, found))
        })?;
        let mut release = String::new();
        let mut costs: Vec<Vec<KindObserver>> = Vec::new();
        for outcome in outcomes {
            let (its_release, found) = outcome?;
            release = its_release;
            costs.push(found);
        }
        let mean = |index: usize, cost: fn(&KindObserver) -> &Cost| {
            let costs: Vec<&Cost> = costs.iter().map(|boot| cost(&boot[index])).collect();
            Cost::mean_of(&costs)
        };
        let means = observers
            .iter()
            .enumerate()
            .map(|(index, observer)| KindObserver {
                name: observer.name.clone(),
                what: observer.what.clone(),
                followed: mean(index, |one| &one.followed),
                others: mean(index, |one| &one.others),
            });
        Ok((release, means.collect()))
    }

    fn boot(&self, observers: &[Observer]) -> Result<(VmOutcome, Vec<KindObserver>)> {
        let load = |workload| loads::step(workload, 1, "0", &["--iterations", ITERATIONS]);
        let loads = [load(self.kind.load.0), load(self.kind.load_of_others.0)];
        let script = Script::new(observers, &loads, Settle::INSTRUCTIONS);
        let mut request = self.laboratory.request(self.lab, script.steps.clone());
        if let Some(peers) = self.peers_of(observers) {
            peers.add_to(&mut request)?;
        }
        request.cpus = 1;
        request.clock = Clock::Instructions;
        request.append.push(NO_RANDOM_ADDRESSES.to_owned());
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let counted = folder.path().join("holds");
        let plugin = self.laboratory.hold_counter.as_deref();
        let plugin = plugin.map_err(|why| anyhow::anyhow!("{why}"))?;
        let counter = self.counter.as_deref();
        let counter = counter.context("the kernel has not all that the hold counter needs")?;
        request.plugin = Some(hold_counter::argument(plugin, counter, &counted));
        let outcome = round::succeed(&request).context("a boot about a kind of lock failed")?;
        let sections = hold_counter::read(&counted, script.sections.iter().flatten().count())?;
        let costs = observers
            .iter()
            .zip(&script.places)
            .map(|(observer, places)| {
                let cost = |load: usize| {
                    cost(&outcome, &script, &sections, load, &places[load])
                        .with_context(|| observer.name.clone())
                };
                Ok::<_, anyhow::Error>(KindObserver {
                    name: observer.name.clone(),
                    what: observer.what.clone(),
                    followed: cost(FOLLOWED)?,
                    others: cost(OTHERS)?,
                })
            });
        let costs = costs.collect::<Result<Vec<_>>>()?;
        Ok((outcome, costs))
    }
}

/// What an observer adds to a load, from its four measurements. Of the load that takes other locks there is the guest's
/// clock alone.
fn cost(
    outcome: &VmOutcome,
    script: &Script,
    sections: &[Section],
    load: usize,
    places: &Places,
) -> Result<Cost> {
    Cost::between(places, |place| {
        let step = outcome.steps.get(place).context("a step has no outcome")?;
        let truth = loads::ground_truth(step)?;
        let section = script.sections[place].and_then(|index| sections.get(index));
        let section = section.context("a step has no section")?;
        if load == FOLLOWED {
            loads::check_holds(&truth, section.holds)?;
        }
        Ok(Measurement {
            clock: truth.duration_s * 1e9 / truth.iterations as f64,
            counted: (load == FOLLOWED).then_some(section.one),
        })
    })
}
