//! The order of one boot's measurements: each observer between two loads without it.

use lab::vm::protocol::Step;

use super::observer::Observer;
use super::symbols;

/// How long a script waits, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Settle {
    /// After everything is attached or detached.
    pub observer: u64,
    /// After another load, whose tasks' remains are freed in the background.
    pub load: u64,
    /// After the boot: the kernel's own start goes on in the background for longer.
    pub boot: u64,
}

impl Settle {
    /// Where what the kernel still has to do in the background takes instructions of the one CPU. An idle
    /// guest's clock jumps. No multiple of the 100 ms for which bpftrace waits at a time: it never heeds a
    /// SIGINT that finds it between two waits, and by this clock every SIGINT would.
    pub const INSTRUCTIONS: Self = Self {
        observer: 1050,
        load: 300,
        boot: 5000,
    };
    /// Where medians of each CPU's own instructions are looked at alone, and real time passes.
    pub const WALL: Self = Self {
        observer: 250,
        load: 50,
        boot: 1000,
    };
}

/// How often each load runs with the observer.
const REPEATS: usize = 2;

/// Places in the script of one observer's measurements of one load: off, on, on, off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Before the observer.
    pub before: usize,
    /// While it is attached.
    pub with: Vec<usize>,
    /// After it.
    pub after: usize,
}

/// The steps, and where in them the measurements are.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// What the guest does.
    pub steps: Vec<Step>,
    /// Each observer's measurements, load by load.
    pub places: Vec<Vec<Places>>,
    /// For each step the section of the hold counter, if it begins one.
    pub sections: Vec<Option<usize>>,
}

impl Script {
    /// One boot's work: every load, each observer in turn.
    pub fn new(observers: &[Observer], loads: &[Step], settle: Settle) -> Self {
        let mut script = Self::default();
        script.push(Step::default().delay(settle.boot));
        // The first run of each is the warm-up.
        script.measure(loads, settle);
        let mut before = script.measure(loads, settle);
        for observer in observers {
            let started = script.push(observer.step());
            script.push(Step::default().delay(settle.observer + observer.attaches_in_ms));
            let with = (0..REPEATS)
                .map(|_| script.measure(loads, settle))
                .collect::<Vec<_>>();
            script.push(Step::ending(started, libc::SIGINT).delay(settle.observer));
            let after = script.measure(loads, settle);
            let places = (0..loads.len()).map(|load| Places {
                before: before[load],
                with: with.iter().map(|places| places[load]).collect(),
                after: after[load],
            });
            script.places.push(places.collect());
            before = after;
        }
        script
    }

    fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.sections.push(None);
        self.steps.len() - 1
    }

    fn measure(&mut self, loads: &[Step], settle: Settle) -> Vec<usize> {
        let mut places = Vec::new();
        for load in loads {
            places.push(self.push_marked(load.clone().delay(settle.load)));
            // What comes next, an observer's own start among it, is not the load's.
            self.push_marked(Step::default());
        }
        places
    }

    /// The step begins a section.
    fn push_marked(&mut self, step: Step) -> usize {
        let section = self.sections.iter().flatten().count();
        let place = self.push(symbols::marked(step));
        self.sections[place] = Some(section);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_observer_stands_between_two_loads_without_it() {
        let observers = [
            Observer::lockprof("holds", "fentry", 1),
            Observer::lockprof("spans", "fentry", 1),
        ];
        let loads = [Step::new(["a"]), Step::new(["b"])];
        let script = Script::new(&observers, &loads, Settle::INSTRUCTIONS);
        assert_eq!(script.places.len(), 2);
        for (observer, places) in script.places.iter().enumerate() {
            for (load, places) in places.iter().enumerate() {
                let all = [&[places.before], &places.with[..], &[places.after]].concat();
                assert!(all.is_sorted() && all.len() == 4);
                for place in all {
                    assert_eq!(script.steps[place].argv, [["a"], ["b"]][load]);
                    assert!(script.sections[place].is_some());
                }
                let between = &script.steps[places.before..places.with[0]];
                assert!(
                    between
                        .iter()
                        .any(|step| *step.argv == observers[observer].step().argv)
                );
                let between = &script.steps[places.with[1]..places.after];
                assert!(between.iter().any(|step| step.await_step.is_some()));
            }
        }
        // Sections are numbered in the order of their marks.
        let sections = script
            .sections
            .iter()
            .flatten()
            .copied()
            .collect::<Vec<_>>();
        assert_eq!(sections, (0..sections.len()).collect::<Vec<_>>());
        assert_eq!(script.places[0][1].after, script.places[1][1].before);
    }
}
