//! What the owners of locks do when others come to wait, and while they wait.
//!
//! Where the kernel allows it, the program at the beginning of a wait walks the stack of an owner that sleeps: of a few
//! waits, however short they are. What an owner does later, and whether it runs, looks into /proc tell. A look finds
//! what is waited for at that moment, so that a wait is the more likely to be asked about the longer it lasts. Whom the
//! youngest wait for a lock found as its owner is asked, for it is the newest that is known.
//!
//! So the one counts waits and the other time: their samples are kept apart.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::{Duration, Instant},
};

use lockprof_abi::{COMM_BYTES, OwnerStack, READER_HINT};

use super::{
    cost::thread_cpu_ns,
    in_progress::{
        sleeping,
        task::{Stat, frames},
    },
    locks::{process_of, task_name},
    names::Names,
};
use crate::{
    probe::programs::Programs,
    recording::schema::{OwnerSample, SampledBy, Task},
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

/// What tells the stacks apart that a program took: lock, flags, owner's pid and process, its `__state`, whether it is
/// a reader, and the addresses.
type StackKey = (u64, u32, u64, u32, bool, Vec<u64>);

/// What was seen since the last reading of the counters.
#[derive(Debug, Default)]
pub(super) struct Owners {
    samples: BTreeMap<Key, (Task, u64)>,
    stacks: BTreeMap<StackKey, ([u8; COMM_BYTES], u64)>,
    not_before: Option<Instant>,
}

impl Owners {
    /// Looks at who has the locks that are slept for now.
    pub(super) fn look(&mut self, programs: &Programs) {
        self.empty(programs);
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

    /// Takes the stacks that the program has left, and makes room for the next.
    fn empty(&mut self, programs: &Programs) {
        let mut left = OwnerStack::FREE;
        for place in 0..programs.owners.len() {
            if !programs.owners.take(place, &mut left) {
                continue;
            }
            let frames = left.stack.iter().take(left.frames as usize);
            let key = (
                left.lock,
                left.flags,
                left.owner_ids,
                left.task_state,
                left.owner_state & READER_HINT != 0,
                frames.copied().collect(),
            );
            if self.stacks.len() < MOST_SAMPLES || self.stacks.contains_key(&key) {
                self.stacks.entry(key).or_insert((left.comm, 0)).1 += 1;
            }
        }
    }

    /// What was seen since the last call.
    pub(super) fn take(
        &mut self,
        programs: Option<&Programs>,
        names: &mut Names,
    ) -> Vec<OwnerSample> {
        if let Some(programs) = programs {
            self.empty(programs);
        }
        let stacks = std::mem::take(&mut self.stacks).into_iter();
        let stacks = stacks.map(
            |((lock, flags, ids, state, reader_hint, stack), (comm, seen))| OwnerSample {
                lock: format!("{lock:#x}"),
                flags,
                by: SampledBy::Tracepoint,
                reader_hint,
                owner: task(ids, &comm),
                state: letter(state),
                stack: stack.iter().map(|&frame| names.frame(frame)).collect(),
                seen,
            },
        );
        let samples = std::mem::take(&mut self.samples).into_iter();
        let samples = samples.map(
            |((lock, flags, _, state, stack), (owner, seen))| OwnerSample {
                lock: format!("{lock:#x}"),
                flags,
                by: SampledBy::Proc,
                reader_hint: false,
                owner,
                state,
                stack,
                seen,
            },
        );
        stacks.chain(samples).collect()
    }
}

/// A task that a program has seen.
fn task(ids: u64, comm: &[u8; COMM_BYTES]) -> Task {
    let (pid, tgid) = (ids as u32, (ids >> 32) as u32);
    let comm = task_name(comm);
    let process = (pid != tgid).then(|| process_of(tgid)).flatten();
    Task {
        pid,
        tgid,
        process: process.filter(|process| *process != comm),
        comm,
    }
}

/// The letter by which proc_pid_stat(5) calls a state of a task that sleeps (TASK_* of include/linux/sched.h and
/// `task_index_to_char`, 5.19 to 7.3).
const fn letter(state: u32) -> char {
    const IDLE: u32 = 0x402;
    if state & IDLE == IDLE {
        return 'I';
    }
    match state & 0x7f {
        0 => 'D',
        state => match state.ilog2() {
            0 => 'S',
            1 => 'D',
            2 => 'T',
            3 => 't',
            4 => 'X',
            5 => 'Z',
            _ => 'P',
        },
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
    let process = process_of(tgid);
    let task = Task {
        pid,
        tgid,
        process: process.filter(|process| *process != stat.comm),
        comm: stat.comm,
    };
    Some((task, stat.state, stack))
}

#[cfg(test)]
mod tests {
    use super::letter;

    #[test]
    fn states_have_the_letters_of_proc() {
        // TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, TASK_KILLABLE, freezable sleeps, TASK_IDLE, a stopped task, and
        // TASK_RTLOCK_WAIT.
        let states = [0x1, 0x2, 0x102, 0x2001, 0x402, 0x104, 0x1000];
        let letters: String = states.into_iter().map(letter).collect();
        assert_eq!(letters, "SDDSITD");
    }
}
