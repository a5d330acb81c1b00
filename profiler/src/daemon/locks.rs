//! `lockprof locks`: what is kept of all locks, and the readings of who waits for whom.

use std::collections::{BTreeMap, HashMap};

use lockprof_abi::{
    COMM_BYTES, KernelLayout, LockClass, OTHERS, OwnerState, UNKNOWN_OFFSET, WaiterEntry,
};

use super::{
    cgroups::CgroupPaths,
    source::{Source, entries},
};
use crate::{
    kernel::Capabilities,
    probe::programs::WaiterTable,
    recording::schema::{LocksPlan, Owner, OwnerStacks, Task, WaiterInterval},
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct LocksRequest {
    /// The programs' tables, and what is let into them.
    pub table: WaiterTable,
    /// What is let into them, in words.
    pub only: Vec<String>,
    /// The functions whose waits are let in, as reports name them; none: everybody's.
    pub callers: Vec<String>,
}

impl LocksRequest {
    /// As the recording has it.
    #[must_use]
    pub fn to_recording(
        &self,
        capabilities: &Capabilities,
        owner_stacks: OwnerStacks,
    ) -> LocksPlan {
        let layout = capabilities.btf.layout.unwrap_or(KernelLayout::UNKNOWN);
        LocksPlan {
            only: self.only.clone(),
            places: [self.table.locks, self.table.waiters],
            untold: untold(&layout),
            owner_stacks: Some(owner_stacks),
        }
    }
}

/// What is not kept, since the kernel's BTF does not tell where it is.
fn untold(layout: &KernelLayout) -> Vec<String> {
    let known = |offsets: &[u32]| !offsets.contains(&UNKNOWN_OFFSET);
    [
        (
            known(&[layout.task_mm, layout.mm_mmap_lock]),
            "which locks are an mmap_lock",
        ),
        (
            known(&[layout.task_sighand, layout.sighand_siglock]),
            "which locks are a siglock",
        ),
        (
            known(&[layout.task_pid, layout.mutex_owner]),
            "who had a mutex",
        ),
        (
            known(&[layout.task_pid, layout.rwsem_owner]),
            "who had an rwsem",
        ),
    ]
    .into_iter()
    .filter(|(is_known, _)| !is_known)
    .map(|(_, what)| what.to_owned())
    .collect()
}

/// The last reading of the table of who waits for whom.
#[derive(Debug, Default)]
pub(super) struct WaiterReadings {
    entries: HashMap<usize, WaiterEntry>,
    /// Names of processes, by their number: looked up when they are first seen, for they may be gone later.
    processes: HashMap<u32, Option<String>>,
}

/// What tells the sums of an interval apart: lock, waiting task, owner, flags.
type Key = (u64, u32, u32, u32);

impl WaiterReadings {
    /// What has changed in a CPU's table since the last reading.
    pub(super) fn changed(
        &self,
        source: &impl Source,
        cpu: usize,
    ) -> impl Iterator<Item = (usize, WaiterEntry)> {
        let read = |place, into: &mut _| source.read_waiter(place, into);
        let all = entries(cpu, source.waiter_places(), WaiterEntry::FREE, read);
        all.filter(|(place, after)| {
            let before = self.entries.get(place).unwrap_or(&WaiterEntry::FREE);
            (before.waits, before.sampled) != (after.waits, after.sampled)
        })
    }

    /// What happened since the last reading, by what has changed.
    pub(super) fn sum(
        &mut self,
        changed: Vec<(usize, WaiterEntry)>,
        cgroups: &mut CgroupPaths,
    ) -> Vec<WaiterInterval> {
        let mut sums: BTreeMap<Key, WaiterInterval> = BTreeMap::new();
        for (place, after) in changed {
            let before = self.entries.insert(place, after);
            let before = before.unwrap_or(WaiterEntry::FREE);
            let waits = after.waits.wrapping_sub(before.waits);
            let sampled = after.sampled.wrapping_sub(before.sampled);
            let key = (after.lock, after.pid, after.owner_pid, after.flags);
            let sum = sums
                .entry(key)
                .or_insert_with(|| self.new_sum(&after, cgroups));
            sum.waits += waits;
            sum.waited_ns += after.waited_ns.wrapping_sub(before.waited_ns);
            sum.longest_ns = sum.longest_ns.max(after.longest_ns);
            if sampled > 0 {
                *sum.sampled.get_or_insert(0) += sampled;
            }
            if let Some(owner) = &mut sum.owner {
                let state = |state: OwnerState| {
                    let state = state as usize;
                    after.states[state].wrapping_sub(before.states[state])
                };
                owner.on_cpu += state(OwnerState::OnCpu);
                owner.runnable += state(OwnerState::Runnable);
                owner.asleep += state(OwnerState::Asleep);
                owner.reader_hints += after.reader_hints.wrapping_sub(before.reader_hints);
                owner.cpu = after.owner_cpu;
            }
        }
        sums.into_values().collect()
    }

    fn new_sum(&mut self, entry: &WaiterEntry, cgroups: &mut CgroupPaths) -> WaiterInterval {
        let others = entry.lock == OTHERS;
        WaiterInterval {
            lock: format!("{:#x}", entry.lock),
            class: LockClass::from_number(entry.class).map(|class| class.name().to_owned()),
            flags: entry.flags,
            others,
            waiter: self.task(entry.pid, entry.tgid, &entry.comm),
            cgroup: if others {
                String::new()
            } else {
                cgroups.path(entry.cgroup)
            },
            owner: (entry.owner_pid != 0).then(|| Owner {
                task: self.task(entry.owner_pid, entry.owner_tgid, &entry.owner_comm),
                ..Owner::default()
            }),
            ..WaiterInterval::default()
        }
    }

    fn task(&mut self, pid: u32, tgid: u32, comm: &[u8; COMM_BYTES]) -> Task {
        let comm = task_name(comm);
        let process = if pid == tgid {
            None
        } else {
            let known = self.processes.entry(tgid);
            let named = known.or_insert_with(|| process_of(tgid));
            named.clone().filter(|process| *process != comm)
        };
        Task {
            pid,
            tgid,
            comm,
            process,
        }
    }
}

/// The name of a process, as /proc has it.
pub(super) fn process_of(tgid: u32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{tgid}/comm")).ok()?;
    Some(String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned())
}

/// A task's name, as the kernel has it.
pub(super) fn task_name(comm: &[u8; COMM_BYTES]) -> String {
    let end = comm.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&comm[..end.unwrap_or(COMM_BYTES)]).into_owned()
}
