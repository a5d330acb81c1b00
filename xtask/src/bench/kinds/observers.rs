//! What is attached while a lock of a kind is taken.

use super::kind::Kind;
use crate::bench::bpftrace::{self, Form, Traced};
use crate::bench::observer::{Observer, probes};
use crate::bench::peers::Peers;
use crate::bench::results::NotMeasured;
use crate::bench::tool::Tool;

/// Programs that only read the clock, by this name.
pub const CLOCK: &str = "clock-fexit-fentry";
/// klockstat, which looks at this lock alone.
pub const KLOCKSTAT: &str = "klockstat-one-lock";
/// Seconds between two readings of the counters: none while a load runs.
pub const ONE_READING_S: u32 = 100_000;
/// klockstat attaches without a word: so long it takes at most.
const KLOCKSTAT_ATTACHES_IN_MS: u64 = 6000;

/// Those that share a boot: lockprof and what is under it, and each of the others by itself.
pub fn groups(
    kind: &Kind,
    peers: &Result<Peers, String>,
    not_measured: &mut NotMeasured,
) -> Vec<Vec<Observer>> {
    let mut groups = vec![own(kind)];
    let peers = match peers {
        Ok(peers) => peers,
        Err(why) => {
            not_measured.note("other tools", why);
            return groups;
        }
    };
    match &peers.klockstat {
        Ok(tool) => groups.push(klockstat(kind, tool)),
        Err(why) => not_measured.note("klockstat", why),
    }
    let traced = Traced {
        symbol: kind.lock,
        lock: kind.takes,
        unlock: kind.gives_back,
        parameter: kind.parameter,
    };
    groups.push(vec![bpftrace::observer_of(Form::Kfunc, traced)]);
    groups
}

/// lockprof, as a user has it.
pub fn lockprof(kind: &Kind) -> Observer {
    let lockprof = Observer::lockprof("holds", "fentry", ONE_READING_S).of_lock(kind.asked);
    if kind.reads {
        lockprof.with_readers()
    } else {
        lockprof
    }
}

/// lockprof, and what is under it.
pub fn own(kind: &Kind) -> Vec<Observer> {
    let (takes, gives_back) = (kind.takes, kind.gives_back);
    vec![
        Observer::empty(
            "empty-fexit-fentry",
            "empty fexit on lock, fentry on unlock",
            &probes(&[("fexit", takes), ("fentry", gives_back)]),
        ),
        Observer::empty(
            CLOCK,
            "fexit on lock, fentry on unlock, that only read the clock",
            &probes(&[("clock_fexit", takes), ("clock_fentry", gives_back)]),
        ),
        Observer::empty(
            "clock-robust-form",
            "the same, and an empty fexit on unlock",
            &probes(&[
                ("clock_fexit", takes),
                ("clock_fentry", gives_back),
                ("fexit", gives_back),
            ]),
        ),
        lockprof(kind),
    ]
}

fn klockstat(kind: &Kind, tool: &Tool) -> Vec<Observer> {
    let what = format!("klockstat -L {}", kind.lock);
    vec![
        klockstat_with(KLOCKSTAT, &what, tool, &["-L", kind.lock]),
        klockstat_of_all(tool),
    ]
}

/// klockstat, which looks at all mutexes and rwsems.
pub fn klockstat_of_all(tool: &Tool) -> Observer {
    klockstat_with("klockstat", "klockstat, of all locks", tool, &[])
}

fn klockstat_with(name: &str, what: &str, tool: &Tool, more: &[&str]) -> Observer {
    let words = tool.words_apart();
    let words = words.iter().map(String::as_str).chain(more.iter().copied());
    let words: Vec<&str> = words.collect();
    Observer::silent(name, what, &words, KLOCKSTAT_ATTACHES_IN_MS)
}
