//! What cannot be seen is not said to be absent.

use anyhow::{Result, bail};
use serde_json::Value;

use super::round::{Lab, Verdict, run, succeed};
use super::summary::{Summary, equal};

/// What is said of waits that cannot be seen; the second where an emulator took a CPU, so that some for other spinlocks
/// were.
const UNKNOWN: [&str; 2] = [
    "waits for spinlocks are invisible here",
    "whether there was one is not known: the first waiter in the line for a spinlock emits no event",
];

/// pidmap_lock is a spinlock, so that its holds are not followed. With two CPUs its waits are invisible, for the
/// first contender of a queued spinlock emits no event, unless an emulator took the CPU of that one, so that the other
/// came to the queue; with four they are there, by who asked for it. Nobody says that it is never taken, or that
/// nobody waits for it.
pub fn a_spinlock_is_not_said_to_be_idle(lab: &Lab<'_>) -> Result<Verdict> {
    for cpus in [2, 4] {
        let load = "--lock pidmap_lock --workload threadspawn --tasks 4 --duration 3 --warm-up 1";
        let mut request = lab.request(vec![run("pidmap", load)]);
        request.cpus = cpus;
        let outcome = succeed(&request)?;
        let pidmap = Summary::of(lab, &outcome, "pidmap")?;
        equal("tier", pidmap.text("/tier")?, "wait-only")?;
        equal("kind", pidmap.text("/lock/kind")?, "spinlock")?;
        let holds = pidmap.value("/write_holds")?;
        equal("holds that nobody follows", holds, &Value::Null)?;
        let rows = pidmap.rows("/contention")?.iter();
        let waits: Vec<&Value> = rows.filter(|row| row["is_target"] == true).collect();
        let said = pidmap.value("/unseen/waits")?.as_str();
        match (cpus, waits.as_slice(), said) {
            (2, [], Some(said)) if UNKNOWN.iter().any(|words| said.contains(words)) => {}
            (_, [_, ..], None) if waits.iter().all(|row| row["site"].is_string()) => {}
            _ => bail!("with {cpus} CPUs {waits:?} were seen, and {said:?} is said"),
        }
    }
    Ok(Verdict::Passed)
}
