//! What observers cost where the lock is contended: two CPUs by the wall clock, since two CPUs of the
//! instruction clock take turns. Times are not looked at; instructions are, each CPU's own, inside of a hold
//! and on the way into the queue, where nothing is waited for.

use anyhow::{Context, Result, bail};
use lab::vm::protocol::Step;
use lab::vm::{Clock, VmOutcome};

use super::hold_counter::{self, Section};
use super::laboratory::Laboratory;
use super::loads;
use super::observer::Observer;
use super::peers::Peers;
use super::results::{Added, ContendedCosts};
use super::script::{Places, Script, Settle};
use super::statistics::mean;
use super::symbols::{NO_RANDOM_ADDRESSES, Symbols};
use crate::guest::round::{self, Lab};

/// CPUs, and as many tasks: the waiter always finds the queue empty, so that it joins it at once.
const CPUS: u32 = 2;
/// Lock-unlock pairs of each task in one measurement, and seconds before it: by then both have begun. Emulated CPUs often
/// run one after the other for longer than 60,000 take.
const PAIRS: &str = "200000";
const WARM_UP: &str = "0.3";
/// A median of fewer contended holds is none: such a measurement, whose tasks ran one after the other, is
/// left out.
const LEAST_HOLDS: u64 = 100;

/// A lock that two tasks contend for.
#[derive(Clone, Debug)]
pub struct Contention {
    /// The load that takes it, and nothing else often.
    pub load: Step,
    /// The hold counter's arguments that name the functions and the lock.
    pub counter: String,
}

impl Contention {
    /// Two tasks of a load that take the lock once an iteration.
    pub fn of(workload: &str, counter: Option<String>) -> Result<Self> {
        Ok(Self {
            load: loads::step(workload, CPUS, WARM_UP, &["--iterations", PAIRS]),
            counter: counter.context("the kernel has not all that the hold counter needs")?,
        })
    }

    /// tasklist_lock.
    pub fn of_tasklist_lock(symbols: &Symbols) -> Result<Self> {
        Self::of("nullhold", symbols.hold_counter_arguments())
    }
}

/// Measures these observers with so many boots.
pub fn run(
    laboratory: &Laboratory,
    lab: &Lab<'_>,
    contention: &Contention,
    peers: Option<&Peers>,
    observers: &[Observer],
    boots: usize,
) -> Result<Vec<ContendedCosts>> {
    let mut found: Vec<Vec<Sections>> = Vec::new();
    for number in 1..=boots {
        let boot = Boot {
            laboratory,
            lab,
            contention,
            peers,
        };
        let (outcome, sections) = boot.run(observers)?;
        let (name, seconds) = (&lab.kernel.name, outcome.wall.as_secs_f64());
        eprintln!("bench: {name}, contended: boot {number} of {boots} took {seconds:.0} s");
        found.push(sections);
    }
    let costs = observers.iter().enumerate().map(|(index, observer)| {
        let of_all = found.iter().map(|boot| &boot[index]);
        costs(observer, &of_all.collect::<Vec<_>>())
    });
    costs.collect()
}

/// One observer's sections of one boot.
#[derive(Clone, Debug, Default)]
struct Sections {
    off: Vec<Section>,
    on: Vec<Section>,
}

struct Boot<'a> {
    laboratory: &'a Laboratory,
    lab: &'a Lab<'a>,
    contention: &'a Contention,
    peers: Option<&'a Peers>,
}

impl Boot<'_> {
    fn run(&self, observers: &[Observer]) -> Result<(VmOutcome, Vec<Sections>)> {
        let script = Script::new(
            observers,
            std::slice::from_ref(&self.contention.load),
            Settle::WALL,
        );
        let mut request = self.laboratory.request(self.lab, script.steps.clone());
        if let Some(peers) = self.peers {
            peers.add_to(&mut request)?;
        }
        request.cpus = CPUS;
        request.clock = Clock::Wall;
        request.append.push(NO_RANDOM_ADDRESSES.to_owned());
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let counted = folder.path().join("holds");
        let plugin = self.laboratory.hold_counter.as_deref();
        let plugin = plugin.map_err(|why| anyhow::anyhow!("{why}"))?;
        request.plugin = Some(hold_counter::argument(
            plugin,
            &self.contention.counter,
            &counted,
        ));
        let outcome = round::succeed(&request).context("a boot of the contended part failed")?;
        let count = script.sections.iter().flatten().count();
        let sections = hold_counter::read(&counted, count)?;
        let found = script.places.iter().zip(observers);
        let found = found.map(|(places, observer)| {
            of_observer(&outcome, &script, &sections, &places[0]).context(observer.name.clone())
        });
        let found = found.collect::<Result<Vec<_>>>()?;
        Ok((outcome, found))
    }
}

/// An observer's sections, each of which has the load's holds.
fn of_observer(
    outcome: &VmOutcome,
    script: &Script,
    sections: &[Section],
    places: &Places,
) -> Result<Sections> {
    let one = |place: &usize| -> Result<Section> {
        let section = script.sections[*place].and_then(|index| sections.get(index));
        let section = *section.context("a step has no section")?;
        let step = outcome.steps.get(*place);
        let truth = loads::ground_truth(step.context("a step has no outcome")?)?;
        loads::check_holds(&truth, section.holds + section.contended.holds)?;
        Ok(section)
    };
    let all = |places: &[usize]| places.iter().map(one).collect::<Result<Vec<_>>>();
    Ok(Sections {
        off: all(&[places.before, places.after])?,
        on: all(&places.with)?,
    })
}

/// What an observer adds, over all boots.
fn costs(observer: &Observer, boots: &[&Sections]) -> Result<ContendedCosts> {
    let enough = |section: &&Section| section.contended.holds >= LEAST_HOLDS;
    let off = || boots.iter().flat_map(|boot| &boot.off).filter(enough);
    let on = || boots.iter().flat_map(|boot| &boot.on).filter(enough);
    if off().next().is_none() || on().next().is_none() {
        bail!("{}: the lock was not contended", observer.name);
    }
    let holds = on().map(|section| section.contended.holds).min();
    let added = |value: fn(&Section) -> f64| {
        let with: Vec<f64> = on().map(value).collect();
        let bare = mean(off().map(value));
        let smallest = with.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = with.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Added {
            bare,
            added: mean(with.into_iter()) - bare,
            differs_by: largest - smallest,
        }
    };
    Ok(ContendedCosts {
        name: observer.name.clone(),
        what: observer.what.clone(),
        holds: holds.unwrap_or(0),
        uncontended: added(|section| section.one.held),
        in_hold: added(|section| section.contended.held),
        to_the_queue: added(|section| section.contended.to_the_queue),
    })
}

#[cfg(test)]
mod tests {
    use super::super::hold_counter::{Contended, Counted};
    use super::*;

    fn section(holds: u64, alone: f64, held: f64, to_the_queue: f64) -> Section {
        Section {
            one: Counted {
                held: alone,
                period: 0.0,
            },
            contended: Contended {
                holds,
                held,
                to_the_queue,
            },
            ..Section::default()
        }
    }

    #[test]
    fn what_is_added_is_held_against_the_runs_around() {
        let boot = |more: f64| Sections {
            off: vec![
                section(400, 10.0, 50.0, 20.0),
                section(500, 10.0, 52.0, 20.0),
            ],
            on: vec![
                section(300, 15.0, 150.0 + more, 220.0),
                section(200, 15.0, 150.0, 220.0),
            ],
        };
        let observer = Observer::lockprof("holds", "fentry", 1);
        let costs = costs(&observer, &[&boot(0.0), &boot(4.0)]).unwrap();
        assert_eq!(costs.holds, 200);
        assert_eq!(
            (costs.uncontended.bare, costs.uncontended.added),
            (10.0, 5.0)
        );
        let in_hold = costs.in_hold;
        assert_eq!(
            (in_hold.bare, in_hold.whole(), in_hold.differs_by),
            (51.0, 151.0, 4.0)
        );
        assert_eq!(costs.to_the_queue.added, 200.0);
    }

    #[test]
    fn a_lock_that_was_not_contended_has_no_median() {
        let contended = |holds| Sections {
            off: vec![section(400, 10.0, 50.0, 20.0)],
            on: vec![
                section(99, 15.0, 1500.0, 220.0),
                section(holds, 15.0, 150.0, 220.0),
            ],
        };
        let observer = Observer::lockprof("holds", "fentry", 1);
        let found = costs(&observer, &[&contended(100)]).unwrap();
        assert_eq!((found.holds, found.in_hold.whole()), (100, 150.0));
        let error = costs(&observer, &[&contended(99)]).unwrap_err();
        assert!(error.to_string().ends_with("was not contended"), "{error}");
    }
}
