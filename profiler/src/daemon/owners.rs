//! What the owners of locks do while others wait: by looks into /proc, for the tracepoints do not tell.
//!
//! A look finds what is waited for at that moment, so that a wait is the more likely to be asked about the longer it
//! lasts. Whom the youngest wait for a lock found as its owner is asked, for it is the newest that is known.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::{Duration, Instant},
};

use super::{
    cost::thread_cpu_ns,
    in_progress::{
        sleeping,
        task::{Stat, frames},
    },
};
use crate::{
    probe::programs::Programs,
    recording::schema::{OwnerSample, Task},
};

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_millis(100);
/// So many times as long as the CPU was used for a look there is none: all of them are one per cent of one CPU at most.
const REST: u32 = 100;
/// Owners that one look asks about.
const MOST: usize = 32;
/// Frames that are kept of a stack.
const FRAMES: usize = 12;
/// Different samples that are kept between two readings of the counters.
const MOST_SAMPLES: usize = 512;

/// What tells samples apart: lock, flags, owner, state, stack.
type Key = (u64, u32, u32, char, Vec<String>);

/// What was seen since the last reading of the counters.
#[derive(Debug, Default)]
pub(super) struct Owners {
    samples: BTreeMap<Key, (Task, u64)>,
    not_before: Option<Instant>,
}

impl Owners {
    /// Looks at who has the locks that are slept for now.
    pub(super) fn look(&mut self, programs: &Programs) {
        if self
            .not_before
            .is_some_and(|moment| Instant::now() < moment)
        {
            return;
        }
        let began_ns = thread_cpu_ns();
        let mut youngest: HashMap<u64, (u64, u32, (u32, u32))> = HashMap::new();
        for open in sleeping(programs, programs.window()) {
            let Some(owner) = open.owner else { continue };
            let known = youngest.entry(open.lock).or_insert((0, 0, owner));
            if open.began_ns >= known.0 {
                *known = (open.began_ns, open.flags, owner);
            }
        }
        for (lock, (_, flags, (pid, tgid))) in youngest.into_iter().take(MOST) {
            let Some((task, state, stack)) = ask(pid, tgid) else {
                continue;
            };
            let key = (lock, flags, pid, state, stack);
            if self.samples.len() < MOST_SAMPLES || self.samples.contains_key(&key) {
                self.samples.entry(key).or_insert((task, 0)).1 += 1;
            }
        }
        let took = Duration::from_nanos(thread_cpu_ns().saturating_sub(began_ns));
        self.not_before = Some(Instant::now() + REST * took);
    }

    /// What was seen since the last call.
    pub(super) fn take(&mut self) -> Vec<OwnerSample> {
        let samples = std::mem::take(&mut self.samples).into_iter();
        samples
            .map(
                |((lock, flags, _, state, stack), (owner, seen))| OwnerSample {
                    lock: format!("{lock:#x}"),
                    flags,
                    owner,
                    state,
                    stack,
                    seen,
                },
            )
            .collect()
    }
}

/// What a thread does now; `None` where it is no more.
fn ask(pid: u32, tgid: u32) -> Option<(Task, char, Vec<String>)> {
    let folder = format!("/proc/{tgid}/task/{pid}");
    let stat = Stat::parse(&fs::read(format!("{folder}/stat")).ok()?)?;
    let mut stack = Vec::new();
    if matches!(stat.state, 'D' | 'S') {
        let text = fs::read_to_string(format!("{folder}/stack")).unwrap_or_default();
        stack = frames(&text);
        stack.truncate(FRAMES);
    }
    let process = fs::read(format!("/proc/{tgid}/comm")).ok();
    let process = process.map(|name| String::from_utf8_lossy(name.trim_ascii_end()).into_owned());
    let task = Task {
        pid,
        tgid,
        process: process.filter(|process| *process != stat.comm),
        comm: stat.comm,
    };
    Some((task, stat.state, stack))
}
