//! What strace saw of a run.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// How often each system call was made, and how the calls ended.
#[derive(Debug, Default)]
pub struct Trace {
    /// Calls by name.
    pub calls: BTreeMap<String, u64>,
    /// Calls as they began, with those of their arguments that strace knew then.
    begun: Vec<String>,
    /// Calls by name and result; errors count under their name, such as `EPERM`.
    results: Vec<(String, String)>,
    /// Tasks that ended.
    pub exits: u64,
}

/// Runs a command under strace; returns the trace and what the command printed.
pub fn trace(program: &std::path::Path, arguments: &[&str]) -> (Trace, String) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let output = Command::new("strace")
        .args(["-f", "-q", "-e", "signal=none", "-o"])
        .arg(&log)
        .arg(program)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let log = fs::read_to_string(log).unwrap();
    (parse(&log), String::from_utf8(output.stdout).unwrap())
}

impl Trace {
    pub fn calls(&self, name: &str) -> u64 {
        self.calls.get(name).copied().unwrap_or(0)
    }

    /// Calls of this name whose arguments have this among them.
    pub fn calls_with(&self, name: &str, argument: &str) -> u64 {
        let matching = self.begun.iter().filter(|event| {
            let rest = event.strip_prefix(name);
            let arguments = rest.and_then(|rest| rest.strip_prefix('('));
            arguments.is_some_and(|arguments| {
                arguments
                    .split([',', ' ', ')'])
                    .any(|word| word == argument)
            })
        });
        matching.count().try_into().unwrap()
    }

    pub fn ended(&self, name: &str, is_wanted: impl Fn(&str) -> bool) -> u64 {
        let matching = self
            .results
            .iter()
            .filter(|(call, result)| call == name && is_wanted(result));
        matching.count().try_into().unwrap()
    }

    /// Calls that created a task.
    pub fn tasks_created(&self) -> u64 {
        let is_pid = |result: &str| result.parse::<i32>().is_ok_and(|pid| pid > 0);
        ["clone", "clone3", "fork", "vfork"]
            .iter()
            .map(|name| self.ended(name, is_pid))
            .sum()
    }
}

fn parse(log: &str) -> Trace {
    let mut trace = Trace::default();
    for line in log.lines() {
        let Some((_pid, event)) = line.split_once(' ') else {
            continue;
        };
        let event = event.trim_start();
        if event.starts_with("+++ exited") || event.starts_with("+++ killed") {
            trace.exits += 1;
            continue;
        }
        let name = if let Some(resumed) = event.strip_prefix("<... ") {
            resumed.split(' ').next()
        } else {
            let name = event.split_once('(').map(|(name, _)| name);
            if let Some(name) = name {
                *trace.calls.entry(name.to_owned()).or_default() += 1;
                let call = event.split(" = ").next();
                trace.begun.extend(call.map(str::to_owned));
            }
            name
        };
        if let (Some(name), Some(result)) = (name, result_of(event)) {
            trace.results.push((name.to_owned(), result.to_owned()));
        }
    }
    trace
}

/// The number that a call returned, or the name of its error.
fn result_of(event: &str) -> Option<&str> {
    let (_, result) = event.rsplit_once(" = ")?;
    let mut words = result.split(' ');
    match words.next()? {
        "-1" => words.next(),
        number => Some(number),
    }
}

#[test]
fn log_lines_are_understood() {
    let trace = parse(
        "10 clone3({flags=CLONE_VM} => {parent_tid=[11]}, 88) = 11\n\
         10 clone(child_stack=NULL <unfinished ...>\n\
         11 exit(0)  = ?\n\
         11 +++ exited with 0 +++\n\
         10 <... clone resumed>, child_tidptr=0x7f) = 12\n\
         12 munmap(0x7f0000004000, 16384 <unfinished ...>\n\
         12 <... munmap resumed>)  = 0\n\
         12 munmap(0x7f0000000000, 16384) = 0\n\
         12 munmap(0x7f0000000000, 4096)  = 0\n\
         12 setsid() = -1 EPERM (Operation not permitted)\n\
         12 +++ killed by SIGKILL +++\n",
    );
    assert_eq!(trace.tasks_created(), 2);
    assert_eq!(trace.exits, 2);
    assert_eq!((trace.calls("clone"), trace.calls("exit")), (1, 1));
    assert_eq!(trace.calls("munmap"), 3);
    assert_eq!(trace.calls_with("munmap", "16384"), 2);
    assert_eq!(trace.ended("setsid", |result| result == "EPERM"), 1);
}
