//! Recordings of all locks made up for tests, with as many processes and classes as one likes.

use lockprof::{
    profile::Profile,
    recording::schema::{
        ContentionInterval, Interval, Line, LocksPlan, Owner, Phase, Task, Tier, WaiterInterval,
    },
};
use lockprof_abi::{LCB_F_MUTEX, LCB_F_READ, LCB_F_SPIN, LCB_F_WRITE, LockClass};

use crate::fixture::{Synthetic, profile_of};

/// The process that has the mutex that others wait for.
pub const SERVER: u32 = 900;
/// Where that mutex is.
const MUTEX: u64 = 0xffff_8882_0000_0000;

/// What a recording is to be like.
#[derive(Clone, Debug)]
pub struct AllLocks {
    /// Processes, each with a thread that waits for its own mmap_lock, and for a mutex that a server has.
    pub processes: u32,
    /// Servers that have such a mutex.
    pub servers: u32,
    /// Classes of spinning locks beside these two.
    pub spinlocks: u32,
    /// Functions that ask for each of them.
    pub callers: u32,
    pub intervals: u32,
    /// What the names of processes and functions have before their number.
    pub comm: String,
    pub function: String,
}

impl Default for AllLocks {
    fn default() -> Self {
        Self {
            processes: 3,
            servers: 1,
            spinlocks: 2,
            callers: 2,
            intervals: 4,
            comm: "mmload".to_owned(),
            function: "function_".to_owned(),
        }
    }
}

impl AllLocks {
    pub fn lines(&self) -> Vec<Line> {
        let like = Synthetic {
            tier: Tier::WaitOnly,
            intervals: self.intervals,
            ..Synthetic::default()
        };
        self.fill(like.lines())
    }

    /// The lines of another recording, with these waits for all locks in the place of its own.
    pub fn fill(&self, lines: Vec<Line>) -> Vec<Line> {
        let mut index = 0;
        of_all_locks(lines, |interval| {
            index += 1;
            self.interval(index, interval);
        })
    }

    pub fn profile(&self) -> Profile {
        profile_of(self.lines())
    }

    fn interval(&self, index: u32, interval: &mut Interval) {
        // More in some intervals than in others.
        let busy = 1 + index % 3;
        let mmap = LockClass::MmapLock;
        let key = format!("{:#x}", mmap.key());
        let all = self.processes * busy;
        for (caller, flags, part) in [
            ("__vm_munmap+0x10", LCB_F_WRITE, 6),
            ("vm_mmap_pgoff+0x20", LCB_F_WRITE, 3),
            ("do_user_addr_fault+0x30", LCB_F_READ, 1),
        ] {
            let named = Some(mmap.name());
            let waits = waits(&key, named, flags, caller, all * part);
            interval.contention.push(waits);
        }
        for server in 0..self.servers {
            let lock = format!("{:#x}", MUTEX + u64::from(server) * 64);
            let asked = waits(&lock, None, LCB_F_MUTEX, "pipe_write+0x40", all * 3);
            interval.contention.push(asked);
        }
        for lock in 0..self.spinlocks {
            let address = format!("{:#x}", 0xffff_8881_0000_0000 + u64::from(lock) * 64);
            for caller in 0..self.callers {
                let function = format!("{}{lock}_{caller}+0x50", self.function);
                // So that each class has less than the one before.
                let count = (2 * self.spinlocks - lock) * (self.callers - caller) * busy;
                let asked = waits(&address, None, LCB_F_SPIN, &function, count);
                interval.contention.push(asked);
            }
        }
        for process in 0..self.processes {
            self.waiters(process, busy, interval);
        }
    }

    fn waiters(&self, process: u32, busy: u32, interval: &mut Interval) {
        let tgid = 1000 + 10 * process;
        let wait = |lock: u64, class: Option<LockClass>, flags, owner, waits: u64| WaiterInterval {
            lock: format!("{lock:#x}"),
            class: class.map(|class| class.name().to_owned()),
            flags,
            waiter: task(tgid + 1, tgid, &self.comm),
            cgroup: "/load".to_owned(),
            owner,
            waits,
            waited_ns: waits * WAIT_NS,
            longest_ns: WAIT_NS,
            ..WaiterInterval::default()
        };
        let owner = |task, on_cpu| {
            Some(Owner {
                task,
                on_cpu,
                ..Owner::default()
            })
        };
        let own = owner(task(tgid + 2, tgid, &self.comm), busy);
        let lock = 0xffff_8883_0000_0000 + u64::from(process) * 0x400;
        let mmap = Some(LockClass::MmapLock);
        let waiters = &mut interval.waiters;
        waiters.push(wait(lock, mmap, LCB_F_WRITE, own, (9 * busy).into()));
        // Of a few nobody saw who had it.
        waiters.push(wait(lock, mmap, LCB_F_READ, None, busy.into()));
        for server in 0..self.servers {
            let pid = SERVER + server;
            let owner = owner(task(pid, pid, "server"), busy);
            let lock = MUTEX + u64::from(server) * 64;
            waiters.push(wait(lock, None, LCB_F_MUTEX, owner, (3 * busy).into()));
        }
    }
}

/// A recording of one lock made into one of all locks, whose measured intervals have what `fill` gives them.
pub fn of_all_locks(mut lines: Vec<Line>, mut fill: impl FnMut(&mut Interval)) -> Vec<Line> {
    for line in &mut lines {
        match line {
            Line::Header(header) => {
                header.locks = Some(LocksPlan {
                    only: Vec::new(),
                    places: [2048, 16384],
                    untold: Vec::new(),
                    owner_stacks: None,
                });
            }
            Line::Interval(interval) => {
                interval.cpus.clear();
                interval.longest.clear();
                interval.contention.clear();
                if interval.phase == Phase::Measured {
                    fill(interval);
                }
            }
            _ => {}
        }
    }
    lines
}

/// The length of each wait.
pub const WAIT_NS: u64 = 24_000;

fn waits(
    lock: &str,
    name: Option<&str>,
    flags: u32,
    caller: &str,
    waits: u32,
) -> ContentionInterval {
    ContentionInterval {
        lock: lock.to_owned(),
        name: name.map(str::to_owned),
        object: None,
        flags,
        caller: Some(caller.to_owned()),
        stack: None,
        others: false,
        in_hold_of: None,
        sampled: 0,
        waits: waits.into(),
        waited_ns: u64::from(waits) * WAIT_NS,
        longest_ns: WAIT_NS,
        octaves: vec![14, waits],
    }
}

pub fn task(pid: u32, tgid: u32, comm: &str) -> Task {
    Task {
        pid,
        tgid,
        comm: comm.to_owned(),
        process: None,
    }
}

/// How many times over an interval has its waits, summed over so many.
pub fn busy_sum(intervals: u64) -> u64 {
    (1..=intervals).map(|index| 1 + index % 3).sum()
}
