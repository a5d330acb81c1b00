//! The load's arguments, as each step of a boot needs them.

use lab::vm::protocol::{OUT_DIR, Step};
use lab::vm::{Accelerator, Clock};
use workloads::Workload;

use super::lock::Lock;

/// The arguments of `lockprof run` that say which load: those of the profiler are the experiment's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadArguments {
    /// The lock that is followed meanwhile.
    lock: Lock,
    /// lockprof's own words.
    own: Vec<String>,
    /// The user's command, with the `--` before it.
    command: Vec<String>,
}

/// What a step profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profiled {
    /// Nothing: the load alone.
    Bare,
    /// Holds.
    Holds,
    /// Holds and what is in them.
    Spans,
}

/// The folder of the step that follows holds.
pub const HOLDS: &str = "holds";

/// The steps of a boot by their folders: off, on, on, off, so that what drifts within a boot meets
/// both alike.
const STEPS: [(&str, Profiled); 4] = [
    ("bare-1", Profiled::Bare),
    (HOLDS, Profiled::Holds),
    ("spans", Profiled::Spans),
    ("bare-2", Profiled::Bare),
];

/// Options that are the experiment's, and why.
const NOT_THE_LOADS: [(&str, &str); 12] = [
    ("--lock", "it belongs before the --"),
    ("--output", "the recordings have their places"),
    ("-o", "the recordings have their places"),
    ("--detail", "each boot runs both levels of detail"),
    ("--attach", "each boot runs with probes and without"),
    ("--windows", "each boot runs with probes and without"),
    ("--clock", "it belongs before the --"),
    ("--emulated-by", "the lab knows it"),
    ("--no-report", "it is set"),
    ("--quiet", "it is set"),
    ("-q", "it is set"),
    ("--readers", "holds with more probes are other holds"),
];

impl LoadArguments {
    /// A bundled load with so many tasks.
    pub fn bundled(lock: Lock, load: Workload, tasks: u32) -> Self {
        let words = ["--workload", load.name(), "-t", &tasks.to_string()];
        Self {
            lock,
            own: words.map(str::to_owned).to_vec(),
            command: Vec::new(),
        }
    }

    /// Takes the words behind `--`.
    pub fn parse(lock: Lock, words: &[String]) -> Result<Self, String> {
        let end = words
            .iter()
            .position(|word| word == "--")
            .unwrap_or(words.len());
        let (own, command) = words.split_at(end);
        let arguments = Self {
            lock,
            own: own.to_vec(),
            command: command.to_vec(),
        };
        for (option, why) in NOT_THE_LOADS {
            if arguments.has(&[option]) {
                return Err(format!("{option} is not for ARGS: {why}"));
            }
        }
        if arguments.command.len() < 2 && !arguments.has(&["--workload"]) {
            return Err(
                "ARGS name no load: --workload threadspawn -t 24, or -- COMMAND".to_owned(),
            );
        }
        Ok(arguments)
    }

    /// Whether one of the options is there, alone or with its value.
    fn has(&self, names: &[&str]) -> bool {
        self.own.iter().any(|word| {
            names.iter().any(|name| {
                let rest = word.strip_prefix(name);
                let short = !name.starts_with("--");
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('=') || short)
            })
        })
    }

    /// With so many tasks in place of those that were asked for; a command of the user's has none.
    fn with_tasks(&self, tasks: u32) -> Vec<String> {
        let mut words = Vec::new();
        let mut own = self.own.iter();
        while let Some(word) = own.next() {
            if word == "-t" || word == "--tasks" {
                let _replaced = own.next();
            } else if !word.starts_with("--tasks=") && !is_short_tasks(word) {
                words.push(word.clone());
            }
        }
        if self.command.is_empty() {
            words.extend(["-t".to_owned(), tasks.to_string()]);
        }
        words
    }

    /// What each boot runs, by its folder.
    pub fn steps(&self) -> Vec<(&'static str, Profiled)> {
        let with_spans = self.lock.has_spans();
        let steps = STEPS.into_iter();
        steps
            .filter(|(_, profiled)| with_spans || *profiled != Profiled::Spans)
            .collect()
    }

    /// One step of a boot.
    pub fn step(&self, folder: &str, profiled: Profiled, machine: Machine) -> Step {
        let fixed = "lockprof run --quiet --no-report --windows off --output";
        let mut words: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
        words.push(format!("{OUT_DIR}/{folder}"));
        words.extend(
            machine
                .accelerator
                .clock_words(machine.clock, machine.real_cpus),
        );
        let (warm_up, duration) = match machine.clock {
            Clock::Wall => ("1", "3"),
            Clock::Instructions => ("0.1", "0.4"),
        };
        let bundled = self.command.is_empty();
        if bundled && !self.has(&["--warm-up"]) {
            words.extend(["--warm-up", warm_up].map(str::to_owned));
        }
        if bundled && !self.has(&["-d", "--duration", "--iterations"]) {
            words.extend(["--duration", duration].map(str::to_owned));
        }
        let profiled = match profiled {
            Profiled::Bare => ["--attach", "off"],
            Profiled::Holds => ["--detail", "holds"],
            Profiled::Spans => ["--detail", "spans"],
        };
        words.extend(profiled.map(str::to_owned));
        words.extend(self.lock.words());
        words.extend(match machine.tasks {
            Some(tasks) => self.with_tasks(tasks),
            None => self.own.clone(),
        });
        words.extend(self.command.iter().cloned());
        Step::new(words)
    }
}

/// `-t24`.
fn is_short_tasks(word: &str) -> bool {
    word.strip_prefix("-t")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What a step runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What a nanosecond is.
    pub clock: Clock,
    /// Who runs it.
    pub accelerator: Accelerator,
    /// CPUs that emulate it.
    pub real_cpus: usize,
    /// Tasks of a bundled load, where they are not the user's.
    pub tasks: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn parse(text: &str) -> Result<LoadArguments, String> {
        LoadArguments::parse(Lock::default(), &words(text))
    }

    fn line(text: &str, profiled: Profiled, clock: Clock, tasks: Option<u32>) -> String {
        line_of(&parse(text).unwrap(), profiled, clock, tasks)
    }

    fn line_of(
        load: &LoadArguments,
        profiled: Profiled,
        clock: Clock,
        tasks: Option<u32>,
    ) -> String {
        let machine = Machine {
            clock,
            accelerator: Accelerator::Tcg,
            real_cpus: 2,
            tasks,
        };
        load.step("x", profiled, machine).argv.join(" ")
    }

    #[test]
    fn each_step_is_a_run_of_its_own() {
        let load = "--workload threadspawn -t 24";
        assert_eq!(
            line(load, Profiled::Bare, Clock::Wall, None),
            "lockprof run --quiet --no-report --windows off --output /out/x --clock=wall --emulated-by=2 \
             --warm-up 1 --duration 3 --attach off --workload threadspawn -t 24"
        );
        assert_eq!(
            line(load, Profiled::Spans, Clock::Instructions, Some(1)),
            "lockprof run --quiet --no-report --windows off --output /out/x --clock=instructions --warm-up 0.1 \
             --duration 0.4 --detail spans --workload threadspawn -t 1"
        );
    }

    #[test]
    fn what_the_user_says_of_the_load_stays() {
        let timed = line(
            "--workload forkexit -d 9 --warm-up 2",
            Profiled::Holds,
            Clock::Wall,
            None,
        );
        assert!(
            timed.ends_with("--detail holds --workload forkexit -d 9 --warm-up 2"),
            "{timed}"
        );
        assert!(!timed.contains("--duration"), "{timed}");
        for tasks in ["-t 4", "-t4", "--tasks=4", "--tasks 4"] {
            let one = line(
                &format!("--workload x {tasks}"),
                Profiled::Holds,
                Clock::Wall,
                Some(2),
            );
            assert!(one.ends_with("--workload x -t 2"), "{one}");
        }
        let own = line(
            "-- make -j8 -o x",
            Profiled::Bare,
            Clock::Instructions,
            Some(1),
        );
        assert!(own.ends_with("--attach off -- make -j8 -o x"), "{own}");
        assert!(!own.contains("--duration"), "{own}");
    }

    #[test]
    fn another_lock_is_followed_in_each_step_and_has_no_spans() {
        let lock = Lock::parse("cgroup_mutex").unwrap();
        let load = LoadArguments::bundled(lock, Workload::Mkcgroup, 24);
        assert_eq!(
            line_of(&load, Profiled::Holds, Clock::Instructions, Some(1)),
            "lockprof run --quiet --no-report --windows off --output /out/x --clock=instructions --warm-up 0.1 \
             --duration 0.4 --detail holds --lock cgroup_mutex --workload mkcgroup -t 1"
        );
        let profiled = |load: &LoadArguments| -> Vec<Profiled> {
            load.steps().into_iter().map(|(_, step)| step).collect()
        };
        let (bare, holds) = (Profiled::Bare, Profiled::Holds);
        assert_eq!(profiled(&load), [bare, holds, bare]);
        let of_tasks = parse("--workload threadspawn").unwrap();
        assert!(profiled(&of_tasks).contains(&Profiled::Spans));
    }

    #[test]
    fn what_is_not_the_loads_is_refused() {
        for bad in [
            "--workload x -o out",
            "--workload x --detail=spans",
            "--workload x --attach kprobe",
            "--workload x --clock wall",
            "--lock cgroup_mutex --workload x",
            "-t 4",
            "--",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
